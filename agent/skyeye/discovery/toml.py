"""Configuration for what was found: `[[camera]]` tables, to be appended to `conf.d/cameras.toml`. Pure.

What a camera says of itself goes into the file only as a quoted string without control characters.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.camera import Channel
from agent.skyeye.discovery.model import DEFAULT_PORTS, Found
from agent.texts import Language, say

LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")
ID_LIMIT: Final = 48
"""Shorter than an id may be, so that a channel's number fits behind it."""
NAME_LIMIT: Final = 80
RTSP_PORT: Final = 554


@dataclass(frozen=True, slots=True)
class Entry:
    """One camera to write. `channels` are a recorder's; without any it is one camera."""

    found: Found
    channels: tuple[Channel, ...] = ()
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What was made: the whole file, and the ids that are new in it."""

    text: str
    ids: tuple[str, ...]


def to_toml(entries: Sequence[Entry], existing: str = "", taken: Iterable[str] = ()) -> Appended:
    """Append tables to `existing`, which stays as it is to the last byte. `taken` are ids in use elsewhere."""
    used = {*taken, *_ids_of(existing)}
    names = [entry.found.name for entry in entries]
    parts: list[str] = []
    added: list[str] = []
    if not existing.strip():
        parts.append(_comment("discovery.toml-head"))
    for entry in entries:
        unique = names.count(entry.found.name) == 1
        base = id_for(entry.found, named=unique)
        for channel in entry.channels if len(entry.channels) > 1 else (None,):
            id_ = _free(base if channel is None else f"{base}-ch{channel.number}", used)
            used.add(id_)
            added.append(id_)
            parts.append(_table(id_, entry, channel, first=channel is None or channel is entry.channels[0]))
    before = existing if not existing or existing.endswith("\n") else existing + "\n"
    return Appended(before + ("\n" if before and parts else "") + "\n".join(parts), tuple(added))


def id_for(found: Found, *, named: bool) -> str:
    """An id: of the device's name where that says more than its maker and model, else of its address."""
    words = re.sub(r"[^a-z0-9]+", "-", (found.name or "").casefold()).strip("-")
    said = {re.sub(r"[^a-z0-9]+", "-", (word or "").casefold()).strip("-") for word in (found.hardware, found.maker)}
    telling = named and len(words) >= 3 and not any(word and word in words for word in said) and words not in GENERIC
    if telling and (found.name or "").isascii():
        return words[:ID_LIMIT].strip("-")
    place = found.address.replace(".", "-")
    return f"cam-{place}" if found.port in {*DEFAULT_PORTS.values(), RTSP_PORT} else f"cam-{place}-{found.port}"


GENERIC: Final = frozenset(
    {"ipcam", "ipc", "ip-camera", "ipcamera", "camera", "nvt", "nvr", "dvr", "onvif", "network-camera"}
)
"""Names that cameras leave the factory with."""


def _table(id_: str, entry: Entry, channel: Channel | None, *, first: bool) -> str:
    found = entry.found
    title = channel.name if channel is not None and channel.name.strip() else found.name
    name = title or found.hardware or found.address
    said = [found.maker, found.hardware, found.mac, found.location]
    lines = [f"# {_bare(' / '.join(word for word in said if word))}"] if any(said) and first else []
    lines += ["[[camera]]", f"id = {quoted(id_)}", f"name = {quoted(name)}  {_inline('discovery.toml-name')}"]
    lines += [f'driver = "{"rtsp" if found.how == "rtsp" else "onvif"}"', f"address = {quoted(found.address)}"]
    if found.port != (RTSP_PORT if found.how == "rtsp" else DEFAULT_PORTS["http"]):
        lines.append(f"port = {found.port}")
    if channel is not None:
        lines.append(f"channel = {channel.number}")
    if found.how == "rtsp":
        lines.append(f'# path = "/..."  {_inline("discovery.toml-path")}')
    mark = "" if entry.username else "# "
    lines.append(f"{mark}username = {quoted(entry.username or 'campus')}  {_inline('discovery.toml-username')}")
    credential = f"camera-{id_ if channel is None else id_for(found, named=False)}"
    lines.append(f"# password = {{ credential = {quoted(credential)} }}  {_inline('discovery.toml-password')}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A TOML basic string on one line (TOML 1.0, String)."""
    kept = _bare(text)[:NAME_LIMIT].strip() or "-"
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bare(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", " ", text).strip()


def _comment(key: str) -> str:
    lines = [line for language in LANGUAGES for line in say(key).render(language).splitlines()]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _inline(key: str) -> str:
    return "# " + " / ".join(say(key).render(language) for language in LANGUAGES)


def _free(wish: str, used: set[str]) -> str:
    """The wish, with a number behind it if it is taken."""
    number, id_ = 1, wish
    while id_ in used:
        number += 1
        id_ = f"{wish}-{number}"
    return id_


def _ids_of(text: str) -> set[str]:
    try:
        tables = tomllib.loads(text).get("camera", [])
    except (ValueError, RecursionError):
        return set()  # whoever writes refuses such a file before
    return {str(table["id"]) for table in tables if isinstance(table, dict) and "id" in table}
