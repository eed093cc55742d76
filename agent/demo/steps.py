"""The frame of everything that the demo does by itself: one step after the other, each believed only when it is seen
from the outside. The first one that does not happen ends it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from agent.demo.district import REPLY_TIMEOUT_S
from agent.demo.school import School
from agent.texts import Spoken, Text, say

WAIT_S: Final = 30.0
"""For what takes a second at most on a quiet machine, and this one may be a small board that does much else."""
POLL_S: Final = 0.02


class Missing(Spoken):
    """A step that did not happen, or not rightly."""


class Steps:
    """Counts and tells steps. `told` gets the sentence of each as soon as it is verified; `pace_s` is how long it then
    stands, for somebody who reads along."""

    def __init__(self, school: School, told: Callable[[Text], None], pace_s: float = 0.0) -> None:
        self.school = school
        self.count = 0
        self._told = told
        self._pace_s = pace_s
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    async def until(
        self,
        step: Text,
        condition: Callable[[], bool],
        ms: Callable[[], float | None] = lambda: None,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        """Wait until a condition holds, and tell so. Raises Missing, or what ended a process of the school."""
        await self.hold(step, condition, wait_s=wait_s)
        await self.done(step, ms())

    async def hold(self, step: Text, condition: Callable[[], bool], *, wait_s: float = WAIT_S) -> None:
        """Wait until a condition holds. Raises Missing, or what ended a process of the school."""
        deadline = time.monotonic() + wait_s
        while not condition():
            if self.school.problem.done():
                raise self.school.problem.result()
            if time.monotonic() > deadline:
                raise Missing(say("demo.script-missing", step=step, seconds=wait_s))
            await asyncio.sleep(POLL_S)

    def verify(self, step: Text, holds: bool, why: object) -> None:
        """Raise Missing if something is not as it should be."""
        if not holds:
            raise Missing(say("demo.script-wrong", step=step, why=why))

    async def command(self, step: Text, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Have a command of the district carried out; return the reply. Raises Missing for none, and for a refusal."""

        async def as_list() -> list[dict[str, Any]]:
            return [await work]

        (reply,) = await self.commands(step, as_list())
        return reply

    async def commands(self, step: Text, work: Awaitable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The same for several; return their replies. Raises Missing."""
        try:
            replies = await work
        except TimeoutError:
            why = say("demo.no-reply", seconds=REPLY_TIMEOUT_S)
            raise Missing(say("demo.script-wrong", step=step, why=why)) from None
        for reply in replies:
            self.verify(step, reply["ok"] is True, reply["reason"])
        return replies

    async def done(self, step: Text, ms: float | None = None) -> None:
        """Tell a step that was verified."""
        self.count += 1
        if ms is None:
            self._told(say("demo.script-ok", at_s=self.elapsed_s, step=step))
        else:
            self._told(say("demo.script-ok-ms", at_s=self.elapsed_s, step=step, ms=ms))
        if self._pace_s:
            await asyncio.sleep(self._pace_s)
