"""What concerns cameras, their points, zones and lines, patrols and the console among each other. Pure."""

from collections.abc import Sequence
from typing import Final

from agent.camera import CAMERA_EVENT_KINDS
from agent.config.checks import check_unique, is_loopback
from agent.config.checks_field import check_point_cameras, check_point_kind
from agent.config.models import CameraHead, ConsoleSettings, SkyeyeSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.sections import CameraPart, Parts
from agent.config.skyeye import LineSettings, ZoneSettings
from agent.config.values import did_you_mean
from agent.texts import Text, say
from agent.units import shown

SOURCE_SEPARATOR: Final = "/"
"""`line-crossed/fence` is the kind, and the line, zone, rule or input that tells it."""


def check_cameras(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    for part in parts.cameras:
        check_points(part, parts, report)
        if part.head is not None:
            check_zones(part, part.head, report)
            check_classes(part, part.head, parts, report)
    check_patrols(parts, report)
    if isinstance(console := parts.tables.get("console"), ConsoleSettings):
        check_console(console, report)


def check_points(part: CameraPart, parts: Parts, report: Report) -> None:
    """The events that the points of a camera hang on, each once; a camera has no lamps."""
    first: dict[int | str, KeyPath] = {}
    for at, fields in part.readable_points:
        if (input_ := fields.get("input")) is not None:
            _check_input(at, input_, first, report)
        for role in ("lamp", "siren"):
            if (output := fields.get(role)) is not None:
                rule = say("config.camera-no-output")
                report.error((*at, role), rule, found=str(output), remedy=say("config.remove-key"))
        check_point_cameras(at, fields.get("cameras", ()), parts, report)
    for at, point in part.points:
        check_point_kind(at, point, report)


def _check_input(at: KeyPath, input_: int | str, first: dict[int | str, KeyPath], report: Report) -> None:
    kind = str(input_).partition(SOURCE_SEPARATOR)[0]
    if kind not in CAMERA_EVENT_KINDS:
        rule = say("config.camera-input", known=", ".join(CAMERA_EVENT_KINDS))
        remedy = did_you_mean(kind, CAMERA_EVENT_KINDS)
        report.error((*at, "input"), rule, found=shown(input_), remedy=remedy)
    if input_ in first:
        found = say("config.also-at", value=shown(input_), place=report.place((*first[input_], "input"), at))
        report.error((*at, "input"), say("config.input-once"), found=found, remedy=say("config.input-other"))
    first.setdefault(input_, at)


def check_zones(part: CameraPart, head: CameraHead, report: Report) -> None:
    """Zones and lines with one name, and lines without a length."""
    check_unique(report, _ids(part, "zone", head.zones) + _ids(part, "line", head.lines))
    for number, line in enumerate(head.lines):
        if line.start == line.end:
            at: KeyPath = (*part.at, "line", number, "end")
            report.error(at, say("config.line-length"), found=shown(line.end), remedy=say("config.line-draw"))


def check_classes(part: CameraPart, head: CameraHead, parts: Parts, report: Report) -> None:
    """Classes are told apart by a detector only."""
    skyeye = parts.tables.get("skyeye")
    if isinstance(skyeye, SkyeyeSettings) and skyeye.detector is not None:
        return
    watched: tuple[tuple[str, Sequence[ZoneSettings | LineSettings]], ...] = (
        ("zone", head.zones),
        ("line", head.lines),
    )
    for key, things in watched:
        for number, thing in enumerate(things):
            if thing.classes:
                at: KeyPath = (*part.at, key, number, "classes")
                found = ", ".join(thing.classes)
                report.warn(at, say("config.classes-detector"), found=found, remedy=say("config.add-detector"))


def _ids(part: CameraPart, key: str, things: Sequence[object]) -> list[tuple[KeyPath, str]]:
    return [((*part.at, key, number), str(getattr(thing, "id", ""))) for number, thing in enumerate(things)]


def check_patrols(parts: Parts, report: Report) -> None:
    """The cameras that patrols name."""
    known = [id_ for _, id_ in parts.ids.get("camera", [])]
    for at, patrol in parts.plain.get("patrol", ()):
        for number, stop in enumerate(patrol.stops):
            if stop.camera not in known:
                remedy: Text = did_you_mean(stop.camera, known) if known else say("config.add-array", name="camera")
                place: KeyPath = (*at, "stop", number, "camera")
                report.error(place, say("config.camera-known"), found=shown(stop.camera), remedy=remedy)


def check_console(console: ConsoleSettings, report: Report) -> None:
    """The page has no logins yet, so it listens on this machine only."""
    if not is_loopback(console.host):
        rule, found = say("config.console-local"), shown(console.listen)
        report.warn(("console", "listen"), rule, found=found, remedy=say("config.console-local-fix", port=console.port))
