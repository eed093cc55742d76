"""Types of single values: what TOML may write, checked and turned into what the agent uses. Each raises BadSetting,
and the JSON Schema says the same as far as a schema can."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, GetCoreSchemaHandler, ValidationInfo, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from agent.kinds import KINDS
from agent.ports import (
    is_bare,
    split_url,
    text_type,
)
from agent.texts import Text, say
from agent.units import FROM_TOML, BadSetting, type_of

MQTT_PORT: Final = 1883
MQTTS_PORT: Final = 8883
"""Registered with IANA as mqtt and secure-mqtt."""

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""Ids become levels of MQTT topics and parts of URIs: no "/", "+", "#", no leading "$" (MQTT 5.0, 4.7), nothing that
a URI would escape, and no leading "_", which stands for "none" in topics."""
DISTRICT_PATTERN: Final = r"^[0-9]{6}$"
SCHOOL_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
PLACE_PATTERN: Final = f"^{ID_PATTERN[1:-1]}/{ID_PATTERN[1:-1]}$"
"""A point or an output as configuration names it: "guardroom/panic", "guardroom/0"."""
GB_ID_PATTERN: Final = r"^[0-9]{20}$"
"""GB/T 28181-2022, annex E: 20 digits."""
VERB_PATTERN: Final = r"^[a-z][a-z0-9-]{0,31}$"
CLOCK_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def nearest(word: object, known: Collection[str]) -> str | None:
    """The known word that is most like this one, if any is."""
    lower = {name.lower(): name for name in sorted(known)}
    matches = get_close_matches(str(word).lower(), lower, n=1)
    return lower[matches[0]] if matches else None


def did_you_mean(word: object, known: Collection[str]) -> Text:
    """What to do about an unknown word: write the nearest one, or one of these."""
    if best := nearest(word, known):
        return say("config.nearest", best=best)
    return say("config.one-of", known=", ".join(sorted(known))) if known else say("config.none-known")


def _matching(pattern: str, expected: Text) -> BeforeValidator:
    compiled = re.compile(pattern.removeprefix("^").removesuffix("$"))

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise BadSetting(expected, value)
        return value

    return text_type(check, expected)


def _kind(value: str) -> str:
    if value not in KINDS:
        raise BadSetting(say("config.kind"), value, did_you_mean(value, KINDS))
    return value


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):  # a name that is none, a folder, an unknown name (ZoneInfoNotFoundError)
        best = nearest(value, _timezones()) or "Asia/Shanghai"
        raise BadSetting(say("config.timezone"), value, say("config.nearest", best=best)) from None
    return value


def _input(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value:
        return value
    raise BadSetting(say("config.input"), value)


def _absolute(value: object, info: ValidationInfo) -> Path:
    """In TOML a relative path would depend on where the daemon was started; Python code knows what it does."""
    if isinstance(value, Path) and info.context is not FROM_TOML:
        return value
    if not isinstance(value, str):
        raise BadSetting(say("config.path"), type_of(value))
    if not value.startswith("/") or "\0" in value:
        raise BadSetting(say("config.path"), value)
    return Path(value)


def _clock_time(value: str) -> str:
    if not CLOCK_TIME.fullmatch(value):
        raise BadSetting(say("config.clock-time"), value)
    return value


def _clock_span(value: str) -> str:
    begin, _, end = value.partition("-")
    if not CLOCK_TIME.fullmatch(begin) or not CLOCK_TIME.fullmatch(end) or begin == end:
        raise BadSetting(say("config.clock-span"), value)
    return value


def _media_host(value: str) -> str:
    parts = split_url(f"tcp://{value}")
    if parts is None or not is_bare(parts):
        raise BadSetting(say("config.media-host"), value)
    return value


def _upload_url(value: str) -> str:
    parts = split_url(value)
    if parts is None or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or parts.fragment:
        raise BadSetting(say("config.upload-url"), value)
    return value


def _address(value: str) -> str:
    if not value or ("://" in value and "@" in value):
        raise BadSetting(say("config.address"), value)
    return value


@dataclass(frozen=True, slots=True)
class Broker:
    """Where one broker is. `str()` gives its URL, which never has credentials."""

    tls: bool
    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> "Broker":
        """Take `mqtt://host[:port]` or `mqtts://host[:port]`; raise BadSetting, which shows no credentials."""
        if isinstance(value, Broker):
            return value
        if not isinstance(value, str):
            raise BadSetting(say("config.broker"), type_of(value))
        parts = split_url(value)
        if parts is not None and "@" in parts.netloc:
            raise BadSetting(say("config.broker"), value, say("config.broker-credentials"))
        if parts is None or parts.scheme not in ("mqtt", "mqtts") or not is_bare(parts) or parts.port == 0:
            raise BadSetting(say("config.broker"), value)
        tls = parts.scheme == "mqtts"
        return cls(tls, str(parts.hostname), parts.port or (MQTTS_PORT if tls else MQTT_PORT))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            json_schema_input_schema=core_schema.str_schema(pattern=r"^mqtts?://[^@/]+/?$"),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


District = Annotated[
    str,
    _matching(DISTRICT_PATTERN, say("config.district")),
    WithJsonSchema({"type": "string", "pattern": DISTRICT_PATTERN}),
]
School = Annotated[
    str, _matching(SCHOOL_PATTERN, say("config.school")), WithJsonSchema({"type": "string", "pattern": SCHOOL_PATTERN})
]
GbId = Annotated[
    str, _matching(GB_ID_PATTERN, say("config.gb-id")), WithJsonSchema({"type": "string", "pattern": GB_ID_PATTERN})
]
Id = Annotated[str, _matching(ID_PATTERN, say("config.id")), WithJsonSchema({"type": "string", "pattern": ID_PATTERN})]
PlaceName = Annotated[
    str, _matching(PLACE_PATTERN, say("config.place")), WithJsonSchema({"type": "string", "pattern": PLACE_PATTERN})
]
Verb = Annotated[
    str, _matching(VERB_PATTERN, say("config.verb")), WithJsonSchema({"type": "string", "pattern": VERB_PATTERN})
]
KindName = Annotated[
    str, text_type(_kind, say("config.kind")), WithJsonSchema({"type": "string", "enum": sorted(KINDS)})
]
TimezoneName = Annotated[str, text_type(_timezone, say("config.timezone"))]
InputName = Annotated[
    int | str,
    BeforeValidator(_input),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]}),
]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute), WithJsonSchema({"type": "string", "pattern": "^/"})]
CameraAddress = Annotated[
    str, text_type(_address, say("config.address")), WithJsonSchema({"type": "string", "pattern": r"^[^@]+$"})
]
ClockTime = Annotated[
    str,
    text_type(_clock_time, say("config.clock-time")),
    WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}),
]
ClockSpan = Annotated[
    str,
    text_type(_clock_span, say("config.clock-span")),
    WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"}),
]
MediaHost = Annotated[
    str, text_type(_media_host, say("config.media-host")), WithJsonSchema({"type": "string", "pattern": "^[^/@]+$"})
]
UploadUrl = Annotated[
    str,
    text_type(_upload_url, say("config.upload-url")),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^@]+$"}),
]
