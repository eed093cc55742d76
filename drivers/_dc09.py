"""DC-09 as bytes: how alarm hosts tell events over IP, both directions. Pure; for the receiver of alarm hosts, and for
whoever dials an alarm centre.

Source: ANSI/SIA DC-09-2013, 5.4.4 (padding), 5.4.5 and 5.4.6 (AES, CBC, zero IV), 5.5.1 (frame), 5.5.2.1 (NULL),
5.5.3 (ACK, NAK, DUH). What hosts really send, and frames with right checksums: fioletoven/dc09 and
eavanvalkenburg/pysiaalarm (both MIT), and the vectors of the tests.

A frame is `LF CRC 0LLL "id"seq[Rreceiver][Lline]#account[data][extended]_HH:MM:SS,MM-DD-YYYY CR`; checksum and length
are of all between. With `"*id"` everything after the first `[` is encrypted, and written as hexadecimal digits.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from agent.driver import BadFrame

SIA_DCS: Final = "SIA-DCS"
ADM_CID: Final = "ADM-CID"
NULL: Final = "NULL"
ACK: Final = "ACK"
NAK: Final = "NAK"
DUH: Final = "DUH"
RSP: Final = "RSP"
ANSWERS: Final = frozenset({ACK, NAK, DUH, RSP})
NEVER_ENCRYPTED: Final = frozenset({NAK, DUH})
"""5.5.3.2, 5.5.3.3: who could not read the request may have the wrong key."""

LF: Final = b"\n"
CR: Final = b"\r"
HEAD_BYTES: Final = 8
"""Checksum and length, four digits each."""
BODY_MAX: Final = 0xFFF
"""The length has three digits after its 0."""
FRAME_MAX: Final = 1 + HEAD_BYTES + BODY_MAX + 1
SEQUENCE_MAX: Final = 9999
KEY_BYTES: Final = (16, 24, 32)
BLOCK_BYTES: Final = 16
PAD_CHARS: Final = bytes(char for char in range(0x21, 0x7F) if char not in b'|[]"')
"""5.4.4.2 allows every byte but | [ ]. Receivers that take the text for UTF-8 are content with these."""
LINE_ENDS: Final = b"\r\n\0 "
"""What hosts put between frames."""

_ID: Final = rb"[A-Z0-9-]{1,15}"
_HEADER: Final = re.compile(
    rb'"(\*?)(' + _ID + rb')"([0-9]{4})(?:R([0-9A-Fa-f]{1,6}))?(?:L([0-9A-Fa-f]{1,6}))?(?:#([0-9A-Za-z]{1,16}))?\['
)
_NAK: Final = re.compile(
    rb'"()(NAK)"([0-9]{4})(?:R([0-9A-Fa-f]{1,6}?))?(?:L([0-9A-Fa-f]{1,6}?))?[A#]([0-9A-Za-z]{1,16})\['
)
"""5.5.3.2 writes `A0` where others have `#account`."""
_BODY: Final = re.compile(rb"([^\]\r\n]*)\]((?:\[[^\[\]\r\n]*\])*)(?:_([0-9:,-]{19}))?")
_TIME: Final = re.compile(rb"(\d\d):(\d\d):(\d\d),(\d\d)-(\d\d)-(\d{4})")
_FIELDS: Final = {
    "id": re.compile(r"[A-Z0-9-]{1,15}"),
    "receiver": re.compile(r"(?:[0-9A-Fa-f]{1,6})?"),
    "line": re.compile(r"(?:[0-9A-Fa-f]{1,6})?"),
    "account": re.compile(r"(?:[0-9A-Za-z]{1,16})?"),
    "data": re.compile(r"[^\]\r\n]*"),
}
_EXTENDED: Final = re.compile(r"[^\[\]\r\n]*")


def _table() -> Iterator[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
        yield byte


_CRC: Final = tuple(_table())


def crc16(data: bytes) -> int:
    """CRC-16/ARC: polynomial 8005 reflected, beginning with 0."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def random_pad(count: int) -> bytes:
    """Return bytes that nobody can foresee: with a zero IV they are what makes equal messages differ."""
    return bytes(PAD_CHARS[byte % len(PAD_CHARS)] for byte in os.urandom(count))


