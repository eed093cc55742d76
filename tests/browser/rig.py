"""A school for the browser: a stand-in core on a real control socket, a real media server, the real console."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.async_api import Browser, async_playwright, expect

from agent.camera import StreamRole
from agent.clock import SystemClock
from agent.config.models import CameraSettings, ConsoleSettings
from agent.console.serve import serve
from agent.control import ControlServer, Methods, Peer
from agent.control.server import Params
from agent.model import JsonValue
from agent.skyeye.live import MediaServer
from agent.skyeye.live.channel import Hub
from agent.texts import Language
from drivers.rtsp import Rtsp

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 30_000
"""How long a page may take on a machine that is shared; Playwright's own 5 s are short then."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def camera(id_: str, name: str, state: str = "ok", *faults: str, ptz: bool = False) -> dict[str, JsonValue]:
    """One camera as the core's `cameras` tells it."""
    return {
        "id": id_,
        "name": name,
        "driver": "rtsp",
        "address": "rtsp://192.168.1.64/secret-path",
        "state": state,
        "since": "2026-11-24T08:00:00.000+08:00",
        "inspected": None if state == "unknown" else "2026-11-24T10:21:00+08:00",
        "faults": [*faults],
        "why": None,
        "facts": {"ptz": ptz},
    }


class School:
    """What the stand-in core says, and what it was asked."""

    def __init__(self, folder: Path, cameras: list[dict[str, JsonValue]]) -> None:
        self.core = folder / "core.sock"
        self.media = folder / "media.sock"
        self.cameras = cameras
        self.points: list[JsonValue] = []
        self.eye = "running"
        self.uplink = True
        self.commands: list[dict[str, Any]] = []
        self.heard = asyncio.Event()
        self.polls = 0
        self._server: ControlServer | None = None

    async def start(self) -> None:
        """The core comes up."""
        calls = {"status": self._status, "cameras": self._cameras, "command": self._command}
        self._server = ControlServer([self.core], Methods(calls))
        await self._server.start()

    async def stop(self) -> None:
        """The core goes away."""
        if self._server:
            await self._server.close()

    async def _status(self, _params: Params, _peer: Peer) -> JsonValue:
        self.polls += 1
        return {
            "site": {"name": "兖州区实验小学", "school": "sy-primary"},
            "eye": {"state": self.eye, "pid": 1, "rss_bytes": 1, "restarts": 0, "error": None},
            "uplink": {"connected": self.uplink},
            "points": self.points,
        }

    async def _cameras(self, _params: Params, _peer: Peer) -> JsonValue:
        return [dict(one) for one in self.cameras]

    async def _command(self, params: Params, _peer: Peer) -> JsonValue:
        self.commands.append(dict(params))
        self.heard.set()
        args = params["args"]
        assert isinstance(args, dict)
        result: dict[str, JsonValue] = {}
        if args.get("list"):
            result = {"presets": [{"token": "1", "name": "大门"}, {"token": "2", "name": "操场"}]}
        if params["verb"] == "snapshot":
            result = {"evidence": {"id": "01JDSNAPSHOT"}}
        return {"id": "1", "ok": True, "result": result, "reason": None}

    async def asked(self, wanted: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Wait for a command."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while True:
                for command in self.commands:
                    if wanted(command):
                        return command
                self.heard.clear()
                await self.heard.wait()


def settings_of(cameras: list[dict[str, JsonValue]]) -> dict[str, CameraSettings]:
    """The cameras as the media server knows them."""
    driver = Rtsp()
    return {
        str(one["id"]): CameraSettings(
            id=str(one["id"]), name=str(one["name"]), driver="rtsp", address="rtsp://192.0.2.1/", settings=driver
        )
        for one in cameras
    }


def drawn(words: str, hue: int) -> bytes:
    """A picture for a tile."""
    picture = np.full((180, 320, 3), (60 + hue, 70, 110 - hue), dtype=np.uint8)
    cv2.rectangle(picture, (0, 110), (320, 180), (60, 66, 60), -1)
    cv2.rectangle(picture, (40 + hue, 60), (140 + hue, 130), (120, 128, 140), -1)
    cv2.putText(picture, words, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (240, 240, 240), 1, cv2.LINE_AA)
    return bytes(cv2.imencode(".jpg", picture)[1])


class Page:
    """A running console with its school."""

    def __init__(self, school: School, server: MediaServer, port: int) -> None:
        self.school = school
        self.server = server
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def console(
    folder: Path,
    cameras: list[dict[str, JsonValue]],
    hub: Hub,
    *,
    pictures: Mapping[str, bytes] | None = None,
    language: Language = "zh-CN",
) -> AsyncIterator[Page]:
    """Everything but the browser."""
    clock = SystemClock("Asia/Shanghai")
    school = School(folder, cameras)
    known = settings_of(cameras)
    images = pictures or {}
    server = MediaServer(school.media, hub, lambda: known, images.get, lambda _id: None, clock)
    await school.start()
    await server.start()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            ConsoleSettings.model_construct(listen="127.0.0.1:0"),
            school.core,
            school.media,
            clock,
            language,
            on_ready=port.set_result,
        )
    )
    try:
        async with asyncio.timeout(60):
            yield_port = await port
        yield Page(school, server, yield_port)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await server.close()
        await school.stop()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser."""
    expect.set_options(timeout=PATIENCE_MS)
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(browser.close)
        yield browser


Files = dict[tuple[str, StreamRole], Path]
