"""WS-Discovery on the wire: the question, and what answers say. Pure.

Source: WS-Discovery (April 2005), 5.2 and 5.3; ONVIF Core 23.12, 7.3; SOAP-over-UDP 1.0. Answers are read without
regard to prefixes, as some cameras use ones that they never declared; with a document type they are refused whole, so
that no entity is ever expanded.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.parsers import expat

from agent.texts import Spoken, say

MESSAGE_LIMIT: Final = 64 * 1024
"""Bytes; no UDP datagram is larger."""
DEPTH_LIMIT: Final = 32
NODES_LIMIT: Final = 4_000
MATCHES_LIMIT: Final = 16
"""In one answer: a gateway for cameras may speak for some; for more it sends more answers."""
NO_ANSWERS: Final = frozenset({"Probe", "Resolve", "ResolveMatches", "Bye"})
"""What else is said in the group, by ourselves too: nothing is wrong with it, and nothing in it for us."""
WORDS_LIMIT: Final = 64
WORD_LIMIT: Final = 512

Sought = Literal["transmitter", "device", "any"]
SOUGHT: Final[tuple[Sought, ...]] = ("transmitter", "device", "any")
"""Old cameras answer to the first only, new ones may answer to the second only (ONVIF Core 7.3.2), and some to none
but a question without a type."""
_TYPES: Final[dict[Sought, str]] = {
    "transmitter": "<d:Types>dn:NetworkVideoTransmitter</d:Types>",
    "device": "<d:Types>tds:Device</d:Types>",
    "any": "",
}
_PROBE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
    ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<s:Header>"
    "<a:MessageID>urn:uuid:{id}</a:MessageID>"
    "<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
    '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>'
    '<a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>'
    "</s:Header>"
    "<s:Body><d:Probe>{types}</d:Probe></s:Body>"
    "</s:Envelope>"
)
"""On one line: some Hikvision firmware answers no request with line ends (edgexfoundry/device-onvif-camera#134)."""
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class BadAnswer(Spoken):
    """Bytes that are no answer to our question."""


@dataclass(frozen=True, slots=True)
class Match:
    """One device that an answer names."""

    endpoint: str = ""
    types: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    xaddrs: tuple[str, ...] = ()


def probe(sought: Sought, message_id: str) -> bytes:
    """Write one question."""
    return _PROBE.format(id=message_id, types=_TYPES[sought]).encode()


def parse_matches(raw: bytes) -> tuple[Match, ...]:
    """Read ProbeMatches, or the Hello of a device that comes up; raise BadAnswer and nothing else. Other messages of
    WS-Discovery name nobody."""
    if len(raw) > MESSAGE_LIMIT:
        raise BadAnswer(say("discovery.bad-answer", why="size"))
    reader = _Reader()
    parser = expat.ParserCreate()  # without namespaces: prefixes are cut off by ourselves
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(clean(raw), True)
    except (expat.ExpatError, ValueError):
        raise BadAnswer(say("discovery.bad-answer", why="XML")) from None
    if not reader.answered:
        raise BadAnswer(say("discovery.bad-answer", why="ProbeMatches"))
    return tuple(reader.matches)


def clean(raw: bytes) -> str:
    """The text of an answer. Makers write Chinese names in UTF-8 or GB 18030, whatever the declaration says, and some
    send the zero that ends their buffer too."""
    raw = raw.strip(b"\x00 \t\r\n")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")
    return _NOT_XML.sub("", _DECLARATION.sub("", text, count=1))


@dataclass(slots=True)
class _Reader:
    """Collects what concerns us."""

    matches: list[Match] = field(default_factory=list)
    answered: bool = False
    _path: list[str] = field(default_factory=list)
    _nodes: int = 0
    _words: dict[str, str] | None = None
    _text: list[str] = field(default_factory=list)

    def doctype(self, *_: object) -> None:
        raise BadAnswer(say("discovery.bad-answer", why="DOCTYPE"))

    def start(self, tag: str, _attributes: object) -> None:
        self._nodes += 1
        name = tag.rpartition(":")[2]
        self._path.append(name)
        if self._nodes > NODES_LIMIT or len(self._path) > DEPTH_LIMIT:
            raise BadAnswer(say("discovery.bad-answer", why="depth"))
        if name in {"ProbeMatches", "Hello", *NO_ANSWERS}:
            self.answered = True
        if name in {"ProbeMatch", "Hello"}:
            self._words = {}
        self._text.clear()

    def text(self, data: str) -> None:
        if self._words is not None:
            self._text.append(data)

    def end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        self._path.pop()
        if self._words is None:
            return
        if name in {"Address", "Types", "Scopes", "XAddrs"}:
            self._words.setdefault(name, "".join(self._text))
        elif name in {"ProbeMatch", "Hello"}:
            if len(self.matches) < MATCHES_LIMIT:
                self.matches.append(_match(self._words))
            self._words = None
        self._text.clear()


def _match(words: dict[str, str]) -> Match:
    def listed(name: str) -> tuple[str, ...]:
        return tuple(word for word in words.get(name, "").split()[:WORDS_LIMIT] if len(word) <= WORD_LIMIT)

    types = tuple(dict.fromkeys(word.rpartition(":")[2] for word in listed("Types")))
    endpoint = words.get("Address", "").strip()
    return Match(endpoint[:WORD_LIMIT], types, listed("Scopes"), listed("XAddrs"))
