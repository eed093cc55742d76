"""A card reader on a pty, for the contract suite: it is opened, and closed again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from agent.demo.reader import CardReader
from drivers.osdp import Osdp
from drivers.osdp.frames import Scanner, decode
from tests.contract.peers import Peer, Talk
from tests.sims.rig import RecordedLink, supervise

CONFIG: Final[dict[str, Any]] = {
    "port": "/dev/ttyUSB0",
    "reader": [{"id": "gate", "address": 1, "door_input": 0, "held_after": "30s"}],
}


@asynccontextmanager
async def talk(folder: Path) -> AsyncIterator[Talk]:
    port = folder / "osdp"
    async with CardReader(port) as reader:
        tasks: list[asyncio.Task[None]] = []

        def start() -> RecordedLink:
            link = RecordedLink(SystemClock("Asia/Shanghai"), None)
            driver = Osdp.model_validate({**CONFIG, "port": str(port)})
            tasks.append(asyncio.create_task(supervise(driver, link)))
            return link

        async def end() -> None:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        yield Talk(
            start=start,
            end=end,
            silence=reader.silence,
            speak=reader.speak,
            unplug=reader.unplug,
            garbage=reader.inject,
            change=lambda on: reader.local(tamper=on),
        )
        await end()


def scan(data: bytes) -> None:
    """Both ways to take a stream, at one go and byte by byte, find the same packets."""
    whole, pieces = Scanner(), Scanner()
    found = whole.feed(data)[0]
    assert found == [packet for byte in data for packet in pieces.feed(bytes((byte,)))[0]]


PEER: Final = Peer(config=CONFIG, decoders=(decode, scan), talk=talk, input="gate/tamper", asked=False)
