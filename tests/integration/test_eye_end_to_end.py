"""The whole of it on real parts: buttons, the daemon, its real eye, simulated cameras, a real broker, a district."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
import pytest

from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from tests.sims.broker import Broker
from tests.sims.buttons import press_and_release
from tests.sims.camera import SimCameras
from tests.sims.daemon import Daemon
from tests.sims.district import District

SITE: Final = Site("370812", "sy-primary")
WAIT_S: Final = 120.0
"""Several inspections in a row, on a machine that is shared."""
PASSWORD: Final = "Sesame-2026"


def camera_toml(id_: str, name: str, address: str, more: str = "") -> str:
    parts = urlsplit(address)
    return f"""
    [[camera]]
    id = "{id_}"
    name = "{name}"
    driver = "onvif"
    address = "{parts.hostname}"
    port = {parts.port}
    username = "agent"
    password = "{PASSWORD}"
    {more}
    """


@dataclass
class School:
    """Everything of one test."""

    folder: Path
    daemon: Daemon
    modules: Modules
    cameras: SimCameras
    district: District

    async def event(self, type_: str, *, after: int = 0, **data: Any) -> dict[str, Any]:
        """The first event behind the first `after` ones of this type whose data have these members."""

        def look() -> dict[str, Any] | None:
            for event in self.district.events()[after:]:
                if event["type"] == type_ and all(event["data"].get(name) == want for name, want in data.items()):
                    return event
            return None

        try:
            found: dict[str, Any] = await self.district.until(look, WAIT_S)
        except (TimeoutError, AssertionError):
            told = [(event["type"], event["data"]) for event in self.district.events()]
            raise AssertionError(f"no {type_} {data}; told: {told}\n{self.daemon.said()[-6000:]}") from None
        return found

    async def press(self, number: int = 0) -> None:
        await press_and_release(self.modules, 1, number)

    async def looked_at(self, camera: str) -> dict[str, Any]:
        """Have a camera inspected now, and return what was found."""
        await self.running()
        async with self.daemon.client() as client:
            async for item in client.stream("camera-inspect", cameras=[camera]):
                assert isinstance(item, dict)
                if item["state"] != "started":
                    found = item["inspection"]
                    assert isinstance(found, dict), item
                    return found
        raise AssertionError("no answer")

    async def running(self, *, not_pid: int | None = None) -> int:
        """Wait until the eye (another one than `not_pid`) runs; return its pid."""
        async with asyncio.timeout(WAIT_S):
            while True:
                eye = (await self.daemon.status())["eye"]
                if eye["state"] == "running" and eye["pid"] != not_pid:
                    return int(eye["pid"])
                await asyncio.sleep(0.1)

    async def streaming(self, camera: str = "gate") -> None:
        """Wait until the eye has the camera's stream, and some of its past."""
        await self.running()
        await self.looked_at(camera)

    async def evidence_of(self, kind: str) -> dict[str, Any]:
        """The data of the first event of evidence of a kind."""

        def look() -> dict[str, Any] | None:
            for event in self.district.events():
                if event["type"] == "campus.camera.evidence" and event["data"]["evidence"]["kind"] == kind:
                    data: dict[str, Any] = event["data"]
                    return data
            return None

        found: dict[str, Any] = await self.district.until(look, WAIT_S)
        return found

    def evidence(self, name: str) -> Path:
        (found,) = self.folder.glob(f"skyeye/evidence/*/{name}")
        return found


