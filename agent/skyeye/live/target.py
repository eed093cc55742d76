"""Where a stream may be pushed to: the address of a command, read strictly, and compared with the allowed hosts.

The address comes from outside and is handed to FFmpeg, which reads addresses in its own way; so only plain ones are
taken, in which both see the same host. Hosts are compared as written: a name that resolves to an allowed address is
not allowed by that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from agent.texts import Spoken, say

PORTS: Final = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "srt": None}
"""The schemes and their usual ports; SRT has none."""
URL_LIMIT: Final = 1024
PLAIN: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""Printable ASCII but quotes, "<", ">", backslash, "^", backquote, braces and "|" (RFC 3986, 2: none stands bare)."""
HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
SRT_KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    "streamid": re.compile(r"[ -~]{1,512}"),
    "passphrase": re.compile(r"[ -~]{10,79}"),
    "pbkeylen": re.compile(r"0|16|24|32"),
    "latency": re.compile(r"[0-9]{1,4}"),
    "mode": re.compile(r"caller"),
    "transtype": re.compile(r"live"),
    "pkt_size": re.compile(r"1316"),
}
"""What an SRT address may ask for, by the names of srt-live-transmit, latency in milliseconds (libsrt,
API-socket-options.md; FFmpeg takes microseconds, so a number that is too large to be meant is refused). The last three
change nothing, since we always call, and send seven packets of MPEG-TS at a time; but addresses have them."""
SRT_USED: Final = ("streamid", "passphrase", "pbkeylen", "latency")


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
    srt: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the query of an SRT address asks for."""


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
    srt: Mapping[str, str] = {}
    if parts.scheme == "srt":
        if "@" in parts.netloc or parts.path.strip("/"):  # a login is in the stream id, and there is no path
            raise BadTarget(say("live.push-srt-url", known=", ".join(SRT_USED)))
        srt = _srt_settings(parts.query)
    return Target(parts.scheme, host, port, url, f"{parts.scheme}://{where}{_path_shown(parts.path)}", srt)


def _srt_settings(query: str) -> Mapping[str, str]:
    """`streamid=publish:gate&latency=200`. Raises BadTarget: a setting that is overlooked may be the encryption."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except ValueError:
        raise BadTarget(say("live.push-srt-url", known=", ".join(SRT_USED))) from None
    settings = dict(pairs)
    for key, value in pairs:
        if len(settings) < len(pairs) or key not in SRT_KEYS or not SRT_KEYS[key].fullmatch(value):
            raise BadTarget(say("live.push-srt-url", known=", ".join(SRT_USED)))
    return {key: settings[key] for key in SRT_USED if key in settings}


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
