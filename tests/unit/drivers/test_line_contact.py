"""A contact on modem lines: what a port that hangs does to everybody else."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from agent.clock import SystemClock
from agent.driver import Modem, SerialDriver, SerialLine
from drivers.line_contact import LineContact
from tests.sims.rig import RecordedLink, until


class HangingLine:
    """A port whose adapter is dying: a look at its lines does not return until it is let."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.returns = threading.Event()

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    def write(self, data: bytes) -> None: ...

    def modem(self) -> Modem:
        self.asked.set()
        self.returns.wait(30)
        return Modem(cts=False, dsr=False, dcd=False, ri=False)

    def set_modem(self, *, rts: bool, dtr: bool) -> None: ...


class HangingLink(RecordedLink):
    def __init__(self) -> None:
        super().__init__(SystemClock("Asia/Shanghai"), None)
        self.line = HangingLine()

    def serial(self, settings: SerialDriver) -> AbstractAsyncContextManager[SerialLine]:  # type: ignore[override]
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[SerialLine]:
        yield self.line


async def test_a_port_that_hangs_delays_nobody_while_its_driver_is_stopped() -> None:
    link = HangingLink()
    running = asyncio.create_task(LineContact(port="/dev/ttyUSB0").run(link))
    await until(link.line.asked.is_set)
    running.cancel()
    asyncio.get_running_loop().call_later(0.02, link.line.returns.set)  # comes at all only if the loop goes on
    with suppress(asyncio.CancelledError):
        await running
    assert link.line.returns.is_set()
