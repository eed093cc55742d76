"""A serial server whose CTS closes, for the contract suite: ptys have no modem lines, servers tell theirs."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from drivers.line_contact import LineContact
from tests.contract.peers import Peer, Talk
from tests.sims.rfc2217 import Rfc2217Server
from tests.sims.rig import RecordedLink, supervise

CONFIG: Final[dict[str, Any]] = {"port": "/dev/ttyUSB0", "lines": ["cts"], "poll_every": "5ms"}


@asynccontextmanager
async def talk(folder: Path) -> AsyncIterator[Talk]:
    near, far = os.openpty()
    tty.setraw(far)
    tasks: list[asyncio.Task[None]] = []
    flood: list[asyncio.Task[None]] = []

    with Rfc2217Server(Path(os.ttyname(far)), frozenset()) as server:

        def start() -> RecordedLink:
            link = RecordedLink(SystemClock("Asia/Shanghai"), None)
            driver = LineContact.model_validate({**CONFIG, "port": server.url})
            tasks.append(asyncio.create_task(supervise(driver, link)))
            return link

        async def end() -> None:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        def close() -> None:
            server.closed = True
            server.hang_up()

        async def noise(data: bytes) -> None:
            while True:
                with suppress(BlockingIOError):
                    os.write(near, data)
                await asyncio.sleep(0.02)

        def garbage(data: bytes) -> None:
            for task in flood:
                task.cancel()
            flood[:] = [asyncio.create_task(noise(data))] if data else []

        os.set_blocking(near, False)
        yield Talk(
            start=start,
            end=end,
            silence=close,
            speak=lambda: setattr(server, "closed", False),
            unplug=close,
            garbage=garbage,
            change=lambda on: setattr(server, "lines", frozenset({"cts"} if on else ())),
        )
        garbage(b"")
        await end()
    os.close(near)
    os.close(far)


PEER: Final = Peer(config=CONFIG, decoders=(), talk=talk, input="cts", drowned=False)
