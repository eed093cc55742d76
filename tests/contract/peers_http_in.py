"""A device that posts JSON, for the contract suite."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from agent.demo.processes import free_port
from drivers.http_in import HttpIn, bodies, hikvision
from tests.contract.peers import Peer, Talk
from tests.sims.rig import RecordedLink, supervise

EVERY_S: Final = 0.02
ANSWER_S: Final = 2.0
SOURCE: Final[dict[str, Any]] = {
    "id": "gate",
    "path": "/gate",
    "event": "type",
    "map": (
        {"value": "alarm", "input": "panic", "kind": "panic", "state": "on"},
        {"value": "calm", "input": "panic", "kind": "panic", "state": "off"},
        {"value": "here", "state": "alive"},
    ),
}


class Poster:
    """A device that posts all the time, and is made to do other things."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.garbage = b""
        self.silent = False
        self.events: list[str] = []

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if self.silent:
                continue
            with suppress(OSError, TimeoutError):
                if self.garbage:
                    await self.send(self.garbage)
                elif b" 200 " in await self.send(posting(self.events[0] if self.events else "here")) and self.events:
                    del self.events[0]

    async def send(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(ANSWER_S):
                return await reader.read(4096)
        finally:
            writer.transport.abort()


def posting(event: str) -> bytes:
    body = json.dumps({"type": event}).encode()
    head = f"POST /gate HTTP/1.1\r\nHost: x\r\nX-Token: secret\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def http_talk(folder: Path) -> AsyncIterator[Talk]:
    port = free_port()
    link = RecordedLink(SystemClock("Asia/Shanghai"), None)
    settings = {"listen": f"127.0.0.1:{port}", "source": ({**SOURCE, "token": "secret"},)}
    driver = HttpIn.model_validate(settings)
    poster = Poster(port)
    tasks = {"poster": asyncio.create_task(poster.run())}

    def start() -> RecordedLink:
        tasks["driver"] = asyncio.create_task(supervise(driver, link))
        return link

    async def end() -> None:
        if task := tasks.pop("driver", None):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    try:
        yield Talk(
            start=start,
            end=end,
            silence=lambda: setattr(poster, "silent", True),
            speak=lambda: setattr(poster, "silent", False),
            unplug=lambda: None,
            garbage=lambda data: setattr(poster, "garbage", data),
            change=lambda on: poster.events.append("alarm" if on else "calm"),
        )
    finally:
        await end()
        tasks["poster"].cancel()
        with suppress(asyncio.CancelledError):
            await tasks["poster"]


PEER: Final = Peer(
    config={
        "listen": "0.0.0.0:8088",
        "source": ({**SOURCE, "token": {"file": "/etc/campus-agent/gate.token"}, "silence": "5m"},),
    },
    decoders=(
        bodies.read_json,
        bodies.read_form,
        bodies.read_xml,
        lambda data: bodies.read_any(data, "multipart/form-data; boundary=b"),
        lambda data: hikvision.read(bodies.read_any(data, "")),
    ),
    talk=http_talk,
    input="panic",
    asked=False,
    port=False,
)
