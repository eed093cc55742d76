"""What is not delivered, in memory: one byte per event from the oldest undelivered one on. Pure.

Constraints. Lamps and heartbeats ask many times a second, a backlog may hold a million rows, and the alarm lane's
first due row must be found at once behind all of them. A byte each is 1 MB for a million, and `bytearray.find`
looks through it in 10 us. A byte is 0 (delivered, or never there) or lane * 4 + state.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from agent.model import Lane

RowState = Literal["due", "acked", "refused"]
LANES: Final = (Lane.ALARM, Lane.FAULT, Lane.EVENT)
STATES: Final[tuple[RowState, ...]] = ("due", "acked", "refused")
_LANE_NUMBER: Final = {lane: number for number, lane in enumerate(LANES)}
_STATE_NUMBER: Final = {state: number for number, state in enumerate(STATES, 1)}
_CODES: Final = len(LANES) * 4


def code_of(lane: str, state: str) -> int:
    """Return the byte for a lane and a state. An unknown word (a flipped bit) counts as a due fault: it goes out."""
    lane_number = _LANE_NUMBER.get(lane, _LANE_NUMBER[Lane.FAULT])  # type: ignore[call-overload]  # Lane is a str
    return lane_number * 4 + _STATE_NUMBER.get(state, 1)  # type: ignore[call-overload, no-any-return]  # the same


class Board:
    """The state of every `seq` above `base`; what is below is delivered."""

    def __init__(self, last: int = 0) -> None:
        self._base = last + 1
        self._codes = bytearray()
        self._counts = [0] * _CODES

    def __len__(self) -> int:
        return len(self._codes)

    def load(self, rows: Iterable[tuple[int, str, str]], last: int) -> None:
        """Start from outbox rows `(seq, lane, state)` in order of `seq`; `last` is the chain's end. Rows beyond it
        or out of order are left out: only a damaged file has them.
        """
        codes = self._codes = bytearray()
        words: dict[tuple[str, str], int] = {}
        base = None
        for seq, lane, state in rows:
            if not 1 <= seq <= last:
                continue
            if base is None:
                base = seq
            index = seq - base
            if index < len(codes):
                continue
            if index > len(codes):
                codes.extend(bytes(index - len(codes)))
            if (code := words.get((lane, state))) is None:
                code = words[lane, state] = code_of(lane, state)
            codes.append(code)
        self._base = last + 1 if base is None else base
        self._counts = [codes.count(code) if code else 0 for code in range(_CODES)]
        if base is not None:
            codes.extend(bytes(max(0, last + 1 - base - len(codes))))

    def add(self, seq: int, lane: str) -> None:
        """A new event is due. `seq` must be above all that were added."""
        if not self._codes:
            self._base = seq
        self._codes.extend(bytes(seq - self._base - len(self._codes)))
        code = code_of(lane, "due")
        self._codes.append(code)
        self._counts[code] += 1

    def state(self, seq: int) -> RowState | None:
        """Return the state of an undelivered event, None for any other."""
        code = self._code(seq)
        return STATES[(code & 3) - 1] if code else None

    def move(self, seqs: Iterable[int], state: RowState | None, *, only: RowState | None = None) -> int:
        """Set the state of undelivered events, None for delivered; those not in state `only` stay. Count the moved."""
        number = 0 if state is None else _STATE_NUMBER[state]
        wanted = 0 if only is None else _STATE_NUMBER[only]
        moved = 0
        for seq in seqs:
            code = self._code(seq)
            if not code or (wanted and code & 3 != wanted):
                continue
            new = code & ~3 | number if number else 0
            self._codes[seq - self._base] = new
            self._counts[code] -= 1
            if new:
                self._counts[new] += 1
            moved += 1
        return moved

    def clear(self, first: int, last: int) -> int:
        """The closed range is delivered. Count the events in it that were not before."""
        start, end = max(first - self._base, 0), min(last + 1 - self._base, len(self._codes))
        if start >= end:
            return 0
        cleared = 0
        for code in range(_CODES):
            if self._counts[code]:
                count = self._codes.count(code, start, end)
                self._counts[code] -= count
                cleared += count
        if cleared:
            self._codes[start:end] = bytes(end - start)
        return cleared

    def any_in(self, first: int, last: int) -> bool:
        """Tell whether anything in the closed range is undelivered."""
        start, end = max(first - self._base, 0), min(last + 1 - self._base, len(self._codes))
        return start < end and bool(self._codes[start:end].strip(b"\0"))

    def count(self, lane: Lane, state: RowState) -> int:
        """How many events of a lane are in a state."""
        return self._counts[code_of(lane, state)]

    def first(self, lane: Lane, states: Sequence[RowState]) -> int | None:
        """The lowest `seq` of a lane that is in one of the states."""
        found = [self._codes.find(code_of(lane, state)) for state in states if self.count(lane, state)]
        return self._base + min(found) if found else None

    def list(self, lane: Lane, state: RowState, after_seq: int, limit: int) -> list[int]:
        """The first `limit` events of a lane in a state, above `after_seq`, in order."""
        code = code_of(lane, state)
        if not self._counts[code]:
            return []
        found: list[int] = []
        index = max(after_seq - self._base, -1)
        while len(found) < limit and (index := self._codes.find(code, index + 1)) >= 0:
            found.append(self._base + index)
        return found

    def trim(self) -> None:
        """Forget the delivered ones at the beginning. O(n): for maintenance."""
        ahead = len(self._codes) - len(self._codes.lstrip(b"\0"))
        del self._codes[:ahead]
        self._base += ahead

    def _code(self, seq: int) -> int:
        index = seq - self._base
        return self._codes[index] if 0 <= index < len(self._codes) else 0
