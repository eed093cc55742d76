"""The analysis on a real stream: GStreamer's RTSP server, the hub, the decoder, and somebody who walks in."""

import asyncio
from pathlib import Path

from agent.camera import CameraEvent, StreamRole, StreamSource
from agent.clock import SystemClock
from agent.skyeye.analysis import Analyser
from agent.skyeye.streams import StreamHub
from tests.sims.gst import GstServer, GstStream
from tests.unit.skyeye.analysis.make import HEIGHT, WIDTH, camera, encode, picture, walk

TIMEOUT_S = 60
FPS = 10
LOOP_S = 11


async def test_an_intruder_in_a_real_stream_is_told(tmp_path: Path) -> None:
    """The file repeats: 5 s of nobody, then somebody walks across into the zone on the right."""
    walker = walk(5, (0.05, 0.8), (0.95, 0.8), 0.17)
    file = tmp_path / "walker.h264"
    file.write_bytes(b"".join(one.data for one in encode(picture(n / FPS, walker) for n in range(LOOP_S * FPS))))
    stream = GstStream("h264", WIDTH, HEIGHT, FPS, file=file)
    async with GstServer({"sub": stream}, username="u", password="p") as server:

        async def resolve(_camera: str, role: StreamRole) -> StreamSource:
            assert role == "sub"
            return StreamSource(server.url("sub"), "u", "p")

        clock = SystemClock("UTC")
        hub = StreamHub(resolve, clock)
        told: asyncio.Queue[tuple[str, CameraEvent]] = asyncio.Queue()
        analyser = Analyser(hub, clock, lambda camera_, event: told.put_nowait((camera_, event)))
        try:
            analyser.start(camera("gate", zone={}, line=True))
            seen: dict[str, CameraEvent] = {}
            async with asyncio.timeout(TIMEOUT_S):
                while not {"intrusion", "line-crossed"} <= seen.keys():
                    name, event = await told.get()
                    assert name == "gate"
                    seen[event.kind] = event
            assert seen["intrusion"].source == "yard"
            assert seen["line-crossed"].topic.endswith("left-to-right")
            assert 0 <= clock.boottime_ns() - seen["intrusion"].seen_ns < TIMEOUT_S * 1e9
            assert [one.members for one in hub.running()] == [("analysis",)]
            analyser.stop("gate")
            assert hub.running() == []
        finally:
            await analyser.close()
            await hub.close()
