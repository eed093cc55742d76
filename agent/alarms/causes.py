"""What makes a point active: its own input, or any of several that it takes together under a more general name.

A point on `130` (burglary in any zone) is active as long as one of the zones is. What tells a press and no release
(`Sample.hold_s`) falls back by itself, so that its alarm can be reset.
"""

from typing import Final

from agent.clock import NS_PER_S
from agent.driver import Input, Sample

KEPT: Final = 1_024
"""Active inputs behind one point that are told apart; Contact ID has a thousand zones."""


class Causes:
    """The active inputs behind one point, each with the boot clock when it falls back, if it does so by itself."""

    __slots__ = ("_active",)

    def __init__(self) -> None:
        self._active: dict[Input, int | None] = {}

    def look(self, sample: Sample, active: bool) -> bool:
        """Take one look at one input; return whether the point is active now."""
        if not active:
            self._active.pop(sample.input, None)
        elif sample.input in self._active or len(self._active) < KEPT:
            hold_s = sample.hold_s
            self._active[sample.input] = None if hold_s is None else sample.seen_ns + round(hold_s * NS_PER_S)
        return bool(self._active)

    def hold(self, input: Input, until_ns: int) -> None:
        """Continue, after a restart, with an input that falls back by itself."""
        self._active[input] = until_ns

    def lapse(self, now_ns: int) -> bool:
        """Time has passed; return whether that has ended the last cause."""
        before = len(self._active)
        self._active = {name: due for name, due in self._active.items() if due is None or due > now_ns}
        return before > 0 and not self._active

    @property
    def due_ns(self) -> int | None:
        """When `lapse` has something to do."""
        return min((due for due in self._active.values() if due is not None), default=None)

    @property
    def falls_back(self) -> bool:
        """Whether all that is active falls back by itself."""
        return None not in self._active.values()
