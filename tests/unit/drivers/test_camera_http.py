"""HTTP to a camera, where the library has manners of its own."""

import asyncio
from typing import Any, cast

import pytest

from agent.driver import CameraError, CameraLink, Unreachable
from drivers._camera_http import CONNECTIONS, CameraHttp
from tests.sims.rig import until


async def test_who_waits_for_a_connection_when_the_conversation_ends_is_told_and_not_cancelled() -> None:
    asked = 0

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    http = CameraHttp(cast(CameraLink, None), f"{host}:{port}")
    work: list[asyncio.Task[Any]] = [
        asyncio.create_task(http.exchange("GET", f"http://{host}:{port}/")) for _ in range(CONNECTIONS + 1)
    ]
    await until(lambda: asked == CONNECTIONS)
    await http.close()
    ends = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(end, CameraError) for end in ends)
    assert isinstance(ends[-1], Unreachable)
    server.close()


async def test_a_task_that_is_cancelled_while_it_waits_is_cancelled() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    http = CameraHttp(cast(CameraLink, None), f"{host}:{port}")
    task = asyncio.create_task(http.exchange("GET", f"http://{host}:{port}/"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await http.close()
    server.close()
