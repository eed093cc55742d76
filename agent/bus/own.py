"""A serial port that belongs to one driver alone (agent.driver.SerialLine): no rounds and no turns, only bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from agent.bus.port import BytePort, OpenPort, PortOpener, PortSettings
from agent.driver import DeviceError, Modem

UNREAD_BYTES: Final = 64 * 1024
"""Minutes of a line at 9600 baud: a driver that waits for a slow disk loses nothing, and one that hangs fills no
memory."""


class OwnLine:
    """An open port, and what came of it."""

    def __init__(self, port: BytePort) -> None:
        self._port = port
        self._unread = bytearray()
        self._lost: DeviceError | None = None
        self._came = asyncio.Event()
        port.start(self._bytes, self._lose)

    async def read(self) -> bytes:
        """Wait for bytes, and return all that have come. Raises DeviceError when the port is lost."""
        await self._came.wait()
        if not self._unread:
            assert self._lost is not None, "bytes or a loss set the event"
            raise self._lost
        data = bytes(self._unread)
        self._unread.clear()
        if self._lost is None:
            self._came.clear()
        return data

    def write(self, data: bytes) -> None:
        """Send. Raises DeviceError."""
        if self._lost is not None:
            raise self._lost
        self._port.write(data)

    def modem(self) -> Modem:
        """The modem lines now. Raises DeviceError."""
        if self._lost is not None:
            raise self._lost
        return self._port.modem()

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        """Set the output lines. Raises DeviceError."""
        if self._lost is not None:
            raise self._lost
        self._port.set_modem(rts=rts, dtr=dtr)

    def _bytes(self, data: bytes) -> None:
        self._unread += data
        del self._unread[:-UNREAD_BYTES]
        self._came.set()

    def _lose(self, error: DeviceError) -> None:
        self._lost = error
        self._came.set()


@asynccontextmanager
async def own_line(settings: PortSettings, opener: OpenPort | None = None) -> AsyncIterator[OwnLine]:
    """Open a port for one user. Raises DeviceError that says what is wrong with it."""
    port = await (opener or PortOpener())(settings)
    try:
        yield OwnLine(port)
    finally:
        port.close()
