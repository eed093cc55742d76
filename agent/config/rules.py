"""pydantic's findings in our words: every type of error that it knows becomes a text of the catalogue, so that
none of its English sentences ever reaches a person."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.config.fields import field_text, keys_of, model_at
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.values import did_you_mean, nearest
from agent.texts import Text, say
from agent.units import BadSetting, format_duration, format_size, parse_duration, shown, type_of

TYPES: Final[Mapping[str, str]] = {
    "string": "units.type-string",
    "int": "units.type-integer",
    "float": "units.type-number",
    "finite": "units.type-number",
    "bool": "units.type-boolean",
    "tuple": "units.type-array",
    "list": "units.type-array",
    "set": "units.type-array",
    "frozen": "units.type-array",
    "iterable": "units.type-array",
    "model": "units.type-table",
    "dataclass": "units.type-table",
    "dict": "units.type-table",
    "mapping": "units.type-table",
    "path": "config.path",
    "date": "units.type-time",
    "datetime": "units.type-time",
    "time": "units.type-time",
    "timezone": "units.type-time",
    "url": "config.url",
    "decimal": "units.type-number",
}
"""The first word of an error's type -> what was expected; types of their own rule come before it."""
LIMITS: Final[Mapping[str, str]] = {
    "gt": "config.more-than",
    "ge": "config.at-least",
    "lt": "config.less-than",
    "le": "config.at-most",
}
LENGTHS: Final[Mapping[str, tuple[str, str]]] = {
    "string_too_short": ("config.chars-at-least", "min_length"),
    "string_too_long": ("config.chars-at-most", "max_length"),
    "too_short": ("config.items-at-least", "min_length"),
    "too_long": ("config.items-at-most", "max_length"),
}
ONE: Final = {"config.chars-at-least": "config.chars-some", "config.items-at-least": "config.items-some"}
COMPOUND: Final = frozenset({"units.type-array", "units.type-table"})
_QUOTED: Final = re.compile(r"'([^']*)'|(-?\d+)")


def add_errors(report: Report, error: ValidationError, model: type[BaseModel], raw: object, at: KeyPath) -> None:
    """Report everything that pydantic found in the table `raw` of `model`, which stands at `at`; of several
    findings at one key (the branches of a union) only the first."""
    seen: set[KeyPath] = set()
    for details in error.errors(include_url=False):
        path = _real(details["loc"], raw)
        if path in seen or (details["type"] == "too_short" and _is_long_enough(details, value_at(raw, path))):
            continue
        seen.add(path)
        _add(report, details, model, raw, at, path)


def _is_long_enough(details: ErrorDetails, value: object) -> bool:
    """pydantic counts the valid items only; the invalid ones are reported by themselves."""
    return isinstance(value, list | tuple) and len(value) >= details.get("ctx", {}).get("min_length", 0)


def _add(
    report: Report, details: ErrorDetails, model: type[BaseModel], raw: object, at: KeyPath, path: KeyPath
) -> None:
    table = model_at(model, path[:-1]) or model
    key = path[-1] if path else ""
    if details["type"] == "missing":
        what = field_text(table, str(key)) or say("config.no-description")
        report.error(at + path, say("config.missing"), remedy=say("config.add-key", key=key, what=what))
    elif details["type"] == "extra_forbidden":
        unknown_key(report, at + path, keys_of(table))
    elif isinstance(bad := details.get("ctx", {}).get("error"), BadSetting):
        report.error(at + path, bad.expected, found=bad.found, remedy=bad.remedy)
    else:
        value = value_at(raw, path)
        remedy = None
        if details["type"] in ("literal_error", "enum") and isinstance(value, str):
            best = nearest(value, _choices(details))
            remedy = say("config.nearest", best=best) if best else None
        rule = rule_of(details, value)
        # What is in tables and arrays, or stands in their place, may be anything: a URL with a password in it, too.
        hidden = bool(value) and isinstance(value, dict | list | tuple)
        found = type_of(value) if hidden or rule.key in COMPOUND else shown(value)
        report.error(at + path, rule, found=found, remedy=remedy)


def unknown_key(report: Report, path: KeyPath, known: Mapping[str, object]) -> None:
    """Report a key that does not exist. What is written behind it is not shown: it may be a misspelt password."""
    report.error(path, say("config.unknown-key"), remedy=did_you_mean(path[-1], tuple(known)))


def rule_of(details: Mapping[str, Any], value: object) -> Text:
    """Say what one of pydantic's errors expects. `value` is what TOML has there."""
    kind, context = str(details["type"]), dict(details.get("ctx") or {})
    for limit, key in LIMITS.items():
        if limit in context and kind.startswith(("greater_than", "less_than")):
            return say(key, limit=_as_written(context[limit], value))
    if kind in LENGTHS:
        key, name = LENGTHS[kind]
        return say(ONE[key] if context.get(name) == 1 and key in ONE else key, count=context.get(name, 1))
    if kind in ("literal_error", "enum"):
        return say("config.one-of-these", known=", ".join(_choices(details)))
    if kind == "string_pattern_mismatch":
        return say("config.pattern", pattern=context.get("pattern", ""))
    if kind in ("value_error", "assertion_error"):
        return say("config.driver-rule", rule=str(context.get("error", "")) or say("config.valid-value"))
    return say(TYPES.get(kind.partition("_")[0], "config.valid-value"))


def _choices(details: Mapping[str, Any]) -> list[str]:
    """The values in pydantic's "'no' or 'nc'"."""
    return [text or number for text, number in _QUOTED.findall(str(details.get("ctx", {}).get("expected", "")))]


def _as_written(limit: object, value: object) -> object:
    """A limit in the unit in which the value was written."""
    if not isinstance(value, str) or not isinstance(limit, int | float):
        return limit
    try:
        parse_duration(value)
    except BadSetting:
        return format_size(int(limit))
    return format_duration(limit)


def value_at(raw: object, path: KeyPath) -> object:
    """The value at `path`, which exists."""
    for part in path:
        raw = raw[part]  # type: ignore[index]  # `_real` has walked the path
    return raw


def _real(loc: tuple[int | str, ...], raw: object) -> KeyPath:
    """The part of pydantic's location that is in the file: it names branches of unions too. A missing key stands
    last."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(raw, dict) and isinstance(part, str):
            path.append(part)
            if part not in raw:
                break
            raw = raw[part]
        elif isinstance(raw, list | tuple) and isinstance(part, int) and part < len(raw):
            path.append(part)
            raw = raw[part]
        else:
            break
    return tuple(path)
