"""Packets of one stream become fragmented MP4, a fragment a picture, without decoding (ISO/IEC 14496-12, 8.8).

FFmpeg's muxer writes the boxes. It ends a fragment when the next picture comes, since only then it knows how long the
picture stands: what is shown is one picture behind.
"""

from dataclasses import dataclass
from fractions import Fraction
from io import RawIOBase
from typing import Final

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream

from agent.skyeye.live.codecs import BadParameters, annex_b, codecs_string, parameter_sets
from agent.skyeye.model import Packet, StreamInfo

MUXERS: Final = {"h264": "h264", "h265": "hevc"}
"""The codecs that browsers play, by FFmpeg's names."""
OPTIONS: Final = {
    "movflags": "empty_moov+default_base_moof+frag_every_frame+skip_trailer+omit_tfhd_offset",
    "flush_packets": "1",
    "use_editlist": "0",
    "video_track_timescale": "90000",
}
TIMESCALE: Final = 90_000


class CannotMux(Exception):
    """The packets make no MP4."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One picture as `moof` and `mdat`."""

    data: bytes
    keyframe: bool


class _Collected(RawIOBase):
    """What the muxer has written since the last look."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # PyAV hands over bytes
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class Fragmenter:
    """Made of a stream and its first keyframe; then each packet gives the fragment of the one before it."""

    def __init__(self, info: StreamInfo, first: Packet) -> None:
        """Raises CannotMux."""
        if info.codec not in MUXERS:
            raise CannotMux(info.codec)
        codec = info.codec
        try:
            sets = parameter_sets(first.data, codec)
            self._extra = b"" if sets else annex_b(info.extradata, codec)
            self.mime = f'video/mp4; codecs="{codecs_string(sets or self._extra, codec)}"'
        except BadParameters as error:
            raise CannotMux(str(error)) from None
        self._unit = Fraction(*info.time_base)
        self._begin = first.dts
        self._last = -1
        self._out = _Collected()
        try:
            self._container: OutputContainer = av.open(self._out, "w", format="mp4", options=OPTIONS)
            self._stream: Stream = self._container.add_mux_stream(
                MUXERS[codec], width=info.width, height=info.height, time_base=Fraction(1, TIMESCALE)
            )
            self._mux(first, self._extra + first.data)
        except (FFmpegError, ValueError) as error:
            raise CannotMux(str(error)) from None
        self.init = _named_hvc1(self._out.take())
        """`ftyp` and `moov`."""
        if b"moov" not in self.init:
            raise CannotMux("no moov")
        self._keyframe = True

    def feed(self, packet: Packet) -> Fragment:
        """Take the next packet; return the fragment of the one before. Raises CannotMux."""
        try:
            self._mux(packet, packet.data)
        except (FFmpegError, ValueError) as error:
            raise CannotMux(str(error)) from None
        fragment = Fragment(self._out.take(), self._keyframe)
        self._keyframe = packet.keyframe
        return fragment

    def _mux(self, packet: Packet, data: bytes) -> None:
        made = av.Packet(data)
        made.stream = self._stream
        made.time_base = self._unit
        self._last = made.dts = max(packet.dts - self._begin, self._last + 1)  # the muxer refuses to stand still
        made.pts = max(packet.pts - self._begin, made.dts)
        made.is_keyframe = packet.keyframe
        self._container.mux_one(made)


def _named_hvc1(init: bytes) -> bytes:
    """FFmpeg calls H.265 `hev1` unless told otherwise, which PyAV cannot; Safari plays `hvc1` only. The parameter sets
    are in `hvcC`, so both names are true (ISO/IEC 14496-15, 8.3.2)."""
    return init.replace(b"hev1", b"hvc1", 1)
