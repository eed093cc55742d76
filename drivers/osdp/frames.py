"""OSDP frames in a stream of bytes: whole ones are kept, everything else is noise. Pure.

Source: IEC 60839-11-5:2020, packet format: SOM 53h, address, length, control, data, and a CRC-16 or a checksum; checked
against the packets that libosdp 3.2 sends. The library behind this driver frames by itself and says nothing of what
it throws away; a technician wants to know.
"""

from typing import Final

from agent.driver import BadFrame

SOM: Final = 0x53
MARK: Final = 0xFF
"""Some send it before a packet, so that the line is driven when the packet begins."""
HEADER: Final = 5
"""SOM, address, two of length, control."""
SHORTEST: Final = 7
LONGEST: Final = 1440
"""Larger than what readers take (libosdp's own buffer has 256 bytes by default); a longer length is no length."""
USES_CRC: Final = 0x04
"""Bit 2 of the control byte."""
CRC_INITIAL: Final = 0x1D0F
CRC_POLYNOMIAL: Final = 0x1021


def crc16(data: bytes) -> int:
    """The CRC of a packet: CCITT polynomial, initial value 1D0Fh."""
    crc = CRC_INITIAL
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ CRC_POLYNOMIAL if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def checksum(data: bytes) -> int:
    """The checksum of a packet: the sum of all bytes is 0."""
    return -sum(data) & 0xFF


def decode(packet: bytes) -> bytes:
    """Return a packet if it is a whole and undamaged one. Raises BadFrame."""
    if len(packet) < SHORTEST or packet[0] != SOM:
        raise BadFrame("53 <address> <length> ...", packet)
    length = int.from_bytes(packet[2:4], "little")
    if length != len(packet):
        raise BadFrame(f"{length} bytes", packet)
    if packet[4] & USES_CRC:
        if crc16(packet[:-2]) != int.from_bytes(packet[-2:], "little"):
            raise BadFrame(f"CRC {crc16(packet[:-2]):04x}", packet)
    elif checksum(packet[:-1]) != packet[-1]:
        raise BadFrame(f"checksum {checksum(packet[:-1]):02x}", packet)
    return packet


class Scanner:
    """Cuts a stream into packets. What is no packet comes back as BadFrame, once for each run of it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[BadFrame]]:
        """Take bytes; return the packets that are complete now, and what was noise."""
        rest = self._rest + data
        packets: list[bytes] = []
        errors: list[BadFrame] = []
        noise = b""
        while rest:
            if rest[0] == SOM and (wanted := _length(rest)) is not None:
                if len(rest) < wanted:
                    break
                try:
                    packets.append(decode(rest[:wanted]))
                except BadFrame as error:
                    errors.append(error)
                    noise, rest = b"", rest[1:]  # the length may have been the damaged part: look again behind SOM
                    continue
                rest = rest[wanted:]
                errors += _told(noise)
                noise = b""
                continue
            if rest[0] != MARK:
                noise += rest[:1]
            rest = rest[1:]
        self._rest = rest
        return packets, errors + _told(noise)

    def give_up(self) -> list[BadFrame]:
        """What came stays incomplete: it is noise."""
        rest, self._rest = self._rest, b""
        return _told(rest)


def _length(rest: bytes) -> int | None:
    """How long the packet that may begin here is; the shortest there is while that is not known, None if it is none."""
    if len(rest) < HEADER:
        return SHORTEST
    length = int.from_bytes(rest[2:4], "little")
    return length if SHORTEST <= length <= LONGEST else None


def _told(noise: bytes) -> list[BadFrame]:
    return [BadFrame("53 <address> <length> ...", noise)] if noise else []
