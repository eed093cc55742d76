"""The analyser: streams in, events out, and nobody waits for a camera that is slow, broken or hostile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from agent.camera import CameraEvent, StreamFailed, StreamRole
from agent.clock import SimClock
from agent.config.skyeye import SkyeyeSettings
from agent.skyeye.analysis.analyser import QUEUE_PACKETS, Analyser
from agent.skyeye.analysis.frames import Frames
from agent.skyeye.model import Packet, PacketSink
from agent.texts import Text, say
from tests.unit.skyeye.analysis.make import HEIGHT, WIDTH, camera, encode, info, picture, walk
from tests.unit.skyeye.analysis.onnx import bright_squares


@dataclass
class Wire:
    """Streams by hand."""

    sinks: dict[str, PacketSink] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def join(self, camera: str, role: StreamRole, sink: PacketSink, *, name: str) -> "Place":
        assert (role, name) == ("sub", "analysis")
        self.sinks[camera] = sink
        return Place(self, camera)


@dataclass
class Place:
    wire: Wire
    camera: str

    def leave(self) -> None:
        self.wire.left.append(self.camera)


@dataclass
class Rig:
    wire: Wire
    analyser: Analyser
    told: list[tuple[str, CameraEvent]]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():  # noqa: ASYNC110 - it is threads that are waited for
                await asyncio.sleep(0.01)


@asynccontextmanager
async def rig(settings: SkyeyeSettings | None = None) -> AsyncIterator[Rig]:
    wire, told = Wire(), list[tuple[str, CameraEvent]]()
    clock = SimClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
    analyser = Analyser(wire, clock, lambda camera, event: told.append((camera, event)), settings)
    try:
        yield Rig(wire, analyser, told)
    finally:
        await analyser.close()


@cache
def stream() -> tuple[Packet, ...]:
    """Fifteen seconds in which somebody walks from left to right."""
    walker = walk(6, (0.1, 0.8), (0.9, 0.8))
    return tuple(encode((picture(n / 10, walker) for n in range(150)), fps=10))


async def feed(one: Rig, camera_: str, packets: Sequence[Packet]) -> None:
    """No faster than it is looked at."""
    one.wire.sinks[camera_].opened(info())
    for index, packet in enumerate(packets):
        one.wire.sinks[camera_].packet(packet)
        if index % 20 == 19:
            seen = index // 5
            await one.until(lambda seen=seen: sum(one.analyser.counts()[camera_]) >= seen)  # type: ignore[misc]


async def test_a_stream_becomes_events_on_the_loop() -> None:
    async with rig() as one:
        one.analyser.start(camera(line=True))
        await feed(one, "gate", stream())
        await one.until(lambda: bool(one.told))
        assert [(c, e.kind, e.source) for c, e in one.told] == [("gate", "line-crossed", "fence")]
        pictures, _ = one.analyser.counts()["gate"]
        assert 25 <= pictures <= 60  # 3 a second of 10, until the line was crossed and a little longer


async def test_a_flood_is_dropped_and_not_queued() -> None:
    async with rig() as one:
        one.analyser.start(camera(line=True))
        one.wire.sinks["gate"].opened(info())
        for _ in range(20):
            for packet in stream():
                one.wire.sinks["gate"].packet(packet)
        _, dropped = one.analyser.counts()["gate"]
        assert dropped > 10 * QUEUE_PACKETS


async def test_one_that_floods_does_not_delay_another() -> None:
    async with rig() as one:
        for id_ in ("bad1", "bad2", "bad3", "gate"):
            one.analyser.start(camera(id_, line=True))
        flooding = True

        async def flood() -> None:
            while flooding:
                for id_ in ("bad1", "bad2", "bad3"):
                    one.wire.sinks[id_].opened(info())
                    for packet in stream()[:60]:
                        one.wire.sinks[id_].packet(packet)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(flood())
        await feed(one, "gate", stream())
        await one.until(lambda: any(camera_ == "gate" for camera_, _ in one.told))
        flooding = False
        await task


async def test_garbage_is_borne_and_the_stream_taken_up_again() -> None:
    async with rig() as one:
        one.analyser.start(camera(line=True))
        garbage = [Packet(bytes(range(200)), n, n, n % 2 == 0, n * 10**8) for n in range(20)]
        one.wire.sinks["gate"].opened(info())
        for packet in garbage:
            one.wire.sinks["gate"].packet(packet)
        one.wire.sinks["gate"].lost(StreamFailed(say("streams.closed")))
        await feed(one, "gate", stream())
        await one.until(lambda: bool(one.told))


async def test_after_stop_nothing_is_told() -> None:
    async with rig() as one:
        one.analyser.start(camera(line=True))
        sink = one.wire.sinks["gate"]
        sink.opened(info())
        for packet in stream()[:70]:
            sink.packet(packet)
        one.analyser.stop("gate")
        one.analyser.stop("gate")
        one.analyser.stop("never-there")
        for packet in stream()[70:]:
            sink.packet(packet)
        await asyncio.sleep(0.1)
        assert one.told == []
        assert one.wire.left == ["gate"]
        assert one.analyser.counts() == {}


async def test_a_detector_that_is_missing_is_told_once_and_motion_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(SkyeyeSettings(detector=tmp_path / "none.onnx")) as one:
        one.analyser.start(camera(line=True))
        await feed(one, "gate", stream())
        await one.until(lambda: bool(one.told))
    texts = [record.msg for record in caplog.records if isinstance(record.msg, Text)]
    assert len(texts) == 1
    assert texts[0].key == "analysis.no-detector"
    assert "none.onnx" in texts[0].render("en")


@pytest.mark.parametrize(("wanted", "hit"), [("red", True), ("blue", False)])
async def test_with_a_detector_classes_count(tmp_path: Path, wanted: str, hit: bool) -> None:
    """A bright red square goes through the zone of those who look for red, or for blue."""
    path = tmp_path / "model.onnx"
    path.write_bytes(bright_squares())

    def draw(n: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        x = 3 * max(0, n - 45)
        if n > 45:
            image[80:120, x : x + 40] = (195, 210, 255)
        return image

    stream = list(encode((draw(n) for n in range(135)), fps=10))
    async with rig(SkyeyeSettings(detector=path, detector_classes=("red", "blue"))) as one:
        one.analyser.start(camera(zone={"classes": (wanted,)}))
        await feed(one, "gate", stream)
        pictures = 35
        await one.until(lambda: one.analyser.counts()["gate"][0] >= pictures)
        await asyncio.sleep(0.05)
        assert bool(one.told) is hit
        assert {event.kind for _, event in one.told} <= {"intrusion"}


def test_frames_begin_at_a_keyframe_and_keep_the_rate() -> None:
    frames = Frames(info(), 2.0)
    pictures = [frames.take(packet) for packet in stream()[5:]]
    assert all(one is None for one in pictures[:5])
    assert 25 <= sum(one is not None for one in pictures) <= 36
    assert {one.shape for one in pictures if one is not None} == {(HEIGHT, WIDTH, 3)}


def test_large_pictures_are_made_small_and_too_large_ones_left_alone() -> None:
    large = list(encode((np.full((720, 1280, 3), n, np.uint8) for n in range(3)), gop=3))
    image = Frames(info(1280, 720), 3.0).take(large[0])
    assert image is not None
    assert image.shape == (360, 640, 3)
    assert Frames(info(3840, 2160), 3.0).keys_only
    assert Frames(info(60_000, 60_000), 3.0).take(large[0]) is None
