"""The rules of one school: facts and time go in, what begins and ceases to hold comes out.

Pure: no task, no I/O, no clock of its own. Whoever runs it
- gives it every point and standing fault once after a start, calls `look`, and gives it every fact as it comes,
- calls `tick` when `next_due_ns` has come,
- saves what `unsaved` returns, and gives it back to `restore` at the next start.
A rule is judged only when one of its parts may have changed: an index leads from a fact to the parts that asked for it.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from agent.clock import NS_PER_S
from agent.config.calendar import CalendarSettings
from agent.config.rulebook import RULES, RuleSettings, SelectorSettings
from agent.model import Moment
from agent.rules.events import EventPart
from agent.rules.facts import (
    OFFLINE,
    DrillFact,
    EventFact,
    Fact,
    FaultFact,
    MeasureFact,
    Now,
    Place,
    PointFact,
)
from agent.rules.measures import MeasurePart, RatePart
from agent.rules.parts import FaultPart, Part, PointPart
from agent.rules.rule import Firing, Rule, RuleView
from agent.rules.saved import PREFIX, BadRule, dump, load
from agent.texts import Text, say

__all__ = ["Firing", "RuleView", "Rules"]

Key: TypeAlias = tuple[str, ...]
CLOCK_STEP_S: Final = 1.0
"""The wall clock is corrected by milliseconds all the time; when it is set, it leaps."""
EVERY_EVENT: Final[Key] = ("event",)
"""Where a part listens that names a family of types only."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A part of a rule that wants to hear of a sort of facts."""

    rule: Rule
    part: Part


