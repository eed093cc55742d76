"""Samples on their way to the journal, beside a driver's polling."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from agent.driver import Link, Sample

HAND_OVER_S: Final = 1.0
"""A driver that is stopped lets a commit under way finish: it may be an alarm, and takes milliseconds."""
WAITING_SAMPLES: Final = 4096
"""Changes that wait for the journal; at 8 inputs that all change in every round, 20 s of a stuck disk."""


class Outbox:
    """Hands over samples in order, beside the polling: a commit that waits for a slow disk must not hold the line,
    or the presses on it meanwhile would be missed."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: list[Sample] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether polling must wait."""
        return len(self._waiting) >= WAITING_SAMPLES

    def add(self, samples: Iterable[Sample]) -> None:
        """Hand over, soon."""
        self._waiting.extend(samples)
        if self._waiting and (self._task is None or self._task.done()):
            self.check()
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._link.emit(*batch)

    def check(self) -> None:
        """Raise what handing over raised."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()

    async def flush(self) -> None:
        """Wait until all is handed over."""
        if self._task is not None:
            await self._task
            self.check()

    async def close(self) -> None:
        """Give what was seen a moment to be handed over, then drop it."""
        if (task := self._task) is None:
            return
        await asyncio.wait({task}, timeout=HAND_OVER_S)
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
