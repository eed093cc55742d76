"""Threads that were left behind. Some never come back; too many, and the process has to be a new one."""

import logging
import os
from collections.abc import Callable
from typing import Final

from agent.clock import NS_PER_S
from agent.skyeye.streams.reader import Reader
from agent.texts import say

log = logging.getLogger(__name__)

GRACE_S: Final = 30.0
"""By then FFmpeg's own times are up (10 s to open, 10 s for the first packet, 10 s of silence): who is still there
hangs."""
HUNG_MAX: Final = 8
"""Each holds a socket, its stack and FFmpeg's buffers, some 4 MB: eight of them are what one camera may cost."""
EXIT_STATUS: Final = 70
"""EX_SOFTWARE of sysexits.h: the core starts the process again."""


class Hung:
    """Keeps count."""

    def __init__(self, now_ns: Callable[[], int], on_exhausted: Callable[[int], None], limit: int = HUNG_MAX) -> None:
        self._now_ns = now_ns
        self._on_exhausted = on_exhausted
        self._limit = limit
        self._left: dict[Reader, int] = {}

    def leave(self, reader: Reader, grace_s: float = GRACE_S) -> None:
        """Listen to `reader` no more."""
        reader.stop()
        if reader.alive:
            self._left[reader] = self._now_ns() + int(grace_s * NS_PER_S)
        self.look()

    def look(self) -> int:
        """Count those that should have ended by now."""
        now_ns = self._now_ns()
        self._left = {reader: due_ns for reader, due_ns in self._left.items() if reader.alive}
        count = sum(due_ns <= now_ns for due_ns in self._left.values())
        if count >= self._limit:
            self._on_exhausted(count)
        return count

    @property
    def ending(self) -> int:
        """Those that have not ended yet, hung or not."""
        return sum(reader.alive for reader in self._left)


def exit_exhausted(count: int) -> None:
    """End this process at once: its threads would not let it end by itself."""
    log.critical(say("streams.exhausted", count=count))
    logging.shutdown()
    os._exit(EXIT_STATUS)