@dataclass(frozen=True, slots=True)
class Frame:
    """The outside of a message: what stands in the clear, and `body`, which is all after the first `[`."""

    id: str
    sequence: int
    account: str
    body: bytes
    receiver: str = ""
    line: str = ""
    encrypted: bool = False

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read one frame from LF to CR; raise BadFrame."""
        if not data.startswith(LF) or not data.endswith(CR) or len(data) < HEAD_BYTES + 2:
            raise BadFrame('LF CRC 0LLL "id" ... CR', data)
        body = data[1 + HEAD_BYTES : -1]
        crc, length = _hex(data[1:5], data), _hex(data[5:9], data)
        if length != len(body):
            raise BadFrame(f"length {len(body):04X}", data)
        if crc != (right := crc16(body)):
            raise BadFrame(f"CRC {right:04X}", data)
        if not (match := _NAK.match(body) or _HEADER.match(body)):
            raise BadFrame('"id"seq[R][L]#account[', data)
        star, id_, sequence, receiver, line, account = (group or b"" for group in match.groups())
        return cls(
            id_.decode("ascii"),
            int(sequence),
            account.decode("ascii"),
            body[match.end() :],
            receiver.decode("ascii"),
            line.decode("ascii"),
            bool(star),
        )

    def to_bytes(self) -> bytes:
        """Write the frame; raise BadFrame for what DC-09 cannot say."""
        for name in ("id", "receiver", "line", "account"):
            _check(name, getattr(self, name))
        if not 0 <= self.sequence <= SEQUENCE_MAX:
            raise BadFrame(f"a sequence number up to {SEQUENCE_MAX}", str(self.sequence).encode())
        star = "*" if self.encrypted else ""
        receiver = f"R{self.receiver}" if self.receiver else ""
        line = f"L{self.line}" if self.line else ""
        account = f"{'A' if self.id == NAK else '#'}{self.account}" if self.account else ""
        head = f'"{star}{self.id}"{self.sequence:04}{receiver}{line}{account}['
        body = head.encode("ascii") + self.body
        if len(body) > BODY_MAX:
            raise BadFrame(f"at most {BODY_MAX} bytes", body)
        return LF + f"{crc16(body):04X}{len(body):04X}".encode("ascii") + body + CR

    def open(self, key: bytes | None = None) -> "Message":
        """Read what is inside; raise BadFrame, also when the key is not that of the sender, or missing."""
        text = self.body
        if self.encrypted:
            if key is None:
                raise BadFrame("a key", self.body)
            text = _decrypt(self.body, key).partition(b"|")[2]
        match = _BODY.fullmatch(text)
        # A wrong key yields noise, and noise may end in a bracket, but in no time: 5.5.1.8 wants one in every
        # encrypted message.
        if not match or (self.encrypted and match[3] is None):
            raise BadFrame("pad|data]_time" if self.encrypted else "data]_time", self.body)
        extended = match[2][1:-1].split(b"][") if match[2] else []
        return Message(
            self.id,
            self.sequence,
            self.account,
            _text(match[1]),
            tuple(map(_text, extended)),
            self.receiver,
            self.line,
            None if match[3] is None else _time(match[3]),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its sender means it. `data` and `extended` hold no brackets and no line ends; bytes that are no
    UTF-8 stand in them as surrogates (PEP 383), so that nothing is lost. `time` is read as UTC, which the standard
    wants; of a host that sends local time only its digits are right."""

    id: str
    sequence: int
    account: str
    data: str = ""
    extended: tuple[str, ...] = ()
    receiver: str = ""
    line: str = "0"
    time: datetime | None = field(default=None)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes | None = None) -> "Message":
        """Read one frame from LF to CR; raise BadFrame."""
        return Frame.from_bytes(data).open(key)

    def to_bytes(self, key: bytes | None = None, pad: Callable[[int], bytes] = random_pad) -> bytes:
        """Write the message, encrypted if there is a key; raise BadFrame for what DC-09 cannot say. An encrypted
        message must have a time."""
        _check("data", self.data)
        for extended in self.extended:
            if not _EXTENDED.fullmatch(extended):
                raise BadFrame("extended data without brackets and line ends", _bytes(extended))
        tail = "".join(f"[{extended}]" for extended in self.extended)
        if self.time is not None:
            time = self.time.astimezone(UTC)
            tail += f"_{time:%H:%M:%S,%m-%d-}{time.year:04}"
        body = _bytes(f"{self.data}]{tail}")
        encrypted = key is not None and self.id not in NEVER_ENCRYPTED
        if key is not None and encrypted:
            if self.time is None:
                raise BadFrame("a time, which every encrypted message has", body)
            count = BLOCK_BYTES - (len(body) + 1) % BLOCK_BYTES
            body = _encrypt(pad(count) + b"|" + body, key)
        frame = Frame(self.id, self.sequence, self.account, body, self.receiver, self.line, encrypted)
        return frame.to_bytes()

    def answer(self, id_: str, time: datetime | None = None) -> "Message":
        """Return the answer to this message: an ACK (with a time if it shall be encrypted), or a DUH."""
        return Message(id_, self.sequence, self.account, receiver=self.receiver, line=self.line, time=time)

    def is_answer_to(self, request: "Message") -> bool:
        """Whether this answers `request`. A NAK names nobody: it answers whatever was sent last."""
        if self.id == NAK:
            return True
        return self.id in ANSWERS and (self.sequence, self.account.upper()) == (
            request.sequence,
            request.account.upper(),
        )

    @property
    def content(self) -> tuple[str, str]:
        """The account that the data name, or else the frame's, and the event after it: `#1234|Nri1/BA001`."""
        before, bar, after = self.data.partition("|")
        if bar and before.startswith("#") and _FIELDS["account"].fullmatch(before[1:]):
            return before[1:] or self.account, after
        if bar and before.upper() in ("", self.account.upper()):
            return self.account, after
        return self.account, self.data


