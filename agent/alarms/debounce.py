"""Debouncing an input that is looked at now and then.

A polled input is known at the looks only; between two of them it may have changed at any time. So a press is judged
by the LONGEST and a release by the SHORTEST time that it can have lasted:

- A press counts as soon as it can have lasted `debounce`: from the last look that saw the input inactive, to now, or
  to the look that saw it inactive again. Where looks are further apart than that, one look is enough. Only what the
  looks prove to be shorter is dropped. A press is never missed because the bus is slow.
- A release counts when the input has certainly been inactive for `debounce`: from the look that saw it so, to a later
  look that still did. A driver tells changes only, so the later look is known from the next press (`previous_ns`),
  from the device having been heard, or because its next looks must have passed without a word. Chatter, and a look
  that fell into a gap of a held contact, so make no second press.

docs/decisions/0006-alarm-behaviour.md has the reasoning. Times are boot clock nanoseconds.
"""

from dataclasses import dataclass
from typing import Final

LOOKS_WITHOUT_WORD: Final = 2
"""After so many looks (as far apart as the last two) without a word, a released input is still released. One look
would do on an idle line; a unit that is retried once, or an output that is written in between, takes a second."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A change that counts. `seen_ns` is the first look that saw it; `previous_ns` the last look before, if known."""

    active: bool
    seen_ns: int
    previous_ns: int | None


class Debouncer:
    """One input. `stable` is what counts now; the methods return the edges that a look or the time has proved."""

    __slots__ = ("_debounce_ns", "_pending", "_raw", "stable")

    def __init__(self, debounce_ns: int, *, stable: bool = False) -> None:
        self._debounce_ns = debounce_ns
        self.stable = stable
        self._raw: bool | None = None
        self._pending: Edge | None = None

    def look(self, active: bool, seen_ns: int, previous_ns: int | None) -> tuple[Edge, ...]:
        """Take one sample: the value at `seen_ns`, and the last look that saw the other value, if there was one."""
        if active == self._raw:
            return self._same(seen_ns)
        edges = self._before(active, seen_ns, previous_ns)
        self._raw = active
        if active == self.stable:
            self._pending = None  # a glitch or a gap, too short to count
            return edges
        self._pending = Edge(active, seen_ns, previous_ns)
        return edges + (self._same(seen_ns) if active else self._accept_if(self._debounce_ns <= 0))

    def again(self, seen_ns: int) -> tuple[Edge, ...]:
        """A press of its own was told, of an input that may be active already."""
        return (Edge(True, seen_ns, None),) if self.stable else ()

    def looked(self, at_ns: int) -> tuple[Edge, ...]:
        """The device was looked at, and this input had not changed."""
        pending = self._pending
        return self._accept_if(
            pending is not None and not pending.active and at_ns - pending.seen_ns >= self._debounce_ns
        )

    def tick(self, now_ns: int) -> tuple[Edge, ...]:
        """Time has passed."""
        due_ns = self.due_ns
        return self._accept_if(due_ns is not None and now_ns >= due_ns)

    @property
    def has_looked(self) -> bool:
        """Whether there was a look at all."""
        return self._raw is not None

    @property
    def due_ns(self) -> int | None:
        """When `tick` will find something; None if nothing is pending."""
        pending = self._pending
        if pending is None:
            return None
        if pending.active:
            return _first_ns(pending) + self._debounce_ns
        gap_ns = pending.seen_ns - _first_ns(pending)
        return pending.seen_ns + self._debounce_ns + LOOKS_WITHOUT_WORD * gap_ns

    def _same(self, seen_ns: int) -> tuple[Edge, ...]:
        """The raw value is unchanged at `seen_ns`: that may be what a pending edge waited for."""
        pending = self._pending
        if pending is None:
            return ()
        if not pending.active:
            return self.looked(seen_ns)
        return self._accept_if(self._believed(pending, seen_ns))

    def _before(self, active: bool, seen_ns: int, previous_ns: int | None) -> tuple[Edge, ...]:
        """The raw value turns: what was pending lasted until now at the longest, until `previous_ns` for certain."""
        pending = self._pending
        if pending is None:
            return ()
        if pending.active:
            return self._accept_if(self._believed(pending, seen_ns))
        # Without looks in between (the device reports edges by itself) it was inactive up to this edge.
        until_ns = seen_ns if previous_ns is None and pending.previous_ns is None else previous_ns
        return self._accept_if(until_ns is not None and until_ns - pending.seen_ns >= self._debounce_ns)

    def _believed(self, press: Edge, until_ns: int) -> bool:
        return press.previous_ns is None or until_ns - press.previous_ns >= self._debounce_ns

    def _accept_if(self, proved: bool) -> tuple[Edge, ...]:
        if not proved or self._pending is None:
            return ()
        edge, self._pending = self._pending, None
        self.stable = edge.active
        return (edge,)


def _first_ns(edge: Edge) -> int:
    return edge.seen_ns if edge.previous_ns is None else edge.previous_ns
