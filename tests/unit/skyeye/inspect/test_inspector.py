"""Cameras inspected through the real hub: real sockets, the project's simulated cameras, and what they do wrong."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.camera import (
    BadReply,
    CameraError,
    CameraSession,
    Features,
    Identity,
    LoginRefused,
    NotOffered,
    Profile,
    Recordings,
    StreamRole,
    StreamSource,
)
from agent.clock import SystemClock
from agent.config.skyeye import SkyeyeSettings
from agent.model import ClockQuality
from agent.skyeye.inspect import Inspector
from agent.skyeye.model import Check, Inspection
from agent.skyeye.streams import StreamHub
from agent.texts import say
from tests.sims.camera import SimCameras
from tests.unit.skyeye.inspect.make import settings

LOOK_S = 1.2
USER, PASSWORD = "admin", "sim-pw"
FILM = {"width": 320, "height": 180, "fps": 10, "kbps": 300, "gop": 10}


@dataclass
class Session(CameraSession):
    """A conversation whose answers the test chooses; the stream is the simulator's."""

    source: StreamSource
    answers: dict[str, Any] = field(default_factory=dict)
    closed: bool = False

    def answer(self, name: str, default: Any) -> Any:
        given = self.answers.get(name, default)
        if isinstance(given, BaseException):
            raise given
        return given

    async def identity(self) -> Identity:
        found: Identity = self.answer("identity", Identity("Campus", "SIM", "1.0"))
        return found

    async def stream(self, role: StreamRole) -> StreamSource:
        return self.source

    async def close(self) -> None:
        self.closed = True

    async def features(self) -> Features:
        return Features()

    async def profiles(self) -> tuple[Profile, ...]:
        found: tuple[Profile, ...] = self.answer("profiles", ())
        return found

    async def clock_offset_s(self) -> float:
        return float(self.answer("clock", 0.4))

    async def recordings(self) -> Recordings:
        found: Recordings = self.answer("recordings", NotOffered(say("camera.not-offered")))
        return found


class Synced(SystemClock):
    """The machine's clocks, as if a time server had been heard."""

    def quality(self) -> ClockQuality:
        return "synced"


class Bench:
    """The simulator with an inspector."""

    def __init__(self, cameras: SimCameras, hub: StreamHub, inspector: Inspector, clock: SystemClock) -> None:
        self.cameras = cameras
        self.hub = hub
        self.inspector = inspector
        self.clock = clock

    def source(self, password: str = PASSWORD) -> StreamSource:
        return StreamSource(self.cameras.url(), USER, password)

    async def inspect(self, answers: dict[str, Any] | None = None, **fields: Any) -> Inspection:
        async def opened() -> CameraSession:
            return Session(self.source(), answers or {})

        return await self.of(opened, **fields)

    async def of(self, opened: Callable[[], Awaitable[CameraSession]], **fields: Any) -> Inspection:
        port = self.cameras.cameras[self.cameras.only]["rtsp_port"]
        told: list[Check] = []
        camera = settings("cam", port, username=USER, **fields)
        inspection = await self.inspector.inspect(camera, opened, on_check=told.append)
        assert set(told) == set(inspection.checks) if not told else len(told) == len(inspection.checks)
        for check in inspection.checks:  # every word can be said in both languages
            assert check.text.render("zh-CN")
            assert check.text.render("en")
        return inspection


@asynccontextmanager
async def bench(folder: Path, **spec: Any) -> AsyncIterator[Bench]:
    clock = Synced("Asia/Shanghai")
    camera = {"id": "cam", "username": USER, "password": PASSWORD, "onvif": False, "sub": None, "main": FILM, **spec}
    async with SimCameras(camera) as cameras:

        async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
            return StreamSource(cameras.url(), USER, PASSWORD)

        hub = StreamHub(resolve, clock)
        inspector = Inspector(hub, clock, SkyeyeSettings(), folder, look_s=LOOK_S)
        try:
            yield Bench(cameras, hub, inspector, clock)
        finally:
            await hub.close()
            await inspector.close()


def layers(inspection: Inspection) -> dict[str, bool | None]:
    return {check.layer: check.ok for check in inspection.checks}


