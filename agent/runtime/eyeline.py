"""The core's way to the eye: calls with a deadline, refused at once while there is no eye."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from agent.control import ControlClient, DaemonDown
from agent.model import JsonValue
from agent.runtime.child import Child
from agent.texts import Spoken, Text, say

CALL_S: Final = 18.0
"""A snapshot of a slow camera takes 15 s (its next keyframe). The command line waits 20 s for us."""
QUICK_S: Final = 5.0
"""What the eye knows without asking a camera takes milliseconds."""
CALLS_AT_ONCE: Final = 12
"""The eye takes 16 connections of one process."""


class EyeAway(Spoken):
    """There is no eye to ask: not configured, not started, or failing."""


class EyeLine:
    """Calls the eye."""

    def __init__(self, child: Child, socket: Callable[[], Path | None], wanted: Callable[[], bool]) -> None:
        self._child = child
        self._socket = socket
        self._wanted = wanted
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def call(self, method: str, timeout_s: float = CALL_S, /, **params: JsonValue) -> JsonValue:
        """Call and return the answer. Raises EyeAway, ControlError (the eye refuses)."""
        try:
            async with asyncio.timeout(timeout_s), self._gate, self._client() as client:
                return await client.call(method, **params)
        except TimeoutError:
            raise EyeAway(say("runtime.eye-slow", seconds=f"{timeout_s:g}")) from None
        except DaemonDown as error:
            raise EyeAway(self.why() or say("runtime.eye-went-away", error=error)) from None

    async def stream(self, method: str, **params: JsonValue) -> AsyncIterator[JsonValue]:
        """Call a stream and pass its items on. Raises EyeAway, ControlError."""
        try:
            async with self._client() as client:
                async for item in client.stream(method, **params):
                    yield item
        except DaemonDown as error:
            raise EyeAway(self.why() or say("runtime.eye-went-away", error=error)) from None

    def why(self) -> Text | None:
        """Why there is no eye to ask; None if there is one."""
        if not self._wanted():
            return say("runtime.no-cameras")
        if self._child.state == "running":
            return None
        error = self._child.error
        return say("runtime.eye-failing", error=error) if error else say("runtime.eye-starting")

    def _client(self) -> ControlClient:
        """A connection to be made. Raises EyeAway."""
        socket = self._socket()
        if (why := self.why()) is not None or socket is None:
            raise EyeAway(why or say("runtime.eye-starting"))
        return ControlClient([socket])
