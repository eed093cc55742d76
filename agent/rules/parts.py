"""The parts of a rule: each knows whether it is true, and when that may change by itself.

Constraints. A fact reaches only the parts that asked for it (`take`); `judge` is cheap, and called whenever one of a
rule's parts may have changed. All times are of the boot clock of now; what happened in an earlier boot may have a time
below zero. What is remembered is bounded by the configuration.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from agent.clock import NS_PER_S
from agent.config.calendar import CalendarSettings, WindowSettings
from agent.config.rulebook import RULES, ConditionSettings, WantedState
from agent.model import JsonValue
from agent.rules.facts import FaultFact, Now, Place, PointFact, Truth


def ns(seconds: float) -> int:
    """Seconds as the boot clock counts."""
    return round(seconds * NS_PER_S)


class Part:
    """One condition. What is not listed in `dump` is found anew after a restart."""

    parts: Sequence["Part"] = ()
    settings: ConditionSettings | None = None
    truth: Truth = None
    """As it was judged last."""

    def judge(self, now: Now) -> Truth:
        """Find out whether it is true now, and keep that in `truth`."""
        self.truth = self.find(now)
        return self.truth

    def find(self, now: Now) -> Truth:
        """Whether it is true now."""
        raise NotImplementedError

    def due_ns(self, now: Now) -> int | None:
        """When it may change without a fact; None if never."""
        return min((due for part in self.parts if (due := part.due_ns(now)) is not None), default=None)

    def shown(self, now: Now) -> JsonValue:
        """What there is now, for people: a state, a value, a count."""
        return None

    def dump(self) -> JsonValue:
        """What must outlive a restart; None for nothing."""
        return None

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        """Take over what was saved. Raises ValueError, TypeError."""

    def walk(self) -> Iterator["Part"]:
        """Itself and all that is in it."""
        yield self
        for part in self.parts:
            yield from part.walk()


class PointPart(Part):
    """A point is in a state."""

    def __init__(self, place: Place, wanted: WantedState) -> None:
        self.place = place
        self._wanted = wanted
        self._fact: PointFact | None = None

    def take(self, fact: PointFact) -> bool:
        changed = fact != self._fact
        self._fact = fact
        return changed

    def find(self, now: Now) -> Truth:
        fact = self._fact
        if fact is None:
            return None
        if self._wanted in ("on", "off"):
            return None if fact.value is None else fact.value == (self._wanted == "on")
        if fact.state is None:
            return None
        return fact.state in ("active", "acknowledged") if self._wanted == "alarm" else fact.state == self._wanted

    def shown(self, now: Now) -> JsonValue:
        if self._fact is None:
            return None
        if self._wanted in ("on", "off"):
            return None if self._fact.value is None else "on" if self._fact.value else "off"
        return self._fact.state


class FaultPart(Part):
    """A fault stands."""

    def __init__(self, fault: str, device: str | None, point: str | None) -> None:
        self.fault = fault
        self._device = device
        self._point = point
        self._standing: set[tuple[str | None, str | None]] = set()
        self.all_told = False
        """Every fault that stands has been told: what was not, does not."""

    def take(self, fact: FaultFact) -> bool:
        if not self._means(fact):
            return False
        before = bool(self._standing)
        where = (fact.device, fact.point)
        self._standing.add(where) if fact.stands else self._standing.discard(where)
        return before != bool(self._standing)

    def find(self, now: Now) -> Truth:
        return True if self._standing else False if self.all_told else None

    def shown(self, now: Now) -> JsonValue:
        return next(("/".join(part for part in where if part) for where in self._standing), None)

    def _means(self, fact: FaultFact) -> bool:
        if self._device is None:
            return fact.device != RULES
        return fact.device == self._device and self._point in (None, fact.point)


class WindowPart(Part):
    """It is a certain part of the week; not known while the clock is not set."""

    def __init__(self, window: WindowSettings) -> None:
        self.window = window
        self._known: tuple[CalendarSettings, datetime, datetime] | None = None
        """The calendar that was asked, and the span in which the answer is the same."""
        self._holds = False

    def find(self, now: Now) -> Truth:
        if now.wall is None:
            return None
        if self._known is None or self._known[0] is not now.calendar or not self._known[1] <= now.wall < self._known[2]:
            self._known = (now.calendar, now.wall, now.calendar.next_edge(self.window, now.wall))
            self._holds = now.calendar.holds(self.window, now.wall)
        return self._holds

    def due_ns(self, now: Now) -> int | None:
        if now.wall is None or self._known is None:
            return None  # the engine notices when the clock is set
        ahead = self._known[2].astimezone(UTC) - now.wall.astimezone(UTC)  # an hour may be missing in between
        return now.ns + ahead // timedelta(microseconds=1) * 1_000

    def shown(self, now: Now) -> JsonValue:
        return None if now.wall is None else f"{now.wall:%H:%M}"


class GroupPart(Part):
    """All of them, or any."""

    def __init__(self, parts: Sequence[Part], *, every: bool) -> None:
        self.parts = parts
        self._every = every

    def find(self, now: Now) -> Truth:
        truths = [part.judge(now) for part in self.parts]  # each: there may be one that counts time
        if (not self._every) in truths:
            return not self._every
        return None if None in truths else self._every


class NotPart(Part):
    """Not this."""

    def __init__(self, part: Part) -> None:
        self.parts = (part,)

    def find(self, now: Now) -> Truth:
        truth = self.parts[0].judge(now)
        return None if truth is None else not truth


class LastingPart(Part):
    """It has been true for so long. Time in which nobody knows counts, but nothing begins or ends in it."""

    def __init__(self, part: Part, for_s: float) -> None:
        self.parts = (part,)
        self._for_ns = ns(for_s)
        self.since_ns: int | None = None

    def find(self, now: Now) -> Truth:
        truth = self.parts[0].judge(now)
        if truth is None:
            return None
        if not truth:
            self.since_ns = None
            return False
        if self.since_ns is None:
            self.since_ns = now.ns
        return now.ns - self.since_ns >= self._for_ns

    def due_ns(self, now: Now) -> int | None:
        own = self.since_ns + self._for_ns if self.since_ns is not None and self.truth is False else None
        inner = super().due_ns(now)
        return inner if own is None else own if inner is None else min(own, inner)

    def shown(self, now: Now) -> JsonValue:
        return None if self.since_ns is None else round((now.ns - self.since_ns) / NS_PER_S)

    def dump(self) -> JsonValue:
        return self.since_ns

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        self.since_ns = whole(saved) + shift_ns


def place_of(ref: str) -> Place:
    """`canteen/fan` as device and point."""
    device, _, name = ref.partition("/")
    return device, name


def whole(value: JsonValue) -> int:
    """A saved time. Raises TypeError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value
