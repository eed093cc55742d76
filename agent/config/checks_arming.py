"""What concerns partitions and the self-test among the rest: their points, keys and outputs. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from agent.config.arming import PartitionSettings, SelftestSettings
from agent.config.models import PointSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.rulebook import RULES
from agent.config.sections import CameraPart, DevicePart, Parts
from agent.config.values import did_you_mean
from agent.kinds import KINDS
from agent.texts import say
from agent.units import format_duration, shown

ARM_KEY: Final = "arm-key"
"""The kind of the point that a partition's `key` names."""
DAY_S: Final = 86_400.0


def check_arming(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    points = dict(points_of(parts))
    owners: dict[str, KeyPath] = {}
    for at, partition in parts.plain.get("partition", ()):
        check_partition(at, partition, points, owners, report)
    if isinstance(selftest := parts.tables.get("selftest"), SelftestSettings):
        check_selftest(selftest, parts, report)


def points_of(parts: Parts) -> Iterator[tuple[str, PointSettings | None]]:
    """Every point as "device/point"; None for one that has an error of its own."""
    owners: tuple[DevicePart | CameraPart, ...] = (*parts.devices, *parts.cameras)
    for part in owners:
        if not isinstance(device := part.raw.get("id"), str):
            continue
        whole = dict(part.points)
        for at, fields in part.readable_points:
            if isinstance(point := fields.get("id"), str):
                yield f"{device}/{point}", whole.get(at)
    for _, rule in parts.plain.get("rule", ()):
        if rule.kind is not None:
            yield f"{RULES}/{rule.id}", rule.as_point()


def check_partition(
    at: KeyPath,
    partition: PartitionSettings,
    points: Mapping[str, PointSettings | None],
    owners: dict[str, KeyPath],
    report: Report,
) -> None:
    """The points must be there, be in one partition only, and be of a kind that may be switched off at all."""
    for position, name in enumerate(partition.points):
        here: KeyPath = (*at, "points", position)
        if not _known(here, name, points, report):
            continue
        point = points[name]
        if point is not None and not KINDS[point.kind].can_disarm:
            good = ", ".join(kind.name for kind in KINDS.values() if kind.can_disarm)
            found = say("arming.of-kind", place=name, kind=point.kind)
            report.error(here, say("arming.can-disarm", known=good), found=found, remedy=say("arming.take-out"))
        if name in owners:
            found = say("config.also-at", value=shown(name), place=report.place(owners[name], here))
            report.error(here, say("arming.once"), found=found, remedy=say("arming.take-out"))
        owners.setdefault(name, here)
    for position, name in enumerate(partition.entry):
        if name not in partition.points:
            remedy = did_you_mean(name, partition.points)
            report.error((*at, "entry", position), say("arming.entry-own"), found=shown(name), remedy=remedy)
        elif (point := points.get(name)) is not None and KINDS[point.kind].class_ != "alarm":
            found = say("arming.of-kind", place=name, kind=point.kind)
            rule, remedy = say("arming.entry-alarms"), say("arming.entry-alarms-fix")
            report.error((*at, "entry", position), rule, found=found, remedy=remedy)
    check_key((*at, "key"), partition, points, report)


def check_key(
    at: KeyPath, partition: PartitionSettings, points: Mapping[str, PointSettings | None], report: Report
) -> None:
    """The key must be an arm-key, and a cut wire must not be a turned key."""
    if partition.key is None or not _known(at, partition.key, points, report):
        return
    if (point := points[partition.key]) is None:
        return
    if point.kind != ARM_KEY:
        found = say("arming.of-kind", place=partition.key, kind=point.kind)
        report.error(at, say("arming.key-kind"), found=found, remedy=say("arming.key-kind-fix"))
    elif partition.key_mode == "maintained" and point.contact == "no":
        report.warn(at, say("arming.key-contact"), found='contact = "no"', remedy=say("arming.key-contact-fix"))


def _known(at: KeyPath, name: str, points: Mapping[str, PointSettings | None], report: Report) -> bool:
    if name in points:
        return True
    report.error(at, say("arming.point-known"), found=shown(name), remedy=did_you_mean(name, tuple(points)))
    return False


def check_selftest(selftest: SelftestSettings, parts: Parts, report: Report) -> None:
    """Outputs must be there; what runs at a time of day runs at most once a day."""
    devices = {part.raw.get("id"): part for part in parts.devices if isinstance(part.raw.get("id"), str)}
    for position, name in enumerate(selftest.outputs):
        at: KeyPath = ("selftest", "outputs", position)
        device, _, output = name.partition("/")
        part = devices.get(device)
        if part is None or not output.isdecimal():
            remedy = say("arming.output-write") if part else did_you_mean(device, [str(id_) for id_ in devices])
            report.error(at, say("arming.output-known"), found=shown(name), remedy=remedy)
        elif not _has_output(part, int(output)):
            report.error(at, say("arming.output-known"), found=shown(name), remedy=say("config.output-fix"))
    if selftest.at is not None and selftest.every_s is not None and selftest.every_s < DAY_S:
        found = format_duration(selftest.every_s)
        report.error(("selftest", "every"), say("arming.every-day"), found=found, remedy=say("arming.every-day-fix"))
    if selftest.outputs and selftest.at is None and selftest.every_s is None:
        report.warn(("selftest", "every"), say("arming.every-set"), remedy=say("arming.every-set-fix"))


def _has_output(part: DevicePart, output: int) -> bool:
    """Whether a device has an output; taken for granted where its driver could not be read."""
    try:
        return part.readable_driver is None or output in part.readable_driver.outputs_available()
    except AttributeError:
        return True
