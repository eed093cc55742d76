"""The client's end of the control socket, for the command line and the console."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, Self

from agent.config.models import Config
from agent.control.protocol import LINE_LIMIT, dump_line, may_trust, socket_candidates
from agent.model import JsonValue
from agent.texts import Language, Spoken, Text, say

CALL_TIMEOUT_S: Final = 20.0
"""Longer than the slowest call (`test-uplink` waits for an acknowledgement, then for a receipt: 10 s by default)."""
CONNECT_TIMEOUT_S: Final = 3.0
"""A local connect takes microseconds; one that does not come means a stopped process with a full backlog."""


class DaemonDown(Spoken):
    """No daemon listens on the control socket."""


class ControlError(Spoken):
    """The daemon refused a call; the text is the daemon's."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__(_Said(said))


class _Said(Text):
    """A text that the daemon has rendered already."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__(said.get("key", ""), dict(said))

    def render(self, language: Language) -> str:
        return str(self.args.get(language, self.key))


class ControlClient:
    """One connection, one call at a time: `async with ControlClient.connect(config) as client`."""

    def __init__(self, candidates: list[Path]) -> None:
        self._candidates = candidates
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @classmethod
    def connect(cls, config: Config) -> Self:
        """Name the daemon that runs this configuration; the connection is made on entering."""
        return cls(socket_candidates(config.control.socket, config.journal.path))

    async def __aenter__(self) -> Self:
        """Connect. Raises DaemonDown."""
        for path in self._candidates:
            try:
                if not may_trust(path.parent):
                    continue
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._reader, self._writer = await asyncio.open_unix_connection(str(path), limit=LINE_LIMIT)
            except PermissionError:
                raise DaemonDown(say("control.not-allowed", socket=str(path))) from None
            except (OSError, TimeoutError):
                continue
            return self
        raise DaemonDown(say("control.daemon-down", sockets=", ".join(map(str, self._candidates))))

    async def __aexit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    async def call(self, method: str, patience_s: float = CALL_TIMEOUT_S, /, **params: JsonValue) -> JsonValue:
        """Call `method` and return its result. Raises ControlError, DaemonDown."""
        self._send(method, params)
        try:
            async with asyncio.timeout(patience_s):
                return result_of(await self._receive())
        except TimeoutError:
            raise DaemonDown(say("control.no-answer", method=method, timeout_s=patience_s)) from None

    async def stream(self, method: str, **params: JsonValue) -> AsyncIterator[JsonValue]:
        """Call a streaming `method` and yield its items until it ends. Raises ControlError, DaemonDown."""
        self._send(method, params)
        while "item" in (answer := await self._receive()):
            yield answer["item"]
        result_of(answer)

    def _send(self, method: str, params: Mapping[str, JsonValue]) -> None:
        assert self._writer is not None, "enter the client first"
        self._writer.write(dump_line({"method": method, "params": dict(params)}))

    async def _receive(self) -> dict[str, JsonValue]:
        assert self._reader is not None, "enter the client first"
        try:
            line = await self._reader.readline()
        except OSError:
            line = b""
        except ValueError:  # a line over the limit
            raise DaemonDown(say("control.bad-answer")) from None
        if not line.endswith(b"\n"):
            raise DaemonDown(say("control.went-away"))
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise DaemonDown(say("control.bad-answer"))
        return answer


def result_of(answer: Mapping[str, JsonValue]) -> JsonValue:
    """Take the result out of an answer; raise ControlError when it is a refusal."""
    if answer.get("ok"):
        return answer.get("result")
    error = answer.get("error")
    raise ControlError({k: str(v) for k, v in error.items()} if isinstance(error, dict) else {})
