"""The JSON Schema, the reference and the texts of keys are those of the models."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from agent.config import reference, schema
from agent.config.calendar import WindowSettings
from agent.config.drivers import NoDriver, find_driver, find_plugin, plugin_names
from agent.config.escalation import PathHead, StepSettings
from agent.config.fields import keys_of, table_of, tables_in
from agent.config.load import ConfigErrors, load
from agent.config.models import CameraHead, CommandSettings, DeviceHead, PointSettings, TlsSettings
from agent.config.rulebook import (
    AbsentSettings,
    ActionSettings,
    ConditionSettings,
    EventsSettings,
    OutputActionSettings,
    SelectorSettings,
    SequenceSettings,
)
from agent.config.sections import ARRAYS, POINT, TABLES
from agent.config.skyeye import ExpectSettings, LineSettings, StopSettings, UploadSettings, ZoneSettings
from agent.driver import CameraDriver, Driver, PathDriver, Plugin
from agent.texts import room_texts

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "config"
DRIVERS = [find_plugin(name) for name in plugin_names()]
MODELS: list[type[BaseModel]] = [
    *TABLES.values(),
    *ARRAYS.values(),
    PointSettings,
    TlsSettings,
    CommandSettings,
    ExpectSettings,
    ZoneSettings,
    LineSettings,
    StopSettings,
    UploadSettings,
    WindowSettings,
    ConditionSettings,
    SelectorSettings,
    EventsSettings,
    AbsentSettings,
    SequenceSettings,
    ActionSettings,
    OutputActionSettings,
    StepSettings,
    *DRIVERS,
    *(inner for driver in DRIVERS for _, inner in tables_in(driver)),
]
NESTED = {
    "uplink-tls",
    "uplink-commands",
    "camera-expect",
    "camera-zone",
    "camera-line",
    "patrol-stop",
    "skyeye-upload",
    "rule-if",
    "rule-do",
    "escalation-when",
    "escalation-step",
}


def the_schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    return found


def example() -> dict[str, Any]:
    return tomllib.loads((ROOT / "config" / "agent.toml").read_text(encoding="utf-8"))


def complaints(document: dict[str, Any]) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(the_schema()).iter_errors(document)]


def test_the_schema_is_fresh() -> None:
    stored = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    assert stored == schema.dumps(), "run: python -m agent.config.schema > config/schema.json"


def test_the_reference_is_fresh() -> None:
    stored = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert stored == reference.page(stored), "run: python -m agent.config.reference docs/configuration.md"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(the_schema())


def test_the_example_is_valid_by_the_schema() -> None:
    assert complaints(example()) == []


def test_the_example_uses_or_names_every_key() -> None:
    missing = [f"{table_of(model)}.{key}" for model in MODELS for key in keys_of(model) if key not in named_for(model)]
    assert [name for name in missing if name.replace(".", "-") not in NESTED] == []


def named_for(model: type[BaseModel]) -> set[str]:
    """The keys that the example has, set or commented out; of a driver of devices also those of its own page, of one
    of second paths those of theirs."""
    text = (ROOT / "config" / "agent.toml").read_text(encoding="utf-8")
    for driver in DRIVERS:
        if issubclass(driver, Driver) and (model is driver or model in [inner for _, inner in tables_in(driver)]):
            text += (ROOT / "docs" / "drivers" / f"{driver.name}.md").read_text(encoding="utf-8")
        if model is driver and issubclass(driver, PathDriver):
            text += (ROOT / "docs" / "paths.md").read_text(encoding="utf-8")
    return {plain or quoted for plain, quoted in re.findall(r"([a-z0-9_]+) *= |`([a-z0-9_]+)`", text)}


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("site", "distirct"), "1", "$.site"),
        (("journal", "max_size"), "1GB", "$.journal.max_size"),
        (("uplink", "brokers"), [], "$.uplink.brokers"),
        (("uplink", "password"), {"file": "/x", "env": "X"}, "$.uplink.password"),
        (("device", 0, "unit"), 248, "$.device[0].unit"),
        (("device", 0, "unti"), 1, "$.device[0]"),
        (("device", 0, "driver"), "modbus-oi", "$.device[0].driver"),
        (("device", 0, "point", 0, "kind"), "panik", "$.device[0].point[0].kind"),
        (("other",), {}, "$"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(path: tuple[Any, ...], value: object, where: str) -> None:
    document: Any = example()
    here = document
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    assert where in complaints(document)


def test_the_schema_takes_every_golden_case_that_loads() -> None:
    for file in GOLDEN.glob("*.toml"):
        try:
            load(file)
        except ConfigErrors:
            continue
        assert complaints(tomllib.loads(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("model", MODELS, ids=table_of)
def test_every_key_has_its_text(model: type[BaseModel]) -> None:
    wanted = {table_of(model), *(f"{table_of(model)}-{key.replace('_', '-')}" for key in keys_of(model))}
    assert sorted(wanted - set(room_texts("fields"))) == []


def test_no_text_is_of_a_key_that_is_gone() -> None:
    known = {table_of(model) for model in MODELS} | {f"device-{POINT}", f"camera-{POINT}"}
    known |= {f"{table_of(model)}-{key.replace('_', '-')}" for model in MODELS for key in keys_of(model)}
    assert sorted(set(room_texts("fields")) - known) == []


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: str(driver.name))
def test_a_driver_describes_its_keys_and_takes_none_of_ours(driver: type[Plugin]) -> None:
    assert all(field.description for field in keys_of(driver).values())
    head = (
        CameraHead if issubclass(driver, CameraDriver) else PathHead if issubclass(driver, PathDriver) else DeviceHead
    )
    assert set(keys_of(driver)) & {*keys_of(head), POINT} == set()
    assert driver.__doc__ is not None
    assert "Source:" in driver.__doc__


def test_an_unknown_driver_is_told_with_the_nearest() -> None:
    with pytest.raises(NoDriver) as caught:
        find_driver("modbus_io")
    assert caught.value.text.render("zh-CN") == "没有驱动“modbus_io”。是不是想写 modbus-io？"
    assert caught.value.text.render("en") == "there is no driver modbus_io. Did you mean modbus-io?"


def test_a_name_that_is_no_module_is_not_imported() -> None:
    for name in ("", "..", "os", "modbus-io.ModbusIo", "/etc/passwd"):
        with pytest.raises(NoDriver):
            find_driver(name)
