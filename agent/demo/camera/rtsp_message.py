"""RTSP 1.0 requests and answers (RFC 2326). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

HEAD_BYTES: Final = 16_384
"""A request's head with a long Authorization is under 2 KiB."""
REQUEST: Final = re.compile(rb"([A-Z_]{3,20}) (\S{1,2048}) RTSP/1\.\d")
REASONS: Final = {
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}


class BadRequest(ValueError):
    """Bytes that are no request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path of the address, without a slash at the end."""
        try:
            return urlsplit(self.url).path.rstrip("/")
        except ValueError:
            return ""


def parse_request(head: bytes) -> Request:
    """Read a request's head, up to its empty line. Raises BadRequest."""
    lines = head.split(b"\r\n")
    match = REQUEST.fullmatch(lines[0])
    if match is None:
        raise BadRequest(f"expected a request line, got {lines[0][:60]!r}")
    headers = {}
    for line in lines[1:]:
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadRequest(f"expected a header, got {line[:60]!r}")
        headers[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
    if not headers.get("content-length", "0").isdecimal():
        raise BadRequest("content-length is no number")
    return Request(match[1].decode("ascii"), match[2].decode("latin-1"), headers)


def build_answer(status: int, cseq: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """Write an answer."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", f"CSeq: {cseq}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a SETUP asks for: two channels of the connection, or two UDP ports."""

    tcp: bool
    pair: tuple[int, int]


def parse_transport(value: str) -> Wanted | None:
    """Read a Transport header's first usable choice (RFC 2326 12.39); None when there is none."""
    for choice in value.split(","):
        parts = [part.strip().lower() for part in choice.split(";")]
        tcp = parts[0] == "rtp/avp/tcp"
        if "multicast" in parts or (not tcp and parts[0] not in ("rtp/avp", "rtp/avp/udp")):
            continue
        pair = next((part for part in parts if part.startswith(("interleaved=", "client_port="))), "interleaved=0-1")
        if tcp != pair.startswith("interleaved="):
            continue
        first, _, second = pair.partition("=")[2].partition("-")
        if not (first.isdecimal() and (second or "0").isdecimal() and len(first) < 6 and len(second) < 6):
            continue
        numbers = int(first), int(second) if second else int(first) + 1
        if max(numbers) <= (255 if tcp else 65_535):
            return Wanted(tcp, numbers)
    return None
