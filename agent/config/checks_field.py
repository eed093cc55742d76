"""What concerns buses, devices, points and cameras among each other. Pure."""

import re
from collections.abc import Callable, Container, Sequence
from typing import Any, Final, TypeVar

from agent.config.checks_watch import check_unsupervised
from agent.config.models import BusSettings, DeviceSettings, PointSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.sections import DevicePart, Parts, build_device
from agent.config.timing import bus_timing
from agent.config.values import ID_PATTERN, did_you_mean
from agent.driver import BusDriver, SerialPort
from agent.kinds import KINDS
from agent.texts import Text, say
from agent.units import format_duration, shown

T = TypeVar("T")

SURE_PRESS_S: Final = 0.05
"""The shortest press of a hurried hand; one that nobody sees is an alarm that nobody gets (DESIGN 7)."""
LONG_DEBOUNCE_S: Final = 0.2
"""Contacts bounce for 5-20 ms, relays for up to 50; beyond this, presses are thrown away instead of bounces."""
QUIET_ROUNDS: Final = 3
"""A device that is given less than so many rounds to answer goes offline by a single disturbed reply."""
FIRST_PRIORITY: Final = 1
SLACK_S: Final = 1e-6
"""Sums of decimal fractions are off by less."""


def check_field(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    check_ports(parts, report)
    for part in parts.devices:
        check_bus_of(part, parts, report)
        check_points(part, parts, report)
    check_addresses(parts, report)
    check_emptiness(parts, report)
    check_timing(parts, report)
    check_unsupervised(parts, report)


def check_ports(parts: Parts, report: Report) -> None:
    """Two conductors on one line would talk into each other's exchanges."""
    first: dict[str, KeyPath] = {}
    ports = [(at, bus.get("port")) for at, bus in parts.readable_buses]
    ports += [
        (part.at, getattr(part.readable_driver, "port", None))
        for part in parts.with_drivers
        if isinstance(part.readable_driver, SerialPort)
    ]
    for at, port in ports:
        if port is None:
            continue
        if port in first:
            found = say("config.also-at", value=shown(port), place=report.place((*first[port], "port"), at))
            report.error((*at, "port"), say("config.port-once"), found=found, remedy=say("config.port-share"))
        first.setdefault(port, at)


def check_bus_of(part: DevicePart, parts: Parts, report: Report) -> None:
    """The bus that a device names, or does not name."""
    at: KeyPath = (*part.at, "bus")
    bus = part.raw.get("bus")
    known = [id_ for _, id_ in parts.ids.get("bus", [])]
    if isinstance(bus, str) and bus not in known:
        report.error(at, say("config.bus-known"), found=shown(bus), remedy=_pick(bus, known, "bus"))
    if (driver := part.readable_driver) is None:
        return
    if isinstance(driver, BusDriver) and bus is None:
        rule = say("config.bus-needed", driver=driver.name)
        report.error(at, rule, remedy=say("config.add-bus", known=", ".join(_good(known)) or "-"))
    elif not isinstance(driver, BusDriver) and bus is not None:
        rule = say("config.bus-unwanted", driver=driver.name)
        report.error(at, rule, found=shown(bus), remedy=say("config.remove-key"))


def _pick(word: str, known: Sequence[str], array: str) -> Text:
    good = _good(known)
    return did_you_mean(word, good) if good else say("config.add-array", name=array)


def _good(ids: Sequence[str]) -> list[str]:
    """The ids that may be one: an id that is none is reported by itself, and no help to anybody."""
    return [id_ for id_ in ids if re.fullmatch(ID_PATTERN, id_)]


def check_addresses(parts: Parts, report: Report) -> None:
    """Two units with one address on one bus answer at once, and neither is understood."""
    first: dict[tuple[str, int], KeyPath] = {}
    for part in parts.devices:
        bus = part.raw.get("bus")
        if not isinstance(part.readable_driver, BusDriver) or not isinstance(bus, str) or not _good([bus]):
            continue
        if (unit := told(part.readable_driver.bus_address)) is None:
            continue
        if (bus, unit) in first:
            found = say("config.also-at", value=unit, place=report.place((*first[bus, unit], "unit"), part.at))
            report.error(
                (*part.at, "unit"), say("config.unit-once", bus=bus), found=found, remedy=say("config.readdress")
            )
        first.setdefault((bus, unit), part.at)


def check_points(part: DevicePart, parts: Parts, report: Report) -> None:
    """The inputs, outputs and cameras that the points of one device name."""
    inputs: dict[int | str, KeyPath] = {}
    outputs: dict[int, tuple[KeyPath, str]] = {}
    for at, fields in part.readable_points:
        if (input_ := fields.get("input")) is not None:
            _check_input(part, at, input_, inputs, report)
        for role in ("lamp", "siren"):
            _check_output(part, at, fields.get(role), role, outputs, report)
        check_point_cameras(at, fields.get("cameras", ()), parts, report)
    for at, point in part.points:
        check_point_kind(at, point, report)
        if point.release_after_s is not None and part.driver is not None and not part.driver.tells_events:
            rule, found = say("config.release-after", driver=part.driver.name), format_duration(point.release_after_s)
            report.error((*at, "release_after"), rule, found=found, remedy=say("config.remove-key"))


def told(ask: Callable[[], T]) -> T | None:
    """What a driver says; None where that depends on what could not be read."""
    try:
        return ask()
    except AttributeError:
        return None


def _check_input(
    part: DevicePart, at: KeyPath, input_: int | str, inputs: dict[int | str, KeyPath], report: Report
) -> None:
    """An input must exist, and be one point's alone."""
    available = told(part.readable_driver.inputs_available) if part.readable_driver else None
    if available is not None and input_ not in available:
        rule = say("config.input-exists", known=listing(available))
        report.error((*at, "input"), rule, found=_plain(input_), remedy=say("config.input-fix"))
    if input_ in inputs:
        found = say("config.also-at", value=_plain(input_), place=report.place((*inputs[input_], "input"), at))
        report.error((*at, "input"), say("config.input-once"), found=found, remedy=say("config.input-other"))
    inputs.setdefault(input_, at)


def _plain(value: Any) -> str:
    return shown(value)


def listing(available: Container[Any]) -> Text | str:
    """What a device has: `0-7`, names, or nothing."""
    if isinstance(available, range) and available:
        return f"{available[0]}-{available[-1]}"
    if isinstance(available, list | tuple | set | frozenset | dict) and available:
        return ", ".join(sorted(map(str, available)))
    if examples := getattr(available, "examples", ()):  # names that a device makes up as it goes along
        return say("config.such-as", examples=", ".join(examples))
    return say("config.none")


def _check_output(
    part: DevicePart,
    at: KeyPath,
    output: int | None,
    role: str,
    outputs: dict[int, tuple[KeyPath, str]],
    report: Report,
) -> None:
    """An output must exist, and a lamp's must be its own; several points may share a siren."""
    if output is None:
        return
    available = told(part.readable_driver.outputs_available) if part.readable_driver else None
    if available is not None and output not in available:
        rule = say("config.output-exists", known=listing(available))
        report.error((*at, role), rule, found=str(output), remedy=say("config.output-fix"))
    if output in outputs and "lamp" in (role, outputs[output][1]):
        other, other_role = outputs[output]
        found = say("config.also-at", value=output, place=report.place((*other, other_role), at))
        report.error((*at, role), say("config.lamp-once"), found=found, remedy=say("config.output-other"))
    outputs.setdefault(output, (at, role))


def check_point_kind(at: KeyPath, point: PointSettings, report: Report) -> None:
    """Settings that do not suit the kind of a point."""
    kind = KINDS[point.kind]
    for role in ("lamp", "siren"):
        if kind.silent and getattr(point, role) is not None:
            rule = say("config.silent", kind=kind.name)
            report.warn((*at, role), rule, found=str(getattr(point, role)), remedy=say("config.silent-fix"))
    if kind.class_ == "alarm" and point.debounce_s > LONG_DEBOUNCE_S:
        rule = say("config.debounce", limit=format_duration(LONG_DEBOUNCE_S))
        found = format_duration(point.debounce_s)
        report.warn((*at, "debounce"), rule, found=found, remedy=say("config.debounce-fix", lost=found))


def check_point_cameras(at: KeyPath, cameras: Sequence[str], parts: Parts, report: Report) -> None:
    """The cameras that a point names must be there."""
    known = [id_ for _, id_ in parts.ids.get("camera", [])]
    for position, camera in enumerate(cameras):
        if camera not in known:
            remedy = _pick(camera, known, "camera")
            report.error((*at, "cameras", position), say("config.camera-known"), found=shown(camera), remedy=remedy)


def check_emptiness(parts: Parts, report: Report) -> None:
    """An agent that watches nothing, and devices and lines that nobody uses."""
    if not parts.devices and not parts.cameras:
        report.warn(("device",), say("config.some-device"), remedy=say("config.add-array", name="device"))
    for part in parts.devices:
        if not part.raw.get("point"):
            report.warn(
                (*part.at, "point"), say("config.some-point"), remedy=say("config.add-array", name="device.point")
            )
    used = [part.raw.get("bus") for part in parts.devices]  # a list: it may hold whatever was written
    for at, bus in parts.buses:
        if bus.id not in used:
            report.warn(at, say("config.bus-used"), remedy=say("config.bus-use", bus=bus.id))


def check_timing(parts: Parts, report: Report) -> None:
    """Presses that a bus can miss, and devices that have no time to answer."""
    whole = [(part, build_device(part)) for part in parts.devices if part.head is not None and part.driver is not None]
    for at, bus in parts.buses:
        timing = bus_timing(bus, [device for _, device in whole])
        for part, device in whole:
            if (press := timing.press.get(device.id)) is None:
                continue
            if is_urgent(device) and press.healthy_s > SURE_PRESS_S + SLACK_S:
                _warn_slow(report, at, bus, device, press.healthy_s)
            if device.offline_after_s < QUIET_ROUNDS * timing.round.probing_s:
                limit = format_duration(round(QUIET_ROUNDS * timing.round.probing_s, 3))
                rule = say("config.offline-after", limit=limit, rounds=QUIET_ROUNDS)
                found = format_duration(device.offline_after_s)
                at_key: KeyPath = (*part.at, "offline_after")
                report.warn(at_key, rule, found=found, remedy=say("config.offline-after-fix"))


def is_urgent(device: DeviceSettings) -> bool:
    """Whether a person presses something on it."""
    kinds = (KINDS[point.kind] for point in device.points)
    return any(kind.class_ == "alarm" and kind.priority == FIRST_PRIORITY for kind in kinds)


def _warn_slow(report: Report, at: KeyPath, bus: BusSettings, device: DeviceSettings, press_s: float) -> None:
    rule = say("config.sure-press", limit=format_duration(SURE_PRESS_S), device=device.id)
    found = say("config.sure-press-found", press=format_duration(round(press_s, 3)))
    remedy = say("config.sure-press-fix", bus=bus.id, baudrate=bus.baudrate)
    report.warn((*at, "poll_interval"), rule, found=found, remedy=remedy)
