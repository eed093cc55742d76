"""From packets to the pictures that the analysis asks for: every packet has to be decoded, few become pictures."""

import logging
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from agent.camera import Codec
from agent.skyeye.model import Image, Packet, StreamInfo

log = logging.getLogger(__name__)

DECODERS: Final[dict[Codec, str]] = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}
WIDTH_MAX: Final = 640
"""What a detector can use of a substream; motion uses half of it."""
PIXELS_MAX: Final = 2560 * 1440
"""A camera without a small stream; beyond this only its keyframes are decoded, which a small core can still do."""
PIXELS_LIMIT: Final = 8192 * 4320
"""Beyond 8K nothing is decoded: a picture alone would cost 100 MB."""


class Frames:
    """The decoder of one stream. Not to be shared between threads at the same time. Wrong data gives no picture, and
    the stream is picked up again at the next keyframe; never raises for what a camera sends."""

    def __init__(self, info: StreamInfo, fps: float) -> None:
        self._info = info
        self._every_ns = round(1e9 / fps)
        self._due_ns = 0
        self._decoder: VideoCodecContext | None = None
        self.keys_only = info.width * info.height > PIXELS_MAX
        self.usable = info.codec in DECODERS and info.width * info.height <= PIXELS_LIMIT
        self._sparse = info.fps is None or info.fps > 2 * fps

    def take(self, packet: Packet) -> Image | None:
        """Decode a packet; return a picture if one is due."""
        if not self.usable or (self.keys_only and not packet.keyframe):
            return None
        if self._decoder is None:
            if not packet.keyframe:
                return None
            self._decoder = self._opened()
        try:
            frames = self._decoder.decode(av.Packet(packet.data))
        except (av.FFmpegError, ValueError) as error:
            log.debug("a packet of %s bytes is not decoded: %s", len(packet.data), error)
            self._decoder = None
            return None
        if not frames or packet.arrived_ns < self._due_ns:
            return None
        # A tenth early is in time: cameras do not keep step to the millisecond.
        self._due_ns = packet.arrived_ns + round(0.9 * self._every_ns)
        return _picture(frames[-1])

    def _opened(self) -> VideoCodecContext:
        decoder = av.CodecContext.create(DECODERS[self._info.codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str(PIXELS_LIMIT), "flags": "low_delay"}
        if self._info.extradata:
            decoder.extradata = self._info.extradata
        if self._sparse:
            decoder.skip_frame = "NONREF"  # pictures that no other needs: nor do we
        return decoder


def _picture(frame: av.VideoFrame) -> Image | None:
    width, height = frame.width, frame.height
    if width > WIDTH_MAX:
        width, height = WIDTH_MAX, max(2, round(frame.height * WIDTH_MAX / frame.width / 2) * 2)
    try:
        return np.asarray(frame.to_ndarray(format="bgr24", width=width, height=height), np.uint8)
    except (av.FFmpegError, ValueError) as error:
        log.debug("a picture is not converted: %s", error)
        return None
