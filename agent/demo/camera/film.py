"""Encoded pictures ready to send: a film is made once, cut into RTP payloads, and repeated to whoever looks; a live
encoder serves what cannot be made before, as a camera that moves."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from agent.demo.camera.degrade import degrade
from agent.demo.camera.pictures import Image, draw
from agent.demo.camera.rtp import Frame, Parameters, frame_of, parameters
from agent.demo.camera.spec import Light, PictureMode, SceneName, StreamSpec

CODERS: Final = {"h264": "libx264", "h265": "libx265"}


@dataclass(frozen=True, slots=True)
class FilmKey:
    """All that a film depends on; cameras with equal keys share one."""

    stream: StreamSpec
    scene: SceneName
    light: Light = "day"
    picture: PictureMode = "ok"
    level: int = 4
    loop_s: int = 4
    label: str = ""


@dataclass(frozen=True, slots=True)
class Film:
    """A loop: begins with a keyframe, and may be followed by itself."""

    stream: StreamSpec
    frames: tuple[Frame, ...]
    sets: Parameters


class Encoder:
    """One stream's encoder: a keyframe with parameter sets every `gop` pictures, no reordering."""

    def __init__(self, stream: StreamSpec) -> None:
        self.stream = stream
        self.sets: Parameters | None = None
        self._context = open_encoder(stream)
        self._count = 0

    def encode(self, image: Image) -> list[bytes]:
        """Encode one picture; zero latency: it comes out at once."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        frame.pts = self._count
        self._count += 1
        return [bytes(packet) for packet in self._context.encode(frame)]

    def flush(self) -> list[bytes]:
        return [bytes(packet) for packet in self._context.encode(None)]

    def frames(self, coded: list[bytes]) -> list[Frame]:
        """Cut what was encoded into payloads."""
        for data in coded:
            self.sets = self.sets or parameters(data, self.stream.codec)
        return [frame_of(data, self.stream.codec) for data in coded]


def open_encoder(stream: StreamSpec) -> VideoCodecContext:
    context = av.CodecContext.create(CODERS[stream.codec], "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = stream.width, stream.height
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, stream.fps)
    context.framerate = Fraction(stream.fps)
    context.bit_rate = stream.kbps * 1000
    context.gop_size = stream.gop
    context.thread_count = 1
    rate = f"vbv-maxrate={stream.kbps}:vbv-bufsize={stream.kbps}"
    common = f"keyint={stream.gop}:min-keyint={stream.gop}:scenecut=0:bframes=0:repeat-headers=1:{rate}"
    if stream.codec == "h264":
        context.options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": f"{common}:nal-hrd=cbr"}
    else:
        quiet = "pools=none:frame-threads=1:open-gop=0:log-level=none"
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": f"{common}:{quiet}"}
    return context


def images(key: FilmKey) -> Iterator[Image]:
    """The pictures of a film."""
    stream = key.stream
    size = (stream.width, stream.height)
    count = frame_count(key)
    for number in range(count):
        at = 0 if key.picture == "frozen" else number
        image = draw(key.scene, at / stream.fps, size, period_s=count / stream.fps, light=key.light, label=key.label)
        yield degrade(image, key.picture, key.level, seed=number)


def frame_count(key: FilmKey) -> int:
    """Whole groups of pictures, for about `loop_s`."""
    gop = key.stream.gop
    return max(1, round(key.loop_s * key.stream.fps / gop)) * gop


def shoot(key: FilmKey) -> Film:
    """Draw and encode a film; takes a worker thread for a while."""
    encoder = Encoder(key.stream)
    frames: list[Frame] = []
    for image in images(key):
        frames += encoder.frames(encoder.encode(image))
    frames += encoder.frames(encoder.flush())
    if encoder.sets is None or not frames[0].keyframe:
        raise ValueError("the encoder gave no keyframe with parameter sets")
    return Film(key.stream, tuple(frames), encoder.sets)


class Films:
    """The films of a process, each made once, one after another so that one core stays free."""

    def __init__(self) -> None:
        self._made: dict[FilmKey, Film] = {}
        self._lock = threading.Lock()

    async def get(self, key: FilmKey) -> Film:
        """The film; made in a thread if it is new."""
        made = self._made.get(key)
        return made if made else await asyncio.to_thread(self._make, key)

    def _make(self, key: FilmKey) -> Film:
        with self._lock:
            if key not in self._made:
                self._made[key] = shoot(key)
            return self._made[key]


def black(stream: StreamSpec) -> Image:
    """What a camera shows that sees nothing."""
    return np.zeros((stream.height, stream.width, 3), np.uint8)
