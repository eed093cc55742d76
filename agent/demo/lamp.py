"""What a lamp really shows, told from the values that its output had on the wire. Pure."""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

LampSeen = Literal["off", "steady", "slow", "fast", "turning"]
"""`turning`: it has just changed, and nobody can tell yet to what."""

SETTLED_NS: Final = 700_000_000
"""A lamp that has not changed for so long does not blink: at 1 Hz it changes every 500 ms."""
FAST_NS: Final = 300_000_000
"""Changes closer than this are the fast blinking: 125 ms by design, 500 ms the slow one."""
RHYTHM: Final = 3
"""Changes that make a rhythm."""
KEPT: Final = 64


@dataclass
class LampWatch:
    """The changes of one output, newest last: (boot clock, value)."""

    changes: deque[tuple[int, bool]] = field(default_factory=lambda: deque([(0, False)], maxlen=KEPT))

    def saw(self, value: bool, at_ns: int) -> None:
        """Take the value of a write; a repeated value is no change."""
        if value != self.lit:
            self.changes.append((at_ns, value))

    @property
    def lit(self) -> bool:
        """Whether it is lit now."""
        return self.changes[-1][1]

    @property
    def changed_ns(self) -> int:
        """When it changed last."""
        return self.changes[-1][0]

    def mode(self, now_ns: int) -> LampSeen:
        """What a person standing before it would say."""
        if now_ns - self.changed_ns > SETTLED_NS:
            return "steady" if self.lit else "off"
        times = [at_ns for at_ns, _ in self.changes][-RHYTHM:]
        gaps = [after_ns - before_ns for before_ns, after_ns in pairwise(times)]
        if len(gaps) == RHYTHM - 1 and max(gaps) < FAST_NS:
            return "fast"
        if len(gaps) == RHYTHM - 1 and min(gaps) >= FAST_NS and max(gaps) <= SETTLED_NS:
            return "slow"
        return "turning"

    def lit_since(self, after_ns: int) -> int | None:
        """When it was first lit at or after `after_ns`; None if it was not."""
        for at_ns, value in self.changes:
            if value and at_ns >= after_ns:
                return at_ns
        return None
