"""The tables of the merged configuration become settings, each by itself, so that an error in one hides none in
another. What could not be read is missing from `Parts`; whatever is there may be checked against the rest."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError, create_model

from agent.config.arming import PartitionSettings, SelftestSettings
from agent.config.calendar import CalendarSettings
from agent.config.drivers import NoDriver, find_camera_driver, find_driver, find_path_driver
from agent.config.escalation import EscalationSettings, PathHead, PathSettings
from agent.config.fields import keys_of
from agent.config.merge import Merged, frozen
from agent.config.models import (
    BusSettings,
    CameraHead,
    CameraSettings,
    ConsoleSettings,
    ControlSettings,
    DeviceHead,
    DeviceSettings,
    JournalSettings,
    PatrolSettings,
    PointSettings,
    RuleSettings,
    SiteSettings,
    SkyeyeSettings,
    TelemetrySettings,
    UplinkSettings,
)
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.rules import add_errors, unknown_key
from agent.driver import CameraDriver, Driver, PathDriver, Plugin
from agent.texts import say
from agent.units import FROM_TOML, shown, type_of

M = TypeVar("M", bound=BaseModel)

TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "site": SiteSettings,
    "journal": JournalSettings,
    "uplink": UplinkSettings,
    "console": ConsoleSettings,
    "control": ControlSettings,
    "skyeye": SkyeyeSettings,
    "calendar": CalendarSettings,
    "telemetry": TelemetrySettings,
    "selftest": SelftestSettings,
}
ARRAYS: Final[Mapping[str, type[BaseModel]]] = {
    "bus": BusSettings,
    "device": DeviceHead,
    "camera": CameraHead,
    "patrol": PatrolSettings,
    "rule": RuleSettings,
    "partition": PartitionSettings,
    "path": PathHead,
    "escalation": EscalationSettings,
}
REQUIRED: Final = ("site", "uplink")
POINT: Final = "point"


H = TypeVar("H", bound=BaseModel)
P = TypeVar("P", bound=Plugin)


@dataclass(slots=True)
class Part(Generic[H, P]):
    """One table with points (a path has none) and a driver's keys, as far as it could be read."""

    at: KeyPath
    raw: Mapping[str, Any]
    head: H | None = None
    driver: P | None = None
    points: list[tuple[KeyPath, PointSettings]] = field(default_factory=list)
    readable_driver: P | None = None
    """The driver as far as it could be read: what has an error of its own, or is missing, has no attribute."""
    readable_points: list[tuple[KeyPath, Mapping[str, Any]]] = field(default_factory=list)
    """Of every point the fields that could be read, by attribute."""


DevicePart = Part[DeviceHead, Driver]
CameraPart = Part[CameraHead, CameraDriver]
PathPart = Part[PathHead, PathDriver]


@dataclass(slots=True)
class Parts:
    """All that could be read, with where it stands."""

    tables: dict[str, Any] = field(default_factory=dict)
    buses: list[tuple[KeyPath, BusSettings]] = field(default_factory=list)
    readable_buses: list[tuple[KeyPath, Mapping[str, Any]]] = field(default_factory=list)
    """Of every bus the fields that could be read."""
    cameras: list[CameraPart] = field(default_factory=list)
    paths: list[PathPart] = field(default_factory=list)
    plain: dict[str, list[tuple[KeyPath, Any]]] = field(default_factory=dict)
    """The items of arrays that hold neither points nor a driver's keys, by array: `patrol`."""
    devices: list[DevicePart] = field(default_factory=list)
    ids: dict[str, list[tuple[KeyPath, str]]] = field(default_factory=dict)
    """Every id that is written, by array, also those of things that could not be read."""

    @property
    def with_points(self) -> tuple[Part[Any, Any], ...]:
        """Devices and cameras."""
        return (*self.devices, *self.cameras)

    @property
    def with_drivers(self) -> tuple[Part[Any, Any], ...]:
        """Devices, cameras and paths."""
        return (*self.devices, *self.cameras, *self.paths)


