"""SOAP replies, read as cameras write them. Elements are found by their local names, in whatever order and namespace
they come: schemas are what cameras agree on least. Pure; raises BadReply and nothing else.

Source: SOAP 1.2 (W3C), 5.4 (faults); ONVIF Core 23.12, 5.8.2 (their codes); FACTS 5
"""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from agent.driver import BadReply, say

Element = etree._Element

_FORBIDDEN: Final = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*>", re.IGNORECASE)
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for (its production 2, Char)."""
_NO_XML_REFERENCE: Final = re.compile(
    r"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE
)
_LOOSE_AMPERSAND: Final = re.compile(r"&(?!#?\w{1,8};)")
_END: Final = re.compile(r"</(?:[\w.-]+:)?Envelope\s*>", re.IGNORECASE)
_ENCODINGS: Final = ("utf-8", "gb18030")
"""Channel names of Chinese recorders come in GBK inside of what is said to be UTF-8."""
_TRUE: Final = frozenset({"true", "1", "active", "on", "yes", "high", "alarm", "triggered"})
_FALSE: Final = frozenset({"false", "0", "inactive", "off", "no", "low", "normal", "idle"})
_TEXT_CHARS: Final = 256
"""Of one value. The longest that means something is an address."""
_ADDRESS_CHARS: Final = 2048


class Fault(BadReply):
    """The camera answered with a SOAP fault. `code` has its codes and reason in lower case."""

    def __init__(self, place: object, code: str, reason: str) -> None:
        super().__init__(say("onvif.fault", place=place, reason=reason or code or "-"))
        self.code = f"{code} {reason}".lower()

    @property
    def refuses_login(self) -> bool:
        """It is name or password, or the lack of them, that it does not like (ONVIF Core 5.8.2.2, WSS 1.1, 12)."""
        spoken = re.sub(r"[^a-z]", "", self.code)
        return any(
            word in spoken
            for word in (
                "notauthori",
                "unauthori",
                "failedauthentication",
                "authenticationfail",
                "invalidsecurity",
                "failedcheck",
                "authorityfail",
                "usernameorpassword",
                "usernametoken",
            )
        )

    @property
    def not_offered(self) -> bool:
        """It does not know the operation, or has nothing of the kind."""
        spoken = re.sub(r"[^a-z]", "", self.code)
        return any(
            word in spoken
            for word in ("actionnotsupported", "notsupported", "notimplemented", "unknownaction", "nosuchservice")
        )


def read(data: bytes, place: object = "-") -> Element:
    """Return the body's first element. Raises Fault, BadReply."""
    root = _tree(data, place)
    body = root if name(root) == "Body" else find(root, "Body")
    if body is None:
        raise BadReply(say("onvif.not-soap", place=place))
    first = next((child for child in body if isinstance(child.tag, str)), None)
    if first is None:
        raise BadReply(say("onvif.empty", place=place))
    if name(first) == "Fault":
        raise _fault(first, place)
    return first


def name(element: Element) -> str:
    """An element's name without namespace or prefix; "" of what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def find(element: Element, *path: str) -> Element | None:
    """The first descendant of that name, and in it the next, and so on."""
    found: Element | None = element
    for step in path:
        found = next(every(found, step), None) if found is not None else None
    return found


def every(element: Element, wanted: str) -> Iterator[Element]:
    """All descendants of that name, in their order."""
    return (one for one in element.iterdescendants() if name(one) == wanted)


def text(element: Element | None, *path: str, limit: int = _TEXT_CHARS) -> str | None:
    """What stands in an element, fit to be shown; None where there is nothing."""
    found = find(element, *path) if element is not None else None
    if found is None:
        return None
    return clean("".join(str(part) for part in found.itertext()), limit) or None


def attribute(element: Element, wanted: str, limit: int = _TEXT_CHARS) -> str | None:
    """An attribute by its local name, in whatever case."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2].rpartition(":")[2].lower() == wanted.lower():
            return clean(str(value), limit) or None
    return None


def address(element: Element | None, *path: str) -> str | None:
    """An address that stands in an element."""
    return text(element, *path, limit=_ADDRESS_CHARS + 1)


def clean(value: str, limit: int = _TEXT_CHARS) -> str:
    """Without line ends, control characters and what is too long."""
    return "".join(c if c.isprintable() else " " for c in value).strip()[:limit].strip()


def whole(element: Element | None, *path: str) -> int | None:
    """A whole number; None where there is none."""
    found = number(element, *path)
    return None if found is None else round(found)


def number(element: Element | None, *path: str) -> float | None:
    """A number of a sane size; None where there is none."""
    try:
        found = float(text(element, *path) or "")
    except ValueError:
        return None
    return found if abs(found) < 1e12 else None  # also not NaN


def truth(value: str | None) -> bool | None:
    """What a camera means by `true`, `1`, `active` ...; None where it cannot be told."""
    word = (value or "").strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _tree(data: bytes, place: object) -> Element:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode()
    if _FORBIDDEN.search(data):
        raise BadReply(say("onvif.doctype", place=place))
    start = data.find(b"<")
    if start < 0:
        raise BadReply(say("onvif.not-soap", place=place))
    try:
        return etree.fromstring(data[start:], _parser(recover=False))
    except (etree.XMLSyntaxError, ValueError):
        return _mended(data[start:], place)


def _mended(data: bytes, place: object) -> Element:
    """Read what is no well-formed XML: other encodings, control characters, undeclared prefixes. One that ends early is
    no answer: half a list would look like a whole one."""
    found = _DECLARATION.sub("", _NO_XML.sub(" ", _decoded(data)))
    found = _LOOSE_AMPERSAND.sub("&amp;", _NO_XML_REFERENCE.sub(" ", found))
    ends = list(_END.finditer(found))
    if not ends:
        raise BadReply(say("onvif.not-soap", place=place))
    try:
        root = etree.fromstring(found[: ends[-1].end()].encode(), _parser(recover=True))
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        raise BadReply(say("onvif.not-soap", place=place))
    return root


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=recover, remove_comments=True
    )


def _fault(fault: Element, place: object) -> Fault:
    codes = [text(one) or "" for one in every(fault, "Value")] or [text(fault, "faultcode") or ""]
    reason = text(fault, "Reason") or text(fault, "faultstring") or text(fault, "Detail") or ""
    return Fault(place, " ".join(codes)[:200], reason[:200])
