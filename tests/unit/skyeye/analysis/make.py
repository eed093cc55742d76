"""Cameras, moving squares and coded streams for the tests of the analysis."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from agent.camera import CameraEvent
from agent.config.models import CameraSettings
from agent.skyeye.analysis import Analyst
from agent.skyeye.model import Image, Packet, StreamInfo
from drivers.rtsp import Rtsp

WALL = datetime(2026, 11, 23, 12, tzinfo=UTC)
WIDTH, HEIGHT, FPS = 320, 180, 3
RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


def camera(id_: str = "gate", *, line: bool = False, zone: dict[str, Any] | None = None, **more: Any) -> CameraSettings:
    """A camera with a zone over its right half, or a line through its middle, or both."""
    zones = [{"id": "yard", "polygon": RIGHT_HALF, **zone}] if zone is not None else []
    lines = [{"id": "fence", "start": (0.5, 1.0), "end": (0.5, 0.0)}] if line else []
    head = {"id": id_, "name": id_, "driver": "rtsp", "address": "192.0.2.1", "zone": zones, "line": lines}
    return CameraSettings.model_validate({**head, "settings": Rtsp(), **more})


def ground(seed: int = 1) -> Image:
    """A floor with some texture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(80, 150, (12, 20, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


Place = tuple[float, float] | None
Where = Callable[[float], Place]


def picture(at_s: float, *where: Where, floor: Image | None = None, bags: Sequence[Place] = ()) -> Image:
    """The floor, with people (in two colours) whose feet are at `where(at_s)`."""
    image = (ground() if floor is None else floor).copy()
    for bag in bags:
        if bag:
            x, y = int(bag[0] * WIDTH), int(bag[1] * HEIGHT)
            cv2.rectangle(image, (x - 7, y - 12), (x + 7, y), (20, 20, 30), -1)
    for one in where:
        if (place := one(at_s)) is not None:
            x, y = int(place[0] * WIDTH), int(place[1] * HEIGHT)
            leg = int(4 * np.sin(at_s * 6))
            cv2.rectangle(image, (x - 6, y - 50), (x + 6, y - 18), (40, 30, 200), -1)
            cv2.rectangle(image, (x - 5 + leg, y - 18), (x - 1 + leg, y), (30, 30, 30), -1)
            cv2.rectangle(image, (x + 1 - leg, y - 18), (x + 5 - leg, y), (30, 30, 30), -1)
            cv2.circle(image, (x, y - 55), 5, (150, 170, 210), -1)
    noise = np.random.default_rng(round(at_s * 100)).normal(0, 1.5, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def walk(start_s: float, from_: tuple[float, float], to: tuple[float, float], speed: float = 0.09) -> Where:
    """Somebody who walks from one place to another, and is gone then."""
    far = float(np.hypot(to[0] - from_[0], to[1] - from_[1]))

    def where(at_s: float) -> Place:
        part = (at_s - start_s) * speed / far
        return (from_[0] + part * (to[0] - from_[0]), from_[1] + part * (to[1] - from_[1])) if 0 <= part <= 1 else None

    return where


def play(
    analyst: Analyst, seconds: float, draw: Callable[[float], Image], *, wall: datetime = WALL, start_s: float = 0.0
) -> list[tuple[float, CameraEvent]]:
    """Show pictures; return what is told, and when."""
    told = []
    for index in range(int(start_s * FPS), int(seconds * FPS)):
        at_s = index / FPS
        events = analyst.frame(draw(at_s), round((at_s + 1) * 1e9), wall + timedelta(seconds=at_s))
        told += [(at_s, event) for event in events]
    return told


def brief(told: Iterable[tuple[float, CameraEvent]]) -> list[tuple[str, bool | None]]:
    return [(event.kind, event.active) for _, event in told]


def encode(pictures: Iterable[Image], *, fps: int = 10, gop: int = 10, codec: str = "libx264") -> Iterator[Packet]:
    """As a camera sends them: Annex B with its headers at each keyframe, no delay."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.time_base, encoder.pix_fmt = Fraction(1, fps), "yuv420p"
    params = f"aud=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:threads=1"
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": params}
    for number, image in enumerate(pictures):
        if not encoder.is_open:
            encoder.height, encoder.width = image.shape[:2]
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = number
        for packet in encoder.encode(frame):
            yield Packet(bytes(packet), number, number, packet.is_keyframe, round((1 + number / fps) * 1e9))


def info(width: int = WIDTH, height: int = HEIGHT, fps: float | None = 10.0) -> StreamInfo:
    return StreamInfo("h264", width, height, fps, b"", (1, 10))
