"""Addresses as cameras give them, and as people configure them. An address that a camera gives never leads to another
host than the one that was enrolled."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from agent.driver import BadReply, Unreachable, say

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
LONGEST: Final = 2048
"""Characters of an address. Those of real cameras stay below 300."""
_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?:[a-z]+://)*"  # rtsp://rtsp://host/path
    r"(?:[^/?#]*@)?"  # rtsp://name:password@host/path
    r"(?P<host>\[[0-9a-f:.%]+\]|[^/?#:@\[\]\s]*)"
    r"(?::(?P<port>\d*))?(?::\d*)*"  # host:port:port
    r"(?P<path>[/?].*)?",
    re.IGNORECASE | re.DOTALL,
)
_ODD: Final = re.compile(r"[\x00-\x20\x7f]")
_SAFE: Final = "%/:=&?~#+!$,;'@()*[]|._-"
"""What stands as it is in a path with a query; `%` because the camera has quoted what it meant to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is. `str()` is for people: host and port, never a path, which may hold what is secret."""

    scheme: str
    host: str
    port: int
    path: str = "/"

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def enrolled(address: str, *, scheme: str, port: int, path: str) -> Place:
    """Read an address as configured: a host, a host with a port, or a URL of `scheme` (or its TLS sister). Raises
    Unreachable."""
    bare = address.strip()
    if bare.count(":") > 1 and "://" not in bare and "[" not in bare:
        bare = f"[{bare}]"  # IPv6
    match = _ADDRESS.fullmatch(bare)
    given = (match["scheme"] or scheme).lower() if match else ""
    if match is None or not match["host"] or given not in (scheme, f"{scheme}s") or _ODD.search(bare) or "@" in bare:
        raise Unreachable(say("camera.bad-address", address=re.sub(r".*@", "", bare)[:64]))
    own = match["port"] and int(match["port"][:6])
    default = DEFAULT_PORTS[given] if given != scheme else port
    found = own or default
    if not 0 < found < 65_536:
        raise Unreachable(say("camera.bad-address", address=bare[:64]))
    return Place(given, match["host"].strip("[]"), found, _quoted(match["path"] or path))


def mended(given: str, place: Place, *, scheme: str | None = None) -> str:
    """Turn an address that a camera gave into one on its enrolled host, without credentials. Raises BadReply.

    `scheme` is what it must be ("rtsp"); left out, it is that of `place`: its services. Where the camera names the
    host that was enrolled, its port counts; where it names another (0.0.0.0, its own address behind NAT), the port
    that was enrolled is the way in, and for streams the port that it names."""
    text = given.strip().replace("&amp;", "&")
    match = _ADDRESS.fullmatch(text) if len(text) <= LONGEST and not _ODD.search(text) else None
    if match is None and len(text) <= LONGEST and not re.search(r"[\x00-\x1f\x7f]", text):
        match = _ADDRESS.fullmatch(text.replace(" ", "%20"))
    if match is None or (match["scheme"] or "http").lower() not in DEFAULT_PORTS:
        raise BadReply(say("onvif.bad-uri", place=place))
    named = (match["scheme"] or scheme or place.scheme).lower()
    wanted = scheme or place.scheme
    if named != wanted and scheme is not None and named.removesuffix("s") != wanted:
        raise BadReply(say("onvif.bad-uri", place=place))
    return Place(
        wanted if scheme is None else named,
        place.host,
        _port(match, place, named, wanted),
        _quoted(match["path"] or "/"),
    ).url


def _port(match: re.Match[str], place: Place, named: str, wanted: str) -> int:
    own = int(match["port"][:6]) if match["port"] else 0
    sane = own if 0 < own < 65_536 else 0
    if wanted.startswith("rtsp"):
        return sane or DEFAULT_PORTS[named]
    if match["host"].strip("[]").lower() == place.host.lower() and named == place.scheme:
        return sane or DEFAULT_PORTS[named]
    return place.port


def _quoted(path: str) -> str:
    return quote(path if path.startswith("/") else f"/{path}", safe=_SAFE)
