"""Cameras lock an account after a few wrong passwords: everything in the eye that logs in counts as one (FACTS 5)."""

import asyncio
from collections.abc import Awaitable
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
STOP_S: Final = 20.0
"""Far above what a stop takes; the core gives it three seconds, but this machine is shared."""


def toml(folder: Path, sims: SimCameras, driver: str) -> str:
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
        path = f'path = "{where.path}"' if driver == "rtsp" else ""
        text += f"""
[[camera]]
id = "{id_}"
name = "{id_}"
driver = "{driver}"
address = "{where.hostname}"
port = {where.port}
{path}
username = "agent"
password = "not-this-one"
"""
    return text


async def tried(work: Awaitable[Any]) -> None:
    try:
        async with asyncio.timeout(15):
            await work
    except (Spoken, TimeoutError):
        pass


async def events(eye: Eye, camera: str) -> None:
    async with eye.cameras.use(camera) as session:
        async for _ in session.events():
            return


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
                eye.stock.refresh(camera),
                *(eye.hub.look(camera, role, seconds=0.0, deadline_s=10.0) for role in roles),
            )
        )
    )


async def run(tmp_path: Path, driver: str) -> None:
    login = {"username": "agent", "password": "Sesame-2026"}
    async with SimCameras(*({"id": id_, "main": FILM, "sub": FILM, **login} for id_ in CAMERAS)) as sims:
        config = tmp_path / "agent.toml"
        config.write_text(toml(tmp_path, sims, driver), encoding="utf-8")
        names = {name: tmp_path / f"{name}.sock" for name in ("core", "socket", "media")}
        eye = Eye(load(config), config, SystemClock("Asia/Shanghai"), **names)
        running = asyncio.create_task(eye.run())
        await asyncio.gather(*(everything(eye, camera) for camera in CAMERAS))
        for camera in CAMERAS:
            assert 1 <= (await sims.state(camera))["wrong_logins"] <= 2, camera
        assert names["socket"].exists()
        await sims.tell(rtsp_mode="hang", onvif_mode="endless")
        eye.stop()
        async with asyncio.timeout(STOP_S):
            await running
        assert not names["socket"].exists()
        assert not names["media"].exists()


async def test_onvif_cameras_see_two_wrong_logins_however_many_tasks_start_at_once(tmp_path: Path) -> None:
    await run(tmp_path, "onvif")


async def test_rtsp_cameras_see_two_wrong_logins_however_many_tasks_start_at_once(tmp_path: Path) -> None:
    await run(tmp_path, "rtsp")
