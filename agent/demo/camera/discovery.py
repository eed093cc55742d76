"""WS-Discovery as cameras answer it (WS-Discovery 1.0 of April 2005, ONVIF Core 7): probes by multicast or to the
address itself, answered to the sender."""

import asyncio
import contextlib
import socket
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from agent.demo.camera.soap import local

GROUP: Final = "239.255.255.250"
PORT: Final = 3702
PROBE_BYTES: Final = 8192
ACTION: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches"
TYPES: Final = frozenset({"", "NetworkVideoTransmitter", "Device"})
SPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class BadProbe(ValueError):
    """A datagram that is no probe."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one camera says of itself."""

    id: str
    scopes: tuple[str, ...]
    address: str


@dataclass(frozen=True, slots=True)
class Probe:
    """A question. `types` are local names."""

    message: str
    types: tuple[str, ...]


def parse_probe(raw: bytes) -> Probe:
    """Read a probe. Raises BadProbe."""
    if len(raw) > PROBE_BYTES or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or b"\0" in raw:
        raise BadProbe("too large, or with a document type")
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - entities need the document type that was refused above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadProbe(str(error)) from None
    texts = {local(element.tag): (element.text or "").strip() for element in root.iter()}
    if "Probe" not in texts or "MessageID" not in texts:
        raise BadProbe("expected a Probe with a MessageID")
    types = tuple(name.rpartition(":")[2] for name in texts.get("Types", "").split())
    return Probe(texts["MessageID"], types)


def build_match(probe: Probe, found: Found) -> bytes:
    """The answer of one camera."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        'xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
        f"<s:Header><a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{escape(probe.message)}"
        "</a:RelatesTo><a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:Action>"
        f"{ACTION}</a:Action></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:"
        f"{uuid.uuid5(SPACE, found.id)}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device"
        f"</d:Types><d:Scopes>{escape(' '.join(found.scopes))}</d:Scopes><d:XAddrs>{escape(found.address)}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


class Responder(asyncio.DatagramProtocol):
    """Answers probes for all cameras of a process."""

    def __init__(self, cameras: Callable[[], Sequence[Found]]) -> None:
        self.probes = 0
        self._cameras = cameras
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on the group and on the address; return the port. Without multicast only on the address."""
        loop = asyncio.get_running_loop()
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.setblocking(False)
        listening.bind(("", port))
        with contextlib.suppress(OSError):
            joined = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(host))
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=listening)
        bound: int = listening.getsockname()[1]
        return bound

    def stop(self) -> None:
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            probe = parse_probe(data)
        except BadProbe:
            return
        self.probes += 1
        if probe.types and not TYPES.intersection(probe.types):
            return
        for found in self._cameras():
            if self._transport:
                self._transport.sendto(build_match(probe, found), addr)
