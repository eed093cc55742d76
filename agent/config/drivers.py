"""Find drivers by the names that configuration uses: `modbus-io` is a class of `drivers/modbus_io.py`."""

import importlib
import pkgutil

from agent.config.values import did_you_mean
from agent.driver import Driver
from agent.texts import Spoken, Text, say

PACKAGE = "drivers"


class NoDriver(Spoken):
    """There is no such driver, or it cannot be loaded: `rule`, and `remedy` if one is known."""

    def __init__(self, text: Text, rule: Text, remedy: Text | None) -> None:
        super().__init__(text)
        self.rule = rule
        self.remedy = remedy


def driver_names() -> tuple[str, ...]:
    """The drivers that are there, by name."""
    package = importlib.import_module(PACKAGE)
    modules = (info.name for info in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def find_driver(name: str) -> type[Driver]:
    """Load a driver. Raises NoDriver."""
    if name not in driver_names():
        rule, remedy = say("config.driver-known"), did_you_mean(name, driver_names())
        raise NoDriver(say("config.no-driver", name=name, remedy=remedy), rule, remedy)
    path = f"{PACKAGE}.{name.replace('-', '_')}"
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        rule, remedy = say("config.driver-loads", name=name), say("config.driver-import", reason=error)
        raise NoDriver(say("config.driver-broken", rule=rule, remedy=remedy), rule, remedy) from error
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Driver) and getattr(value, "name", None) == name:
            return value
    rule = say("config.driver-loads", name=name)
    remedy = say("config.driver-no-class", path=path, name=name)
    raise NoDriver(say("config.driver-broken", rule=rule, remedy=remedy), rule, remedy)