@asynccontextmanager
async def a_school(folder: Path, more: str = "", **spec: Any) -> AsyncIterator[School]:
    async with AsyncExitStack() as stack:
        login = {"username": "agent", "password": PASSWORD}
        sims = SimCameras(
            {"id": "gate", "scene": "gate", **login, **spec},
            {"id": "yard", "scene": "yard", "ptz": True, **login},
        )
        cameras = await stack.enter_async_context(sims)
        broker = stack.enter_context(Broker(folder / "broker", persistent=True))
        modules = await stack.enter_async_context(Modules(folder / "line", (1,)))
        district = await stack.enter_async_context(District(broker.port, SITE))
        config = f"""
    [uplink]
    brokers = ["{broker.url}"]
    [skyeye]
    clip_after = "2s"
    media_hosts = ["media.example.cn"]
    [[bus]]
    id = "rs485-1"
    port = "{folder}/line"
    [[device]]
    id = "guardroom"
    name = "门卫室报警模块"
    driver = "modbus-io"
    bus = "rs485-1"
    unit = 1
    outputs = 8
      [[device.point]]
      id = "panic"
      name = "门卫室一键报警"
      kind = "panic"
      input = 0
      lamp = 0
      cameras = ["gate"]
    {camera_toml("gate", "校门口", cameras.address("gate"), 'preroll = "4s"')}
    {camera_toml("yard", "操场", cameras.address("yard"))}
      [[camera.point]]
      id = "fence"
      name = "东围墙"
      kind = "perimeter"
      input = "line-crossed"
    [[patrol]]
    id = "morning"
    name = "早巡"
      [[patrol.stop]]
      camera = "yard"
      preset = "东门"
      dwell = "1s"
      [[patrol.stop]]
      camera = "gate"
      dwell = "1s"
    {more}
    """
        daemon = await stack.enter_async_context(Daemon(folder, config))
        await district.status("online")
        yield School(folder, daemon, modules, cameras, district)
    report = verify_path(folder / "journal.db")
    assert report.ok, report
    assert PASSWORD not in daemon.said()


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as school:
        yield school


