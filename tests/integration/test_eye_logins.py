"""Cameras lock an account after a few wrong passwords: everything in the eye that logs in counts as one (FACTS 5)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agent.camera import StreamRole
from agent.clock import SystemClock
from agent.config.load import load
from agent.skyeye.eye import Eye
from agent.texts import Spoken
from tests.sims.camera import SimCameras

CAMERAS: Final = ("gate", "yard")
FILM: Final = {"width": 320, "height": 180, "fps": 10, "kbps": 300, "gop": 10}
PASSWORD: Final = "Sesame-2026"
LOGIN: Final = {"username": "agent", "password": PASSWORD, "lock_after": 100}
STOP_S: Final = 20.0
"""Far above what a stop takes; the core gives it three seconds, but this machine is shared."""


def toml(folder: Path, sims: SimCameras, driver: str, password: str) -> str:
    text = f"""
[site]
district = "370812"
school = "sy-primary"
name = "实验小学"
[journal]
path = "{folder}/journal.db"
[skyeye]
path = "{folder}/skyeye"
[uplink]
brokers = ["mqtt://127.0.0.1"]
"""
    for id_ in CAMERAS:
        where = urlsplit(sims.address(id_) if driver == "onvif" else sims.url(id_))
        path = f'path = "{where.path}"\nsnapshot_url = "{sims.address(id_)}/snapshot/1"' if driver == "rtsp" else ""
        text += f"""
[[camera]]
id = "{id_}"
name = "{id_}"
driver = "{driver}"
address = "{where.hostname}"
port = {where.port}
{path}
username = "agent"
password = "{password}"
"""
    return text


async def tried(work: Awaitable[Any], seconds: float = 15.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except (Spoken, TimeoutError):
        pass


async def events(eye: Eye, camera: str) -> None:
    async with eye.cameras.use(camera) as session:
        async for _ in session.events():
            return


async def settled(sims: SimCameras) -> bool:
    """Whether every camera is being asked for events, and has heard the last word of its stream: that is FFmpeg's own,
    and has the login in it."""
    states = [await sims.state(camera) for camera in CAMERAS]
    return all(state["counts"].get("PullMessages") and not state["rtsp_connections"] for state in states)


async def everything(eye: Eye, camera: str) -> None:
    """All that logs in, at once and twice."""
    roles: tuple[StreamRole, ...] = ("main", "sub")
    await asyncio.gather(
        *(
            tried(work)
            for _ in range(2)
            for work in (
                eye._inspect(eye.cameras[camera].settings),
                events(eye, camera),
                eye.taker.picture(camera),
                *(eye.hub.look(camera, role, seconds=0.0, deadline_s=10.0) for role in roles),
            )
        ),
        *(tried(eye.stock.refresh(camera), 3.0) for _ in range(2)),  # it would wait for the core, which is not here
    )


@asynccontextmanager
async def eye_of(folder: Path, sims: SimCameras, driver: str, password: str) -> AsyncIterator[Eye]:
    config = folder / "agent.toml"
    config.write_text(toml(folder, sims, driver, password), encoding="utf-8")
    names = {name: folder / f"{name}.sock" for name in ("core", "socket", "media")}
    eye = Eye(load(config), config, SystemClock("Asia/Shanghai"), **names)
    running = asyncio.create_task(eye.run())
    try:
        yield eye
        assert names["socket"].exists()
        await sims.tell(rtsp_mode="hang", onvif_mode="endless")
    finally:
        eye.stop()
        async with asyncio.timeout(STOP_S):
            await running
    assert not names["socket"].exists()
    assert not names["media"].exists()


async def run(folder: Path, driver: str) -> None:
    cameras = ({"id": id_, "main": FILM, "sub": FILM, **LOGIN} for id_ in CAMERAS)
    async with SimCameras(*cameras) as sims, eye_of(folder, sims, driver, "not-this-one") as eye:
        await asyncio.gather(*(everything(eye, camera) for camera in CAMERAS))
        for camera in CAMERAS:
            assert 1 <= (await sims.state(camera))["wrong_logins"] <= 2, camera


async def test_onvif_cameras_see_two_wrong_logins_however_many_tasks_start_at_once(tmp_path: Path) -> None:
    await run(tmp_path, "onvif")


async def test_rtsp_cameras_see_two_wrong_logins_however_many_tasks_start_at_once(tmp_path: Path) -> None:
    """Those with an address of snapshots ask for a login at two doors."""
    await run(tmp_path, "rtsp")


async def test_a_password_that_is_changed_in_the_middle_costs_two_wrong_logins(tmp_path: Path) -> None:
    """One camera wants tokens, the other one digest; both are asked for events all the time."""
    ways = dict(zip(CAMERAS, ("wsse", "digest"), strict=True))
    cameras = ({"id": id_, "main": FILM, "sub": FILM, "onvif_login": ways[id_], **LOGIN} for id_ in CAMERAS)
    async with SimCameras(*cameras) as sims, eye_of(tmp_path, sims, "onvif", PASSWORD) as eye:
        for camera in CAMERAS:
            async with asyncio.timeout(STOP_S):
                await eye.taker.picture(camera)
                await eye.hub.look(camera, "main", seconds=0.0, deadline_s=10.0)
            assert (await sims.state(camera))["wrong_logins"] == 0
        polls = [asyncio.create_task(tried(events(eye, camera))) for camera in CAMERAS]
        async with asyncio.timeout(STOP_S):
            while not await settled(sims):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        await sims.tell(password="changed-2027")
        tasks = [asyncio.create_task(everything(eye, camera)) for camera in CAMERAS]
        await sims.tell(event={"kind": "motion"})  # the polls, which began with the right password, come back
        await asyncio.gather(*tasks)
        for camera in CAMERAS:
            assert 1 <= (await sims.state(camera))["wrong_logins"] <= 2, camera
            assert eye.cameras[camera].gate.closed_for_s > 0
        await asyncio.gather(*polls)
