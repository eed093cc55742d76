"""A driver's own port, on a pty and on a socket."""

import asyncio
import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bus.own import UNREAD_BYTES, own_line
from agent.bus.port import SerialSettings
from agent.driver import DeviceError


@pytest.fixture
def ends() -> Iterator[tuple[int, str]]:
    near, far = pty.openpty()
    tty.setraw(far)
    name = os.ttyname(far)
    yield near, name
    for fd in (near, far):
        try:
            os.close(fd)
        except OSError:
            continue  # the test has closed it


async def test_bytes_go_both_ways(ends: tuple[int, str]) -> None:
    near, name = ends
    async with own_line(SerialSettings(name)) as line:
        os.write(near, b"5011s18")
        assert await line.read() == b"5011s18"
        line.write(b"\x06")
        assert os.read(near, 10) == b"\x06"


async def test_a_lost_port_is_told_after_what_came_before(ends: tuple[int, str], tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: _say_and_close(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, own_line(SerialSettings(f"socket://127.0.0.1:{port}")) as line:
        assert await line.read() == b"last words"
        with pytest.raises(DeviceError, match="closed"):
            await line.read()
        with pytest.raises(DeviceError, match="closed"):
            line.write(b"?")


def _say_and_close(writer: asyncio.StreamWriter) -> None:
    writer.write(b"last words")
    writer.close()


async def test_what_nobody_reads_is_bounded_and_the_newest_stays() -> None:
    server = await asyncio.start_server(_flood, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, own_line(SerialSettings(f"socket://127.0.0.1:{port}")) as line:
        data = b""
        while not data.endswith(b"the end"):
            await asyncio.sleep(0.05)  # a driver that is slow
            data = await line.read()
            assert len(data) <= UNREAD_BYTES


async def _flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 20 * UNREAD_BYTES + b"the end")
    await writer.drain()


async def test_a_port_without_modem_lines_says_so(ends: tuple[int, str]) -> None:
    _, name = ends
    async with own_line(SerialSettings(name)) as line:
        with pytest.raises(DeviceError, match="no modem lines"):
            line.modem()
        with pytest.raises(DeviceError, match="no modem lines"):
            line.set_modem(rts=True, dtr=False)


async def test_a_missing_port_is_told_in_words() -> None:
    with pytest.raises(DeviceError, match="/dev/no-such-port"):
        async with own_line(SerialSettings("/dev/no-such-port")):
            raise AssertionError("opened")
