"""Streams against a real RTSP server and against hostile cameras."""

import asyncio
import hashlib
import itertools
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.camera import BadReply, CameraError, LoginRefused, StreamFailed, StreamRole, StreamSource, Unreachable
from agent.clock import NS_PER_S, SystemClock
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.skyeye.streams import ClipTaker, Ring, RingBudget, StreamHub, decode_keyframe, jpeg, write_clip
from agent.texts import say
from tests.sims.camera import SimCameras
from tests.sims.gst import GstServer, GstStream

CLOCK = SystemClock("Asia/Shanghai")
PASSWORD = "p@ss:w/rd% 密"


class Ear(PacketSink):
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.infos: list[StreamInfo] = []
        self.packets: list[Packet] = []
        self.errors: list[CameraError] = []

    def opened(self, info: StreamInfo) -> None:
        self.infos.append(info)

    def packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def lost(self, error: CameraError) -> None:
        self.errors.append(error)


@asynccontextmanager
async def hub_of(source: Callable[[str], StreamSource], states: list[object] | None = None) -> AsyncIterator[StreamHub]:
    async def resolve(camera: str, _role: StreamRole) -> StreamSource:
        return source(camera)

    hub = StreamHub(
        resolve, CLOCK, on_state=lambda camera, _role, error: None if states is None else states.append((camera, error))
    )
    try:
        yield hub
    finally:
        await hub.close()


