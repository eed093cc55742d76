"""Annex B byte streams of H.264 and H.265: where the units begin, the parameter sets, and the size of the picture.

Sources: ITU-T H.264 (08/2021) clause 7.3.2.1 and annex B; ITU-T H.265 (08/2021) clauses 7.3.1.2, 7.3.2.2 and 7.3.3.
"""

from collections.abc import Iterator
from typing import Final, Literal

NalCodec = Literal["h264", "h265"]

HEAD_BYTES: Final = 4096
"""Parameter sets stand at the head of a keyframe; what follows is the picture, which is not searched."""
UNITS_MAX: Final = 32
"""No sane keyframe has more units before its first slice."""
LARGEST_SIDE: Final = 16_384
_H264_SETS: Final = (7, 8, 13, 15)
"""SPS, PPS, SPS extension, subset SPS (table 7-1)."""
_H264_SPS: Final = 7
_H264_PPS: Final = 8
_H264_KNOWN: Final = frozenset({1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20})
"""What H.264 cameras send. 2, 3 and 4 (data partitioning) only exist in the extended profile, which nobody uses."""
_H265_SETS: Final = (32, 33, 34)
"""VPS, SPS, PPS (table 7-1)."""
_H265_SPS: Final = 33
_H265_PPS: Final = 34
_H265_KNOWN: Final = frozenset({*range(10), *range(16, 22), *range(32, 41)})
_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_START: Final = b"\x00\x00\x01"


class BadParameterSet(ValueError):
    """A parameter set that cannot be read."""


def units(data: bytes, head: int = HEAD_BYTES) -> Iterator[bytes]:
    """The units that begin in the first `head` bytes; the last one may be cut there."""
    window = data[:head]
    start = window.find(_START)
    while start >= 0:
        start += len(_START)
        end = window.find(_START, start)
        yield window[start : end if end >= 0 else len(window)].rstrip(b"\x00")
        start = end


def unit_type(codec: NalCodec, unit: bytes) -> int:
    """The nal_unit_type; -1 of an empty unit or one whose forbidden bit is set."""
    if not unit or unit[0] & 0x80:
        return -1
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1


def parameter_sets(codec: NalCodec, data: bytes) -> bytes:
    """The parameter sets at the head of a picture or in FFmpeg's extradata, as Annex B with 4-byte start codes; empty
    if SPS or PPS is not there."""
    wanted, needed = (_H264_SETS, {_H264_SPS, _H264_PPS}) if codec == "h264" else (_H265_SETS, {_H265_SPS, _H265_PPS})
    found: list[bytes] = []
    for count, unit in enumerate(units(data)):
        kind = unit_type(codec, unit)
        if kind in wanted:
            needed = needed - {kind}
            if unit not in found:
                found.append(unit)
        elif count >= UNITS_MAX or _is_slice(codec, kind):
            break
    return b"".join(b"\x00" + _START + unit for unit in found) if not needed else b""


def plausible(codec: NalCodec, data: bytes) -> bool:
    """Tell whether a coded picture may be of this codec, by the types of its units."""
    known = _H264_KNOWN if codec == "h264" else _H265_KNOWN
    return any(unit_type(codec, unit) in known for unit in units(data, 256))


def picture_size(codec: NalCodec, data: bytes) -> tuple[int, int]:
    """Width and height by the first SPS in `data` (Annex B). Raises BadParameterSet and nothing else."""
    wanted = _H264_SPS if codec == "h264" else _H265_SPS
    for unit in units(data):
        if unit_type(codec, unit) == wanted:
            size = _h264_size(unit) if codec == "h264" else _h265_size(unit)
            if not all(0 < side <= LARGEST_SIDE for side in size):
                raise BadParameterSet(f"a picture of {size[0]} x {size[1]}")
            return size
    raise BadParameterSet("no SPS")


def other_codec(codec: NalCodec, extradata: bytes) -> bool:
    """Tell whether what claims to be the parameter sets of one codec are those of the other one."""
    other: NalCodec = "h265" if codec == "h264" else "h264"
    if parameter_sets(codec, extradata):
        return False
    try:
        return min(picture_size(other, extradata)) > 0
    except BadParameterSet:
        return False


def _is_slice(codec: NalCodec, kind: int) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else 0 <= kind < 32


class _Bits:
    """Reads bits of an RBSP, without the emulation prevention bytes (H.264 7.3.1)."""

    def __init__(self, payload: bytes) -> None:
        rbsp = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(rbsp, "big")
        self._left = len(rbsp) * 8

    def u(self, count: int) -> int:
        """An unsigned number of so many bits."""
        if count > self._left:
            raise BadParameterSet("the SPS ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self.u(count)

    def ue(self) -> int:
        """Exp-Golomb (9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise BadParameterSet("a number without an end")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264_size(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[1:512])
    profile = bits.u(8)
    bits.skip(16)  # constraint flags, level
    bits.ue()  # seq_parameter_set_id
    chroma, separate = 1, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bits.u(1)
        bits.ue(), bits.ue()  # bit depths
        bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.u(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()  # log2_max_frame_num_minus4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.skip(1)
        bits.se(), bits.se()
        for _ in range(min(bits.ue(), 256)):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.skip(1)
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frames_only = bits.u(1)
    height *= 2 - frames_only
    if not frames_only:
        bits.skip(1)
    bits.skip(1)  # direct_8x8_inference_flag
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    across = 2 if chroma in (1, 2) and not separate else 1
    down = (2 if chroma == 1 and not separate else 1) * (2 - frames_only)
    return width - across * (left + right), height - down * (top + bottom)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se() + 256) % 256
        last = following or last


def _h265_size(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[2:512])
    bits.skip(4)  # sps_video_parameter_set_id
    layers = bits.u(3)  # sps_max_sub_layers_minus1
    bits.skip(1)
    bits.skip(96)  # general profile, tier and level (7.3.3): 88 + 8 bits
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
    bits.ue()  # sps_seq_parameter_set_id
    chroma = bits.ue()
    separate = bits.u(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        across = 2 if chroma in (1, 2) and not separate else 1
        down = 2 if chroma == 1 and not separate else 1
        width, height = width - across * (left + right), height - down * (top + bottom)
    return width, height