class Rules:
    """Every rule of one gateway."""

    def __init__(
        self, rules: Sequence[RuleSettings], calendar: CalendarSettings, inputs: Mapping[Place, str], moment: Moment
    ) -> None:
        """`inputs` names the input behind each point, by which its measures come."""
        self._calendar = calendar
        self._inputs = dict(inputs)
        self._rules: dict[str, Rule] = {}
        self._index: dict[Key, list[Asked]] = {}
        self._due: list[tuple[int, int, int, Rule]] = []
        """When each rule is due, the first of the configuration first."""
        self._order = itertools.count()
        self._drill = False
        self._seq = 0
        self._known: dict[Key, PointFact | MeasureFact] = {}
        """The last word on each point and measure, for rules that come later."""
        self._standing: dict[Key, FaultFact] = {}
        self._gone: set[str] = set()
        self._offset_s: float | None = None
        """What the wall clock shows more than the boot clock; None while it is not set."""
        self._build(rules, {}, moment)

    # --- start, restart, change of configuration

    def restore(self, saved: Mapping[str, str], moment: Moment) -> tuple[Text, ...]:
        """Continue where an earlier run stopped; keys of others are left alone. Return a text for each value that
        could not be read. A rule whose condition has changed since starts afresh. To be called once, first."""
        problems: list[Text] = []
        for key, text in saved.items():
            if not key.startswith(PREFIX):
                continue
            known = self._rules.get(key.removeprefix(PREFIX))
            if known is None:
                self._gone.add(key)
                continue
            rule = Rule(known.settings, self._inputs, moment.boottime_ns)
            try:
                load(rule, text, moment)
            except BadRule as error:
                problems.append(say("rules.bad-save", rule=rule.id, problem=str(error)))
            else:
                self._rules[rule.id] = rule
        self._arrange(Now.of(moment, self._calendar))
        return tuple(problems)

    def recall(self, events: Iterable[EventFact]) -> None:
        """Hear of events again that the journal has and that may not have been saved. Nothing fires."""
        for event in events:
            for asked in self._listening(event):
                if event.seq > asked.rule.seq:
                    self._count(asked, event)
            self._seq = max(self._seq, event.seq)

    def reconfigure(
        self, rules: Sequence[RuleSettings], calendar: CalendarSettings, inputs: Mapping[Place, str], moment: Moment
    ) -> tuple[Firing, ...]:
        """Take over a changed configuration. A rule with the same condition goes on; others start afresh."""
        old = self._rules
        self._calendar, self._inputs = calendar, dict(inputs)
        self._gone |= {f"{PREFIX}{name}" for name in old.keys() - {rule.id for rule in rules}}
        self._build(rules, old, moment)
        now = Now.of(moment, calendar)
        for rule in self._rules.values():
            if old.get(rule.id) is not rule:
                self._prime(rule, now)
        return self.look(moment)

    # --- what happens

    def wants(self, type_: str, device: str | None, point: str | None) -> bool:
        """Whether an event may concern any rule, as far as can be told without reading its data."""
        if device == RULES and not self._hears_rules:
            return False
        return self._hears_kinds or any(key in self._index for key in event_keys(type_, None, device, point))

    def hears(self, fact: MeasureFact) -> bool:
        """Whether any rule looks at this measure."""
        return ("measure", fact.device, fact.input) in self._index

    @property
    def touched(self) -> bool:
        """Whether there may be something to save."""
        return bool(self._gone) or any(rule.touched for rule in self._rules.values())

    @property
    def points(self) -> frozenset[Place]:
        """The points that rules look at."""
        return self._points

    def take(self, fact: Fact, moment: Moment) -> tuple[Firing, ...]:
        """Judge what a fact may have changed, after what time has changed before it."""
        now, timed = self._now(moment)
        firings = self._judge(dict.fromkeys([*timed, *self._overdue(now)]), now)
        match fact:
            case PointFact():
                key: Key = ("point", fact.device, fact.point)
                self._known[key] = fact
                touched = [asked for asked in self._index.get(key, ()) if _hear_point(asked.part, fact)]
            case MeasureFact():
                key = ("measure", fact.device, fact.input)
                touched = []
                if key in self._index:
                    self._known[key] = fact
                    touched = [asked for asked in self._index[key] if _hear_measure(asked.part, fact, now)]
            case FaultFact():
                touched = [*self._fault(fact)]
            case EventFact():
                self._seq = max(self._seq, fact.seq)
                touched = [asked for asked in self._listening(fact) if self._count(asked, fact)]
            case DrillFact():
                touched = [*self._drilled(fact.drill)]
        changed = {asked.rule: None for asked in touched if asked.part.find(now) != asked.part.truth}
        return firings + self._judge(changed, now) if changed else firings

    def tick(self, moment: Moment) -> tuple[Firing, ...]:
        """Judge what time may have changed."""
        now, timed = self._now(moment)
        return self._judge(dict.fromkeys([*timed, *self._overdue(now)]), now)

    def look(self, moment: Moment) -> tuple[Firing, ...]:
        """Judge every rule; every fault that stands has been told by now."""
        for rule in self._rules.values():
            for part in rule.root.walk():
                if isinstance(part, FaultPart):
                    part.all_told = True
        return self._judge(self._rules.values(), Now.of(moment, self._calendar))

    def next_due_ns(self) -> int | None:
        """The boot clock when `tick` has something to do; None if never."""
        while self._due:
            queued_ns, _, _, rule = self._due[0]
            if queued_ns == rule.queued_ns == rule.due_ns:
                return queued_ns
            heapq.heappop(self._due)  # its time has moved on, or there is an earlier one
            if queued_ns == rule.queued_ns:
                rule.queued_ns = None
                self._queue(rule)
        return None

    # --- what is shown and saved

    def views(self, moment: Moment) -> tuple[RuleView, ...]:
        """Every rule as it is now, in the order of the configuration."""
        now = Now.of(moment, self._calendar)
        return tuple(rule.view(now) for rule in self._rules.values())

    def holding(self) -> dict[str, bool]:
        """Every rule of which it is known, and whether it holds."""
        return {rule.id: rule.holds for rule in self._rules.values() if rule.truth is not None}

    def unsaved(self, moment: Moment) -> dict[str, str | None]:
        """What has changed since it was saved, by key; None deletes. It counts as saved from now on."""
        save: dict[str, str | None] = dict.fromkeys(self._gone)
        self._gone.clear()
        for rule in self._rules.values():
            if rule.touched:
                rule.touched = False
                rule.seq = self._seq
                text = dump(rule, moment)
                if rule.saved != (state := rule.state()):
                    rule.saved = state
                    save[f"{PREFIX}{rule.id}"] = text
        return save

    # --- inside

    def _build(self, rules: Sequence[RuleSettings], old: Mapping[str, Rule], moment: Moment) -> None:
        self._rules = {}
        for settings in rules:
            kept = old.get(settings.id)
            if kept is not None and kept.same(settings, self._inputs):
                kept.settings = settings
                self._rules[settings.id] = kept
            else:
                self._rules[settings.id] = Rule(settings, self._inputs, moment.boottime_ns)
        self._arrange(Now.of(moment, self._calendar))

    def _arrange(self, now: Now) -> None:
        """Make the index and the timers."""
        self._index, self._due = {}, []
        for place, rule in enumerate(self._rules.values()):
            rule.place, rule.queued_ns = place, None
            for part in rule.root.walk():
                for key in keys_of(part):
                    self._index.setdefault(key, []).append(Asked(rule, part))
            self._wake(rule, now)
        self._points = frozenset((key[1], key[2]) for key in self._index if key[0] == "point")
        heard = [key for key in self._index if key[0] == "event"]
        self._hears_kinds = any(key[1:2] in ((), ("kind",)) for key in heard)
        self._hears_rules = any(key[-1] == RULES or key[-1].startswith(f"{RULES}/") for key in heard)

    def _prime(self, rule: Rule, now: Now) -> None:
        """Tell a rule that came later what is known."""
        for part in rule.root.walk():
            for key in keys_of(part):
                if key in self._known:
                    fact = self._known[key]
                    if isinstance(fact, PointFact):
                        _hear_point(part, fact)
                    else:
                        _hear_measure(part, fact, now)
            if isinstance(part, FaultPart):
                for standing in self._standing.values():
                    if standing.fault == part.fault:
                        part.take(standing)

    def _fault(self, fact: FaultFact) -> Iterator[Asked]:
        key: Key = (fact.device or "", fact.point or "", fact.fault)
        if fact.stands:
            self._standing[key] = fact
        else:
            self._standing.pop(key, None)
        for asked in self._index.get(("fault", fact.fault), ()):
            if isinstance(asked.part, FaultPart) and asked.part.take(fact):
                yield asked
        if fact.fault == OFFLINE and fact.stands and fact.device is not None:
            for known in [known for known in self._known if known[:2] == ("measure", fact.device)]:
                del self._known[known]
            for asked in self._index.get(("measured by", fact.device), ()):
                if isinstance(asked.part, MeasurePart | RatePart):
                    asked.part.lose()
                    yield asked

    def _drilled(self, drill: bool) -> Iterator[Asked]:
        if drill == self._drill:
            return
        self._drill = drill
        for rule in self._rules.values():
            for part in rule.root.walk():
                if isinstance(part, EventPart):
                    part.forget()
                    rule.touched = True
                    yield Asked(rule, part)

    def _listening(self, fact: EventFact) -> list[Asked]:
        """The parts that may mean an event, each once."""
        keys = event_keys(fact.type, fact.kind, fact.device, fact.point)
        found = [asked for key in keys for asked in self._index.get(key, ())]
        return [*{id(asked.part): asked for asked in found}.values()]  # a sequence has a key for every step

    def _count(self, asked: Asked, event: EventFact) -> bool:
        part = asked.part
        if not isinstance(part, EventPart) or event.drill != self._drill or not part.take(event):
            return False
        asked.rule.touched = True  # to be saved, also where nothing comes of it now
        return True

    def _overdue(self, now: Now) -> list[Rule]:
        """Take the rules whose time has come from the queue."""
        due: list[Rule] = []
        while self._due and (next_ns := self.next_due_ns()) is not None and next_ns <= now.ns:
            *_, rule = heapq.heappop(self._due)
            rule.queued_ns = None
            due.append(rule)
        return due

    def _now(self, moment: Moment) -> tuple[Now, list[Rule]]:
        """The time, and the rules that must be judged because the wall clock was set, or lost its quality."""
        now = Now.of(moment, self._calendar)
        offset_s = None if now.wall is None else now.wall.timestamp() - now.ns / NS_PER_S
        before_s, self._offset_s = self._offset_s, offset_s
        if offset_s is None or before_s is None:
            is_set = (offset_s is None) != (before_s is None)
        else:
            is_set = abs(offset_s - before_s) > CLOCK_STEP_S
        return now, [rule for rule in self._rules.values() if rule.is_timed] if is_set else []

    def _judge(self, rules: Iterable[Rule], now: Now) -> tuple[Firing, ...]:
        firings: list[Firing] = []
        for rule in rules:
            if (firing := rule.judge(now)) is not None:
                firings.append(firing)
            self._wake(rule, now)
        return tuple(firings)

    def _wake(self, rule: Rule, now: Now) -> None:
        due_ns = rule.root.due_ns(now)
        rule.due_ns = None if due_ns is None else max(due_ns, now.ns + 1)
        self._queue(rule)

    def _queue(self, rule: Rule) -> None:
        """A rule stands in the queue once, at its time or before: a time that moves on is found out when it comes."""
        if rule.due_ns is not None and (rule.queued_ns is None or rule.due_ns < rule.queued_ns):
            rule.queued_ns = rule.due_ns
            heapq.heappush(self._due, (rule.due_ns, rule.place, next(self._order), rule))


