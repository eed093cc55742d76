"""Room in the journal: what may be taken out, and when. Runs in the writer's transactions, a chunk at a time.

`max_size` is divided: the event lane stops at `EVENT_SHARE` of it, the rest is reserved for alarms and faults,
which are never evicted and go on beyond it. Delivered events go first, oldest first; then undelivered ones of the
event lane, oldest first, with one `campus.lost` for each run of them. `keep` removes delivered events by age, by a
synced clock only.

Constraints. A chunk is some 5 ms, because an alarm may be waiting behind it. A range that a `campus.lost` names holds
evicted events and nothing else: a district counts it as held, so an alarm in it would be cleared without having come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from agent.clock import Clock
from agent.journal.store import Removed, Store
from agent.model import Event, JsonValue, Lane, new_event

CHUNK_ROWS: Final = 500
FEW_ROWS: Final = 20
TYPICAL_ROW_BYTES: Final = 1_024
"""A chunk is no more than a sixteenth of a small quota, or an eviction would empty it."""
ROWS_PER_RECORD: Final = 5
"""A run between alarms and faults that is shorter than this stays: its record, which is never evicted, would take much
of the room that it gives."""
RECORDS_AT_ONCE: Final = 100
"""Of these, some 3 ms more in front of one append."""
WINDOW_CHUNKS: Final = 2
"""How far eviction looks for runs that are long enough."""
EVENT_SHARE: Final = 0.9
LOW_WATER: Final = 0.98
"""Freeing goes a little below the limit, so that not every append has to."""
CHUNKS_AT_ONCE: Final = 4
"""How much may be freed in front of one append of the event lane."""
ROW_OVERHEAD_BYTES: Final = 160
"""What a row takes beside its body: hash, outbox row, cells. An estimate between two exact looks."""
LOOK_EVERY_BYTES: Final = 1 << 20
FREE_PAGES_BYTES: Final = 128 << 10
"""On a full disk the event lane goes on while the file has this much room inside itself."""
COMMANDS_KEPT: Final = 10_000
COMMANDS_KEPT_FOR: Final = timedelta(days=30)
"""A district that delivers a command again does it within its broker's session, which is days."""


@dataclass(slots=True)
class Freed:
    """What was taken out: rows, and of these the undelivered ones."""

    rows: int
    evicted: tuple[tuple[int, str], ...] = ()


