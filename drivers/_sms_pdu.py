"""Short messages as bytes: SMS-SUBMIT out, SMS-STATUS-REPORT in. Pure.

Source: 3GPP TS 23.040, 9.1.2.3 (semi-octets), 9.1.2.5 (addresses), 9.2.2.2 (SUBMIT), 9.2.2.3 (STATUS-REPORT), 9.2.3.12
(validity), 9.2.3.15 (status), 9.2.3.24.1 (concatenation); TS 23.038, 4 (data coding), 6.1.2.1 (packing), 6.2.1 (default
alphabet). Written here because the libraries that encode have not been maintained for years (docs/decisions/0009).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.driver import BadFrame

NUMBER: Final = re.compile(r"\+?[0-9]{3,20}")
"""E.164 has 15 digits at most; networks have short numbers of their own."""
INTERNATIONAL: Final = 0x91
NATIONAL: Final = 0x81
SUBMIT: Final = 0x01
RELATIVE_VALIDITY: Final = 0x10
WANTS_REPORT: Final = 0x20
HAS_HEADER: Final = 0x40
STATUS_REPORT: Final = 0x02
TYPE_MASK: Final = 0x03
GSM7: Final = 0x00
UCS2: Final = 0x08
VALID_4_HOURS: Final = 47
"""(47 + 1) x 5 minutes. A phone that was off for longer gets no old alarm; who was told is in the journal."""
DATA_BYTES: Final = 140
HEADER_BYTES: Final = 6
SEPTETS: Final = 160
SEPTETS_OF_PART: Final = 153
PARTS_LIMIT: Final = 8
"""Longer than any notice; what is beyond it is cut."""
TIME_BYTES: Final = 7
ESCAPE: Final = 0x1B
DELIVERED_BELOW: Final = 0x20
FAILED_FROM: Final = 0x40
"""9.2.3.15: 00-1F done, 20-3F the network is still trying, from 40 on it has given up."""

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = {"\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E} | {
    "|": 0x40,
    "€": 0x65,
}
_SEPTETS: Final = {char: (code,) for code, char in enumerate(_BASIC) if code != ESCAPE} | {
    char: (ESCAPE, code) for char, code in _EXTENSION.items()
}


@dataclass(frozen=True, slots=True)
class Submit:
    """One part as the modem takes it: hexadecimal digits, and how many bytes follow the service centre's address."""

    hex: str
    length: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a part: `reference` is what the modem gave it."""

    reference: int
    number: str
    status: int

    @property
    def delivered(self) -> bool:
        return self.status < DELIVERED_BELOW

    @property
    def failed(self) -> bool:
        return self.status >= FAILED_FROM


def submits(number: str, text: str, reference: int, *, report: bool) -> tuple[Submit, ...]:
    """Encode a text as one message, or as parts that a phone puts together again; `reference` tells texts apart.
    Raises BadFrame for a number that is none."""
    if not NUMBER.fullmatch(number):
        raise BadFrame("+ and digits", b"")  # never the number itself
    coding, parts = encode(text)
    first = SUBMIT | RELATIVE_VALIDITY | (WANTS_REPORT if report else 0) | (HAS_HEADER if len(parts) > 1 else 0)
    head = bytes([first, 0]) + address(number) + bytes([0, coding, VALID_4_HOURS])
    made = []
    for position, part in enumerate(parts, 1):
        header = bytes([5, 0, 3, reference & 0xFF, len(parts), position]) if len(parts) > 1 else b""
        length, data = user_data(coding, part, header)
        tpdu = head + bytes([length]) + data
        made.append(Submit((b"\0" + tpdu).hex().upper(), len(tpdu)))
    return tuple(made)


def encode(text: str) -> tuple[int, list[bytes]]:
    """Return the coding, and the parts in it: septets one to a byte, or UTF-16. Escapes and pairs stay together."""
    if all(char in _SEPTETS for char in text):
        units = [bytes(_SEPTETS[char]) for char in text]
        return GSM7, list(packed(units, SEPTETS, SEPTETS_OF_PART))
    units = [char.encode("utf-16-be", "replace") for char in text]
    return UCS2, list(packed(units, DATA_BYTES, DATA_BYTES - HEADER_BYTES))


def packed(units: list[bytes], alone: int, of_part: int) -> Iterator[bytes]:
    """Put units together into parts."""
    if sum(map(len, units)) <= alone:
        yield b"".join(units)
        return
    part, count = b"", 0
    for unit in units:
        if len(part) + len(unit) > of_part:
            yield part
            part, count = b"", count + 1
            if count == PARTS_LIMIT:
                return
        part += unit
    yield part


def user_data(coding: int, part: bytes, header: bytes) -> tuple[int, bytes]:
    """Return the length that stands before user data, in the coding's units, and the data with its header."""
    if coding == UCS2:
        return len(header) + len(part), header + part
    fill = -len(header) * 8 % 7
    septets = (len(header) * 8 + fill) // 7 + len(part)
    return septets, header + pack7(part, fill)


def pack7(septets: bytes, fill: int = 0) -> bytes:
    """Pack septets into bytes, the first bits lowest, after so many bits of nothing."""
    bits = sum(septet << (position * 7 + fill) for position, septet in enumerate(septets))
    return bits.to_bytes((len(septets) * 7 + fill + 7) // 8, "little")


def address(number: str) -> bytes:
    """An address: the count of digits, its type, and the digits in pairs, the lower first."""
    digits = number.lstrip("+")
    kind = INTERNATIONAL if number.startswith("+") else NATIONAL
    even = digits + "F" * (len(digits) % 2)
    return bytes([len(digits), kind]) + bytes.fromhex(
        "".join(b + a for a, b in zip(even[::2], even[1::2], strict=True))
    )


def read_report(digits: str) -> Report:
    """Read a STATUS-REPORT as the modem shows it, with the service centre's address before it. Raises BadFrame and
    nothing else."""
    raw = digits.encode("ascii", "replace")
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){4,200}", digits):
        raise BadFrame("hexadecimal digits", raw)
    data = bytes.fromhex(digits)
    data = data[1 + data[0] :]
    if len(data) < len(("type", "reference", "count", "type of address")) or data[0] & TYPE_MASK != STATUS_REPORT:
        raise BadFrame("SMS-STATUS-REPORT", raw)
    length = (data[2] + 1) // 2
    swapped = "".join(pair[::-1] for pair in re.findall("..", data[4 : 4 + length].hex()))
    status_at = 4 + length + 2 * TIME_BYTES
    if len(data) <= status_at:
        raise BadFrame("a status after two times", raw)
    plus = "+" if data[3] == INTERNATIONAL else ""
    return Report(data[1], plus + swapped[: data[2]], data[status_at])
