"""What waits to be published, by lane, in pages: the journal is the queue, this is only its nearest end. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.clock import NS_PER_S
from agent.model import Lane, Stored

REPEATED = "campus.alarm.repeated"
RESTORED = "campus.alarm.restored"
Point = tuple[str | None, str | None]


class SeqSet:
    """A set of sequence numbers that costs a byte each, however many there are."""

    def __init__(self) -> None:
        self._base = 0
        self._marks = bytearray()

    def add(self, seq: int) -> None:
        if not self._marks:
            self._base = seq
        if seq < self._base:
            self._marks[:0] = bytes(self._base - seq)
            self._base = seq
        if seq - self._base >= len(self._marks):
            self._marks.extend(bytes(seq - self._base + 1 - len(self._marks)))
        self._marks[seq - self._base] = 1

    def __contains__(self, seq: object) -> bool:
        return isinstance(seq, int) and 0 <= seq - self._base < len(self._marks) and self._marks[seq - self._base] == 1

    def discard(self, seq: int) -> None:
        if seq in self:
            self._marks[seq - self._base] = 0

    def clear(self) -> None:
        self._marks.clear()


@dataclass(slots=True)
class LaneQueue:
    """The next rows of one lane, in order. Rows enter from a page of the journal, or directly when they are
    stored while nothing older waits in the journal."""

    lane: Lane
    page: int
    rows: deque[Stored] = field(default_factory=deque)
    again: deque[Stored] = field(default_factory=deque)
    """Rows that the broker had already and that the district has not confirmed."""
    cursor: int = 0
    """The last `seq` that was taken in."""
    caught_up: bool = False
    missed: bool = False
    """A row was stored that found no place here; the journal must be asked again."""
    reading: bool = False

    def restart(self) -> None:
        """Begin again at the first due row, on a new connection."""
        self.rows.clear()
        self.again.clear()
        self.reading = False  # whoever read has been cancelled with the last connection
        self.reread()

    def reread(self) -> None:
        """Ask the journal from its first due row again."""
        self.cursor, self.caught_up, self.missed = 0, False, False

    def offer(self, row: Stored) -> bool:
        """Take a row that was just stored, if it may go straight in."""
        if not self.caught_up or self.reading or len(self.rows) >= self.page:
            self.missed, self.caught_up = True, False
            return False
        self.rows.append(row)
        self.cursor = max(self.cursor, row.seq)
        return True

    @property
    def wants_page(self) -> bool:
        """Whether the journal should be asked for more."""
        return not self.reading and (not self.caught_up or self.missed) and len(self.rows) <= self.page // 2

    def page_read(self, rows: Iterable[Stored], count: int) -> None:
        """Take in a page of `count` rows, of which `rows` are wanted."""
        for row in rows:
            self.rows.append(row)
        self.reading = False
        self.caught_up = count < self.page and not self.missed


class Repeats:
    """Holds back `campus.alarm.repeated`: one per point in `interval_s`. Held rows go out later, in order, and a
    `campus.alarm.restored` waits behind those of its point: a contact that chatters sends a pair in `interval_s`, and
    the district never hears of a release before its press. Everything else of the point is urgent and overtakes."""

    def __init__(self, interval_s: float, limit: int) -> None:
        self._interval_ns = round(interval_s * NS_PER_S)
        self._limit = limit
        self._last_ns: dict[Point, int] = {}
        self._held: dict[Point, deque[Stored]] = {}
        self._left: set[Point] = set()
        """Points of which a row was left to the journal: what follows it comes from there, too."""
        self.count = 0
        self.overflowed = False
        """More were offered than can be held: the journal must be read again once there is room."""

    def admit(self, row: Stored, now_ns: int) -> bool:
        """Whether `row` may go now; else it is held, or left to the journal."""
        if row.type not in (REPEATED, RESTORED):
            return True
        if not self.overflowed:
            self._left.clear()
        point = (row.device, row.point)
        if point not in self._held and point not in self._left:
            if row.type == RESTORED:
                return True
            if self._free(point, now_ns):
                self._last_ns[point] = now_ns
                return True
        if self.count >= self._limit or point in self._left:
            self.overflowed = True
            self._left.add(point)
        else:
            self._held.setdefault(point, deque()).append(row)
            self.count += 1
        return False

    def release(self, now_ns: int) -> Stored | None:
        """Return a held row whose time has come."""
        for point, held in self._held.items():
            if self._due_ns(point, held[0]) <= now_ns:
                row = held.popleft()
                self.count -= 1
                if row.type == REPEATED:
                    self._last_ns[point] = now_ns
                if not held:
                    del self._held[point]
                return row
        return None

    def next_ns(self) -> int | None:
        """When the next held row may go (boot clock)."""
        return min((self._due_ns(point, held[0]) for point, held in self._held.items()), default=None)

    def restart(self) -> None:
        """Forget the held rows: they are read from the journal again. When each point spoke last stays."""
        self._held.clear()
        self._left.clear()
        self.count = 0
        self.overflowed = False

    def _due_ns(self, point: Point, row: Stored) -> int:
        return self._last_ns[point] + (self._interval_ns if row.type == REPEATED else 0)

    def _free(self, point: Point, now_ns: int) -> bool:
        last_ns = self._last_ns.get(point)
        return last_ns is None or now_ns - last_ns >= self._interval_ns


@dataclass(slots=True)
class Suspects:
    """Rows that were in flight when a connection ended badly. One of them may be what the broker cannot stand: it is
    found by sending one row at a time, and must not block what stands behind it.

    A broker that speaks MQTT 5 may say so; mosquitto 2.0 just closes. Then a row is guilty that was alone in flight
    at the end of several connections in a row, each of which had acknowledged something else."""

    careful_from: int = 2
    """Ends with the same row in flight before rows go one at a time."""
    guilty_from: int = 3
    """Ends with a row alone in flight that convict it."""
    _together: dict[int, int] = field(default_factory=dict)
    _alone: dict[int, int] = field(default_factory=dict)

    def blame(self, seqs: Iterable[int], *, surely: bool) -> int | None:
        """A connection ended with these in flight; `surely`: the broker said that a message was the reason. Return
        the row that is convicted by it."""
        flight = set(seqs)
        strikes = self.careful_from if surely else 1
        self._together = {seq: self._together.get(seq, 0) + strikes for seq in flight}
        if len(flight) != 1:
            return None
        (seq,) = flight
        self._alone[seq] = self._alone.get(seq, 0) + (self.guilty_from if surely else 1)
        return seq if self._alone[seq] >= self.guilty_from else None

    def clear(self, seq: int) -> None:
        """A row was acknowledged or refused: it is innocent, or gone."""
        self._together.pop(seq, None)
        self._alone.pop(seq, None)

    @property
    def careful(self) -> bool:
        """Whether rows must go one at a time."""
        return any(count >= self.careful_from for count in self._together.values())

    def goes_last(self, seq: int) -> bool:
        """Whether a row has done enough harm to wait for all others."""
        return self._alone.get(seq, 0) >= self.guilty_from
