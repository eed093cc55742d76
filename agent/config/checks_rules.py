"""What rules name must be there: points, devices, measures, outputs, cameras. No rule may depend on itself. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.config.calendar import EVERY_DAY
from agent.config.checks_field import check_point_cameras, listing, told
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.rulebook import RULES, ConditionSettings, RuleSettings, SelectorSettings
from agent.config.sections import DevicePart, Parts
from agent.config.values import did_you_mean
from agent.kinds import KINDS
from agent.texts import say
from agent.units import shown

DEEPEST: Final = 8
"""Conditions within conditions: three are the most that a person can follow."""
MOST_PARTS: Final = 64
"""Conditions of one rule."""
MOST_RULES: Final = 1_000
"""What a pass was measured with, twice (bench/)."""
FAMILIES: Final = tuple(f"campus.{name}." for name in ("agent", "camera", "command", "drill", "hazard", "test", "rule"))
"""Types whose parts this table does not list."""
TYPES: Final = frozenset(
    {
        f"campus.alarm.{what}"
        for what in ("raised", "repeated", "acknowledged", "restored", "reset", "escalated", "notified")
    }
    | {"campus.fault.raised", "campus.fault.cleared", "campus.input.unassigned", "campus.lost"}
    | {"campus.alarm.notified"}
    | {type_ for kind in KINDS.values() for type_ in kind.events or () if type_ is not None}
)


@dataclass(slots=True)
class Known:
    """What is there to be named."""

    points: set[str] = field(default_factory=set)
    devices: dict[str, DevicePart] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    """Cameras, and the rules themselves: devices without measures and outputs."""
    cameras: set[str] = field(default_factory=set)
    patrols: set[str] = field(default_factory=set)
    inputs: dict[str, set[str]] = field(default_factory=dict)
    """Of each device the inputs and points that may be measured."""
    lamps: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, parts: Parts) -> "Known":
        """Collect what could be read, and the ids of what could not."""
        known = cls()
        rules: list[tuple[KeyPath, RuleSettings]] = parts.plain.get("rule", [])
        silent = {rule.id for _, rule in rules if rule.kind is None}
        known.points |= {f"{RULES}/{id_}" for _, id_ in parts.ids.get("rule", []) if id_ not in silent}
        known.cameras = {id_ for _, id_ in parts.ids.get("camera", [])}
        known.patrols = {id_ for _, id_ in parts.ids.get("patrol", [])}
        known.others = {*known.cameras, RULES}
        pointed = [(part.raw.get("id"), part.readable_points) for part in parts.devices]
        pointed += [(part.raw.get("id"), part.readable_points) for part in parts.cameras]
        for device, readable in pointed:
            if not isinstance(device, str):
                continue
            points = [fields for _, fields in readable if isinstance(fields.get("id"), str)]
            known.points |= {f"{device}/{fields['id']}" for fields in points}
            known.inputs[device] = {
                str(fields[name]) for fields in points for name in ("id", "input") if name in fields
            }
        for part in parts.devices:
            if isinstance(device := part.raw.get("id"), str):
                known.devices[device] = part
                lamps = (fields.get("lamp") for _, fields in part.readable_points)
                known.lamps |= {(device, lamp) for lamp in lamps if lamp is not None}
        return known


def check_rules(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    for array in ("device", "camera"):
        for at, id_ in parts.ids.get(array, []):
            if id_ == RULES:
                report.error((*at, "id"), say("config.rules-id"), found=shown(id_), remedy=say("config.rename"))
    rules: list[tuple[KeyPath, RuleSettings]] = parts.plain.get("rule", [])
    if not rules:
        return
    if len(rules) > MOST_RULES:
        report.error(("rule",), say("config.rules-most", limit=MOST_RULES), found=str(len(rules)))
    known = Known.of(parts)
    for at, rule in rules:
        check_rule(at, rule, known, parts, report)
    check_cycles(rules, report)


def check_rule(at: KeyPath, rule: RuleSettings, known: Known, parts: Parts, report: Report) -> None:
    """One rule by itself."""
    if rule.kind is not None and KINDS[rule.kind].button:
        report.error((*at, "kind"), say("config.rule-kind"), found=shown(rule.kind), remedy=say("config.rule-kind-fix"))
    if rule.cameras and (rule.kind is None or KINDS[rule.kind].class_ != "alarm"):
        report.error((*at, "cameras"), say("config.rule-cameras"), remedy=say("config.rule-cameras-fix"))
    check_point_cameras(at, rule.cameras, parts, report)
    conditions = [*rule.condition.walk((*at, "if"))]
    if len(conditions) > MOST_PARTS or max(len(place) for place, _ in conditions) > len(at) + 1 + 2 * DEEPEST:
        report.error((*at, "if"), say("config.rule-depth", depth=DEEPEST, parts=MOST_PARTS))
    for place, condition in conditions:
        check_condition(place, condition, known, report)
    for number, action in enumerate(rule.actions):
        here: KeyPath = (*at, "do", number)
        for name, ids in (("snapshot", known.cameras), ("clip", known.cameras), ("patrol", known.patrols)):
            if (wanted := getattr(action, name)) is not None and wanted not in ids:
                array = "patrol" if name == "patrol" else "camera"
                report.error(
                    (*here, name), say(f"config.{array}-known"), found=shown(wanted), remedy=did_you_mean(wanted, ids)
                )
        if action.escalate and (rule.kind is None or KINDS[rule.kind].class_ != "alarm"):
            report.error((*here, "escalate"), say("config.rule-escalate"), remedy=say("config.rule-cameras-fix"))
        if action.output is not None:
            check_output((*here, "output"), action.output.device, action.output.output, known, report)


def check_condition(at: KeyPath, condition: ConditionSettings, known: Known, report: Report) -> None:
    """What one condition names."""
    if condition.point is not None:
        check_point((*at, "point"), condition.point, known, report)
    if condition.device is not None:
        check_device((*at, "device"), condition.device, known, report)
    if condition.measure is not None:
        check_measure((*at, "measure"), condition.measure, known, report)
    for place, selector in selectors(condition):
        check_selector((*at, *place), selector, known, report)
    if (
        condition.when is not None
        and not (condition.when.times or condition.when.during)
        and (set(condition.when.days) == set(EVERY_DAY))
    ):
        report.warn((*at, "when"), say("config.when-some"), remedy=say("config.when-fix"))


def selectors(condition: ConditionSettings) -> Iterator[tuple[KeyPath, SelectorSettings]]:
    """What a condition says of events, with where it stands."""
    if condition.events is not None:
        yield ("events",), condition.events
    if condition.absent is not None:
        yield ("absent",), condition.absent
    if condition.sequence is not None:
        yield from ((("sequence", "steps", number), step) for number, step in enumerate(condition.sequence.steps))


def check_selector(at: KeyPath, selector: SelectorSettings, known: Known, report: Report) -> None:
    """The events that are meant can come."""
    if selector.point is not None:
        check_point((*at, "point"), selector.point, known, report)
    if selector.device is not None:
        check_device((*at, "device"), selector.device, known, report)
    type_ = selector.type
    if type_ is None or type_.startswith(FAMILIES):
        return
    if type_ not in TYPES and not any(one.startswith(type_.removesuffix("*")) for one in TYPES if type_.endswith("*")):
        report.error(
            (*at, "type"), say("config.event-type-known"), found=shown(type_), remedy=did_you_mean(type_, TYPES)
        )


def check_point(at: KeyPath, point: str, known: Known, report: Report) -> None:
    """A point that is there."""
    if point not in known.points:
        report.error(at, say("config.point-known"), found=shown(point), remedy=did_you_mean(point, known.points))


def check_device(at: KeyPath, device: str, known: Known, report: Report) -> None:
    """A device that is there."""
    ids = known.devices.keys() | known.others
    if device not in ids:
        report.error(at, say("config.device-known"), found=shown(device), remedy=did_you_mean(device, ids))


def check_measure(at: KeyPath, measure: str, known: Known, report: Report) -> None:
    """A value that a device measures: by one of its points, or by an input's name."""
    device, _, input_ = measure.partition("/")
    part = known.devices.get(device)
    if part is None:
        ids = {f"{id_}/{name}" for id_ in known.devices for name in known.inputs.get(id_, ())}
        report.error(at, say("config.measure-known"), found=shown(measure), remedy=did_you_mean(measure, ids))
        return
    available = told(part.readable_driver.inputs_available) if part.readable_driver else None
    number = int(input_) if input_.isdecimal() else None
    if available is None or input_ in known.inputs[device] or input_ in available or number in available:
        return
    names = {f"{device}/{name}" for name in known.inputs[device]}
    report.error(at, say("config.measure-known"), found=shown(measure), remedy=did_you_mean(measure, names))


