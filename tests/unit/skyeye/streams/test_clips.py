"""A clip is of one kind, whatever comes while it is taken; its clock is simulated, its file is real."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from agent.camera import StreamFailed, StreamRole, StreamSource
from agent.clock import NS_PER_S, SimClock
from agent.skyeye.model import Packet, StreamInfo
from agent.skyeye.streams import ClipTaker, Ring, RingBudget, StreamHub
from agent.skyeye.streams.clips import Tap
from agent.skyeye.streams.nal import parameter_sets
from agent.texts import say

BASE = (1, 90_000)
FPS = 5


def film(width: int, count: int, codec: str = "libx264") -> tuple[StreamInfo, list[tuple[bytes, bool]]]:
    """Encode a few frames with a keyframe each second."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, width // 2, "yuv420p"
    encoder.framerate, encoder.gop_size, encoder.thread_count = FPS, FPS, 1  # type: ignore[assignment]
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    coded = [packet for _ in range(count) for packet in encoder.encode(av.VideoFrame(width, width // 2, "yuv420p"))]
    coded += encoder.encode(None)
    frames = [(bytes(packet), packet.is_keyframe) for packet in coded]
    return StreamInfo("h264", width, width // 2, FPS, parameter_sets("h264", frames[0][0]), BASE), frames


SMALL, SMALL_FRAMES = film(160, 100)
LARGE, LARGE_FRAMES = film(320, 50)


class Bench:
    """A ring that is fed by hand."""

    def __init__(self) -> None:
        async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
            raise AssertionError("nothing is opened here")

        self.clock = SimClock(datetime(2026, 11, 24, tzinfo=UTC))
        self.ring = Ring(10, RingBudget(1 << 20))
        self.taker = ClipTaker(StreamHub(resolve, self.clock), self.clock)
        self.count = 0

    async def feed(self, frames: list[tuple[bytes, bool]], count: int) -> None:
        for data, keyframe in frames[:count]:
            await self.clock.advance(1 / FPS)
            stamp = self.count * 90_000 // FPS
            self.ring.packet(Packet(data, stamp, stamp, keyframe, self.clock.boottime_ns()))
            self.count += 1
            await asyncio.sleep(0.005)  # the files are written in real threads


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def decoded(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


async def test_before_and_after_join_without_a_gap(tmp_path: Path) -> None:
    bench = Bench()
    bench.ring.opened(SMALL)
    await bench.feed(SMALL_FRAMES, 30)
    clip = asyncio.create_task(bench.taker.take("c", bench.ring, 3.0, 4.0, tmp_path / "c.mp4"))
    await asyncio.sleep(0)
    await bench.feed(SMALL_FRAMES[30:], 25)
    facts = await clip
    assert facts.frames == len(decoded(tmp_path / "c.mp4"))
    assert facts.frames in (39, 40), "from the keyframe 3.8 s before, to 4 s after"
    assert facts.seconds == pytest.approx(facts.frames / FPS)


async def test_another_size_ends_it(tmp_path: Path) -> None:
    bench = Bench()
    bench.ring.opened(SMALL)
    await bench.feed(SMALL_FRAMES, 10)
    clip = asyncio.create_task(bench.taker.take("c", bench.ring, 2.0, 8.0, tmp_path / "c.mp4"))
    await asyncio.sleep(0)
    await bench.feed(SMALL_FRAMES[10:], 5)
    bench.ring.opened(LARGE)
    await bench.feed(LARGE_FRAMES, 20)
    facts = await clip
    assert {*decoded(tmp_path / "c.mp4")} == {(160, 80)}
    assert facts.frames == 15


async def test_a_ring_that_is_only_being_opened(tmp_path: Path) -> None:
    bench = Bench()
    clip = asyncio.create_task(bench.taker.take("c", bench.ring, 0.0, 2.0, tmp_path / "c.mp4"))
    await asyncio.sleep(0)
    await bench.clock.advance(3)
    bench.ring.opened(SMALL)
    await bench.feed(SMALL_FRAMES[1:], 20)
    facts = await clip
    assert facts.seconds == pytest.approx(2.0, abs=0.41)
    assert len(decoded(tmp_path / "c.mp4")) == facts.frames


async def test_nothing_ever_comes(tmp_path: Path) -> None:
    bench = Bench()
    clip = asyncio.create_task(bench.taker.take("c", bench.ring, 0.0, 2.0, tmp_path / "c.mp4"))
    await asyncio.sleep(0)
    bench.ring.lost(StreamFailed(say("streams.nothing", seconds=1)))
    await bench.clock.advance(30)
    with pytest.raises(StreamFailed, match="nothing came"):
        await clip
    assert names(tmp_path) == []


async def test_one_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench()
    bench.ring.opened(SMALL)
    await bench.feed(SMALL_FRAMES, 10)
    clip = asyncio.create_task(bench.taker.take("c", bench.ring, 2.0, 8.0, tmp_path / "c.mp4"))
    await bench.feed(SMALL_FRAMES[10:], 10)
    assert names(tmp_path) != []
    clip.cancel()
    with pytest.raises(asyncio.CancelledError):
        await clip
    assert names(tmp_path) == []


def test_what_changes_before_it_has_begun_is_not_mixed() -> None:
    tap = Tap()
    tap.opened(LARGE)
    tap.packet(Packet(b"x", 0, 0, True, NS_PER_S))
    tap.begin(SMALL)
    assert (tap.cut, tap.take()) == (True, [])