def event_keys(type_: str, kind: str | None, device: str | None, point: str | None) -> list[Key]:
    """Where the parts stand that may mean an event."""
    keys: list[Key] = [EVERY_EVENT, ("event", "type", type_)]
    if kind is not None:
        keys.append(("event", "kind", kind))
    if device is not None:
        keys.append(("event", "device", device))
    if point is not None:
        keys.append(("event", "point", f"{device}/{point}"))
    return keys


def keys_of(part: Part) -> Iterator[Key]:
    """Where a part stands in the index: under what it needs of a fact, the rarest first."""
    if isinstance(part, PointPart):
        yield ("point", *part.place)
    elif isinstance(part, FaultPart):
        yield ("fault", part.fault)
    elif isinstance(part, MeasurePart | RatePart):
        yield ("measure", *part.place)
        yield ("measured by", part.place[0])
    elif isinstance(part, EventPart):
        yield from dict.fromkeys(key_of(selector) for selector in part.selectors)


def key_of(selector: SelectorSettings) -> Key:
    """The rarest of what an event must have."""
    if selector.point is not None:
        return ("event", "point", selector.point)
    if selector.device is not None:
        return ("event", "device", selector.device)
    if selector.kind is not None:
        return ("event", "kind", selector.kind)
    if selector.type is not None and not selector.type.endswith("*"):
        return ("event", "type", selector.type)
    return EVERY_EVENT


def _hear_point(part: Part, fact: PointFact) -> bool:
    return isinstance(part, PointPart) and part.take(fact)


def _hear_measure(part: Part, fact: MeasureFact, now: Now) -> bool:
    if isinstance(part, RatePart):
        return part.take_at(fact, now.ns)
    return isinstance(part, MeasurePart) and part.take(fact)
