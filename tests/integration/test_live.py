"""Live pictures from a real RTSP server: the eye's hub of streams, the media socket, and what a browser would get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.camera import StreamRole, StreamSource
from agent.clock import SystemClock
from agent.config.models import CameraSettings
from agent.control import ControlError
from agent.control.media import LiveRequest, MediaClient
from agent.skyeye.live import MediaServer
from agent.skyeye.streams import StreamHub
from drivers.rtsp import Rtsp
from tests.sims.gst import GstServer, GstStream
from tests.sims.pictures import times_of

USER, PASSWORD = "agent", "pw-of-the-camera"
MOUNTS = {"main": "h264", "sub": "h265"}


@dataclass
class Rig:
    """All of it."""

    server: GstServer
    hub: StreamHub
    media: Path


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    streams = {
        "h264": GstStream.loop("h264", width=640, height=360, fps=10, kbps=500, gop=10),
        "h265": GstStream.loop("h265", width=640, height=360, fps=10, kbps=500, gop=10),
    }
    clock = SystemClock("UTC")
    async with GstServer(streams, username=USER, password=PASSWORD) as server:

        async def resolve(camera: str, role: StreamRole) -> StreamSource:
            name = MOUNTS[role] if camera == "gate" else "not-there"
            return StreamSource(server.url(name), USER, PASSWORD)

        hub = StreamHub(resolve, clock)
        known = {
            id_: CameraSettings(id=id_, name=id_, driver="rtsp", address="192.0.2.1", settings=Rtsp())
            for id_ in ("gate", "yard")
        }
        media = MediaServer(
            folder / "media.sock", hub, lambda: known, lambda _id: None, lambda _id: None, clock, start_timeout_s=10
        )
        await media.start()
        try:
            yield Rig(server, hub, folder / "media.sock")
        finally:
            await media.close()
            await hub.close()


async def taken(client: MediaClient, count: int) -> bytes:
    data, number = b"", 0
    async with asyncio.timeout(60):
        async for payload in client.frames():
            data, number = data + payload, number + 1
            if number == count:
                break
    return data


def pictures(data: bytes) -> int:
    return len(times_of(data))


@pytest.mark.parametrize(("role", "codec"), [("main", "avc1."), ("sub", "hvc1.")])
async def test_what_comes_out_plays(tmp_path: Path, role: StreamRole, codec: str) -> None:
    async with rig(tmp_path) as r, MediaClient(r.media, LiveRequest("gate", role)) as client:
        assert codec in client.answer.mime
        assert pictures(await taken(client, 26)) == 25


async def test_eight_viewers_are_one_connection_to_the_camera(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        wanted = LiveRequest("gate", "main")
        clients = [await MediaClient(r.media, wanted).__aenter__() for _ in range(8)]
        counts = [pictures(data) for data in await asyncio.gather(*(taken(client, 12) for client in clients))]
        assert counts == [11] * 8
        assert await r.server.clients() == 1
        for client in clients:
            await client.__aexit__()
        async with asyncio.timeout(60):
            while r.hub.running() or await r.server.clients():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


async def test_a_camera_that_comes_back_is_shown_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        async with MediaClient(r.media, LiveRequest("gate", "main")) as client:
            await taken(client, 5)
            await r.server.drop()
            async with asyncio.timeout(60):
                async for _ in client.frames():
                    pass  # until the stream ends: the page asks again
        async with asyncio.timeout(60):
            while True:
                try:
                    async with MediaClient(r.media, LiveRequest("gate", "main")) as again:
                        assert pictures(await taken(again, 6)) == 5
                        return
                except ControlError:
                    await asyncio.sleep(0.2)


async def test_a_stream_that_is_not_there_is_told_with_its_reason(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        with pytest.raises(ControlError) as refused:
            await MediaClient(r.media, LiveRequest("yard", "main")).__aenter__()
        said = refused.value.text
        assert said.render("zh-CN") != said.render("en")
        assert PASSWORD not in said.render("en")
