"""One coded picture to an image and to JPEG, with a decoder that is thrown away: kept ones cost 50 MB a stream."""

from typing import Final

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from agent.camera import StreamFailed
from agent.skyeye.model import Image, Packet, StreamInfo
from agent.skyeye.streams.opening import FFMPEG_NAMES
from agent.texts import say

PIXELS_MAX: Final = 8192 * 4320
"""8K. A picture that claims more is hostile: 100 MB and more for one frame."""


def decode_keyframe(info: StreamInfo, packet: Packet) -> Image:
    """Decode one keyframe by itself. Blocks some 10 ms; raises StreamFailed."""
    if not packet.keyframe:
        raise StreamFailed(say("streams.not-keyframe"))
    if info.codec == "other" or info.width * info.height > PIXELS_MAX:
        raise StreamFailed(say("streams.cannot-decode", codec=info.codec, size=f"{info.width}x{info.height}"))
    failed = StreamFailed(say("streams.broken-keyframe", codec=info.codec, size=f"{info.width}x{info.height}"))
    try:
        decoder = av.CodecContext.create(FFMPEG_NAMES[info.codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str(PIXELS_MAX)}
        if info.extradata:
            decoder.extradata = info.extradata
        coded = av.Packet(packet.data)
        frames = decoder.decode(coded) or decoder.decode(None)
        if not frames:
            raise failed
        return np.ascontiguousarray(frames[0].to_ndarray(format="bgr24"), dtype=np.uint8)
    except (av.FFmpegError, ValueError) as error:
        raise failed from error


def jpeg(image: Image, *, width: int | None = None, quality: int = 80) -> bytes:
    """A picture as JPEG, scaled down to `width` if it is wider. Blocks."""
    if width and width < image.shape[1]:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise StreamFailed(say("streams.no-jpeg"))
    return bytes(data)