def nak(time: datetime) -> Message:
    """Return the answer to a message whose time is out of the window: the receiver's own time, in UTC (5.5.3.2)."""
    return Message(NAK, 0, "0", receiver="0", line="0", time=time)


class Splitter:
    """Cuts a stream into frames. What stands between them, or never ends, comes out as BadFrame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | BadFrame]:
        """Yield each frame from LF to CR, unchecked. An LF within a frame begins it anew: one before it got lost."""
        self._buffer += data
        while (end := self._buffer.find(CR)) >= 0:
            piece = bytes(self._buffer[: end + 1])
            del self._buffer[: end + 1]
            start = piece.rfind(LF)
            junk = piece[: max(start, 0)] if start >= 0 else piece
            if junk.strip(LINE_ENDS):
                yield BadFrame("LF ... CR", junk)
            if start >= 0:
                yield piece[start:] if len(piece) - start <= FRAME_MAX else BadFrame(f"{FRAME_MAX} bytes", piece)
        if len(self._buffer) > FRAME_MAX:
            junk = bytes(self._buffer)
            self._buffer.clear()
            yield BadFrame(f"CR within {FRAME_MAX} bytes", junk)


def _hex(digits: bytes, data: bytes) -> int:
    if not re.fullmatch(rb"[0-9A-Fa-f]{4}", digits):
        raise BadFrame("four hexadecimal digits", data)
    return int(digits, 16)


def _check(name: str, value: str) -> None:
    if not _FIELDS[name].fullmatch(value):
        raise BadFrame(f"{name} {_FIELDS[name].pattern}", _bytes(value))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadFrame("text", text.encode("utf-8", "replace")) from error


def _time(text: bytes) -> datetime:
    if not (match := _TIME.fullmatch(text)):
        raise BadFrame("HH:MM:SS,MM-DD-YYYY", text)
    hour, minute, second, month, day, year = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise BadFrame("a time that exists", text) from error


def _encrypt(text: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(_checked(key)), modes.CBC(bytes(BLOCK_BYTES))).encryptor()
    return (encryptor.update(text) + encryptor.finalize()).hex().upper().encode("ascii")


def _decrypt(digits: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if not re.fullmatch(rb"(?:[0-9A-Fa-f]{32})+", digits):
        raise BadFrame(f"blocks of {BLOCK_BYTES} bytes in hexadecimal digits", digits)
    decryptor = Cipher(algorithms.AES(_checked(key)), modes.CBC(bytes(BLOCK_BYTES))).decryptor()
    return decryptor.update(bytes.fromhex(digits.decode("ascii"))) + decryptor.finalize()


def _checked(key: bytes) -> bytes:
    if len(key) not in KEY_BYTES:
        raise BadFrame(f"a key of {KEY_BYTES} bytes", b"")  # never the key itself
    return key
