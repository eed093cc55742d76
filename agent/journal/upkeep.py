"""Small parts of the journal's upkeep: chores for the writer, and the time of the oldest event that is due."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from agent.journal.jobs import Chore
from agent.journal.receipts import Span
from agent.journal.room import CHUNK_ROWS, COMMANDS_KEPT, COMMANDS_KEPT_FOR
from agent.journal.store import Store
from agent.journal.times import time_text
from agent.model import Moment, Stored

RECENT: Final = 256
"""Of so many events the time is known without a read."""


def clearing(ranges: Iterable[Span]) -> Chore:
    """Take covered ranges out of the outbox, a chunk at a time."""
    left = list(ranges)

    def chore(store: Store) -> bool:
        first, last = left[0]
        if store.clear(first, last, CHUNK_ROWS) < CHUNK_ROWS:
            left.pop(0)
        if not left:
            store.set_meta({"clearing": "[]"})
        return bool(left)

    return chore


def drop_acked(store: Store) -> bool:
    """Take what a broker has out of the outbox: no receipts are asked for."""
    return store.drop_acked(CHUNK_ROWS) == CHUNK_ROWS


def forget_commands(moment: Moment) -> Chore:
    """Drop old commands: by age, if the clock is to be believed, and beyond the number that is kept."""
    before = utc_text(moment.wall - COMMANDS_KEPT_FOR) if moment.clock == "synced" else None
    return lambda store: store.forget_commands(before, COMMANDS_KEPT, CHUNK_ROWS) == CHUNK_ROWS


def utc_text(time: datetime) -> str:
    """Write a time so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


class OldestTime:
    """When an event happened, for the few that are asked for; loop side."""

    def __init__(self) -> None:
        self._recent: dict[int, Stored] = {}
        self._found: tuple[int, str | None] = (0, None)
        self._wanted = 0

    def appended(self, batch: list[Stored]) -> None:
        """Remember the newest."""
        for stored in batch[-RECENT:]:
            self._recent[stored.seq] = stored
        for seq in list(self._recent)[: len(self._recent) - RECENT]:
            del self._recent[seq]

    def wants(self, seq: int) -> bool:
        """Tell whether the event must be read, once."""
        if seq in self._recent or seq in (self._found[0], self._wanted):
            return False
        self._wanted = seq
        return True

    def found(self, seq: int, time: str | None) -> None:
        """Take what was read."""
        self._found = (seq, time)

    def time(self, seq: int) -> str | None:
        """The event's time; while it is being read, that of the one before it."""
        if (stored := self._recent.get(seq)) is not None:
            return time_text(stored)
        return self._found[1]
