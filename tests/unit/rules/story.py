"""A school with rules and no agent: facts go in by hand, firings come out, restarts happen in between."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import SimClock
from agent.config.base import Settings
from agent.config.calendar import CalendarSettings
from agent.config.merge import frozen
from agent.config.rulebook import RuleSettings
from agent.rules.engine import Firing, Rules
from agent.rules.facts import OFFLINE, DrillFact, EventFact, Fact, FaultFact, MeasureFact, PointFact
from agent.rules.parts import place_of
from agent.units import FROM_TOML

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def read(model: type[Settings], table: Mapping[str, Any]) -> Any:
    """Settings as TOML gives them."""
    return model.model_validate(frozen(dict(table)), strict=True, context=FROM_TOML, by_alias=True, by_name=False)


def rule(condition: Mapping[str, Any], **more: Any) -> RuleSettings:
    """One rule."""
    settings: RuleSettings = read(RuleSettings, {"id": "it", "name": "It", "if": condition, **more})
    return settings


class School:
    """Rules, a clock, and what is known of the points, which a restart tells again."""

    def __init__(
        self,
        rules: Sequence[RuleSettings],
        calendar: CalendarSettings | None = None,
        wall: datetime = MONDAY,
        inputs: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.settings = [*rules]
        self.calendar = calendar or CalendarSettings()
        self.clock = SimClock(wall)
        self.inputs = dict(inputs or {})
        self.saved: dict[str, str] = {}
        self.seq = 0
        self.drill = False
        self._facts: dict[tuple[str, ...], Fact] = {}
        self.engine = self._engine()
        self.rang: list[Firing] = [*self.engine.look(self.clock.moment())]

    def _engine(self) -> Rules:
        return Rules(self.settings, self.calendar, self.inputs, self.clock.moment())

    def go(self, seconds: float) -> None:
        """Let time pass, with every timer served."""
        end_ns = self.clock.boottime_ns() + round(seconds * 1e9)
        while (due_ns := self.engine.next_due_ns()) is not None and due_ns <= end_ns:
            self.clock.tick(max(0, due_ns - self.clock.boottime_ns()) / 1e9)
            self._rings(self.engine.tick(self.clock.moment()))
        self.clock.tick(max(0, end_ns - self.clock.boottime_ns()) / 1e9)
        self._rings(self.engine.tick(self.clock.moment()))

    def point(self, place: str, value: bool | None, state: Any = None) -> None:
        """A point has changed."""
        device, point = place_of(place)
        shown: Any = state if state is not None else None if value is None else "active" if value else "idle"
        self.tell(PointFact(device, point, shown, value))

    def measure(self, place: str, value: float) -> None:
        """A value was measured."""
        device, input_ = place_of(place)
        self.tell(MeasureFact(device, input_, value))

    def fault(self, fault: str, stands: bool, device: str | None = None, point: str | None = None) -> None:
        """A fault was raised or cleared."""
        self.tell(FaultFact(device, point, fault, stands))

    def event(self, **members: Any) -> None:
        """Something happened."""
        self.seq += 1
        place = place_of(members.pop("point")) if "point" in members else (members.pop("device", None), None)
        event = {"type": "campus.access.denied", "drill": self.drill, **members}
        self.tell(EventFact(self.seq, at_ns=self.clock.boottime_ns(), device=place[0], point=place[1] or None, **event))

    def drills(self, drill: bool) -> None:
        """A drill begins or ends."""
        self.drill = drill
        self.tell(DrillFact(drill))

    def tell(self, fact: Fact) -> None:
        """A fact, as the runtime hands it on."""
        key = tuple(str(getattr(fact, name, "")) for name in ("device", "point", "input", "fault", "drill"))
        if not isinstance(fact, EventFact):
            self._facts.pop(key, None)  # the order is that of the last words
            self._facts[key] = fact
        if isinstance(fact, FaultFact) and fact.fault == OFFLINE and fact.stands:
            gone = [known for known, one in self._facts.items() if isinstance(one, MeasureFact)]
            for known in gone:  # a device that is away measures nothing after a start
                del self._facts[known]
        self._rings(self.engine.take(fact, self.clock.moment()))

    def save(self) -> None:
        """As the runtime does about once a second."""
        for key, text in self.engine.unsaved(self.clock.moment()).items():
            if text is None:
                self.saved.pop(key, None)
            else:
                self.saved[key] = text

    def restart(
        self, down_s: float = 0.0, *, boot: str | None = None, saves: bool = True, again: Iterable[EventFact] = ()
    ) -> None:
        """Stop and start; what is known is told again. `boot`: it was a power cut."""
        if saves:
            self.save()
        self.clock.tick(down_s)
        if boot is not None:
            clock = SimClock(self.clock.wall(), bootid=boot, quality=self.clock.quality())
            clock.tick(100)
            clock.set_wall(self.clock.wall(), self.clock.quality())
            self.clock = clock
        self.engine = self._engine()
        assert self.engine.restore(self.saved, self.clock.moment()) == ()
        self.engine.recall(again)
        for fact in [*self._facts.values()]:
            self._rings(self.engine.take(fact, self.clock.moment()))
        self._rings(self.engine.look(self.clock.moment()))

    def reload(self, rules: Sequence[RuleSettings]) -> None:
        """A changed configuration."""
        self.settings = [*rules]
        self._rings(self.engine.reconfigure(rules, self.calendar, self.inputs, self.clock.moment()))

    def set_clock(self, wall: datetime, quality: Any) -> None:
        """The wall clock is set, or loses its quality."""
        self.clock.set_wall(wall, quality)

    def _rings(self, firings: Sequence[Firing]) -> None:
        self.rang += firings

    def heard(self) -> list[str]:
        """What rang since this was asked last: `+id` begins, `-id` ends."""
        told = [f"{'+' if one.holds else '-'}{one.rule.id}" for one in self.rang]
        self.rang.clear()
        return told

    def later(self, **kwargs: float) -> datetime:
        """A wall time from now."""
        return self.clock.wall() + timedelta(**kwargs)