def read_sections(merged: Merged, report: Report) -> Parts:
    """Read every table; report what is wrong with each."""
    parts = Parts()
    for name, value in merged.data.items():
        if name in TABLES:
            if (model := _table(report, TABLES[name], value, (name,))) is not None:
                parts.tables[name] = model
        elif name in ARRAYS:
            for at, item in _items(report, value, (name,)):
                _note_id(parts, name, at, item)
                _item(parts, report, name, at, item)
        else:
            unknown_key(report, (name,), {**TABLES, **ARRAYS})
    for name in REQUIRED:
        if name not in merged.data:
            keys = ", ".join(key for key, known in keys_of(TABLES[name]).items() if known.is_required())
            report.error((name,), say("config.missing-table", name=name), remedy=say("config.add-table", keys=keys))
    return parts


def _table(report: Report, model: type[M], raw: object, at: KeyPath) -> M | None:
    """Read one table."""
    if not isinstance(raw, dict):
        report.error(at, say("units.type-table"), found=type_of(raw), remedy=say("config.write-table", name=at[-1]))
        return None
    try:
        return model.model_validate(frozen(raw), strict=True, context=FROM_TOML, by_alias=True, by_name=False)
    except ValidationError as error:
        add_errors(report, error, model, raw, at)
        return None


