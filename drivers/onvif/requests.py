"""Requests, written by zeep from the WSDLs of onvif-zeep-async (and one of ours for Media 2).

The WSDLs are parsed once for all cameras: onvif-zeep 0.2 did so per camera and took 807 MB for 50 (FACTS 5). Of
onvif-zeep-async only these are used: its transport has neither digest for services nor a limit on replies, and
importing it opens handlers on the root logger. Replies are not read by zeep: it drops what is out of order (soap.py).

Source: WS-Security UsernameToken Profile 1.1, 3.1; ONVIF Core 23.12, 5.9.4; WS-Addressing 1.0
"""

import threading
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from lxml import etree
from zeep.transports import Transport
from zeep.wsdl import Document
from zeep.wsse.username import UsernameToken

from drivers.onvif.soap import Element

Service = Literal["device", "media", "media2", "ptz", "events", "search"]
SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
WSA: Final = "http://www.w3.org/2005/08/addressing"
NAMESPACES: Final[dict[Service, str]] = {
    "device": "http://www.onvif.org/ver10/device/wsdl",
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
    "ptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "events": "http://www.onvif.org/ver10/events/wsdl",
    "search": "http://www.onvif.org/ver10/search/wsdl",
}
_FILES: Final[dict[Service, str]] = {
    "device": "devicemgmt.wsdl",
    "media": "media.wsdl",
    "ptz": "ptz.wsdl",
    "events": "events.wsdl",
    "search": "search.wsdl",
}


@dataclass(frozen=True, slots=True)
class Login:
    """What goes into a UsernameToken. `now` is the camera's time."""

    username: str
    password: str
    now: datetime

    def __repr__(self) -> str:
        return "Login(...)"


class _Files(Transport):
    """Reads WSDLs from disk, and never from the network."""

    def load(self, url: str) -> bytes:
        return Path(url).read_bytes()


class Library:
    """The parsed WSDLs of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # many cameras begin at once, each in a worker thread
        self._documents: dict[Service, Document] = {}

    def load(self, service: Service) -> None:
        """Parse the WSDL of a service: some 100 ms and 5 MB, so in a worker thread, and once."""
        with self._lock:
            if service not in self._documents:
                self._documents[service] = Document(str(_path(service)), _Files())  # type: ignore[no-untyped-call,arg-type]

    def loaded(self, service: Service) -> bool:
        return service in self._documents

    def envelope(self, service: Service, operation: str, arguments: dict[str, object]) -> tuple[Element, str]:
        """Write one request; return it with its action. The service must be loaded."""
        for binding in self._documents[service].bindings.values():
            if operation in binding.all():  # type: ignore[no-untyped-call]
                found = binding.get(operation)  # type: ignore[no-untyped-call]
                message = found.create(**arguments)
                action = message.headers.get("SOAPAction", "").strip('"')
                return message.content, found.abstract.wsa_action or action
        raise LookupError(f"no {operation} in {service}")


@cache
def library() -> Library:
    """The one of this process."""
    return Library()


def addressed(envelope: Element, action: str, to: str, reference: tuple[Element, ...] = ()) -> None:
    """Add what an event subscription needs to be found by: WS-Addressing, and its reference parameters."""
    header = _header(envelope)
    for name, value in (("Action", action), ("MessageID", f"urn:uuid:{uuid.uuid4()}"), ("To", to)):
        etree.SubElement(header, f"{{{WSA}}}{name}", nsmap={"wsa": WSA}).text = value
    for one in reference:
        copy = etree.fromstring(etree.tostring(one))
        copy.set(f"{{{WSA}}}IsReferenceParameter", "true")
        header.append(copy)


def sealed(envelope: Element, login: Login | None) -> bytes:
    """The bytes of a request, with a UsernameToken if there is a login. Without line ends: some cameras stumble."""
    if login is not None:
        _header(envelope)
        token = UsernameToken(  # type: ignore[no-untyped-call]
            login.username,
            login.password,
            use_digest=True,
            created=login.now.replace(tzinfo=None, microsecond=0),
            zulu_timestamp=True,  # "Z": Hikvision refuses "+00:00"
        )  # its nonce has 16 bytes; some refuse longer ones
        token.apply(envelope, {})  # type: ignore[no-untyped-call]
    return bytes(etree.tostring(envelope, encoding="UTF-8"))


def _header(envelope: Element) -> Element:
    header = envelope.find(f"{{{SOAP}}}Header")
    if header is None:
        header = etree.Element(f"{{{SOAP}}}Header")
        envelope.insert(0, header)
    return header


def _path(service: Service) -> Path:
    if service == "media2":
        return Path(__file__).with_name("media2.wsdl")
    spec = find_spec("onvif")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("onvif-zeep-async")
    return Path(spec.submodule_search_locations[0]) / "wsdl" / _FILES[service]
