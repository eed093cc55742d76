"""What rules would have made of a journal, compared to what they did: for trying changed rules on what has happened.

The journal's own times are the clock. A journal tells edges, so that a point is taken to have been, before its first
event, what that event changed; one that told nothing is idle. Measured values are no evidence and not in the journal:
only those that stand beside an event are known, and a rule that needs them is judged by these alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.clock import elapsed_ns
from agent.config.calendar import CalendarSettings
from agent.config.points import PointSettings
from agent.config.rulebook import RULES, RuleSettings
from agent.kinds import KINDS, Kind
from agent.model import Moment, PointState
from agent.rules.engine import Firing, Rules
from agent.rules.facts import (
    OFFLINE,
    DrillFact,
    EventFact,
    FaultFact,
    MeasureFact,
    Place,
    PointFact,
    event_fact,
    moment_of,
)

Source = Callable[[], Iterable[Mapping[str, Any]]]
"""Gives the events, in order, each time it is asked: they are read twice."""
SAME_S: Final = 5.0
"""A ringing that was stored so soon before or after is the same one: the gateway may have been busy."""
BEGINS: Final = ("campus.alarm.raised", "campus.alarm.repeated", "campus.fault.raised", "campus.rule.fired")
KEPT: Final = 10_000
"""Ringings that are kept of one replay; a rule that rings more often is a mistake that shows at once."""


@dataclass(slots=True)
class Ringing:
    """One beginning of a rule. `ended` is None if it held at the end; `rang`: the journal has it too."""

    rule: RuleSettings
    began: Moment
    why: Mapping[str, str | int | float | bool]
    ended: Moment | None = None
    rang: bool = False


@dataclass(frozen=True, slots=True)
class Rang:
    """What a rule of then rang, as the journal has it."""

    rule: str
    name: str
    seq: int
    at: Moment


@dataclass(slots=True)
class Replayed:
    """What a replay found."""

    ringings: list[Ringing] = field(default_factory=list)
    gone: list[Rang] = field(default_factory=list)
    """What rang then, and would not now."""
    unjudged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Rules that need measured values, with these."""
    events: int = 0
    skipped: int = 0
    """Events out of order, or not to be read."""
    left_out: int = 0
    first: Moment | None = None
    last: Moment | None = None


@dataclass(slots=True)
class Shown:
    """A point, as its events tell it."""

    kind: Kind
    input: str
    value: bool = False
    state: PointState = "idle"