async def test_a_sound_camera_is_found_sound(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        inspection = await one.inspect()
        assert inspection.faults == frozenset()
        assert inspection.thumbnail
        assert inspection.thumbnail.startswith(b"\xff\xd8")
        assert [check.layer for check in inspection.checks] == [
            *("network", "service", "login", "clock", "profile", "stream", "packets", "picture", "recordings")
        ]
        found = {check.layer: check.data for check in inspection.checks}
        assert found["packets"]["fps"] == pytest.approx(10, rel=0.3)
        assert (tmp_path / "baselines" / "cam.json").exists()


async def test_what_the_layers_find_becomes_faults_side_by_side(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        now = one.clock.wall()
        answers = {
            "identity": BadReply(say("camera.not-offered")),
            "clock": 93.0,
            "profiles": (Profile("p", "main", "h264", 1920, 1080, 25.0, 4000),),
            "recordings": Recordings(now - timedelta(days=3), now),
        }
        inspection = await one.inspect(answers, recordings=30 * 86_400.0)
        assert inspection.faults == {"camera-reply", "camera-clock", "stream-format", "recordings"}
        texts = {check.layer: check.text.render("en") for check in inspection.checks}
        assert "+93.0 s" in texts["clock"]
        assert "320x180" in texts["profile"]
        assert "3.0 days" in texts["recordings"]


async def test_a_picture_that_goes_bad_is_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.inspect()
        await one.cameras.tell("cam", picture="snow")
        assert "picture-snow" in (await one.inspect()).faults


@pytest.mark.parametrize(
    ("error", "layer", "fault"),
    [
        (LoginRefused(say("camera.not-offered")), "login", "login"),
        (BadReply(say("camera.not-offered")), "service", "camera-reply"),
        (KeyError("Envelope"), "service", "camera-reply"),
    ],
)
async def test_a_conversation_that_fails_ends_the_inspection(
    tmp_path: Path, error: Exception, layer: str, fault: str
) -> None:
    async def fails() -> CameraSession:
        raise error

    async with bench(tmp_path) as one:
        inspection = await one.of(fails)
        assert inspection.faults == {fault}
        assert inspection.checks[-1].layer == layer
        assert not one.hub.running()


async def test_a_step_that_trips_over_an_odd_answer_ends_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        inspection = await one.inspect({"clock": ValueError("00:61:16"), "profiles": TypeError("None")})
        assert inspection.faults == {"camera-reply"}
        assert layers(inspection)["picture"] in (True, None)


async def test_a_refused_stream_is_a_refused_login(tmp_path: Path) -> None:
    async with bench(tmp_path, rtsp_mode="unauthorized") as one:
        inspection = await one.inspect({"identity": Identity()})
        assert inspection.faults == {"login"}
        assert (await one.cameras.state())["wrong_logins"] <= 2


async def test_a_stream_that_ends_is_that_cameras_fault(tmp_path: Path) -> None:
    async with bench(tmp_path, rtsp_mode="garbage") as one:
        inspection = await one.inspect()
        assert len(inspection.faults) == 1
        assert inspection.faults <= {"stream", "camera-reply", "offline"}


async def test_a_closed_port_and_no_answer_are_told_apart(tmp_path: Path) -> None:
    clock = Synced("Asia/Shanghai")

    async def never(_camera: str, _role: StreamRole) -> StreamSource:
        raise AssertionError

    async def no_session() -> CameraSession:
        raise AssertionError

    hub = StreamHub(never, clock)
    inspector = Inspector(hub, clock, SkyeyeSettings(), tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = await inspector.inspect(settings("cam", free.getsockname()[1]), no_session)
    assert closed.faults == {"offline"}
    assert closed.checks[0].text.key == "inspect.network-closed"
    unknown = await inspector.inspect(settings("cam", address="no-such-camera.invalid"), no_session)
    assert unknown.faults == {"offline"}
    assert unknown.checks[0].text.key == "inspect.network-name"
    await hub.close()
    await inspector.close()


async def test_a_patrols_picture_is_judged_by_its_preset(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        picture = (await one.inspect()).thumbnail
        assert picture
        for _ in range(5):
            verdicts = await one.inspector.judge_jpeg("cam", "大门", picture)
        assert {verdict.fault for verdict in verdicts} >= {"picture-black", "picture-moved"}
        assert not any(verdict.bad for verdict in verdicts)
        with pytest.raises(CameraError):
            await one.inspector.judge_jpeg("cam", "大门", b"no picture")


async def test_a_camera_is_learnt_anew_when_it_is_said(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.inspect()
        assert one.inspector.shelf.get("cam").looks
        await one.inspector.relearn("cam")
        assert not one.inspector.shelf.get("cam").looks
        assert not (tmp_path / "baselines" / "cam.json").exists()


async def test_an_inspection_can_be_cancelled(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        task = asyncio.create_task(one.inspect())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not one.hub.running()
