"""Ways to the receiver of an alarm centre: a TCP connection or a UDP socket, for one message and its repeats."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

CONNECT_S: Final = 5.0
"""Two lost SYNs (1 + 2 s) and one that comes through."""
READ_BYTES: Final = 4096
WAITING: Final = 16
"""Datagrams that nobody has read yet; a receiver sends one for each of ours."""


class Wire(Protocol):
    """A way to one receiver, for one message and its repeats."""

    def write(self, data: bytes) -> None: ...

    async def read(self) -> bytes:
        """Bytes of an answer; none when the receiver has hung up."""
        ...


@asynccontextmanager
async def tcp(host: str, port: int) -> AsyncIterator[Wire]:
    """A connection. Raises OSError, TimeoutError."""
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield TcpWire(reader, writer)
    finally:
        writer.close()


class TcpWire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def read(self) -> bytes:
        return await self._reader.read(READ_BYTES)


class UdpWire(asyncio.DatagramProtocol):
    """One UDP socket that hears its receiver only."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes | OSError] = asyncio.Queue(WAITING)
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._came.full():
            self._came.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError) and not self._came.full():
            self._came.put_nowait(exc)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.sendto(data)

    async def read(self) -> bytes:
        came = await self._came.get()
        if isinstance(came, OSError):
            raise came
        return came


@asynccontextmanager
async def udp(host: str, port: int) -> AsyncIterator[Wire]:
    """A socket. Raises OSError, TimeoutError."""
    async with asyncio.timeout(CONNECT_S):
        transport, wire = await asyncio.get_running_loop().create_datagram_endpoint(UdpWire, remote_addr=(host, port))
    wire.transport = transport
    try:
        yield wire
    finally:
        transport.close()
