"""What a pass over 500 rules costs per fact, beside evaluating all of them each time; and at a second in which all are
due."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.clock import SimClock
from agent.config.calendar import CalendarSettings
from agent.config.merge import frozen
from agent.config.rulebook import RuleSettings
from agent.rules.engine import Rules
from agent.rules.facts import EventFact, Fact, FaultFact, MeasureFact, PointFact
from agent.units import FROM_TOML
from bench.report import Result, percentile

RULES: Final = 500
POINTS: Final = 200
FACTS: Final = 20_000
LIMIT_MS: Final = 1.0
CALENDAR: Final = CalendarSettings(lessons=("08:00-12:00", "14:00-17:30"))


def settings(number: int, condition: dict[str, Any], **more: Any) -> RuleSettings:
    """One rule, as TOML gives it."""
    table = {"id": f"rule-{number}", "name": f"Rule {number}", "kind": "intrusion", "if": condition, **more}
    return RuleSettings.model_validate(frozen(table), strict=True, context=FROM_TOML, by_alias=True, by_name=False)


def mixed(number: int) -> RuleSettings:
    """One of a district's template: five sorts of rules, over the points of one school."""
    here, there = f"hall/p{number % POINTS}", f"hall/p{(number * 7) % POINTS}"
    conditions: list[dict[str, Any]] = [
        {"all": [{"measure": f"hall/m{number % 50}", "above": 50.0}, {"point": here, "state": "off", "for": "30s"}]},
        {"point": here, "state": "on"},
        {"events": {"kind": "door-denied", "point": there, "at_least": 3, "within": "1m", "distinct": "card"}},
        {"absent": {"kind": "guard-tour", "point": there, "for": "2h"}},
        {"any": [{"point": here}, {"not": {"point": there}}, {"fault": "mains-lost", "device": "hall"}], "for": "10s"},
    ]
    window = {"when": {"during": ["outside-lessons"]}} if number % 2 else {}
    return settings(number, conditions[number % len(conditions)], **window)


def worst(number: int) -> RuleSettings:
    """All of them on the same point and the same events: no index helps."""
    events = {"events": {"kind": "door-denied", "at_least": 3, "within": "1m"}}
    return settings(number, {"any": [{"point": "hall/p0"}, events]}, when={"during": ["outside-lessons"]})


def facts() -> Iterator[Fact]:
    """What a school tells: measures, inputs, events, now and then a fault."""
    for number in range(FACTS):
        point = (number * 13) % POINTS
        yield MeasureFact("hall", f"m{number % 50}", float(number % 97))
        yield PointFact("hall", f"p{point}", "active" if number % 2 else "idle", bool(number % 2))
        detail = {"card": str(number % 11)}
        yield EventFact(number, "campus.access.denied", 0, "door-denied", "hall", f"p{point}", False, detail)
        if number % 100 == 0:
            yield FaultFact("hall", None, "mains-lost", number % 200 == 0)


def run(make: Callable[[int], RuleSettings], told: Iterator[Fact], *, all_each_time: bool = False) -> list[float]:
    """Milliseconds of every pass: one fact, and the timers that it makes due."""
    clock = SimClock(datetime(2026, 11, 23, 20, 0, tzinfo=ZoneInfo("Asia/Shanghai")))
    rules = Rules([make(number) for number in range(RULES)], CALENDAR, {}, clock.moment())
    rules.look(clock.moment())
    passes = []
    for fact in told:
        clock.tick(0.01)
        if isinstance(fact, EventFact):
            fact = EventFact(
                fact.seq, fact.type, clock.boottime_ns(), fact.kind, fact.device, fact.point, False, fact.detail
            )
        moment = clock.moment()
        began = time.perf_counter_ns()
        rules.take(fact, moment)
        rules.tick(moment)
        if all_each_time:
            rules.look(moment)
        passes.append((time.perf_counter_ns() - began) / 1e6)
    return passes


def busy() -> Iterator[Fact]:
    """Facts that concern every rule of `worst`."""
    for number in range(300):
        value = bool(number % 2)
        yield PointFact("hall", "p0", "active" if value else "idle", value)
        yield EventFact(number, "campus.access.denied", 0, "door-denied", "hall", "p0")


def measure() -> list[Result]:
    """The mix of a district's template, the same without the index, and the worst case."""
    result = Result(f"Rules: a pass over {RULES}", ("ms", "p50", "p99", "max", "n"))
    first = [fact for fact, _ in zip(facts(), range(600), strict=False)]
    found = {
        "a mix, one fact": run(mixed, facts()),
        "the same, every rule judged each time": run(mixed, iter(first), all_each_time=True),
        "every rule on this one event": run(worst, (fact for fact in busy() if isinstance(fact, EventFact))),
        "every rule on this one point": run(worst, (fact for fact in busy() if isinstance(fact, PointFact))),
    }
    for what, passes in found.items():
        cells = (f"{percentile(passes, 50):.3f}", f"{percentile(passes, 99):.3f}", f"{max(passes):.3f}")
        result.rows.append([what, *cells, str(len(passes))])
    result.limit("a mix, p99", percentile(found["a mix, one fact"], 99), LIMIT_MS, "ms")
    for what in ("every rule on this one event", "every rule on this one point"):
        result.limit(f"{what}, p50", percentile(found[what], 50), LIMIT_MS, "ms")
    result.notes.append(
        "The peer is the engine itself without its index. `max` holds what else the machine did, and the passes in "
        "which many timers were due at once. Where every rule hangs on one point that changes, all are judged: that is "
        "the last row, which no index helps."
    )
    return [result]
