"""Parts of rules that look at measured values."""

from collections import deque
from typing import Final

from agent.model import JsonValue
from agent.rules.facts import MeasureFact, Now, Place, Truth
from agent.rules.parts import Part, ns

DEFAULT_WITHIN_S: Final = 60.0
"""Of rise and fall: people say "per minute"."""
BUCKETS: Final = 64
"""A rise is measured over its time in so many steps, however often a value comes."""


class MeasurePart(Part):
    """A value is beyond a limit; once it was, it must come back by the hysteresis."""

    def __init__(self, place: Place, limit: float, *, above: bool, hysteresis: float) -> None:
        self.place = place
        self._limit = limit
        self._above = above
        self._hysteresis = hysteresis
        self._value: float | None = None
        self._beyond = False

    def take(self, fact: MeasureFact) -> bool:
        self._value = fact.value
        back = self._hysteresis if self._beyond else 0.0
        before = self._beyond
        self._beyond = fact.value > self._limit - back if self._above else fact.value < self._limit + back
        return self.truth is None or before != self._beyond

    def lose(self) -> None:
        """Its device is not heard."""
        self._value = None

    def find(self, now: Now) -> Truth:
        return None if self._value is None else self._beyond

    def shown(self, now: Now) -> JsonValue:
        return self._value

    def dump(self) -> JsonValue:
        return self._beyond or None

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        self._beyond = bool(saved)


class RatePart(Part):
    """A value rises or falls by so much within a time. Between two buckets it may be measured over a little more."""

    def __init__(self, place: Place, change: float, *, rise: bool, within_s: float) -> None:
        self.place = place
        self._change = change
        self._sign = 1.0 if rise else -1.0
        self._within_ns = ns(within_s)
        self._lowest: deque[tuple[int, float]] = deque()
        """Of each bucket its beginning and the lowest value of it (of a fall, with the sign turned)."""
        self._value: float | None = None

    def take_at(self, fact: MeasureFact, now_ns: int) -> bool:
        self._value = self._sign * fact.value
        width_ns = max(1, self._within_ns // BUCKETS)
        if self._lowest and now_ns - self._lowest[-1][0] < width_ns:
            began_ns, lowest = self._lowest[-1]
            self._lowest[-1] = (began_ns, min(lowest, self._value))
        else:
            self._lowest.append((now_ns, self._value))
        return True

    def lose(self) -> None:
        """Its device is not heard: what it measures afterwards is no rise."""
        self._value = None
        self._lowest.clear()

    def find(self, now: Now) -> Truth:
        while self._lowest and now.ns - self._lowest[0][0] > self._within_ns:
            self._lowest.popleft()
        if self._value is None:
            return None
        return self._value - min((low for _, low in self._lowest), default=self._value) >= self._change

    def due_ns(self, now: Now) -> int | None:
        return self._lowest[0][0] + self._within_ns + 1 if self._lowest and self.truth else None

    def shown(self, now: Now) -> JsonValue:
        return None if self._value is None else self._sign * self._value
