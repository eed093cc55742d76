"""JSON Schema (2020-12) of the configuration, for editors: `python -m agent.config.schema > config/schema.json`.

It is made of the same models that load the configuration. What it cannot say (limits of durations, what must fit
together) only `check-config` knows.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from annotated_types import BaseMetadata, Ge, Gt, Interval, Le, Lt
from pydantic import BaseModel

from agent.config.drivers import camera_driver_names, driver_names, find_plugin, path_driver_names
from agent.config.fields import field_text, keys_of, models_in, table_of
from agent.config.models import PointSettings
from agent.config.rulebook import ConditionSettings
from agent.config.sections import ARRAYS, POINT, REQUIRED, TABLES
from agent.model import JsonValue
from agent.texts import Text, room_texts, say
from agent.units import format_duration, format_size

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DURATION_FORMAT: Final = "duration-with-unit"
SIZE_FORMAT: Final = "size-with-unit"
FEW: Final = 4
"""How many choices a table has room for."""
PLUGGED: Final = {"device": driver_names, "camera": camera_driver_names, "path": path_driver_names}
"""Whose items have keys of their drivers."""
SHARED: Final[Mapping[type[BaseModel], str]] = {ConditionSettings: "condition"}
"""Tables that hold tables of their own sort, and so cannot stand in place."""
NOISE: Final = ("title", "format", "default", "description")
"""What pydantic writes and we write otherwise, or not at all."""


def schema() -> Json:
    """Return the schema of a whole configuration."""
    properties: Json = {name: _table(model) for name, model in TABLES.items()}
    for name, model in ARRAYS.items():
        item = _plugged(model, name) if name in PLUGGED else _table(model)
        properties[name] = {"description": _about(name), "type": "array", "items": item}
    order = [
        "site",
        "journal",
        "uplink",
        "bus",
        "device",
        "camera",
        "patrol",
        "path",
        "escalation",
        "calendar",
        "telemetry",
        "rule",
        "partition",
        "selftest",
        "skyeye",
        "console",
        "control",
    ]
    return {
        "$schema": DIALECT,
        "title": "campus-agent",
        "type": "object",
        "properties": {name: properties[name] for name in order},
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": {name: _table(model) for model, name in SHARED.items()},
    }


def _plugged(model: type[BaseModel], array: str) -> Json:
    """A device, camera or path: its own keys, and by its driver's name that one's."""
    head = _table(model)
    names = PLUGGED[array]()
    head["properties"]["driver"]["enum"] = list(names)
    if array != "path":
        points = {"description": _about(f"{array}-point"), "type": "array", "items": _table(PointSettings)}
        head["properties"][POINT] = points
    del head["additionalProperties"]
    head["allOf"] = [
        {
            "if": {"properties": {"driver": {"const": name}}, "required": ["driver"]},
            "then": _table(find_plugin(name), closed=False),
        }
        for name in names
    ]
    return {**head, "unevaluatedProperties": False}


def _table(model: type[BaseModel], *, closed: bool = True) -> Json:
    """The schema of one model, with everything in place instead of references."""
    raw = _raw(model)
    made: Json = {"description": _about(table_of(model)), "type": "object"}
    made["properties"] = {key: property_of(model, key, raw["properties"][key]) for key in keys_of(model)}
    if required := [key for key, field in keys_of(model).items() if field.is_required()]:
        made["required"] = required
    if closed:
        made["additionalProperties"] = False
    return made


def property_of(model: type[BaseModel], key: str, raw: Mapping[str, Any] | None = None) -> Json:
    """The schema of one field."""
    raw = raw or raw_property(model, key)
    field = keys_of(model)[key]
    about = _both(field_text(model, key))
    if nested := models_in(field.annotation):
        shared = SHARED.get(nested[0])
        table = {"$ref": f"#/$defs/{shared}"} if shared else _table(nested[0])
        is_array = "array" in types_of(raw)
        return {**({"type": "array", "items": table} if is_array else table), "description": about}
    made = {"description": about, **_without_null(raw)}
    if (default := default_of(model, key, raw)) is not None:
        made["default"] = default
    return made


def _without_null(raw: Mapping[str, Any]) -> Json:
    """Drop what TOML does not have, and the noise."""
    kept = {key: value for key, value in raw.items() if key not in NOISE}
    if "anyOf" in kept:
        branches = [_without_null(branch) for branch in kept.pop("anyOf") if branch.get("type") != "null"]
        return {**kept, **(branches[0] if len(branches) == 1 else {"anyOf": branches})}
    if isinstance(kept.get("items"), dict):
        kept["items"] = _without_null(kept["items"])
    return kept


def default_of(model: type[BaseModel], key: str, raw: Mapping[str, Any] | None = None) -> JsonValue:
    """A field's default as TOML would write it; None if there is none, or an empty one."""
    raw = raw or raw_property(model, key)
    default: JsonValue = raw.get("default")
    if isinstance(default, int | float) and not isinstance(default, bool):
        formats = formats_of(raw)
        if DURATION_FORMAT in formats:
            return format_duration(default)
        if SIZE_FORMAT in formats:
            return format_size(int(default))
    return None if default in ("", []) else default


