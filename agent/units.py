"""Values with a unit as configuration writes them: durations ("200ms", "15s", "30d") and sizes ("512MiB").

In Python a duration is a float in seconds and a size an int in bytes. `Duration` and `Size` are the types for
fields of settings and drivers. TOML must give the unit, since `timeout = 15` does not say 15 of what; Python code
may give the plain number, since there the field's name says it.
"""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from agent.texts import Spoken, Text, say

DURATION_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SIZE_UNITS_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MS_PER_S: Final = 1_000

DURATION_PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h|d)$"
SIZE_PATTERN: Final = r"^[0-9]{1,9}(B|KiB|MiB|GiB|TiB)$"
"""At most nine digits, so that no text overflows."""
SHOWN_CHARS: Final = 60
"""How much of a wrong value an error repeats: enough to recognise it, short enough for a line."""

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB|TiB)")


class BadSetting(Spoken, ValueError):
    """A value that a setting cannot have. Validators of settings and drivers raise it: what was expected, what came
    (never a secret: give `type_of(value)` where it may be one), and, if it is not plain from that, what to do.
    pydantic collects it since it is a ValueError."""

    def __init__(self, expected: Text, found: object, remedy: Text | None = None) -> None:
        self.expected = expected
        self.found: Text | str = found if isinstance(found, Text) else shown(found)
        self.remedy = remedy
        super().__init__(say("units.bad-setting", expected=expected, found=self.found))


def type_of(value: object) -> Text:
    """Say what sort of TOML value this is, and nothing of what is in it."""
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", tuple: "array"}
    return say(f"units.type-{'table' if isinstance(value, dict) else names.get(type(value), 'time')}")


def redacted(text: str) -> str:
    """A URL without whatever stands before its last "@": that may be a password. Other texts as they are."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if separator and "@" in rest else text


def shown(value: object) -> str:
    """Give a configured value as TOML would write it, cut to `SHOWN_CHARS`; of a URL without name and password."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in redacted(value)) + '"'
    elif isinstance(value, dict):
        text = "{ " + ", ".join(str(key) for key in value) + " }"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item) for item in value[:SHOWN_CHARS]) + "]"
    else:
        text = str(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


def parse_duration(text: str) -> float:
    """Return the seconds of "200ms", "1.5s", "5m", "2h" or "30d"; raise BadSetting for everything else."""
    if not (match := _DURATION.fullmatch(text)):
        raise BadSetting(say("units.duration"), text)
    return float(match[1]) * DURATION_UNITS_MS[match[2]] / MS_PER_S


def parse_size(text: str) -> int:
    """Return the bytes of "4096B", "512KiB", "512MiB", "1GiB" or "2TiB"; raise BadSetting for everything else."""
    if not (match := _SIZE.fullmatch(text)):
        raise BadSetting(say("units.size"), text)
    return int(match[1]) * SIZE_UNITS_BYTES[match[2]]


def format_duration(seconds: float) -> str:
    """Write a duration in the largest unit that keeps it whole: 0.05 -> "50ms", 86400 -> "1d"; no unit smaller
    than a millisecond, of which up to three decimals are kept."""
    ms = round(seconds * MS_PER_S, 3)
    for unit, size_ms in reversed(DURATION_UNITS_MS.items()):
        if ms and ms % size_ms == 0:
            return f"{int(ms // size_ms)}{unit}"
    return f"{ms:g}ms" if ms else "0s"


def format_size(size_bytes: int) -> str:
    """Write a size in the largest unit that keeps it whole: 1073741824 -> "1GiB"."""
    for unit, unit_bytes in reversed(SIZE_UNITS_BYTES.items()):
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return "0B"


FROM_TOML: Final = {"from_toml": True}
"""The validation context of the loader: in it a number without a unit is an error."""


def _is_plain_number(value: object, info: ValidationInfo) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and info.context is not FROM_TOML


def _duration(value: object, info: ValidationInfo) -> object:
    if _is_plain_number(value, info):
        return value
    if not isinstance(value, str):
        raise BadSetting(say("units.duration"), value)
    return parse_duration(value)


def _size(value: object, info: ValidationInfo) -> object:
    if _is_plain_number(value, info):
        return value
    if not isinstance(value, str):
        raise BadSetting(say("units.size"), value)
    return parse_size(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "format": "duration-with-unit"}),
]
"""Seconds in Python, "200ms" in TOML. Name the field with its unit and give TOML's key as the alias:
`reply_timeout_s: Duration = Field(0.2, alias="reply_timeout", gt=0, le=5, description="...")`."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "format": "size-with-unit"}),
]
"""Bytes in Python, "512MiB" in TOML: `max_size_bytes: Size = Field(1 << 30, alias="max_size", ge=1 << 20)`."""