async def until(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what it waits for happens in other threads and processes
            await asyncio.sleep(0.02)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def probed(path: Path) -> dict[str, str]:
    """What ffprobe says of a file, all frames decoded; fails if it complains of anything."""
    entries = "stream=codec_name,codec_tag_string,width,height,nb_read_frames,duration"
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    (stream,) = json.loads(done.stdout)["streams"]
    return {key: str(value) for key, value in stream.items()}


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_look_and_a_clip(codec: str, tmp_path: Path) -> None:
    stream = GstStream("h264" if codec == "h264" else "h265")
    async with (
        GstServer({"s": stream}, username="admin", password=PASSWORD) as server,
        hub_of(lambda _camera: StreamSource(server.url("s"), "admin", PASSWORD)) as hub,
    ):
        ring = Ring(3.0, RingBudget(8 << 20))
        member = hub.join("gate", "main", ring, name="ring")
        report = await hub.look("gate", "main", seconds=1.5, deadline_s=60, pictures=2)
        assert report.info
        assert (report.info.codec, report.info.width, report.info.height) == (codec, 640, 360)
        assert report.keyframes >= 1
        assert report.fps == pytest.approx(10, rel=0.15)
        assert report.picture is not None
        assert report.picture.shape == (360, 640, 3)
        assert jpeg(report.picture, width=320)[:2] == b"\xff\xd8"
        path = tmp_path / "clip.mp4"
        facts = await ClipTaker(hub, CLOCK).take("gate", ring, 1.0, 1.0, path)
        member.leave()
        assert hub.running() == []
    found = probed(path)
    assert found["codec_name"] == ("h264" if codec == "h264" else "hevc")
    assert found["codec_tag_string"] == ("avc1" if codec == "h264" else "hvc1")
    assert int(found["nb_read_frames"]) == facts.frames >= 15
    assert float(found["duration"]) == pytest.approx(facts.seconds, abs=0.01)
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (facts.bytes, facts.sha256)
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"
    assert names(tmp_path) == ["clip.mp4"]


async def test_a_wrong_password_is_tried_once_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    states: list[object] = []
    async with (
        SimCameras({"id": "cam", "username": "admin", "password": "right", "onvif": False}) as cameras,
        hub_of(lambda _: StreamSource(cameras.url(), "admin", "wr0ng-secret"), states) as hub,
    ):
        ear = Ear()
        hub.join("cam", "main", ear, name="ear")
        with pytest.raises(LoginRefused) as caught:
            await hub.look("cam", "main", seconds=1, deadline_s=60)
        with pytest.raises(CameraError):
            await hub.look("cam", "main", seconds=1, deadline_s=0.5)
        assert (await cameras.state())["wrong_logins"] == 1
        assert len(ear.errors) == 1
        assert [type(state[1]) for state in states if isinstance(state, tuple)] == [LoginRefused]
    assert "wr0ng-secret" not in caplog.text + str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(("digest", "works"), [("both", True), ("SHA-256", False)])
async def test_digests(digest: str, works: bool) -> None:
    spec = {"id": "cam", "username": "admin", "password": PASSWORD, "rtsp_digest": digest, "onvif": False}
    async with SimCameras(spec) as cameras, hub_of(lambda _: StreamSource(cameras.url(), "admin", PASSWORD)) as hub:
        if works:
            assert (await hub.look("cam", "main", seconds=0, deadline_s=60)).picture is not None
        else:
            with pytest.raises(StreamFailed, match="sha-256"):
                await hub.look("cam", "main", seconds=0, deadline_s=60)
        assert (await cameras.state())["wrong_logins"] == 0, "a login that cannot succeed is not tried"


async def test_udp_where_tcp_is_refused() -> None:
    async with (
        GstServer({"s": GstStream(protocols="udp")}) as server,
        hub_of(lambda _: StreamSource(server.url("s"))) as hub,
    ):
        ear = Ear()
        hub.join("cam", "main", ear, name="ear")
        await until(lambda: ear.packets)  # a server that is still putting away what it refused may want another try
        report = await hub.look("cam", "main", seconds=0.5, deadline_s=60)
        assert report.picture is not None


async def test_one_connection_serves_all_and_closes_with_the_last() -> None:
    async with GstServer({"s": GstStream()}) as server, hub_of(lambda _: StreamSource(server.url("s"))) as hub:
        first, second = Ear(), Ear()
        one = hub.join("cam", "main", first, name="one")
        await until(lambda: len(first.packets) > 5)
        two = hub.join("cam", "main", second, name="two")
        await until(lambda: second.packets)
        assert second.infos == first.infos[-1:]
        assert second.packets[0].keyframe, "who joins begins with the last keyframe"
        assert await server.clients() == 1
        one.leave()
        one.leave()
        count = len(first.packets)
        await until(lambda: len(second.packets) > 20)
        assert len(first.packets) == count
        assert [(r.camera, r.members) for r in hub.running()] == [("cam", ("two",))]
        two.leave()
        await until(lambda: hub.hung == 0 and not hub.running())
        async with asyncio.timeout(30):
            while await server.clients():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


async def test_a_server_that_goes_and_comes_back() -> None:
    async with GstServer({"s": GstStream()}) as server, hub_of(lambda _: StreamSource(server.url("s"))) as hub:
        ear, ring = Ear(), Ring(60, RingBudget(8 << 20))
        hub.join("cam", "main", ear, name="ear")
        hub.join("cam", "main", ring, name="ring")
        await until(lambda: len(ear.packets) > 12)
        await server.kill()
        await until(lambda: ear.errors)
        await server.start()
        before = len(ear.packets)
        await until(lambda: len(ear.packets) > before + 12)
        frozen = ring.freeze(0)
    dts = [packet.dts for packet in ear.packets]
    assert all(a < b for a, b in itertools.pairwise(dts)), "times run forward across the gap"
    assert frozen
    assert frozen.packets[0].keyframe


async def test_a_clip_across_a_gap_plays(tmp_path: Path) -> None:
    async with GstServer({"s": GstStream()}) as server, hub_of(lambda _: StreamSource(server.url("s"))) as hub:
        ear, ring = Ear(), Ring(60, RingBudget(8 << 20))
        hub.join("cam", "main", ring, name="ring")
        hub.join("cam", "main", ear, name="ear")
        await until(lambda: len(ear.packets) > 12)
        await server.drop()
        before = len(ear.packets)
        await until(lambda: len(ear.packets) > before + 25)
        frozen = ring.freeze(0)
    assert frozen
    facts = await write_clip(tmp_path / "clip.mp4", frozen)
    assert int(probed(tmp_path / "clip.mp4")["nb_read_frames"]) == facts.frames
    span = (frozen.packets[-1].arrived_ns - frozen.packets[0].arrived_ns) / NS_PER_S
    assert facts.seconds == pytest.approx(span, abs=1.0)


HOSTILE: dict[str, tuple[type[CameraError], str]] = {
    "silent": (StreamFailed, "streams.mute"),
    "endless": (BadReply, "streams.huge"),
    "huge": (BadReply, "streams.huge"),
    "garbage": (BadReply, "streams.bad-reply"),
    "redirect": (BadReply, "streams.redirect"),
    "unauthorized": (LoginRefused, "streams.login-refused"),
    "hang": (StreamFailed, "streams.no-packets"),
    "stop": (StreamFailed, "streams.silent"),
    "cut": (StreamFailed, "streams.ended"),
    "lie": (StreamFailed, "streams.codec-lie"),
    "junk": (StreamFailed, "streams.broken-keyframe"),
}
ODD = ("jump", "backward", "repeat", "no-keyframe")


async def test_hostile_cameras_are_told_apart_and_hold_nobody_up() -> None:
    modes = ("ok", *HOSTILE, *ODD)
    specs = [
        {"id": mode, "rtsp_mode": mode, "username": "u", "password": "p", "after_s": 1.0, "onvif": False}
        for mode in modes
    ]
    async with (
        SimCameras(*specs) as cameras,
        hub_of(lambda camera: StreamSource(cameras.url(camera), "u", "p")) as hub,
    ):
        looks = (hub.look(mode, "main", seconds=2.5, deadline_s=60) for mode in modes)
        found = dict(zip(modes, await asyncio.gather(*looks, return_exceptions=True), strict=True))
        assert hub.hung == 0
    for mode, (kind, key) in HOSTILE.items():
        error = found[mode]
        assert isinstance(error, kind), f"{mode}: {error!r}"
        assert error.text.key == key, mode
    for mode in ("ok", *ODD):
        report = found[mode]
        assert not isinstance(report, BaseException), f"{mode}: {report}"
        assert report.picture is not None
        assert (report.backward > 0) == (mode in ("jump", "backward", "repeat")), mode


async def test_another_size_in_the_middle_is_told_and_ends_a_clip(tmp_path: Path) -> None:
    async with (
        SimCameras({"id": "cam", "onvif": False}) as cameras,
        hub_of(lambda _: StreamSource(cameras.url())) as hub,
    ):
        ear, ring = Ear(), Ring(20, RingBudget(8 << 20))
        hub.join("cam", "main", ring, name="ring")
        hub.join("cam", "main", ear, name="ear")
        clip = asyncio.create_task(ClipTaker(hub, CLOCK).take("cam", ring, 0, 10, tmp_path / "clip.mp4"))
        await until(lambda: len(ear.packets) > 20)
        await cameras.tell("cam", rtsp_mode="resize", after_s=0)
        facts = await clip
        await until(lambda: len(ear.infos) > 1)
        after = next(p for p in reversed(ear.packets) if p.keyframe)
    sizes = [(info.width, info.height) for info in ear.infos]
    assert len(set(sizes)) == 2
    assert decode_keyframe(ear.infos[-1], after).shape[1::-1] == sizes[-1]
    assert facts.seconds < 9
    assert int(probed(tmp_path / "clip.mp4")["nb_read_frames"]) == facts.frames


async def test_nobody_there_and_a_closed_port(unused_tcp_port: int) -> None:
    async with hub_of(lambda _: StreamSource(f"rtsp://127.0.0.1:{unused_tcp_port}/x")) as hub:
        with pytest.raises(Unreachable) as caught:
            await hub.look("cam", "main", seconds=1, deadline_s=60)
        assert caught.value.text.key == "streams.port-closed"


async def test_a_clip_without_a_stream_says_why(unused_tcp_port: int, tmp_path: Path) -> None:
    async with hub_of(lambda _: StreamSource(f"rtsp://127.0.0.1:{unused_tcp_port}/x")) as hub:
        ring = Ring(5, RingBudget(1 << 20))
        hub.join("cam", "main", ring, name="clip")
        taker = ClipTaker(hub, CLOCK, start_timeout_s=1.0)
        with pytest.raises(Unreachable):
            await taker.take("cam", ring, 0, 1, tmp_path / "clip.mp4")
    assert names(tmp_path) == []


async def test_a_gate_that_is_closed_holds_the_stream_back() -> None:
    asked = 0

    async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
        nonlocal asked
        asked += 1
        raise LoginRefused(say("camera.not-offered"))

    states: list[object] = []
    hub = StreamHub(resolve, CLOCK, on_state=lambda *state: states.append(state))
    with pytest.raises(LoginRefused):
        await hub.look("cam", "main", seconds=1, deadline_s=60)
    await hub.close()
    assert (asked, states) == (1, []), "what the resolver raised is its own, and is not reported as the stream's"
