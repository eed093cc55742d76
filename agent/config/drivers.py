"""Find drivers by the names that configuration uses: `modbus-io` is a class of `drivers/modbus_io.py`. Devices, cameras
and second paths have drivers of their own sort."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeVar

from agent.config.values import did_you_mean
from agent.driver import CameraDriver, Driver, PathDriver, Plugin
from agent.texts import Spoken, Text, say

PACKAGE = "drivers"
P = TypeVar("P", bound=Plugin)


class NoDriver(Spoken):
    """There is no such driver, or it cannot be loaded: `rule`, and `remedy` if one is known."""

    def __init__(self, text: Text, rule: Text, remedy: Text | None) -> None:
        super().__init__(text)
        self.rule = rule
        self.remedy = remedy


def plugin_names() -> tuple[str, ...]:
    """The drivers that are there, of every sort, by name."""
    package = importlib.import_module(PACKAGE)
    modules = (info.name for info in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def driver_names() -> tuple[str, ...]:
    """The drivers of devices."""
    return tuple(name for name in plugin_names() if _is(name, Driver))


def camera_driver_names() -> tuple[str, ...]:
    """The drivers of cameras."""
    return tuple(name for name in plugin_names() if _is(name, CameraDriver))


def path_driver_names() -> tuple[str, ...]:
    """The drivers of second paths."""
    return tuple(name for name in plugin_names() if _is(name, PathDriver))


def find_driver(name: str) -> type[Driver]:
    """Load a driver of devices. Raises NoDriver."""
    return _find(name, driver_names, Driver)  # type: ignore[type-abstract]  # it is only compared


def find_camera_driver(name: str) -> type[CameraDriver]:
    """Load a driver of cameras. Raises NoDriver."""
    return _find(name, camera_driver_names, CameraDriver)  # type: ignore[type-abstract]  # as above


def find_path_driver(name: str) -> type[PathDriver]:
    """Load a driver of second paths. Raises NoDriver."""
    return _find(name, path_driver_names, PathDriver)  # type: ignore[type-abstract]  # as above


def find_plugin(name: str) -> type[Plugin]:
    """Load a driver of any sort. Raises NoDriver."""
    return _find(name, plugin_names, Plugin)


def _is(name: str, sort: type[Plugin]) -> bool:
    """Whether a driver is of a sort. One that cannot be loaded counts for each, so that whoever names it hears why."""
    try:
        return issubclass(_find(name, lambda: (name,), Plugin), sort)
    except NoDriver:
        return True


def _find(name: str, known: Callable[[], tuple[str, ...]], sort: type[P]) -> type[P]:
    """Load one driver and no other: each brings its libraries along, and a gateway is small."""
    if name not in plugin_names():
        raise _unknown(name, known())
    path = f"{PACKAGE}.{name.replace('-', '_')}"
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        rule, remedy = say("config.driver-loads", name=name), say("config.driver-import", reason=error)
        raise NoDriver(say("config.driver-broken", rule=rule, remedy=remedy), rule, remedy) from error
    named = [value for value in vars(module).values() if isinstance(value, type) and _is_named(value, name)]
    for value in named:
        if issubclass(value, sort):
            return value
    if named:
        raise _unknown(name, known())
    rule = say("config.driver-loads", name=name)
    remedy = say("config.driver-no-class", path=path, name=name)
    raise NoDriver(say("config.driver-broken", rule=rule, remedy=remedy), rule, remedy)


def _is_named(value: type, name: str) -> bool:
    return issubclass(value, Plugin) and getattr(value, "name", None) == name


def _unknown(name: str, known: tuple[str, ...]) -> NoDriver:
    """There is no such driver, of this sort."""
    rule, remedy = say("config.driver-known"), did_you_mean(name, known)
    return NoDriver(say("config.no-driver", name=name, remedy=remedy), rule, remedy)