async def test_an_alarm_leaves_a_picture_and_a_clip_whose_hashes_are_in_the_chain(school: School) -> None:
    await school.streaming()
    await school.press()
    raised = await school.event("campus.alarm.raised", device="guardroom")
    told: dict[str, dict[str, Any]] = {}
    for kind in ("snapshot", "clip"):
        found = await school.evidence_of(kind)
        told[kind] = found
        assert found["evidence"]["event"] == raised["id"]
        assert found["alarm"] == {"device": "guardroom", "point": "panic", "name": "门卫室一键报警"}
        path = school.evidence(found["evidence"]["file"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == found["evidence"]["sha256"]
    picture = school.evidence(told["snapshot"]["evidence"]["file"]).read_bytes()
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (360, 640, 3)
    with av.open(str(school.evidence(told["clip"]["evidence"]["file"]))) as clip:
        frames = sum(1 for _ in clip.decode(video=0))
    assert frames >= 40, "two seconds before, two after, at 10 frames a second"
    assert told["clip"]["evidence"]["length_ms"] >= 4000


async def test_a_blind_picture_becomes_a_fault_and_ends_by_itself(school: School) -> None:
    await school.looked_at("gate")
    await school.cameras.tell("gate", picture="white", level=5)
    for _ in range(3):  # so many in a row raise it
        found = await school.looked_at("gate")
    assert "picture-white" in found["faults"]
    raised = await school.event("campus.fault.raised", device="gate", fault="picture-white")
    await school.cameras.tell("gate", picture="ok")
    for _ in range(2):  # and so many end it
        await school.looked_at("gate")
    cleared = await school.event("campus.fault.cleared", device="gate", fault="picture-white")
    assert cleared["data"]["event"] == raised["id"]


async def test_a_swapped_camera_is_an_event_and_its_inventory_is_published(school: School) -> None:
    await school.event("campus.camera.new", device="gate")
    message = await school.district.until(
        lambda: (found := school.district.last("inventory/gate")) and found.value["maker"] == "Campus" and found, WAIT_S
    )
    assert message.value["model"] == "SIM-2004"
    await school.cameras.tell("gate", identity={"serial": "SWAPPED-1", "mac": "02:00:00:00:99:99"})
    await school.looked_at("gate")
    changed = await school.event("campus.camera.changed", device="gate", what="swapped")
    assert "SWAPPED-1" in changed["data"]["new"]


async def test_a_camera_moves_and_a_patrol_leaves_proof(school: School) -> None:
    await school.running()
    reply = await school.district.command("ptz", {"camera": "yard", "move": {"pan": 0.5, "seconds": 0.3}})
    assert reply["ok"], reply
    assert (await school.district.command("ptz", {"camera": "yard", "save": "东门"}))["ok"]
    presets = (await school.district.command("ptz", {"camera": "yard", "list": True}))["result"]["presets"]
    assert "东门" in [preset["name"] for preset in presets]
    assert (await school.district.command("patrol", {"patrol": "morning"}, actor="值班员"))["ok"]
    started = await school.event("campus.camera.patrol-started", patrol="morning")
    assert started["data"]["actor"] == "值班员"
    for number, camera in ((1, "yard"), (2, "gate")):
        stop = await school.event("campus.camera.patrol-stop", device=camera, stop=number)
        assert stop["data"]["ok"] is True, stop
        path = school.evidence(stop["data"]["evidence"]["file"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == stop["data"]["evidence"]["sha256"]
    ended = await school.event("campus.camera.patrol-ended", patrol="morning")
    assert (ended["data"]["complete"], ended["data"]["made"]) == (True, 2)


async def test_a_line_that_a_camera_sees_crossed_is_a_perimeter_alarm(school: School) -> None:
    async with asyncio.timeout(WAIT_S):
        while not (await school.cameras.state("yard"))["event_slots"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    await school.cameras.tell("yard", event={"kind": "line-crossed", "source": "fence", "active": True})
    told = await school.event("campus.camera.line-crossed", device="yard")
    assert "LineDetector" in told["data"]["topic"]
    raised = await school.event("campus.alarm.raised", device="yard", point="fence")
    assert raised["data"]["kind"] == "perimeter"


async def test_commands_are_carried_out_or_refused_with_a_reason(school: School) -> None:
    await school.streaming()
    reply = await school.district.command("snapshot", {"camera": "gate"})
    assert reply["ok"], reply
    assert school.evidence(reply["result"]["evidence"]["file"]).exists()
    reply = await school.district.command("clip", {"camera": "gate", "before_s": 1, "after_s": 1})
    assert reply["ok"], reply
    await school.event("campus.camera.evidence", clip=reply["result"]["clip"])
    for verb, args, said in (
        ("stream-start", {"camera": "gate", "url": "rtmp://evil.example.cn/live", "lease_s": 30}, "media_hosts"),
        ("clip", {"camera": "gate", "put_url": "https://evil.example.cn/a?sig=1"}, "media_hosts"),
        ("ptz", {"camera": "gate", "goto": "nowhere"}, ""),
    ):
        refused = await school.district.command(verb, args)
        assert not refused["ok"], refused
        assert said in refused["reason"]


async def test_a_killed_eye_comes_back_and_goes_on(school: School) -> None:
    await school.streaming()
    os.kill(await school.running(), signal.SIGSEGV)
    await school.press()
    await school.event("campus.alarm.raised", device="guardroom")
    await school.event("campus.fault.raised", fault="eye")
    evidence = await school.event("campus.camera.evidence", device="gate")
    assert evidence["data"]["late_ms"] >= 0


async def test_a_hostile_camera_is_a_fault_and_the_other_keeps_its_pace(school: School) -> None:
    await school.cameras.tell("yard", onvif_mode="endless", rtsp_mode="hang")
    found = await school.looked_at("yard")
    assert set(found["faults"]) & {"camera-reply", "stream", "offline"}, found
    for _ in range(4):  # its film repeats every 4 s: looks that are so far apart see a picture that has not moved
        good = await school.looked_at("gate")
        if good["faults"] != ["picture-frozen"]:
            break
    assert good["faults"] == [], good
    await school.cameras.tell("yard", onvif_mode="ok", rtsp_mode="ok")


async def test_a_wrong_password_is_tried_twice_and_no_more(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        await school.looked_at("gate")
        await school.cameras.tell("gate", password="another")
        pid = await school.running()
        os.kill(pid, signal.SIGKILL)
        await school.running(not_pid=pid)
        for _ in range(4):
            found = await school.looked_at("gate")
        assert "login" in found["faults"], found
        assert (await school.cameras.state("gate"))["wrong_logins"] <= 2
        await school.event("campus.fault.raised", device="gate", fault="login")
