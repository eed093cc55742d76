"""Where a stream may be pushed to: the address of a command, read strictly, and compared with the allowed hosts.

The address comes from outside and is handed to FFmpeg, which reads addresses in its own way; so only plain ones are
taken, in which both see the same host. Hosts are compared as written: a name that resolves to an allowed address is
not allowed by that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from agent.texts import Spoken, say

PORTS: Final = {"rtsp": 554, "rtmp": 1935, "srt": None}
"""The schemes and their registered ports; SRT has none."""
URL_LIMIT: Final = 1024
PLAIN: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""Printable ASCII but quotes, "<", ">", backslash, "^", backquote, braces and "|" (RFC 3986, 2: none stands bare)."""
HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class BadTarget(Spoken):
    """An address that is none, or not allowed."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address."""

    scheme: str
    host: str
    port: int
    url: str = field(repr=False)
    """With its credentials: for the one who opens it."""
    shown: str = ""
    """For people: neither credentials nor query, nor the last part of the path, which is the key of an RTMP stream."""


def parse_target(url: str, allowed: Sequence[str]) -> Target:
    """Read an address and check that its host is one of `allowed`. Raises BadTarget and nothing else."""
    target = read_target(url)
    if not allowed:
        raise BadTarget(say("live.push-no-hosts", host=target.host))
    if not any(allows(entry, target) for entry in allowed):
        host = f"{_bracketed(target.host)}:{target.port}"
        raise BadTarget(say("live.push-host", host=host, allowed=", ".join(allowed)))
    return target


def read_target(url: str) -> Target:
    """Read an address. Raises BadTarget."""
    if len(url) > URL_LIMIT or not PLAIN.fullmatch(url):
        raise BadTarget(say("live.push-url"))
    try:
        parts = urlsplit(url)
        port, host = parts.port, normal_host(parts.hostname or "")
    except ValueError:
        raise BadTarget(say("live.push-url")) from None
    if parts.scheme not in PORTS:
        raise BadTarget(say("live.push-scheme", scheme=parts.scheme or "-"))
    port = port or PORTS[parts.scheme]
    if not port or not host or parts.netloc.count("@") > 1 or parts.fragment or not _is_host(host):
        raise BadTarget(say("live.push-url"))
    where = _bracketed(host) + (f":{parts.port}" if parts.port else "")
    return Target(parts.scheme, host, port, url, f"{parts.scheme}://{where}{_path_shown(parts.path)}")


def _path_shown(path: str) -> str:
    """`/live/KEY` -> `/live/...`: who has the key of a stream can push in its place (RTMP, publish's stream name)."""
    return path.rpartition("/")[0] + "/..." if path.strip("/") else path


def allows(entry: str, target: Target) -> bool:
    """Whether an entry of `media_hosts` (`host` or `host:port`) means this address."""
    try:
        parts = urlsplit(f"//{entry}")
        return normal_host(parts.hostname or "") == target.host and parts.port in (None, target.port)
    except ValueError:
        return False


def normal_host(host: str) -> str:
    """In lower case, without the root's dot; an address in its one canonical form. Raises ValueError for what looks
    like an address and is none: FFmpeg would take "127.1" or "0x7f.1" for one."""
    host = host.lower().removesuffix(".")
    if ":" in host:
        return str(ip_address(host))
    last = host.rpartition(".")[2]
    if last.isdecimal() or last.startswith("0x"):
        return str(ip_address(host))
    return host


def _is_host(host: str) -> bool:
    return ":" in host or (HOST.fullmatch(host) is not None and ".." not in host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