class Room:
    """The quota of one store."""

    def __init__(self, store: Store, max_size_bytes: int) -> None:
        self.store = store
        self.event_limit = int(max_size_bytes * EVENT_SHARE)
        self.used = store.used_bytes()
        self._chunk = max(FEW_ROWS, min(CHUNK_ROWS, self.event_limit // (16 * TYPICAL_ROW_BYTES)))
        self._written = 0
        self._nothing_delivered = False
        self._cursor = 0
        self._passed = 0
        """Up to here the event lane has only runs too short to evict; a run never grows but at the end."""

    def wrote(self, rows: int, body_bytes: int) -> None:
        """Count what was appended."""
        size = body_bytes + rows * ROW_OVERHEAD_BYTES
        self.used += size
        self._written += size

    def changed(self) -> None:
        """Something was delivered: there may be rows to prune."""
        self._nothing_delivered = False

    def look(self) -> int:
        """Measure exactly; return the bytes in use."""
        self.used = self.store.used_bytes()
        self._written = 0
        return self.used

    def is_short(self) -> bool:
        """Tell whether the event lane is at its limit; exact only near it."""
        if self._written >= LOOK_EVERY_BYTES or (self.used >= self.event_limit and self._written):
            self.look()
        return self.used >= self.event_limit

    def make(self, *, acked_is_delivered: bool) -> Freed:
        """Free down to the low-water mark, in at most `CHUNKS_AT_ONCE` chunks. Call within a transaction."""
        freed = Freed(0)
        for _ in range(CHUNKS_AT_ONCE):
            part = self.free_chunk(acked_is_delivered=acked_is_delivered, evict=True)
            freed.rows += part.rows
            freed.evicted += part.evicted
            if not part.rows or len(Removed(freed.evicted).runs()) >= RECORDS_AT_ONCE:
                break
            if self.look() < self.event_limit * LOW_WATER:
                break
        return freed

    def free_chunk(self, *, acked_is_delivered: bool, evict: bool) -> Freed:
        """Take out one chunk: delivered rows, or, if there are none, undelivered ones of the event lane.

        Of these a whole chunk or nothing: its loss records are of the fault lane and stay, so giving up events one by
        one would fill the journal with records of them."""
        rows = self._delivered(acked_is_delivered)
        if rows:
            self.store.remove(Removed(rows))
            return Freed(len(rows))
        if not evict:
            return Freed(0)
        evicted = self._evictable()
        if evicted:
            self.store.remove(Removed(evicted))
        return Freed(len(evicted), evicted)

    def _evictable(self) -> tuple[tuple[int, str], ...]:
        """The oldest chunk of the event lane that lies in runs worth a record; less only where none is in sight."""
        limit = WINDOW_CHUNKS * self._chunk
        rows = self.store.oldest_events(self._passed, limit)
        runs = _runs(rows)
        chosen: list[tuple[int, str]] = []
        for run in runs:
            wanted = max(self._chunk - len(chosen), ROWS_PER_RECORD)
            if len(run) >= ROWS_PER_RECORD:
                chosen += run if len(run) - wanted < ROWS_PER_RECORD else run[:wanted]
            elif not chosen and run is not runs[-1]:
                self._passed = run[-1][0]
            if len(chosen) >= self._chunk:
                break
        return tuple(chosen) if len(chosen) >= self._chunk or len(rows) == limit else ()

    def _delivered(self, acked_is_delivered: bool) -> tuple[tuple[int, str], ...]:
        if self._nothing_delivered:
            return ()
        rows = self.store.delivered(self._cursor, self._chunk, acked_is_delivered=acked_is_delivered)
        if not rows and self._cursor:
            self._cursor = 0
            rows = self.store.delivered(0, self._chunk, acked_is_delivered=acked_is_delivered)
        self._nothing_delivered = not rows
        if rows:
            self._cursor = rows[-1][0]
        return tuple((seq, hash_) for seq, hash_, _ in rows)

    def prune_old(self, before: datetime, *, acked_is_delivered: bool) -> bool:
        """Take out one chunk of delivered events from before a time; tell whether there may be more."""
        rows = self.store.delivered(0, CHUNK_ROWS, acked_is_delivered=acked_is_delivered)
        old = []
        for seq, hash_, time in rows:
            if time is None or datetime.fromisoformat(time) >= before:
                break
            old.append((seq, hash_))
        if old:
            self.store.remove(Removed(tuple(old)))
        return len(old) == CHUNK_ROWS


def _runs(rows: Iterable[tuple[int, str]]) -> list[list[tuple[int, str]]]:
    """Divide rows where a `seq` is missing between them."""
    runs: list[list[tuple[int, str]]] = []
    for row in rows:
        if runs and runs[-1][-1][0] == row[0] - 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def lost_events(clock: Clock, evicted: tuple[tuple[int, str], ...], reason: str) -> list[Event]:
    """The records of events that the journal gave up, one for each run: its range, number, reason, and the hash of its
    last."""
    records = []
    for first, last, hash_ in Removed(evicted).runs():
        count = last - first + 1
        data: dict[str, JsonValue] = {"from": first, "to": last, "count": count, "reason": reason, "hash": hash_}
        records.append(replace(new_event("campus.lost", Lane.FAULT, clock.moment()), data=data))
    return records


def never_taken_event(clock: Clock, count: int) -> Event:
    """The record of event-lane events that found no room and so have no `seq`."""
    return new_event("campus.lost", Lane.FAULT, clock.moment(), count=count, reason="no-room")
