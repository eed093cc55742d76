"""What a browser must know of a coded stream before it plays it: the codecs string, out of the parameter sets.

Source: RFC 6381, 3.3 and ISO/IEC 14496-15, 5.4.1 (avc1) and annex E (hvc1); the layouts are those of ITU-T H.264,
7.3.2.1, and H.265, 7.3.2.2 and 7.3.3; start codes are those of ITU-T H.264, annex B.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from agent.camera import Codec

START: Final = re.compile(rb"\x00\x00\x01")
H264_SPS: Final = 7
H264_PARAMETERS: Final = frozenset({7, 8})
H265_VPS: Final = 32
H265_SPS: Final = 33
H265_PARAMETERS: Final = frozenset({32, 33, 34})
SEARCHED: Final = 64 * 1024
"""Bytes of a keyframe that are looked through: parameter sets stand in front of the first slice."""
H265_PTL_BYTES: Final = 15
"""NAL header (2), ids (1), general profile, tier, compatibility, constraints and level (12)."""


class BadParameters(Exception):
    """No usable parameter sets: expected, and what came."""


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of Annex B bytes, without start codes and the zeros that may follow a unit."""
    starts = [match.end() for match in START.finditer(data)]
    for begin, following in pairwise([*starts, len(data) + 3]):
        if unit := data[begin : following - 3].rstrip(b"\x00"):
            yield unit


def annex_b(extradata: bytes, codec: Codec) -> bytes:
    """Parameter sets as Annex B; FFmpeg has them so already, or as avcC/hvcC. Raises BadParameters."""
    if not extradata or extradata.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return extradata
    try:
        units = _avcc(extradata) if codec == "h264" else _hvcc(extradata)
    except IndexError:
        raise BadParameters("a cut-off decoder configuration") from None
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


def _avcc(raw: bytes) -> list[bytes]:
    """ISO/IEC 14496-15, 5.3.3.1: version, profile, compatibility, level, length size, then the SPSs and the PPSs."""
    units: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):
        count, at = raw[at] & mask, at + 1
        for _ in range(count):
            unit, at = _counted(raw, at)
            units.append(unit)
    return units


def _hvcc(raw: bytes) -> list[bytes]:
    """ISO/IEC 14496-15, 8.3.3.1: 22 bytes, then arrays of units of one type each."""
    units: list[bytes] = []
    arrays, at = raw[22], 23
    for _ in range(arrays):
        count, at = raw[at + 1] << 8 | raw[at + 2], at + 3
        for _ in range(count):
            unit, at = _counted(raw, at)
            units.append(unit)
    return units


def _counted(raw: bytes, at: int) -> tuple[bytes, int]:
    length = raw[at] << 8 | raw[at + 1]
    unit = raw[at + 2 : at + 2 + length]
    if len(unit) != length:
        raise IndexError
    return unit, at + 2 + length


def unit_type(unit: bytes, codec: Codec) -> int:
    """The type of a NAL unit."""
    return unit[0] & 0x1F if codec == "h264" else (unit[0] >> 1) & 0x3F


def parameter_sets(data: bytes, codec: Codec) -> bytes:
    """The parameter sets at the front of `data` (Annex B), as Annex B; empty where there are none."""
    wanted = H264_PARAMETERS if codec == "h264" else H265_PARAMETERS
    found = [unit for unit in nal_units(data[:SEARCHED]) if unit_type(unit, codec) in wanted]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in found)


def codecs_string(parameters: bytes, codec: Codec) -> str:
    """The codecs string, such as `avc1.64001f` or `hvc1.1.6.L93.B0`. Raises BadParameters and nothing else."""
    sps_type = H264_SPS if codec == "h264" else H265_SPS
    for unit in nal_units(parameters[:SEARCHED]):
        if unit_type(unit, codec) == sps_type:
            return _avc1(unit) if codec == "h264" else _hvc1(unit)
    raise BadParameters(f"expected a sequence parameter set of {codec}, found none in {len(parameters)} bytes")


def _avc1(sps: bytes) -> str:
    if len(sps) < 4:
        raise BadParameters(f"expected a sequence parameter set, got {len(sps)} bytes")
    return f"avc1.{sps[1:4].hex()}"


def _hvc1(sps: bytes) -> str:
    head = unescaped(sps[: H265_PTL_BYTES * 2])
    if len(head) < H265_PTL_BYTES:
        raise BadParameters(f"expected a sequence parameter set, got {len(sps)} bytes")
    space, high, profile = head[3] >> 6, head[3] >> 5 & 1, head[3] & 0x1F
    compatible = int(f"{int.from_bytes(head[4:8]):032b}"[::-1], 2)
    constraints = head[8:14].rstrip(b"\x00")
    parts = ["hvc1", f"{['', 'A', 'B', 'C'][space]}{profile}", f"{compatible:X}", f"{'H' if high else 'L'}{head[14]}"]
    return ".".join([*parts, *(f"{byte:X}" for byte in constraints)])


def unescaped(unit: bytes) -> bytes:
    """Without the emulation prevention bytes (H.264, 7.4.1)."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")
