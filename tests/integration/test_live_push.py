"""Pushes to real media servers: RTSP (GStreamer in record mode) and RTMP (ffmpeg listening)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import av
import pytest

from agent.clock import SystemClock
from agent.model import JsonValue
from agent.skyeye.live import Pusher
from tests.sims.gst import PYTHON, GstStream
from tests.sims.pictures import times_of
from tests.sims.player import Player

RECORDER = Path(__file__).parents[1] / "sims" / "gst_record.py"
PICTURES = 15


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def pushing(
    url: str, *, codec: Literal["h264", "h265"] = "h264", ca: Path | None = None
) -> AsyncIterator[Pusher]:
    file = GstStream.loop(codec, width=320, height=180, fps=10, kbps=200, gop=10).file
    assert file
    told: list[Mapping[str, JsonValue]] = []
    pusher = Pusher(
        Player({("gate", "main"): file}, speed=2),
        lambda: ["127.0.0.1", "localhost"],
        SystemClock("UTC"),
        lambda _what, data: told.append(data),
        ca=lambda: ca,
    )
    try:
        await pusher.start("gate", "main", url, 300)
        yield pusher
    finally:
        await pusher.close()


async def state(pusher: Pusher, wanted: str) -> Mapping[str, JsonValue]:
    async with asyncio.timeout(60):
        while True:
            (view,) = pusher.list()
            if view["state"] == wanted:
                return view
            await asyncio.sleep(0.05)


def pictures(file: Path, form: str) -> int:
    try:
        return len(times_of(file, form))
    except (av.FFmpegError, OSError):
        return 0


async def recorded(file: Path, form: str) -> None:
    async with asyncio.timeout(60):
        while await asyncio.to_thread(pictures, file, form) < PICTURES:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("login", [[], ["pub", "s3cret"]])
async def test_rtsp(tmp_path: Path, login: list[str]) -> None:
    file = tmp_path / "recorded.h264"
    async with running(PYTHON, str(RECORDER), str(file), *login) as server:
        assert server.stdout
        port = int(await server.stdout.readline())
        credentials = ":".join(login) + "@" if login else ""
        async with pushing(f"rtsp://{credentials}127.0.0.1:{port}/push") as pusher:
            view = await state(pusher, "running")
            assert "s3cret" not in repr(view)
            await recorded(file, "h264")


async def test_rtmp_and_again_when_the_server_comes_back(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"rtmp://127.0.0.1:{port}/live/gate"
    async with pushing(url) as pusher:
        waiting = await state(pusher, "waiting")
        error = waiting["error"]
        assert isinstance(error, dict)
        assert error["key"] == "live.push-refused"
        file = tmp_path / "recorded.flv"
        command = ["ffmpeg", "-hide_banner", "-loglevel", "quiet", "-y", "-listen", "1", "-f", "flv", "-i", url]
        async with running(*command, "-c", "copy", "-flush_packets", "1", str(file)):
            await state(pusher, "running")
            await recorded(file, "flv")
        await state(pusher, "waiting")


async def test_a_server_that_wants_another_password(tmp_path: Path) -> None:
    async with running(PYTHON, str(RECORDER), str(tmp_path / "none"), "pub", "s3cret") as server:
        assert server.stdout
        port = int(await server.stdout.readline())
        async with pushing(f"rtsp://pub:wrong@127.0.0.1:{port}/push") as pusher:
            error = (await state(pusher, "waiting"))["error"]
            assert isinstance(error, dict)
            assert error["key"] == "live.push-login"
