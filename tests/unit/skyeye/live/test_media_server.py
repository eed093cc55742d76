"""The media socket, with real coded pictures and no network."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from agent.clock import SystemClock
from agent.config.models import CameraSettings
from agent.control import ControlError
from agent.control.media import EvidenceRequest, LiveRequest, MediaClient, MediaDown, PictureRequest, parse_media_answer
from agent.skyeye.live import MediaServer
from drivers.rtsp import Rtsp
from tests.sims.gst import GstStream
from tests.sims.pictures import times_of
from tests.sims.player import Player

Codec = Literal["h264", "h265"]


def file_of(codec: Codec) -> Path:
    file = GstStream.loop(codec, width=320, height=180, fps=10, kbps=200, gop=10).file
    assert file
    return file


@asynccontextmanager
async def serving(folder: Path, codec: Codec = "h264", *, speed: float = 5) -> AsyncIterator[tuple[Path, Player]]:
    player = Player({("gate", "main"): file_of(codec), ("gate", "sub"): file_of(codec)}, speed=speed)
    known = {
        id_: CameraSettings(id=id_, name=id_, driver="rtsp", address="192.0.2.1", settings=Rtsp())
        for id_ in ("gate", "dark")
    }
    evidence = folder / "proof.mp4"
    evidence.write_bytes(bytes(range(256)) * 4000)
    path = folder / "media.sock"
    server = MediaServer(
        path,
        player,
        lambda: known,
        {"gate": b"a jpeg"}.get,
        lambda id_: {"E1": evidence, "E2": folder / "gone.mp4"}.get(id_),
        SystemClock("UTC"),
        start_timeout_s=5,
    )
    await server.start()
    try:
        yield path, player
    finally:
        await server.close()


async def taken(client: MediaClient, count: int) -> list[bytes]:
    frames: list[bytes] = []
    async with asyncio.timeout(60):
        async for payload in client.frames():
            frames.append(payload)
            if len(frames) == count:
                break
    return frames


def pictures(data: bytes) -> int:
    return len(times_of(data))


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_live_stream_plays(tmp_path: Path, codec: Codec) -> None:
    async with serving(tmp_path, codec) as (path, _), MediaClient(path, LiveRequest("gate", "main")) as client:
        assert client.answer.mime.startswith("video/mp4; codecs=")
        assert pictures(b"".join(await taken(client, 25))) == 24


async def test_viewers_share_one_reader_which_goes_with_the_last(tmp_path: Path) -> None:
    async with serving(tmp_path) as (path, player):
        wanted = LiveRequest("gate", "main")
        async with MediaClient(path, wanted) as first:
            await taken(first, 8)
            async with MediaClient(path, wanted) as second, MediaClient(path, wanted) as third:
                for late in (second, third):
                    assert pictures(b"".join(await taken(late, 12))) == 11
                assert len(player.members) == 1
        async with asyncio.timeout(60):
            while player.members:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0.01)
        assert player.joined == 1


async def test_a_late_viewer_starts_at_once_with_the_last_keyframe(tmp_path: Path) -> None:
    """At a speed at which the next keyframe is a minute away."""
    async with serving(tmp_path, speed=0.5) as (path, _), MediaClient(path, LiveRequest("gate", "main")) as first:
        await taken(first, 4)
        async with MediaClient(path, LiveRequest("gate", "main")) as second:
            assert pictures(b"".join(await taken(second, 3))) == 2


async def test_keyframes_as_jpegs(tmp_path: Path) -> None:
    async with serving(tmp_path) as (path, _), MediaClient(path, LiveRequest("gate", "sub", "mjpeg")) as client:
        assert client.answer.mime == "image/jpeg"
        frames = await taken(client, 3)
        assert all(one.startswith(b"\xff\xd8") for one in frames)
        assert frames[0] != frames[2]


async def test_a_slow_viewer_holds_up_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, speed=40) as (path, _):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=2**12)
        writer.write(b'{"method":"live","camera":"gate","role":"main"}\n')
        async with MediaClient(path, LiveRequest("gate", "main")) as quick:
            assert len(await taken(quick, 600)) == 600
        assert parse_media_answer(await reader.readline()).mime
        writer.close()


async def test_pictures_and_files(tmp_path: Path) -> None:
    async with serving(tmp_path) as (path, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with MediaClient(path, PictureRequest("gate")) as client:
            assert client.answer.mime == "image/jpeg"
            assert await taken(client, 2) == [b"a jpeg"]
        async with MediaClient(path, EvidenceRequest("E1")) as client:
            assert (client.answer.mime, client.answer.name) == ("video/mp4", "proof.mp4")
            whole = b"".join(await taken(client, 1000))
            assert len(whole) == client.answer.bytes == 1_024_000


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (LiveRequest("nobody"), "live.no-camera"),
        (PictureRequest("nobody"), "live.no-camera"),
        (PictureRequest("dark"), "live.no-picture"),
        (EvidenceRequest("E2"), "live.no-evidence"),
        (EvidenceRequest("../../etc/passwd"), "live.no-evidence"),
        (LiveRequest("dark"), "live.push-unreachable"),
    ],
)
async def test_refusals_have_a_text(
    tmp_path: Path, request_: LiveRequest | PictureRequest | EvidenceRequest, key: str
) -> None:
    async with serving(tmp_path) as (path, _):
        with pytest.raises(ControlError) as refused:
            await MediaClient(path, request_).__aenter__()
        assert refused.value.text.key == key


async def test_rubbish_is_answered_and_hurts_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as (path, _):
        for rubbish in (b"rubbish\n", b"\xff" * 40_000 + b"\n", b"\n", b""):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(rubbish)
            writer.write_eof()
            await reader.read()
            writer.close()
        async with MediaClient(path, PictureRequest("gate")) as client:
            assert client.answer.mime == "image/jpeg"


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(MediaDown):
        await MediaClient(tmp_path / "none.sock", PictureRequest("gate")).__aenter__()