def readable_fields(model: type[BaseModel], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `model`, by attribute, that are right in `raw` or that have a default and are not in it: an error
    in one key must not hide what another says."""
    found: dict[str, Any] = {}
    for key, known in keys_of(model).items():
        name = next(name for name, field_ in model.model_fields.items() if field_ is known)
        if key not in raw:
            if not known.is_required():
                found[name] = known.get_default(call_default_factory=True, validated_data=found)
            continue
        with suppress(ValidationError):
            values = _alone(model, name).model_validate(
                frozen({key: raw[key]}), strict=True, context=FROM_TOML, by_alias=True, by_name=False
            )
            found[name] = getattr(values, name)
    return found


@cache
def _alone(model: type[BaseModel], name: str) -> type[BaseModel]:
    """A model with this one field. Making it takes a hundred times as long as reading with it."""
    known = model.model_fields[name]
    one: type[BaseModel] = create_model("One", __config__=model.model_config, **{name: (known.annotation, known)})  # type: ignore[call-overload]  # fields by name
    return one


def readable_driver(driver: type[P], raw: Mapping[str, Any]) -> P:
    """A driver that has only the fields that could be read; asked for anything else it raises AttributeError."""
    found = readable_fields(driver, raw)
    partial: P = driver.model_construct(None, **found)  # type: ignore[assignment]  # it says Plugin; it is a P
    for name in driver.model_fields.keys() - found.keys():
        partial.__dict__.pop(name, None)  # a default in place of what was written would be a false witness
    return partial


def _items(report: Report, raw: object, at: KeyPath) -> list[tuple[KeyPath, dict[str, Any]]]:
    """The tables of an array of tables."""
    name = ".".join(str(part) for part in at if isinstance(part, str))
    if not isinstance(raw, list):
        report.error(at, say("config.tables"), found=type_of(raw), remedy=say("config.write-tables", name=name))
        return []
    found: list[tuple[KeyPath, dict[str, Any]]] = []
    for position, item in enumerate(raw):
        if isinstance(item, dict):
            found.append(((*at, position), item))
        else:
            remedy = say("config.write-tables", name=name)
            report.error((*at, position), say("units.type-table"), found=type_of(item), remedy=remedy)
    return found


def _note_id(parts: Parts, array: str, at: KeyPath, item: Mapping[str, Any]) -> None:
    if isinstance(id_ := item.get("id"), str):
        parts.ids.setdefault(array, []).append((at, id_))


def _item(parts: Parts, report: Report, array: str, at: KeyPath, raw: dict[str, Any]) -> None:
    if array == "bus":
        parts.readable_buses.append((at, readable_fields(BusSettings, raw)))
        if (bus := _table(report, BusSettings, raw, at)) is not None:
            parts.buses.append((at, bus))
    elif array == "camera":
        parts.cameras.append(_plugged(parts, report, at, raw, CameraHead, find_camera_driver))
    elif array == "device":
        parts.devices.append(_plugged(parts, report, at, raw, DeviceHead, find_driver))
    elif array == "path":
        parts.paths.append(_plugged(parts, report, at, raw, PathHead, find_path_driver))
    elif (item := _table(report, ARRAYS[array], raw, at)) is not None:
        parts.plain.setdefault(array, []).append((at, item))


def _plugged(
    parts: Parts, report: Report, at: KeyPath, raw: dict[str, Any], model: type[H], find: Callable[[str], type[P]]
) -> Part[H, P]:
    """Read one device, camera or path: its own keys, its points, and its driver's keys."""
    own: dict[str, Any] = dict(keys_of(model))
    if model is not PathHead:
        own[POINT] = None
    part: Part[H, P] = Part(at, raw)
    part.head = _table(report, model, {key: value for key, value in raw.items() if key in own and key != POINT}, at)
    for point_at, point_raw in _items(report, raw.get(POINT, []) if POINT in own else [], (*at, POINT)):
        _note_id(parts, f"{POINT} of {at[0]} {at[-1]}", point_at, point_raw)
        part.readable_points.append((point_at, readable_fields(PointSettings, point_raw)))
        if (point := _table(report, PointSettings, point_raw, point_at)) is not None:
            part.points.append((point_at, point))
    rest = {key: value for key, value in raw.items() if key not in own}
    if isinstance(name := raw.get("driver"), str):
        try:
            driver = find(name)
        except NoDriver as error:
            report.error((*at, "driver"), error.rule, found=shown(name), remedy=error.remedy)
        else:
            part.driver = _driver(report, at, driver, rest, own)
            part.readable_driver = part.driver or readable_driver(driver, rest)
    return part


def _driver(report: Report, at: KeyPath, driver: type[P], rest: dict[str, Any], own: Mapping[str, Any]) -> P | None:
    known = {**own, **keys_of(driver)}
    unknown = [key for key in rest if key not in known]
    for key in unknown:
        unknown_key(report, (*at, key), known)
    return _table(report, driver, {key: value for key, value in rest.items() if key in known}, at)


def undebounced(point: PointSettings, driver: Driver) -> PointSettings:
    """A point of a device that tells events: nothing bounces there, and two of them close together are two."""
    if not driver.tells_events or "debounce_s" in point.model_fields_set:
        return point
    return point.model_copy(update={"debounce_s": 0.0})


def build_device(part: DevicePart) -> DeviceSettings:
    """Put together a device of which every part could be read."""
    assert part.head is not None
    assert part.driver is not None
    fields = {name: getattr(part.head, name) for name in DeviceHead.model_fields if name in part.head.model_fields_set}
    points = tuple(undebounced(point, part.driver) for _, point in part.points)
    settings = DeviceSettings(**fields, points=points, settings=part.driver)
    silence_s = settings.settings.silence_s()
    if "offline_after_s" in fields or silence_s is None:
        return settings
    return settings.model_copy(update={"offline_after_s": silence_s})


def build_camera(part: CameraPart) -> CameraSettings:
    """Put together a camera of which every part could be read."""
    assert part.head is not None
    assert part.driver is not None
    fields = {name: getattr(part.head, name) for name in CameraHead.model_fields}
    return CameraSettings(**fields, points=tuple(point for _, point in part.points), settings=part.driver)


def build_path(part: PathPart) -> PathSettings:
    """Put together a path of which every part could be read."""
    assert part.head is not None
    assert part.driver is not None
    fields = {name: getattr(part.head, name) for name in PathHead.model_fields}
    return PathSettings(**fields, settings=part.driver)
