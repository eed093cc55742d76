"""Plans: what follows when nobody acknowledges, step by step. Pure; who runs it is `PointWatch`.

A plan is chosen when an alarm is raised, by kind, point and time of the week, and holds for that alarm: how far it has
come is saved with it. An alarm that no plan is for has the plan of DESIGN 7: after `ack_timeout` the siren sounds and
`campus.alarm.escalated` is told. What a path is to carry is a `NoticeRecord`, saved in one transaction with the event
that causes it and deleted in one with the event that tells what became of it: a restart neither forgets nor, short of
a crash between the other side's word and ours, sends twice.

A drill goes nowhere outside: there is no notice of it that could be sent by mistake; its steps name what was withheld.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.alarms.lamp import Delivery
from agent.alarms.outcome import Batch
from agent.alarms.state import Alarm, NoticeRecord
from agent.config.calendar import CalendarSettings
from agent.config.escalation import EscalationSettings, StepSettings, Until
from agent.config.models import Config, DeviceSettings
from agent.driver import Notice, NoticeWhat
from agent.kinds import Kind
from agent.model import JsonValue, Moment
from agent.texts import Language, Text, say

NO_PLAN: Final = ""
"""The id of the plan that needs no configuration."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done for one alarm."""

    id: str
    steps: tuple[StepSettings, ...]
    until: Until = "acknowledged"

    @classmethod
    def plain(cls, ack_timeout_s: float) -> "Plan":
        """That of DESIGN 7."""
        return cls(NO_PLAN, (StepSettings(after_s=ack_timeout_s, siren=True, console=True),))


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of a configuration, and what its paths can say."""

    escalations: tuple[EscalationSettings, ...] = ()
    calendar: CalendarSettings = field(default_factory=CalendarSettings)
    tells: Mapping[str, frozenset[NoticeWhat]] = field(default_factory=dict)
    zones: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> "Plans":
        """Those of a configuration."""
        tells = {path.id: path.settings.tells for path in config.paths}
        return cls(config.escalations, config.calendar, tells, zones_of(config.watched))

    def choose(self, kind: str, device: str, point: str, moment: Moment) -> EscalationSettings | None:
        """The first plan for an alarm of this kind and point that is raised now. While the clock is not set no time of
        the week may rule out every plan: one for the wrong time still rings at somebody."""
        meant = [
            plan
            for plan in self.escalations
            if (not plan.kinds or kind in plan.kinds) and (not plan.points or f"{device}/{point}" in plan.points)
        ]
        for plan in meant:
            if self.calendar.holds(plan.when, moment.wall):
                return plan
        return meant[0] if meant and moment.clock != "synced" else None

    def find(self, id_: str, ack_timeout_s: float) -> Plan:
        """The plan that an alarm has; the plain one if it is gone."""
        for plan in self.escalations:
            if plan.id == id_:
                return Plan(plan.id, plan.steps, plan.until)
        return Plan.plain(ack_timeout_s)

    def zone(self, device: str, point: str) -> int:
        """The number of a point for alarm centres; 0 for none."""
        return self.zones.get((device, point), 0)


@dataclass(slots=True)
class Escalation:
    """What every point needs to know of plans; changed in place with the configuration."""

    plans: Plans
    ack_timeout_s: float
    fares: Callable[[int], Delivery] = lambda _seq: "due"
    """How an event fares on its way to the district."""

    def plan_of(self, alarm: Alarm) -> Plan:
        """The plan of an alarm."""
        return self.plans.find(alarm.plan, self.ack_timeout_s)

    def due_ns(self, alarm: Alarm | None, moment: Moment) -> int | None:
        """The boot clock when the next step of an alarm's plan is due; None if there is none."""
        if alarm is None or alarm.acknowledged:
            return None
        plan = self.plan_of(alarm)
        if alarm.step >= len(plan.steps) or (plan.id == NO_PLAN and alarm.escalated is not None):
            return None
        return alarm.at.due_ns(moment, plan.steps[alarm.step].after_s)

    def is_enough(self, plan: Plan, alarm: Alarm) -> bool:
        """Whether a plan that ends with the delivery has come to its end."""
        if plan.until != "delivered":
            return False
        return bool(alarm.reached) or (alarm.seq is not None and self.fares(alarm.seq) == "delivered")


@dataclass(frozen=True, slots=True)
class Place:
    """The point that a notice speaks of."""

    device: str
    point: str
    name: str
    kind: Kind


def tell_paths(
    batch: Batch,
    plans: Plans,
    paths: Sequence[str],
    what: NoticeWhat,
    event_id: str,
    alarm: Alarm,
    place: Place,
    text: Text,
) -> tuple[str, ...]:
    """Make a notice for each of the paths that can say this; return those. Nothing of a drill is ever made."""
    if alarm.drill:
        return ()
    able = tuple(path for path in dict.fromkeys(paths) if what in plans.tells.get(path, frozenset()))
    for path in able:
        notice = Notice(
            event_id,
            what,
            alarm.id,
            place.kind.name,
            place.kind.priority,
            place.device,
            place.point,
            place.name,
            text.render(batch.language),
            alarm.at.wall,
            plans.zone(place.device, place.point),
        )
        batch.notify(NoticeRecord(path, notice))
    return able


def zones_of(devices: Iterable[DeviceSettings]) -> dict[tuple[str, str], int]:
    """Number the points: as configured, the rest in order through what is left."""
    points = [((device.id, point.id), point.zone) for device in devices for point in device.points]
    taken = {zone for _, zone in points if zone is not None}
    free = (number for number in range(1, len(points) + len(taken) + 1) if number not in taken)
    return {key: next(free) if zone is None else zone for key, zone in points}


def actions(step: StepSettings) -> list[str]:
    """What a step does, as its event names it."""
    found = [name for name in ("siren", "console") if getattr(step, name)]
    if step.broker:
        found.append("broker:next")
    return found + [f"path:{path}" for path in step.paths]


class Deeds(Text):
    """The actions of a step in the reader's language."""

    def render(self, language: Language) -> str:
        comma = {"zh-CN": "、", "en": ", "}[language]
        return comma.join(part.render(language) for part in self.args.values() if isinstance(part, Text))


def deeds(step: StepSettings, *, withheld: bool) -> Text:
    """What a step does, for people."""
    key = "alarms.deed-path-withheld" if withheld else "alarms.deed-path"
    texts = [say(f"alarms.deed-{name}") for name in ("siren", "console", "broker") if getattr(step, name)]
    texts += [say(key, path=path) for path in step.paths]
    return Deeds("alarms.deeds", {str(number): text for number, text in enumerate(texts)})


def told_data(record: NoticeRecord, *, ok: bool, final: bool, tries: int, by: str | None) -> dict[str, JsonValue]:
    """The members of `campus.alarm.notified` beside the usual ones."""
    notice = record.notice
    return {
        "path": record.path,
        "what": notice.what,
        "event": notice.alarm,
        "notice": notice.id,
        "ok": ok,
        "final": final,
        "tries": tries,
        "by": by,
    }
