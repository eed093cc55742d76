"""Addresses without their secrets: what a command brings is kept in the journal, and sent on."""

import re
from typing import Final

from agent.model import JsonValue

URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20}://)(?P<rest>[^\s\"'<>]*)")
HIDDEN: Final = "..."


def redacted(value: JsonValue) -> JsonValue:
    """Return a JSON value in which every address has its scheme, host and port only: name and password, signatures in
    the query and stream keys in the path are for whom they were meant."""
    if isinstance(value, str):
        return URL.sub(_short, value) if "://" in value else value
    if isinstance(value, dict):
        return {name: redacted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _short(match: "re.Match[str]") -> str:
    rest = match["rest"]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if "@" in rest[len(authority) :]:  # a password with a slash in it: nobody can tell where the host begins
        host = HIDDEN
        return match["scheme"] + host
    return match["scheme"] + host + ("/" + HIDDEN if len(rest) > len(authority) + 1 else rest[len(authority) :])
