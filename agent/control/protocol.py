"""What both ends of the control socket share: where it lies, and how a line is read and written."""

import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.model import JsonValue
from agent.texts import Spoken, Text, say

LINE_LIMIT: Final = 1024 * 1024
"""Bytes of one line. `queue list` of 1,000 rows needs some 600 KiB; more is asked for in pages."""
SOCKET_PATH_LIMIT: Final = 107
"""sun_path holds 108 bytes with its NUL (unix(7))."""
EYE_SUFFIX: Final = "-eye"
MEDIA_SUFFIX: Final = "-media"
"""What the names of the eye's sockets have more than the control socket's."""
STATE_DIRECTORY: Final = Path("/var/lib/campus-agent")
RUNTIME_DIRECTORY: Final = Path("/run/campus-agent")
TEXT_DEPTH: Final = 6
"""A text within a text within ...: three is the deepest that we write."""
TEXT_KEY: Final = re.compile(r"[a-z]+\.[a-z0-9.-]+")
"""The first part is a file of the catalogue: nobody may name another one."""
SHOWN: Final = 60
"""Characters of a bad request that its error shows."""


class BadRequest(Spoken):
    """A request line that cannot be read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is on the other end, by SO_PEERCRED (unix(7))."""

    pid: int
    uid: int

    @property
    def actor(self) -> str:
        """As events name who did it."""
        return f"local:{self.uid}"


@dataclass(frozen=True, slots=True)
class Request:
    """One call."""

    method: str
    params: Mapping[str, JsonValue]


def socket_candidates(explicit: Path | None, journal: Path) -> list[Path]:
    """Return where the daemon with this journal listens, best first; the daemon takes the first that it can bind.

    The configured path alone if there is one. Else `/run/campus-agent` for the installed service, a file beside
    the journal for any other, and a directory of the user's own under /tmp where neither can be written."""
    if explicit:
        return [explicit]
    best = RUNTIME_DIRECTORY / "control.sock" if journal.parent == STATE_DIRECTORY else journal.with_suffix(".sock")
    name = hashlib.sha256(bytes(journal.absolute())).hexdigest()[:16]
    spare = Path(tempfile.gettempdir()) / f"campus-agent-{os.getuid()}" / f"{name}.sock"
    longest = SOCKET_PATH_LIMIT - max(map(len, (EYE_SUFFIX, MEDIA_SUFFIX)))
    return [path for path in (best, spare) if len(bytes(path.absolute())) <= longest]


def eye_sockets(control: Path) -> tuple[Path, Path]:
    """Return where the eye listens: for the core, and for media. Beside the socket that the core has bound, so that
    several daemons do not meet."""
    return (
        control.with_name(f"{control.stem}{EYE_SUFFIX}{control.suffix}"),
        control.with_name(f"{control.stem}{MEDIA_SUFFIX}{control.suffix}"),
    )


def may_trust(directory: Path) -> bool:
    """Tell whether a socket in `directory` can be ours. Where everybody may make directories (/tmp), somebody else may
    have made this one, or a link in its place: it must be a real one of ours, or root's, that others cannot write."""
    if not directory.parent.stat().st_mode & stat.S_IWOTH:
        return True
    found = directory.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid in {0, os.getuid()}
    return ours and not found.st_mode & (stat.S_IWOTH | stat.S_IWGRP)


def parse_request(line: bytes) -> Request:
    """Read one request line; raise BadRequest and nothing else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise BadRequest(say("control.bad-request", got=repr(line[:SHOWN]))) from None
    if isinstance(value, dict):
        method, params = value.get("method"), value.get("params", {})
        if isinstance(method, str) and isinstance(params, dict):
            return Request(method, params)
    raise BadRequest(say("control.bad-request", got=repr(line[:SHOWN])))


def text_json(text: Text) -> dict[str, JsonValue]:
    """A text in every language, for people on the other side."""
    return {"key": text.key, "zh-CN": text.render("zh-CN"), "en": text.render("en")}


def text_wire(text: Text) -> dict[str, JsonValue]:
    """A text as one process of the agent hands it to another, which has the same catalogue."""
    return {"key": text.key, "args": {name: _arg_wire(value) for name, value in text.args.items()}}


def _arg_wire(value: object) -> JsonValue:
    if isinstance(value, Spoken):
        value = value.text
    if isinstance(value, Text):
        return text_wire(value)
    return value if isinstance(value, str | int | float) else str(value)


def text_of(value: JsonValue, depth: int = TEXT_DEPTH) -> Text:
    """Read what `text_wire` wrote; raise BadRequest and nothing else."""
    if isinstance(value, dict) and depth:
        key, args = value.get("key"), value.get("args")
        if isinstance(key, str) and TEXT_KEY.fullmatch(key) and isinstance(args, dict):
            made: dict[str, object] = {
                name: text_of(arg, depth - 1) if isinstance(arg, dict) else arg for name, arg in args.items()
            }
            return Text(key, made)
    raise BadRequest(say("control.bad-request", got=repr(value)[:SHOWN]))


def dump_line(value: Mapping[str, JsonValue]) -> bytes:
    """Write one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
