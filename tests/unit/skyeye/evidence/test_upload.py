"""Evidence on its way out, against real HTTP servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth, web

from agent.clock import SimClock, settle
from agent.config.models import UploadSettings
from agent.secrets import Secret
from agent.skyeye.evidence.store import EvidenceStore
from agent.skyeye.evidence.upload import Target, Uploader, UploadError, host_of, is_allowed
from agent.skyeye.model import Evidence
from agent.texts import Text

Answer = Callable[[web.Request], Awaitable[web.Response]]
WAIT_S = 30.0


class Receiver:
    """An HTTP server that takes files as told."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        """What to answer next; 201 when empty."""
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        status = self.statuses.pop(0) if self.statuses else 201
        if status == 302:
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/stolen"})
        if status < 300:
            self.files[request.path_qs] = body
        return web.Response(status=status)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[int]:
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    port: int = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield port
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    async with served(one.take) as port:
        one.port = port
        yield one


class Bench:
    """A store and its uploader, and what they said."""

    def __init__(self, folder: Path, settings: UploadSettings | None, allowed: tuple[str, ...] = ()) -> None:
        self.clock = SimClock(datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
        self.store = EvidenceStore(folder / "e", self.clock, size_bytes=1 << 30, keep_s=1e9, left_bytes=0)
        self.settings = settings
        self.done: list[tuple[str, str]] = []
        self.faults: list[Text | None] = []
        self.uploader = Uploader(
            self.store, self.clock, lambda: self.settings, lambda: allowed, self._uploaded, self._fault
        )

    async def _uploaded(self, evidence: Evidence, host: str) -> None:
        self.done.append((evidence.id, host))

    async def _fault(self, text: Text | None) -> None:
        self.faults.append(text)

    async def until(self, condition: Callable[[], bool], *, step_s: float = 5.0) -> None:
        """Let the clock run until something has happened; real I/O gets real time."""
        task = asyncio.create_task(self.uploader.run())
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await asyncio.sleep(0.005)
                    await self.clock.advance(step_s)
        finally:
            task.cancel()
            await settle()


def folder_at(url: str, **more: object) -> UploadSettings:
    return UploadSettings.model_validate({"url": url, **more})


async def test_a_file_goes_into_the_folder(tmp_path: Path, receiver: Receiver) -> None:
    bench = Bench(tmp_path, folder_at(f"{receiver.url}/dav/"))
    evidence = await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
    await bench.until(lambda: bool(bench.done))
    assert receiver.files == {f"/dav/{evidence.path.name}": b"jpeg"}
    assert receiver.headers[0]["Content-Type"] == "image/jpeg"
    assert bench.done == [(evidence.id, f"127.0.0.1:{receiver.port}")]
    assert bench.store.due() == ()


async def test_a_signed_address_is_used_as_it_is(tmp_path: Path, receiver: Receiver) -> None:
    bench = Bench(tmp_path, None, allowed=(f"127.0.0.1:{receiver.port}",))
    url = f"{receiver.url}/bucket/clip.mp4?X-Amz-Signature=abc%2F1"
    await bench.store.add("gate", "snapshot", b"mp4", put_url=url)
    await bench.until(lambda: bool(bench.done))
    assert receiver.files == {"/bucket/clip.mp4?X-Amz-Signature=abc%2F1": b"mp4"}
    assert "Authorization" not in receiver.headers[0]


async def test_it_is_tried_again_until_it_is_there(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [503, 500, 503]
    bench = Bench(tmp_path, folder_at(receiver.url))
    await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
    await bench.until(lambda: bool(bench.done))
    assert len(receiver.headers) == 4
    assert [fault is not None for fault in bench.faults] == [True, True, True, False]


async def test_a_restart_sends_what_was_due(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [503] * 3
    bench = Bench(tmp_path, folder_at(receiver.url))
    await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
    await bench.until(lambda: not receiver.statuses)
    again = Bench(tmp_path, folder_at(receiver.url))
    await again.store.load()
    await again.until(lambda: bool(again.done))
    assert len(receiver.files) == 1


async def test_alarms_go_first(tmp_path: Path, receiver: Receiver) -> None:
    bench = Bench(tmp_path, folder_at(receiver.url))
    await bench.store.add("gate", "snapshot", b"a", upload=True)
    bench.clock.tick(1)
    alarm = await bench.store.add("gate", "snapshot", b"b", alarm=True, upload=True)
    await bench.until(lambda: len(bench.done) == 2)
    assert bench.done[0][0] == alarm.id


async def test_an_expired_address_is_given_up_and_nothing_else_waits_for_it(tmp_path: Path, receiver: Receiver) -> None:
    async def expired(request: web.Request) -> web.Response:
        return await receiver.take(request) if request.path != "/expired" else web.Response(status=403)

    async with served(expired) as port:
        bench = Bench(tmp_path, folder_at(f"http://127.0.0.1:{port}"), allowed=("127.0.0.1",))
        await bench.store.add("gate", "snapshot", b"a", put_url=f"http://127.0.0.1:{port}/expired")
        bench.clock.tick(1)
        good = await bench.store.add("gate", "snapshot", b"b", upload=True)
        await bench.until(lambda: not bench.store.due(), step_s=30)
    assert [id_ for id_, _ in bench.done] == [good.id]


async def test_digest_and_basic_logins(tmp_path: Path) -> None:
    seen: list[str] = []

    async def digest(request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        seen.append(authorization.partition(" ")[0])
        if not authorization.startswith("Digest "):
            challenge = 'Digest realm="dav", nonce="1a2b", qop="auth", algorithm=SHA-256'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.Response(status=201)

    async with served(digest) as port:
        settings = folder_at(f"http://127.0.0.1:{port}", username="school", password=Secret.parse("s3cret"))
        bench = Bench(tmp_path, settings)
        await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
        await bench.until(lambda: bool(bench.done))
    assert seen == ["", "Digest"]


async def test_a_password_is_never_sent_in_the_clear(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def basic(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="dav"'})

    async with served(basic) as port:
        settings = folder_at(f"http://127.0.0.1:{port}", username="school", password=Secret.parse("s3cret"))
        bench = Bench(tmp_path, settings)
        await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
        await bench.until(lambda: bool(bench.faults))
    assert encode_basic_auth("school", "s3cret") not in seen
    assert set(seen) == {None}


async def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [302]
    bench = Bench(tmp_path, folder_at(receiver.url))
    await bench.store.add("gate", "snapshot", b"jpeg", upload=True)
    await bench.until(lambda: bool(bench.faults))
    assert "302" in str(bench.faults[0])


async def test_errors_never_show_the_signature(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    bench = Bench(tmp_path, None, allowed=("127.0.0.1",))
    await bench.store.add("gate", "snapshot", b"x", put_url=f"http://127.0.0.1:{unused_tcp_port}/a?sig=s3cret")
    await bench.until(lambda: bool(bench.faults))
    assert "s3cret" not in caplog.text + str(bench.faults)
    assert f"127.0.0.1:{unused_tcp_port}" in str(bench.faults[0])


def test_only_listed_hosts_are_sent_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None, allowed=("media.example.cn:443", "10.0.0.5"))
    bench.uploader.check_url("https://media.example.cn/a")
    for url in ("https://media.example.cn:8443/a", "https://example.cn/a", "ftp://10.0.0.5/a", "http://", "x"):
        with pytest.raises(UploadError):
            bench.uploader.check_url(url)


@pytest.mark.parametrize(
    ("url", "hosts", "allowed"),
    [
        ("rtmp://media.example.cn/live", ("media.example.cn:1935",), True),
        ("rtsp://media.example.cn:8554/x", ("media.example.cn",), True),
        ("rtsp://MEDIA.example.cn./x", ("media.example.cn",), True),
        ("http://[::1]:80/x", ("[0:0::1]",), True),
        ("http://media.example.cn.evil.cn/x", ("media.example.cn",), False),
        ("http://media.example.cn@evil.cn/x", ("media.example.cn",), False),
        ("http://127.0.0.1/x", (), False),
    ],
)
def test_hosts_are_compared_as_they_are_written(url: str, hosts: tuple[str, ...], allowed: bool) -> None:
    assert is_allowed(url, hosts) is allowed


def test_a_target_shows_only_its_host() -> None:
    assert repr(Target("https://u:p@h.cn/a?sig=1", "name", "pass")) == "Target('h.cn')"
    assert host_of("http://[::1]:8/x") == "[::1]:8"