class Replay:
    """One run. `points` are those of the configuration, by device."""

    def __init__(
        self,
        rules: Sequence[RuleSettings],
        calendar: CalendarSettings,
        points: Mapping[str, Sequence[PointSettings]],
    ) -> None:
        self._settings = rules
        self._calendar = calendar
        self._points = {
            (device, point.id): Shown(KINDS[point.kind], str(point.input))
            for device, listed in points.items()
            for point in listed
        }
        self._rules: Rules | None = None
        self._moment = Moment(datetime.fromtimestamp(0, UTC), 0, "", "unsynced")
        self._ns = 0
        self._seq = 0
        self._journal: object = None
        self._drill = False
        self._open: dict[str, Ringing] = {}
        self._rang: list[Rang] = []
        self._found = Replayed()

    def run(self, source: Source) -> Replayed:
        """Replay a journal."""
        self._guess_first_values(source)
        for event in source():
            read = self._read(event)
            if read is None:
                self._found.skipped += 1
            else:
                self._event(*read)
        self._compare()
        self._found.unjudged = {rule.id: measures for rule in self._settings if (measures := measures_of(rule))}
        return self._found

    def _guess_first_values(self, source: Source) -> None:
        told: set[Place] = set()
        for event in source():
            data = event.get("data")
            if not isinstance(data, dict):
                continue
            place = (str(data.get("device")), str(data.get("point")))
            if place in told or place not in self._points or not isinstance(data.get("value"), bool):
                continue
            told.add(place)
            shown = self._points[place]
            if shown.kind.class_ == "status" and not data["value"]:
                shown.value, shown.state = True, "active"

    # --- time

    def _read(self, event: Mapping[str, Any]) -> tuple[EventFact, Mapping[str, Any], Moment] | None:
        """One event with its time; None for what is none, and for what stands behind its place in the chain."""
        try:
            fact, at, journal = event_fact(event, 0), moment_of(event), event.get("journal")
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            return None
        if journal != self._journal:
            self._journal, self._seq = journal, 0
        if fact.seq <= self._seq:
            return None
        self._seq = fact.seq
        return fact, event["data"], at

    def _event(self, fact: EventFact, data: Mapping[str, Any], at: Moment) -> None:
        self._found.events += 1
        self._go(at)
        fact = replace(fact, at_ns=self._ns)
        if fact.device == RULES:
            self._ring_of_then(fact, data, at)
        else:
            self._tell(fact, data)

    def _go(self, at: Moment) -> None:
        """Let the time pass until `at`, with every timer served."""
        if self._rules is None:
            self._moment, self._found.first = at, at
            self._rules = Rules(self._settings, self._calendar, self._inputs(), self._now())
            for place, shown in self._points.items():
                self._take(PointFact(*place, shown.state, shown.value))
            self._fire(self._rules.look(self._now()))
        ago_ns = elapsed_ns(self._moment, at)
        if ago_ns is None:
            ago_ns = max(0, (at.wall - self._moment.wall) // timedelta(microseconds=1) * 1_000)
        until_ns = self._ns + ago_ns
        while (due_ns := self._rules.next_due_ns()) is not None and due_ns <= until_ns:
            self._set(max(due_ns, self._ns))
            self._fire(self._rules.tick(self._now()))
        self._ns, self._moment = until_ns, at
        self._found.last = at

    def _set(self, due_ns: int) -> None:
        """Move on to a timer, by the wall clock as it was last."""
        passed = timedelta(microseconds=(due_ns - self._ns) // 1_000)
        self._moment = replace(
            self._moment,
            wall=self._moment.wall + passed,
            boottime_ns=self._moment.boottime_ns + due_ns - self._ns,
        )
        self._ns = due_ns

    def _now(self) -> Moment:
        """The moment for the rules: one boot clock through all boots."""
        return replace(self._moment, boottime_ns=self._ns, bootid="")

    # --- facts

    def _tell(self, fact: EventFact, data: Mapping[str, Any]) -> None:
        if fact.drill != self._drill and fact.point is not None:
            self._drill = fact.drill
            self._take(DrillFact(fact.drill))
        place = (fact.device or "", fact.point or "")
        shown = self._points.get(place)
        if shown is not None:
            measure = data.get("measure")
            if isinstance(measure, int | float):
                self._take(MeasureFact(place[0], shown.input, float(measure)))
            self._point(place, shown, fact, data)
        if fact.type in ("campus.fault.raised", "campus.fault.cleared"):
            name, stands = str(data.get("fault")), fact.type == "campus.fault.raised"
            self._take(FaultFact(fact.device, fact.point, name, stands))
            if name == OFFLINE and fact.point is None:
                self._offline(place[0], stands)
        self._take(fact)

    def _point(self, place: Place, shown: Shown, fact: EventFact, data: Mapping[str, Any]) -> None:
        value = data.get("value")
        if isinstance(value, bool) and fact.type != "campus.test.passed":
            own = (
                fact.type not in ("campus.fault.raised", "campus.fault.cleared") or data.get("fault") == shown.kind.name
            )
            shown.value = value if own else shown.value
        states: dict[str, PointState] = {
            "campus.alarm.raised": "active",
            "campus.alarm.acknowledged": "acknowledged",
            "campus.alarm.reset": "idle",
            "campus.fault.raised": "fault",
            "campus.fault.cleared": "idle",
        }
        if fact.type in states and (shown.state in ("idle", "fault") or not fact.type.startswith("campus.fault.")):
            shown.state = states[fact.type]
        elif fact.type == "campus.alarm.restored" and not shown.kind.latch:
            shown.state = "idle"
        elif shown.kind.class_ == "status":
            shown.state = "active" if shown.value else "idle"
        self._take(PointFact(*place, shown.state, shown.value))
        if shown.kind.events is not None and shown.kind.events[1] is None and shown.value:
            shown.value, shown.state = False, "idle"
            self._take(PointFact(*place, shown.state, shown.value))

    def _offline(self, device: str, away: bool) -> None:
        for place, shown in self._points.items():
            if place[0] == device:
                fact = PointFact(*place, "fault", None) if away else PointFact(*place, shown.state, shown.value)
                self._take(fact)

    def _take(self, fact: PointFact | FaultFact | MeasureFact | EventFact | DrillFact) -> None:
        assert self._rules is not None, "time comes first"
        self._fire(self._rules.take(fact, self._now()))

    # --- what follows

    def _fire(self, firings: Sequence[Firing]) -> None:
        """Keep what rings, and tell it to the rules that build on it."""
        assert self._rules is not None, "rules fire"
        waiting = deque(firings)
        while waiting:
            firing = waiting.popleft()
            self._note(firing)
            for fact in self._of_rule(firing):
                waiting.extend(self._rules.take(fact, self._now()))

    def _note(self, firing: Firing) -> None:
        rule = firing.rule
        if not firing.holds:
            if ringing := self._open.pop(rule.id, None):
                ringing.ended = self._moment
            return
        if len(self._found.ringings) >= KEPT:
            self._found.left_out += 1
            return
        ringing = Ringing(rule, self._moment, firing.why)
        if rule.kind or firing.acts:  # a rule without a kind is told no oftener than its actions
            self._found.ringings.append(ringing)
        self._open[rule.id] = ringing

    def _of_rule(self, firing: Firing) -> Iterator[PointFact | EventFact]:
        """What a rule's point would tell; an alarm that latches is taken to last until the next one is."""
        rule = firing.rule
        if rule.kind is None:
            return
        kind = KINDS[rule.kind]
        state: PointState = "active" if firing.holds or kind.latch else "idle"
        if kind.class_ == "fault":
            state = "fault" if firing.holds else "idle"
            yield EventFact(self._seq, f"campus.fault.{'raised' if firing.holds else 'cleared'}", self._ns, *_of(rule))
        elif kind.class_ == "alarm":
            yield EventFact(self._seq, f"campus.alarm.{'raised' if firing.holds else 'restored'}", self._ns, *_of(rule))
        elif kind.events is not None and (type_ := kind.events[0 if firing.holds else 1]) is not None:
            yield EventFact(self._seq, type_, self._ns, *_of(rule))
        yield PointFact(RULES, rule.id, state, firing.holds)

    def _ring_of_then(self, fact: EventFact, data: Mapping[str, Any], at: Moment) -> None:
        begins = fact.type in BEGINS or (data.get("value") is True and not fact.type.startswith("campus.alarm."))
        if begins and fact.point is not None:
            self._rang.append(Rang(fact.point, str(data.get("name")), fact.seq, at))
        elif fact.type == "campus.alarm.reset" and fact.point is not None and fact.point not in self._open:
            self._take(PointFact(RULES, fact.point, "idle", False))

    def _compare(self) -> None:
        """Find each of the ringings of then among those of now."""
        by_rule: dict[str, list[Ringing]] = {}
        for ringing in self._found.ringings:
            by_rule.setdefault(ringing.rule.id, []).append(ringing)
        for rang in self._rang:
            near = [
                one for one in by_rule.get(rang.rule, ()) if not one.rang and _apart_s(one.began, rang.at) <= SAME_S
            ]
            if near:
                min(near, key=lambda one: _apart_s(one.began, rang.at)).rang = True
            elif len(self._found.gone) < KEPT:
                self._found.gone.append(rang)

    def _inputs(self) -> dict[Place, str]:
        return {place: shown.input for place, shown in self._points.items()}


def measures_of(rule: RuleSettings) -> tuple[str, ...]:
    """The measured values that a rule needs."""
    named = (part.measure for _, part in rule.condition.walk())
    return tuple(dict.fromkeys(measure for measure in named if measure is not None))


def _of(rule: RuleSettings) -> tuple[str | None, str, str]:
    return rule.kind, RULES, rule.id


def _apart_s(one: Moment, other: Moment) -> float:
    return abs((one.wall - other.wall).total_seconds())
