"""What other pages and other machines cannot do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from agent.clock import SystemClock
from agent.config.models import ConsoleSettings
from agent.console.guard import loopback_of, own_hosts
from agent.console.serve import serve


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def console(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A console without a core."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    settings = ConsoleSettings(listen=f"{host}:{free_port()}")
    running = asyncio.create_task(
        serve(
            settings, folder / "core.sock", folder / "media.sock", SystemClock("UTC"), "en", on_ready=ready.set_result
        )
    )
    try:
        async with asyncio.timeout(60):
            yield f"127.0.0.1:{await ready}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("0.0.0.0", None),
        ("192.168.1.2", None),
        ("gate.example.cn", None),
    ],
)
def test_what_is_loopback(host: str, expected: str | None) -> None:
    assert loopback_of(host) == expected


def test_names_with_and_without_the_default_port() -> None:
    assert "localhost" in own_hosts("127.0.0.1", 80)
    assert "localhost" not in own_hosts("127.0.0.1", 8080)


async def test_an_address_that_others_could_reach_is_not_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with console(tmp_path, "0.0.0.0") as at, ClientSession() as session:
        async with session.get(f"http://{at}/") as answer:
            assert answer.status == 200
        outside = socket.gethostbyname(socket.gethostname())
        if not outside.startswith("127."):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(outside, int(at.rpartition(":")[2]))
    assert any("loopback-only" in str(getattr(record.msg, "key", "")) for record in caplog.records)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
async def test_a_rebound_name_is_refused(tmp_path: Path, host: str) -> None:
    async with console(tmp_path) as at, ClientSession() as session:
        port = at.rpartition(":")[2]
        async with session.get(f"http://{at}/api/texts", headers={"Host": host.format(port=port)}) as answer:
            assert answer.status in (400, 421)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Campus-Agent": "1", "Origin": "http://evil.example"}, 403),
        ({"X-Campus-Agent": "1", "Origin": "null"}, 403),
        ({"X-Campus-Agent": "1", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-Campus-Agent": "1", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "{own}"}, 403),
        ({"X-Campus-Agent": "1", "Origin": "{own}"}, 503),
    ],
)
async def test_only_our_own_page_may_act(tmp_path: Path, headers: Mapping[str, str], status: int) -> None:
    """503: let through, and there is no core."""
    async with console(tmp_path) as at, ClientSession() as session:
        filled = {name: value.format(own=f"http://{at}") for name, value in headers.items()}
        async with session.post(f"http://{at}/api/act/ptz", json={"camera": "gate"}, headers=filled) as answer:
            assert answer.status == status


@pytest.mark.parametrize(("origin", "let_in"), [("http://evil.example", False), ("null", False), (None, True)])
async def test_only_our_own_page_may_open_a_socket(tmp_path: Path, origin: str | None, let_in: bool) -> None:
    async with console(tmp_path) as at, ClientSession() as session:
        if not let_in:
            with pytest.raises(WSServerHandshakeError):
                await session.ws_connect(f"ws://{at}/live/gate", origin=origin)
            return
        async with session.ws_connect(f"ws://{at}/live/gate", origin=f"http://{at}") as ws:
            assert (await ws.receive_json())["error"]["key"] == "live.eye-away"


async def test_only_some_verbs_and_only_json(tmp_path: Path) -> None:
    async with console(tmp_path) as at, ClientSession(headers={"X-Campus-Agent": "1"}) as session:
        for verb in ("reset", "output", "drill-start", "stream-start", "ptz/x"):
            async with session.post(f"http://{at}/api/act/{verb}", json={}) as answer:
                assert answer.status == 404
        for body in (b"", b"[]", b"{", b"\xff", b"[" * 9000):
            async with session.post(f"http://{at}/api/act/ptz", data=body) as answer:
                assert answer.status == 400
        async with session.post(f"http://{at}/api/act/ptz", data=b" " * 100_000) as answer:
            assert answer.status == 413


async def test_every_answer_has_its_headers(tmp_path: Path) -> None:
    async with console(tmp_path) as at, ClientSession() as session:
        for path in ("/", "/static/wall.js", "/api/texts", "/nothing", "/static/../app.py", "/api/picture/gate"):
            async with session.get(f"http://{at}{path}") as answer:
                policy = answer.headers.get("Content-Security-Policy", "")
                assert "default-src 'self'" in policy, path
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "Python" not in answer.headers.get("Server", "")


async def test_texts_in_both_languages(tmp_path: Path) -> None:
    async with console(tmp_path) as at, ClientSession() as session:
        for asked, expected in (("zh-CN", "zh-CN"), ("en", "en"), ("fr", "en"), ("", "en")):
            async with session.get(f"http://{at}/api/texts?lang={asked}") as answer:
                assert (await answer.json())["language"] == expected
