"""What devices post: JSON, forms, XML, and either of them in a multipart body beside a picture. Pure.

Source: RFC 8259 (JSON), RFC 2046 5.1 (multipart), WHATWG URL 5.1 (forms). XML is read by expat without DTDs and
entities, so that nothing in it can grow or name a file.
"""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.parsers import expat

from agent.driver import BadFrame

DEPTH_MAX: Final = 24
"""Tables within tables; devices use five."""
NODES_MAX: Final = 2_000
"""Values of one body; devices send some fifty."""
PARTS_MAX: Final = 16
TEXT_MAX: Final = 256
"""Characters of a value that are looked at."""

_BOUNDARY: Final = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_TYPE: Final = re.compile(rb"^content-type:\s*([^\s;]+)", re.IGNORECASE | re.MULTILINE)

Fields = dict[str, Any]


def read_json(body: bytes) -> Fields:
    """Read a JSON object. Raises BadFrame."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrame("a JSON object", body) from error
    if not isinstance(found, dict):
        raise BadFrame("a JSON object", body)
    _check_size(found, body)
    return found


def read_form(body: bytes) -> Fields:
    """Read a form; of a name that comes twice the last value counts. Raises BadFrame."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=NODES_MAX)
    except ValueError as error:
        raise BadFrame("a form", body) from error
    if not pairs:
        raise BadFrame("a form", body)
    return dict(pairs)


def read_xml(body: bytes) -> Fields:
    """Read an XML document as tables: an element with elements in it is a table, one that comes twice an array, any
    other its text. Namespaces and attributes are passed over. Raises BadFrame."""
    reader = _XmlReader(body)
    try:
        reader.parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last for an encoding that nobody knows
        raise BadFrame("an XML document", body) from error
    return reader.root


def read_any(body: bytes, content_type: str) -> Fields:
    """Read what may be JSON or XML; in a multipart body, the first part that is one. Raises BadFrame."""
    if content_type.lower().startswith("multipart/"):
        for part in split_parts(body, content_type):
            if part.lstrip()[:1] in (b"{", b"<"):
                return read_any(part, "")
        raise BadFrame("a part with JSON or XML", body)
    return read_xml(body) if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else read_json(body)


def split_parts(body: bytes, content_type: str) -> list[bytes]:
    """The parts of a multipart body that are no pictures, without their headers. Raises BadFrame."""
    if not (match := _BOUNDARY.search(content_type)):
        raise BadFrame("multipart with a boundary", content_type.encode("utf-8", "replace"))
    parts: list[bytes] = []
    for piece in body.split(b"--" + match[1].encode("utf-8", "replace"), PARTS_MAX)[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        kind = _TYPE.search(head)
        if blank and not (kind and kind[1].lower().startswith((b"image/", b"video/", b"audio/"))):
            parts.append(content.removesuffix(b"\r\n"))
    return parts


def find(fields: object, path: str) -> str | None:
    """The value at a path such as `alarm.zone` or `list.0.name`, as text; None if there is none."""
    for name in path.split("."):
        if isinstance(fields, dict):
            fields = fields.get(name)
        elif isinstance(fields, list) and name.isdecimal() and int(name) < len(fields):
            fields = fields[int(name)]
        else:
            return None
    if isinstance(fields, bool):
        return "true" if fields else "false"
    if isinstance(fields, int | float | str):
        return clean(str(fields))
    return None


def clean(text: str) -> str:
    """A value as events carry it: nothing that does not print, and not endless."""
    return "".join(char for char in text[:TEXT_MAX] if char.isprintable()).strip()


def _check_size(found: object, body: bytes) -> None:
    """Depth and number of values. Raises BadFrame."""
    level: list[object] = [found]
    count = 0
    for _ in range(DEPTH_MAX):
        level = [inner for value in level for inner in _inside(value)]
        count += len(level)
        if count > NODES_MAX:
            raise BadFrame(f"at most {NODES_MAX} values", body)
        if not level:
            return
    raise BadFrame(f"at most {DEPTH_MAX} tables within another", body)


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class _XmlReader:
    """Builds tables as expat reads."""

    def __init__(self, body: bytes) -> None:
        self.root: Fields = {}
        self._body = body
        self._open: list[tuple[str, Fields, list[str]]] = []
        self._count = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_: object) -> int:
        raise BadFrame("XML without DTD and entities", self._body)

    def _start(self, name: str, _attributes: object) -> None:
        self._count += 1
        if len(self._open) >= DEPTH_MAX or self._count > NODES_MAX:
            raise BadFrame(f"at most {NODES_MAX} elements, {DEPTH_MAX} deep", self._body)
        self._open.append((name.rpartition(" ")[2], {}, []))

    def _text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def _end(self, _name: str) -> None:
        name, inner, texts = self._open.pop()
        value: object = inner or "".join(texts).strip()
        place = self._open[-1][1] if self._open else self.root
        if name not in place:
            place[name] = value
        elif isinstance(place[name], list):
            place[name].append(value)
        else:
            place[name] = [place[name], value]
