"""Modbus RTU as bytes: requests for bits and registers, and their replies. Pure; for the drivers of Modbus devices.

Source: MODBUS Application Protocol Specification V1.1b3, 6.1 (FC01), 6.2 (FC02), 6.3 (FC03), 6.4 (FC04), 6.5 (FC05),
6.11 (FC15), 7 (exception codes); MODBUS over Serial Line V1.02, 2.5.1 (RTU framing, CRC). PDUs and CRC are pymodbus'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.pdu import ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from agent.driver import BadFrame, Text, say

READ_COILS: Final = 1
READ_INPUTS: Final = 2
READ_HOLDING: Final = 3
READ_REGISTERS: Final = 4
WRITE_COIL: Final = 5
WRITE_COILS: Final = 15
EXCEPTION_BIT: Final = 0x80
HEADER_AND_CRC: Final = 5
"""Unit, function, byte count, two of CRC: what a read's reply has beside its data, and the size of an exception."""
REQUEST_BYTES: Final = 8
"""Unit, function, address, count or value, CRC."""
READ_MAX: Final = 2000
WRITE_MAX: Final = 1968
"""V1.1b3, 6.1, 6.2 and 6.11: what one request may name."""
REGISTERS_MAX: Final = 125
"""V1.1b3, 6.3 and 6.4: registers of one request."""
ADDRESSES: Final = 65536
GLITCHES: Final = b"\x00\xff"
"""What a line without bias resistors reads as it turns round. No reply can begin so: 0 is broadcast, 248-255 are
reserved (V1.02, 2.2)."""
GLITCHES_ALLOWED: Final = 4
BUSY_CODES: Final = frozenset({5, 6, 10, 11})
"""Acknowledge, device busy, gateway path unavailable, gateway target silent (V1.1b3, 7): may pass by itself."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception reply (V1.1b3, 7)."""

    function: int
    code: int

    @property
    def text(self) -> Text:
        """What the code means and what to check."""
        known = self.code if self.code in (1, 2, 3, 4, *BUSY_CODES) else "other"
        return say(f"modbus.code-{known}", code=self.code, function=self.function)


class Garbled(BadFrame):
    """A reply that came and cannot be read: the module is there."""

    def __init__(self, unit: int, count: int, error: BadFrame) -> None:
        super().__init__(error.expected, error.got)
        self.text = say("modbus.garbled", unit=unit, count=count, error=error.text)
        self.args = (self.text,)


def frame(unit: int, pdu: ModbusPDU) -> bytes:
    """Return a request as it goes over the line."""
    body = bytes((unit, pdu.function_code)) + pdu.encode()
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def read_request(unit: int, function: int, first: int, count: int) -> bytes:
    """Return the request for `count` bits from address `first`."""
    kind = ReadCoilsRequest if function == READ_COILS else ReadDiscreteInputsRequest
    return frame(unit, kind(address=first, count=count))


def registers_request(unit: int, function: int, first: int, count: int) -> bytes:
    """Return the request for `count` registers from address `first`."""
    kind = ReadHoldingRegistersRequest if function == READ_HOLDING else ReadInputRegistersRequest
    return frame(unit, kind(address=first, count=count))


def registers_bytes(count: int) -> int:
    """Return the size of the reply to a read of `count` registers."""
    return HEADER_AND_CRC + 2 * count


def decode_registers(data: bytes, unit: int, function: int, count: int) -> bytes | Refused | None:
    """Decode the reply to a read of `count` registers: their bytes, as they came; None while bytes are missing. Raises
    BadFrame."""
    found = find_reply(data, unit, function, registers_bytes(count))
    return found[3:-2] if isinstance(found, bytes) else found


def write_request(unit: int, first: int, values: Sequence[bool]) -> bytes:
    """Return the request that sets the coils from address `first`: FC05 for one, FC15 for several."""
    if len(values) == 1:
        return frame(unit, WriteSingleCoilRequest(address=first, bits=list(values)))
    return frame(unit, WriteMultipleCoilsRequest(address=first, bits=list(values)))


def write_reply(unit: int, first: int, values: Sequence[bool]) -> bytes:
    """Return the one right reply to `write_request`: its echo, or for FC15 the head of it."""
    if len(values) == 1:
        return write_request(unit, first, values)
    reply = WriteMultipleCoilsResponse(address=first)
    reply.count = len(values)
    return frame(unit, reply)


def reply_bytes(count: int) -> int:
    """Return the size of the reply to a read of `count` bits."""
    return HEADER_AND_CRC + (count + 7) // 8


def find_reply(data: bytes, unit: int, function: int, size: int) -> bytes | Refused | None:
    """Find the reply of `unit` to `function`, `size` bytes long, in what came; None while bytes are missing.

    What other units say too late, or this one to an earlier request, is passed over. Raises BadFrame.
    """
    rest = data
    while len(rest := without_glitches(rest, unit, data)) >= HEADER_AND_CRC:
        length = frame_bytes(rest)
        ours = rest[0] == unit and rest[1] == function
        if length is None or (ours and length != size):
            raise BadFrame(f"{unit:02X} {function:02X} ... ({size} bytes)", data)
        if len(rest) < length:
            return None
        found, rest = rest[:length], rest[length:]
        if not FramerRTU.check_CRC(found[:-2], int.from_bytes(found[-2:], "big")):
            crc = FramerRTU.compute_CRC(found[:-2])
            raise BadFrame(f"CRC {crc >> 8:02x} {crc & 0xFF:02x}", data)
        if ours:
            return found
        if found[0] == unit and found[1] == function | EXCEPTION_BIT:
            return Refused(function, found[2])
    return None


def without_glitches(rest: bytes, unit: int, data: bytes) -> bytes:
    """Drop up to `GLITCHES_ALLOWED` bytes before a reply that are none; raise BadFrame if there are more."""
    if not rest or rest[0] == unit or rest[0] not in GLITCHES:
        return rest
    found = rest.lstrip(GLITCHES)
    if len(rest) - len(found) > GLITCHES_ALLOWED:
        raise BadFrame(f"{unit:02X} ...", data)
    return found


def is_begun(data: bytes, unit: int) -> bool:
    """Tell whether what came in time is the beginning of a reply of `unit`, rather than a glitch or another's."""
    rest = data.lstrip(GLITCHES)
    return len(rest) > 1 and rest[0] == unit


def frame_bytes(head: bytes) -> int | None:
    """Return the size of the reply that begins with `head` (at least 3 bytes); None if it is no reply we know."""
    function = head[1]
    if function & EXCEPTION_BIT:
        return HEADER_AND_CRC
    if function in (1, 2, 3, 4):
        return HEADER_AND_CRC + head[2]
    return REQUEST_BYTES if function in (5, 6, 15, 16) else None


def decode_bits(data: bytes, unit: int, function: int, count: int) -> tuple[bool, ...] | Refused | None:
    """Decode the reply to a read of `count` bits; None while bytes are missing. Raises BadFrame."""
    found = find_reply(data, unit, function, reply_bytes(count))
    if not isinstance(found, bytes):
        return found
    reply = ReadCoilsResponse()
    reply.decode(found[2:-2])
    return tuple(reply.bits[:count])


def decode_write(data: bytes, expected: bytes) -> Literal[True] | Refused | None:
    """Compare the reply to a write with the one right reply; None while bytes are missing. Raises BadFrame."""
    found = find_reply(data, expected[0], expected[1], len(expected))
    if not isinstance(found, bytes):
        return found
    if found != expected:
        raise BadFrame(expected.hex(" "), data)
    return True
