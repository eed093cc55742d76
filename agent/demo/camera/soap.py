"""SOAP 1.2 as ONVIF devices speak it: requests read, answers written, logins by WS-Security checked. Pure."""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

NAMES: Final = {
    "env": "http://www.w3.org/2003/05/soap-envelope",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "tt": "http://www.onvif.org/ver10/schema",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trc": "http://www.onvif.org/ver10/recording/wsdl",
    "tns1": "http://www.onvif.org/ver10/topics",
    "wstop": "http://docs.oasis-open.org/wsn/t-1",
    "ter": "http://www.onvif.org/ver10/error",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xs": "http://www.w3.org/2001/XMLSchema",
}
DECLARED: Final = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMES.items())
DIGEST_TYPE: Final = "#PasswordDigest"
DURATION: Final = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,7}(?:\.\d{1,9})?)S)?)?")
REQUEST_BYTES: Final = 262_144
"""The largest request that makes sense is a few KiB."""
NONCE_BYTES: Final = 64
"""Some cameras refuse longer nonces."""


class BadSoap(ValueError):
    """Bytes that are no SOAP request."""


class Fault(Exception):
    """A request that is answered with a SOAP fault (ONVIF Core 5.8.2)."""

    def __init__(self, subcode: str, reason: str, *, sender: bool = True) -> None:
        super().__init__(reason)
        self.subcode = subcode
        self.reason = reason
        self.sender = sender


@dataclass(frozen=True, slots=True)
class Token:
    """A WS-Security UsernameToken."""

    username: str
    password: str
    digest: bool
    nonce: str
    created: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what is asked for, of which service."""

    service: str
    """The prefix in NAMES, or an empty string."""
    name: str
    body: ElementTree.Element
    token: Token | None

    def text(self, name: str) -> str | None:
        """The text of the first element of that local name."""
        for element in self.body.iter():
            if local(element.tag) == name:
                return (element.text or "").strip()
        return None

    def attribute(self, element: str, name: str) -> str | None:
        """An attribute of the first element of that local name."""
        return next((found.get(name) for found in self.body.iter() if local(found.tag) == element), None)

    def number(self, element: str, name: str) -> float:
        """The same as a number; 0 if it is missing. Raises Fault."""
        try:
            value = float(self.attribute(element, name) or 0)
        except ValueError:
            raise Fault("ter:InvalidArgVal", f"{element}/@{name} is no number") from None
        if value != value:
            raise Fault("ter:InvalidArgVal", f"{element}/@{name} is no number")
        return value


def local(tag: object) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def parse_call(raw: bytes) -> Call:
    """Read a request. Raises BadSoap."""
    if len(raw) > REQUEST_BYTES:
        raise BadSoap(f"expected at most {REQUEST_BYTES} bytes, got {len(raw)}")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or b"\0" in raw:
        raise BadSoap("a document type, or another encoding")
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - entities need the document type that was refused above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadSoap(str(error)) from None
    body = next((part for part in root if local(part.tag) == "Body"), None)
    if local(root.tag) != "Envelope" or body is None or len(body) != 1:
        raise BadSoap("expected an Envelope with a Body with one request")
    uri = str(body[0].tag)[1:].partition("}")[0]
    service = next((prefix for prefix, name in NAMES.items() if name == uri), "")
    return Call(service, local(body[0].tag), body[0], _token(root))


def _token(root: ElementTree.Element) -> Token | None:
    found = next((element for element in root.iter() if local(element.tag) == "UsernameToken"), None)
    if found is None:
        return None
    parts = {local(part.tag): part for part in found}
    password = parts.get("Password")
    digest = password is not None and (password.get("Type") or "").endswith(DIGEST_TYPE)
    texts = {name: (part.text or "").strip() for name, part in parts.items()}
    return Token(
        texts.get("Username", ""),
        texts.get("Password", ""),
        digest,
        texts.get("Nonce", ""),
        texts.get("Created", ""),
    )


def parse_time(text: str) -> datetime:
    """Read xs:dateTime as WS-Security wants it: UTC, ending in Z (Basic Security Profile 1.1 R3203...). Raises
    BadSoap."""
    if not text.endswith("Z"):
        raise BadSoap(f"expected a time that ends in Z, got {text[:40]!r}")
    try:
        return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError:
        raise BadSoap(f"expected a time, got {text[:40]!r}") from None


def parse_span(text: str, now: datetime) -> float:
    """Read a duration, or a time until then, in seconds. Raises BadSoap."""
    match = DURATION.fullmatch(text)
    if match and any(match.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    return (parse_time(text) - now).total_seconds()


def login_holds(token: Token, username: str, password: str, now: datetime, max_skew_s: float) -> bool:
    """Whether a token is right: the digest of nonce, time and password (Username Token Profile 1.1 3.1), and a time
    near the camera's own."""
    if token.username != username:
        return False
    if not token.digest:
        return secrets.compare_digest(token.password.encode(), password.encode())
    try:
        nonce = base64.b64decode(token.nonce, validate=True)
        created = parse_time(token.created)
    except (binascii.Error, ValueError):
        return False
    if len(nonce) > NONCE_BYTES or abs((created - now).total_seconds()) > max_skew_s:
        return False
    digest = hashlib.sha1(nonce + token.created.encode() + password.encode()).digest()  # noqa: S324 - the profile says so
    return secrets.compare_digest(base64.b64encode(digest).decode().encode(), token.password.encode())


def envelope(body: str) -> bytes:
    """An answer with this in its body."""
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope {DECLARED}><env:Header/><env:Body>'
    return f"{head}{body}</env:Body></env:Envelope>".encode()


def fault(error: Fault) -> bytes:
    """A SOAP fault as the answer."""
    code = "env:Sender" if error.sender else "env:Receiver"
    subcode = f"<env:Subcode><env:Value>{error.subcode}</env:Value></env:Subcode>"
    reason = f'<env:Reason><env:Text xml:lang="en">{escape(error.reason)}</env:Text></env:Reason>'
    return envelope(f"<env:Fault><env:Code><env:Value>{code}</env:Value>{subcode}</env:Code>{reason}</env:Fault>")


def stamp(when: datetime) -> str:
    """A time in an answer."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def items(values: dict[str, str]) -> str:
    """SimpleItems of a message."""
    return "".join(
        f"<tt:SimpleItem Name={quoteattr(name)} Value={quoteattr(value)}/>" for name, value in values.items()
    )


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Cut an answer, for those who send it badly."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


__all__ = ["BadSoap", "Call", "Fault", "Token", "envelope", "escape", "fault", "parse_call", "quoteattr", "timedelta"]