def check_output(at: KeyPath, device: str, output: int, known: Known, report: Report) -> None:
    """An output that is there, and that no lamp needs to tell the truth with."""
    part = known.devices.get(device)
    if part is None:
        rule = say("config.device-known")
        report.error((*at, "device"), rule, found=shown(device), remedy=did_you_mean(device, known.devices.keys()))
        return
    available = told(part.readable_driver.outputs_available) if part.readable_driver else None
    if available is not None and output not in available:
        rule = say("config.output-exists", known=listing(available))
        report.error((*at, "output"), rule, found=str(output), remedy=say("config.output-fix"))
    elif (device, output) in known.lamps:
        report.error((*at, "output"), say("config.rule-lamp"), found=str(output), remedy=say("config.output-other"))


def check_cycles(rules: list[tuple[KeyPath, RuleSettings]], report: Report) -> None:
    """A rule that waits for itself would ring for ever, or never."""
    points = {rule.id: rule for _, rule in rules if rule.kind is not None}
    needs = {rule.id: needed(rule, points) for _, rule in rules}
    for at, rule in rules:
        if (circle := way_back(rule.id, needs)) is not None:
            found = say("config.quoted", text=" → ".join(circle))
            report.error((*at, "if"), say("config.rule-cycle"), found=found, remedy=say("config.rule-cycle-fix"))


def needed(rule: RuleSettings, points: Mapping[str, RuleSettings]) -> list[str]:
    """The rules that a rule looks at. Events and faults of rules are only meant where the rules are named."""
    found: list[str] = []
    for _, condition in rule.condition.walk():
        named = [condition.point, *(selector.point for _, selector in selectors(condition))]
        found += [point.partition("/")[2] for point in named if point is not None and point.startswith(f"{RULES}/")]
        devices = [condition.device, *(selector.device for _, selector in selectors(condition))]
        if RULES in devices:
            found += points
    return [name for name in dict.fromkeys(found) if name in points]


def way_back(start: str, needs: Mapping[str, list[str]]) -> list[str] | None:
    """The shortest way from a rule back to itself."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for name in needs.get(way[-1], ()):
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None
