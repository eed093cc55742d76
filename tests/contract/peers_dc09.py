"""An alarm host that reports over TCP, for the contract suite."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.demo.panels import AlarmHost
from agent.demo.processes import free_port
from drivers import _contact_id, _dc09, _sia
from drivers.dc09 import Dc09
from tests.contract.peers import Peer, Talk
from tests.sims.rig import RecordedLink, supervise

ACCOUNT: Final = "1234"
KEY: Final = bytes(range(16))
EVERY_S: Final = 0.02


class Reporter:
    """A host that reports all the time, and is made to do other things."""

    def __init__(self, port: int) -> None:
        self.host = AlarmHost(port, ACCOUNT, answer_s=EVERY_S)
        self.garbage = b""
        self.silent = False
        self.events: list[str] = []

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            with suppress(OSError):
                if not self.host.connected:
                    await self.host.connect()
                await self.turn()

    async def turn(self) -> None:
        if self.silent:
            return
        if self.garbage:
            self.host.raw(self.garbage)
        elif self.events:
            await self.host.contact_id(self.events[0])
            del self.events[0]
        else:
            message = self.host.message(_dc09.NULL)
            await self.host.once(message.to_bytes(), message)


@asynccontextmanager
async def dc09_talk(folder: Path) -> AsyncIterator[Talk]:
    port = free_port()
    link = RecordedLink(SystemClock("Asia/Shanghai"), None)
    driver = Dc09.model_validate({"listen": f"127.0.0.1:{port}", "account": ({"account": ACCOUNT},)})
    reporter = Reporter(port)
    tasks = {"reporter": asyncio.create_task(reporter.run())}

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
            silence=lambda: setattr(reporter, "silent", True),
            speak=lambda: setattr(reporter, "silent", False),
            unplug=reporter.host.close,
            garbage=lambda data: setattr(reporter, "garbage", data),
            change=lambda on: reporter.events.append(f"{1 if on else 3}130 01 001"),
        )
    finally:
        await end()
        tasks["reporter"].cancel()
        with suppress(asyncio.CancelledError):
            await tasks["reporter"]
        reporter.host.close()


PEER: Final = Peer(
    config={
        "listen": "0.0.0.0:9999",
        "transport": "both",
        "account": ({"account": ACCOUNT, "key": {"file": "/etc/campus-agent/dc09-1234.key"}, "supervision": "60s"},),
    },
    decoders=(
        _dc09.Message.from_bytes,
        lambda data: _dc09.Message.from_bytes(data, KEY),
        lambda data: _sia.decode(data.decode("utf-8", "surrogateescape")),
        lambda data: _contact_id.decode_event(data, ACCOUNT),
    ),
    talk=dc09_talk,
    input="130/001",
    asked=False,
    port=False,
)