def raw_property(model: type[BaseModel], key: str) -> Json:
    """What pydantic says of one field."""
    found: Json = _raw(model)["properties"][key]
    return found


def _raw(model: type[BaseModel]) -> Json:
    """What pydantic says of a model; of one that holds its own sort it says it by a reference."""
    raw: Json = model.model_json_schema(by_alias=True)
    if "$ref" in raw:
        named: Json = raw["$defs"][str(raw["$ref"]).rpartition("/")[2]]
        return named
    return raw


def types_of(raw: Mapping[str, Any]) -> set[str | None]:
    """The types of a field, of all its branches."""
    return {branch.get("type") for branch in (raw, *raw.get("anyOf", ()))}


def formats_of(raw: Mapping[str, Any]) -> set[str | None]:
    """The formats of a field, of all its branches."""
    return {branch.get("format") for branch in (raw, *raw.get("anyOf", ()))}


def limits_of(model: type[BaseModel], key: str) -> dict[str, str]:
    """The limits of a field, in its unit: `{"ge": "5ms", "le": "1s"}`."""
    formats = formats_of(raw_property(model, key))
    write: Any = format_duration if DURATION_FORMAT in formats else format_size if SIZE_FORMAT in formats else str
    found: dict[str, str] = {}
    for part in keys_of(model)[key].metadata:
        for mark in part if isinstance(part, Interval) else (part,):
            if isinstance(mark, BaseMetadata) and isinstance(mark, Ge | Gt | Le | Lt):
                name = type(mark).__name__.lower()
                found[name] = write(getattr(mark, name))
    return found


def type_word(model: type[BaseModel], key: str) -> Text | str:
    """What a field takes, for people; a field of few words names them."""
    raw = raw_property(model, key)
    branches = [branch for branch in raw.get("anyOf", [raw]) if branch.get("type") != "null"]
    formats = {branch.get("format") for branch in branches}
    if len(branches) == 1 and len(choices := branches[0].get("enum", ())) in range(1, FEW + 1):
        return " | ".join(map(str, choices))
    if DURATION_FORMAT in formats or SIZE_FORMAT in formats:
        return say("config.type-duration" if DURATION_FORMAT in formats else "config.type-size")
    types = {branch.get("type") for branch in branches}
    if "object" in types and len(branches) > 1:
        return say("config.type-secret")
    if len(types) > 1:
        return say("config.type-input")
    names = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "array": "array"}
    return say(f"units.type-{names.get(str(next(iter(types))), 'table')}")


def _about(name: str) -> str:
    return _both(say(f"fields.{name}")) if name in room_texts("fields") else name


def _both(text: Text | str | None) -> str:
    """A text in both languages: an editor knows no language."""
    return f"{text.render('zh-CN')}\n{text.render('en')}" if isinstance(text, Text) else text or ""


def dumps() -> str:
    """The content of config/schema.json."""
    return json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dumps())
