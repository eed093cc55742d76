"""RTP payloads of H.264 (RFC 6184) and H.265 (RFC 7798), RTP and RTCP headers (RFC 3550), and session descriptions
(RFC 8866). Pure."""

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

VideoCodec = Literal["h264", "h265"]
PAYLOAD_BYTES: Final = 1400
"""An Ethernet frame less the headers of IP, UDP and RTP, and some for tunnels: what cameras send."""
PAYLOAD_TYPE: Final = 96
CLOCK_HZ: Final = 90_000
"""RTP clock of video (RFC 6184 8.2.1)."""
RTP: Final = struct.Struct("!BBHII")
VERSION: Final = 0x80
MARKER: Final = 0x80
SENDER_REPORT: Final = 200
SOURCE_DESCRIPTION: Final = 202
NTP_EPOCH_S: Final = 2_208_988_800
"""From 1900 to 1970."""
START: Final = b"\0\0\1"
H264_FU_A, H264_STAP_A, H264_IDR = 28, 24, 5
H264_SPS, H264_PPS, H264_AUD = 7, 8, 9
H265_FU = 49
H265_VPS, H265_SPS, H265_PPS, H265_AUD = 32, 33, 34, 35
H265_IRAP: Final = range(16, 24)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameter sets; `vps` is H.265's."""

    sps: bytes
    pps: bytes
    vps: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One coded picture, cut into payloads."""

    payloads: tuple[bytes, ...]
    keyframe: bool


def nal_units(data: bytes) -> Iterator[bytes]:
    """Cut Annex B bytes at their start codes (H.264 B.1); never raises, and yields nothing for what has none."""
    begin = data.find(START)
    while begin >= 0:
        begin += len(START)
        end = data.find(START, begin)
        unit = data[begin:] if end < 0 else data[begin:end]
        if unit := unit.rstrip(b"\0"):  # a start code may have four bytes, and zeros may trail
            yield unit
        begin = end


def unit_type(unit: bytes, codec: VideoCodec) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def parameters(data: bytes, codec: VideoCodec) -> Parameters | None:
    """Find the parameter sets in a coded picture."""
    found = {unit_type(unit, codec): unit for unit in nal_units(data)}
    sps, pps = (H264_SPS, H264_PPS) if codec == "h264" else (H265_SPS, H265_PPS)
    if sps not in found or pps not in found:
        return None
    return Parameters(found[sps], found[pps], found.get(H265_VPS, b"") if codec == "h265" else b"")


def frame_of(data: bytes, codec: VideoCodec, size: int = PAYLOAD_BYTES) -> Frame:
    """Cut one coded picture (Annex B) into payloads: parameter sets together, large units in fragments."""
    sets: list[bytes] = []
    rest: list[bytes] = []
    keyframe = False
    kinds = {H264_SPS, H264_PPS} if codec == "h264" else {H265_VPS, H265_SPS, H265_PPS}
    for unit in nal_units(data):
        kind = unit_type(unit, codec)
        if kind == (H264_AUD if codec == "h264" else H265_AUD):
            continue
        keyframe |= kind == H264_IDR if codec == "h264" else kind in H265_IRAP
        (sets if kind in kinds else rest).append(unit)
    payloads = aggregate(sets, codec) if sets else []
    for unit in rest:
        payloads += fragments(unit, codec, size)
    return Frame(tuple(payloads), keyframe)


def aggregate(units: list[bytes], codec: VideoCodec) -> list[bytes]:
    """Put small units into one payload: STAP-A (RFC 6184 5.7.1) or AP (RFC 7798 4.4.2)."""
    if len(units) == 1:
        return units
    head = bytes([max(unit[0] & 0x60 for unit in units) | H264_STAP_A]) if codec == "h264" else bytes([48 << 1, 1])
    return [head + b"".join(struct.pack("!H", len(unit)) + unit for unit in units)]


def fragments(unit: bytes, codec: VideoCodec, size: int) -> list[bytes]:
    """Cut one unit into FU-A (RFC 6184 5.8) or FU (RFC 7798 4.4.3); a small one stays whole."""
    if len(unit) <= size:
        return [unit]
    if codec == "h264":
        head, body, kind = bytes([unit[0] & 0xE0 | H264_FU_A]), unit[1:], unit[0] & 0x1F
    else:
        head, body, kind = bytes([unit[0] & 0x81 | H265_FU << 1, unit[1]]), unit[2:], unit[0] >> 1 & 0x3F
    step = size - len(head) - 1
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    return [
        head + bytes([(0x80 if number == 0 else 0) | (0x40 if number == len(parts) - 1 else 0) | kind]) + part
        for number, part in enumerate(parts)
    ]


def sender_report(ssrc: int, wall_s: float, timestamp: int, packets: int, octets: int) -> bytes:
    """A compound RTCP packet: sender report and CNAME (RFC 3550 6.4.1, 6.5)."""
    whole = int(wall_s)
    ntp = (whole + NTP_EPOCH_S & 0xFFFFFFFF) << 32 | int((wall_s - whole) * (1 << 32)) & 0xFFFFFFFF
    report = struct.pack(
        "!BBHIQIII",
        VERSION,
        SENDER_REPORT,
        6,
        ssrc,
        ntp,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    item = b"\x01\x06camera\0\0"  # CNAME, 6 bytes, and padding to 32 bits with at least one zero
    item += bytes(-len(item) % 4)
    return report + struct.pack("!BBHI", VERSION | 1, SOURCE_DESCRIPTION, 1 + len(item) // 4, ssrc) + item


def describe(host: str, codec: VideoCodec, sets: Parameters, fps: int, kbps: int) -> bytes:
    """The session description of one stream."""

    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    if codec == "h264":
        level = sets.sps[1:4].hex()
        form = f"packetization-mode=1;profile-level-id={level};sprop-parameter-sets={text(sets.sps)},{text(sets.pps)}"
        name = "H264"
    else:
        form = f"sprop-vps={text(sets.vps)};sprop-sps={text(sets.sps)};sprop-pps={text(sets.pps)}"
        name = "H265"
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {host}",
        "s=Media Server",
        f"c=IN IP4 {host}",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"b=AS:{kbps}",
        f"a=rtpmap:{PAYLOAD_TYPE} {name}/{CLOCK_HZ}",
        f"a=fmtp:{PAYLOAD_TYPE} {form}",
        f"a=framerate:{fps}",
        "a=control:trackID=1",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
