"""What concerns second paths and escalation plans among each other. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from agent.config.escalation import EscalationSettings, StepSettings
from agent.config.models import UplinkSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.rulebook import RULES
from agent.config.sections import Parts
from agent.config.values import did_you_mean
from agent.kinds import KINDS
from agent.texts import Text, say
from agent.units import format_duration, shown


def check_escalation(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    used: set[str] = set()
    for at, plan in parts.plain.get("escalation", ()):
        check_alarms(at, plan, parts, report)
        check_order(at, plan, report)
        for number, step in enumerate(plan.steps):
            check_step((*at, "step", number), step, parts, report)
            used.update(step.paths)
    for at, id_ in parts.ids.get("path", []):
        if id_ not in used:
            report.warn(at, say("config.path-used"), found=shown(id_), remedy=say("config.path-use", path=id_))
    check_zones(parts, report)


def check_alarms(at: KeyPath, plan: EscalationSettings, parts: Parts, report: Report) -> None:
    """Only alarms escalate, and only points that are there raise one."""
    for number, kind in enumerate(plan.kinds):
        if KINDS[kind].class_ != "alarm":
            known = ", ".join(name for name, one in KINDS.items() if one.class_ == "alarm")
            rule, remedy = say("config.alarm-kind"), say("config.one-of", known=known)
            report.error((*at, "kinds", number), rule, found=shown(kind), remedy=remedy)
    points = _points(parts)
    for number, point in enumerate(plan.points):
        if point not in points:
            remedy = _pick(point, points, "device.point")
            report.error((*at, "points", number), say("config.point-known"), found=shown(point), remedy=remedy)


def check_order(at: KeyPath, plan: EscalationSettings, report: Report) -> None:
    """A reader takes the steps for what happens one after the other."""
    for number, (one, other) in enumerate(pairwise(plan.steps), 1):
        if other.after_s < one.after_s:
            rule = say("config.step-order", limit=format_duration(one.after_s))
            place: KeyPath = (*at, "step", number, "after")
            report.error(place, rule, found=format_duration(other.after_s), remedy=say("config.step-sort"))


def check_step(at: KeyPath, step: StepSettings, parts: Parts, report: Report) -> None:
    """A step does something, over paths that are there, on a broker that is another one."""
    known = [id_ for _, id_ in parts.ids.get("path", [])]
    for number, path in enumerate(step.paths):
        if path not in known:
            remedy = _pick(path, known, "path")
            report.error((*at, "paths", number), say("config.path-known"), found=shown(path), remedy=remedy)
    uplink = parts.tables.get("uplink")
    if step.broker and isinstance(uplink, UplinkSettings) and len(uplink.brokers) < len(("first", "next")):
        rule = say("config.next-broker")
        report.error((*at, "broker"), rule, found=shown(step.broker), remedy=say("config.next-broker-fix"))
    if not (step.siren or step.console or step.broker or step.paths):
        report.warn(at, say("config.step-acts"), remedy=say("config.step-act"))


def check_zones(parts: Parts, report: Report) -> None:
    """A zone number that two points have tells an alarm centre the wrong place."""
    first: dict[int, KeyPath] = {}
    for part in parts.with_points:
        for at, fields in part.readable_points:
            if (zone := fields.get("zone")) is None:
                continue
            if zone in first:
                found = say("config.also-at", value=zone, place=report.place((*first[zone], "zone"), at))
                report.warn((*at, "zone"), say("config.zone-once"), found=found, remedy=say("config.zone-other"))
            first.setdefault(zone, at)


def _points(parts: Parts) -> list[str]:
    """Every point as plans name it."""
    found: list[str] = []
    for part in parts.with_points:
        if isinstance(device := part.raw.get("id"), str):
            found += [f"{device}/{fields['id']}" for _, fields in part.readable_points if "id" in fields]
    return found + [f"{RULES}/{id_}" for _, id_ in parts.ids.get("rule", [])]


def _pick(word: str, known: Sequence[str], array: str) -> Text:
    return did_you_mean(word, known) if known else say("config.add-array", name=array)
