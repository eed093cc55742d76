"""Parts of rules that listen to events: so many within a time, none for a time, one after the other."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from agent.clock import NS_PER_S
from agent.config.rulebook import RULES, AbsentSettings, EventsSettings, SelectorSettings, SequenceSettings
from agent.kinds import KINDS
from agent.model import JsonValue
from agent.rules.facts import EventFact, Now, Truth
from agent.rules.parts import Part, ns, whole

BEGINNINGS: Final = frozenset(
    {"campus.alarm.raised", "campus.alarm.repeated", "campus.fault.raised", "campus.input.unassigned"}
    | {kind.events[0] for kind in KINDS.values() if kind.events is not None}
)
"""The types that are meant where none is named: something began, or was done."""


class EventPart(Part):
    """What listens to events."""

    selectors: tuple[SelectorSettings, ...] = ()

    def take(self, fact: EventFact) -> bool:
        """Count an event that reached it by the index; return whether it is one that is meant."""
        raise NotImplementedError

    def forget(self) -> None:
        """A drill began or ended."""


class EventsPart(EventPart):
    """So many events within so long; of each distinct one the last counts."""

    def __init__(self, settings: EventsSettings) -> None:
        self.selectors = (settings,)
        self._wanted = settings
        self._within_ns = ns(settings.within_s)
        self._seen: OrderedDict[str, int] = OrderedDict()
        """When each was seen, oldest first; as many as are needed."""

    def take(self, fact: EventFact) -> bool:
        if not means(self._wanted, fact):
            return False
        if self._wanted.distinct is None:
            key = str(fact.seq)
        elif self._wanted.distinct in fact.detail:
            key = str(fact.detail[self._wanted.distinct])
        else:
            return False
        self._seen[key] = fact.at_ns
        self._seen.move_to_end(key)
        while len(self._seen) > self._wanted.at_least:
            self._seen.popitem(last=False)
        return True

    def forget(self) -> None:
        self._seen.clear()

    def find(self, now: Now) -> Truth:
        self._expire(now)
        return len(self._seen) >= self._wanted.at_least

    def due_ns(self, now: Now) -> int | None:
        return next(iter(self._seen.values())) + self._within_ns + 1 if self._seen and self.truth else None

    def shown(self, now: Now) -> JsonValue:
        self._expire(now)
        return len(self._seen)

    def dump(self) -> JsonValue:
        return [[key, at_ns] for key, at_ns in self._seen.items()] or None

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        self._seen = OrderedDict(sorted(pairs(saved, shift_ns), key=lambda pair: pair[1]))

    def _expire(self, now: Now) -> None:
        while self._seen and now.ns - next(iter(self._seen.values())) > self._within_ns:
            self._seen.popitem(last=False)


class AbsentPart(EventPart):
    """No event for so long: since the last one, since the rule's window opened, since it was first looked for."""

    def __init__(self, settings: AbsentSettings) -> None:
        self.selectors = (settings,)
        self._wanted = settings
        self._for_ns = ns(settings.for_s)
        self.since_ns: int | None = None

    def take(self, fact: EventFact) -> bool:
        if not means(self._wanted, fact):
            return False
        self.reset(max(fact.at_ns, self.since_ns) if self.since_ns is not None else fact.at_ns)
        return True

    def reset(self, since_ns: int) -> None:
        """Count from here."""
        self.since_ns = since_ns

    def find(self, now: Now) -> Truth:
        return None if self.since_ns is None else now.ns - self.since_ns >= self._for_ns

    def due_ns(self, now: Now) -> int | None:
        return None if self.since_ns is None or self.truth else self.since_ns + self._for_ns

    def shown(self, now: Now) -> JsonValue:
        return None if self.since_ns is None else round((now.ns - self.since_ns) / NS_PER_S)

    def dump(self) -> JsonValue:
        return self.since_ns

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        self.since_ns = whole(saved) + shift_ns


class SequencePart(EventPart):
    """Events one after the other. Of every step it keeps when the latest chain that came so far began."""

    def __init__(self, settings: SequenceSettings) -> None:
        self.selectors = settings.steps
        self._within_ns = ns(settings.within_s)
        self._began: list[int | None] = [None] * len(settings.steps)

    def take(self, fact: EventFact) -> bool:
        came = False
        for number in reversed(range(len(self.selectors))):
            if means(self.selectors[number], fact):
                came = True
                began_ns = fact.at_ns if number == 0 else self._began[number - 1]
                if began_ns is not None and fact.at_ns - began_ns <= self._within_ns:
                    self._began[number] = began_ns
        return came

    def forget(self) -> None:
        self._began = [None] * len(self.selectors)

    def find(self, now: Now) -> Truth:
        last = self._began[-1]
        return last is not None and now.ns - last <= self._within_ns

    def due_ns(self, now: Now) -> int | None:
        last = self._began[-1]
        return last + self._within_ns + 1 if last is not None and self.truth else None

    def shown(self, now: Now) -> JsonValue:
        live = [at for at in self._began if at is not None and now.ns - at <= self._within_ns]
        return len(live)

    def dump(self) -> JsonValue:
        return [*self._began] if any(at is not None for at in self._began) else None

    def load(self, saved: JsonValue, shift_ns: int) -> None:
        if not isinstance(saved, list) or len(saved) != len(self._began):
            raise ValueError(saved)
        self._began = [None if at is None else whole(at) + shift_ns for at in saved]


def means(selector: SelectorSettings, fact: EventFact) -> bool:
    """Whether an event is one of those that are meant. Those of rules are, only where the rules are named."""
    if selector.point is not None and selector.point != f"{fact.device}/{fact.point}":
        return False
    if selector.device is not None and selector.device != fact.device:
        return False
    if fact.device == RULES and selector.device is None and selector.point is None:
        return False
    if selector.kind is not None and selector.kind != fact.kind:
        return False
    if selector.type is None:
        return fact.type in BEGINNINGS
    if selector.type.endswith("*"):
        return fact.type.startswith(selector.type[:-1])
    return fact.type == selector.type


def pairs(saved: JsonValue, shift_ns: int) -> Iterator[tuple[str, int]]:
    """Saved keys with their times. Raises TypeError, ValueError."""
    if not isinstance(saved, list):
        raise TypeError(saved)
    for pair in saved:
        if not isinstance(pair, list):
            raise TypeError(pair)
        key, at_ns = pair
        yield str(key), whole(at_ns) + shift_ns
