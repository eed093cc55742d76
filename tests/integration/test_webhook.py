"""The path by HTTP, against a real server that answers well, badly or not at all."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.driver import PathError, Secret
from drivers.webhook import Webhook, dingtalk_sign, feishu_sign, message
from tests.sims.broker import make_authority
from tests.sims.paths import SITE, RecordedPathLink, notice

TOKEN = "a-token-that-nobody-may-see"
DINGTALK = "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="
FEISHU = "VIS10b0EBvzzSdFnuk4tznEmK5wHaruvf/WnViv2yR4="
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """A server on loopback, and what it was sent."""

    port: int = 0
    scheme: str = "http"
    answer: Handler | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/robot/send?access_token={TOKEN}"


@asynccontextmanager
async def serving(answer: Handler | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer=answer, scheme="https" if tls else "http")

    async def take(request: web.Request) -> web.StreamResponse:
        server.requests.append((request.path_qs, dict(request.headers), await request.read()))
        return await server.answer(request) if server.answer else web.json_response({"errcode": 0, "code": 0})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


async def send(server: Server, *, link: RecordedPathLink | None = None, what: Any = None, **more: Any) -> Any:
    hook = Webhook(**({"url": Secret.parse(server.url), "timeout_s": 10.0} | more))
    session = await hook.open(link or RecordedPathLink())
    try:
        return await (session.probe() if what == "probe" else session.send(notice()))
    finally:
        await session.close()


async def refused(server: Server, **more: Any) -> PathError:
    with pytest.raises(PathError) as caught:
        await send(server, **more)
    assert TOKEN not in str(caught.value)
    return caught.value


async def test_a_cloudevent_has_all_that_a_platform_needs() -> None:
    async with serving() as server:
        taken = await send(server, token=Secret.parse("bearer-secret"))
    path, headers, body = server.requests[0]
    assert path == f"/robot/send?access_token={TOKEN}"
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["Authorization"] == "Bearer bearer-secret"
    event = json.loads(body)
    assert (event["id"], event["type"], event["source"]) == (
        "01JD0000000000000000000001",
        "campus.notice.alarm",
        "/370812/sy-primary/guardroom/panic",
    )
    assert event["data"]["text"] == "门卫室一键报警：一键报警触发"
    assert taken.by == "127.0.0.1"


@pytest.mark.parametrize(
    ("format_", "text_at"),
    [("dingtalk", ("text", "content")), ("wecom", ("text", "content")), ("feishu", ("content", "text"))],
)
async def test_a_robot_gets_its_own_words(format_: str, text_at: tuple[str, str]) -> None:
    async with serving() as server:
        await send(server, format=format_, at_all=True)
    body = json.loads(server.requests[0][2])
    assert body[text_at[0]][text_at[1]].startswith(
        "【兖州区实验小学】门卫室一键报警：一键报警触发\n2026-11-23 08:00:05"
    )
    assert "all" in server.requests[0][2].decode().lower()


async def test_signatures_go_where_each_robot_wants_them() -> None:
    async with serving() as server:
        await send(server, format="dingtalk", secret=Secret.parse("SECabc"))
        await send(server, format="feishu", secret=Secret.parse("abc"))
    assert "&timestamp=" in server.requests[0][0]
    assert "&sign=" in server.requests[0][0]
    assert set(json.loads(server.requests[1][2])) == {"timestamp", "sign", "msg_type", "content"}


def test_the_signatures_are_those_of_the_robots_documentation() -> None:
    # openssl dgst -sha256 -hmac 'SECabc' over "1700000000000\nSECabc", and -hmac "1700000000\nabc" over nothing
    assert dingtalk_sign("1700000000000", "SECabc") == DINGTALK
    assert feishu_sign("1700000000", "abc") == FEISHU


@pytest.mark.parametrize(
    ("format_", "answer", "key"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, "webhook.robot-refused"),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, "webhook.robot-refused"),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, "webhook.robot-refused"),
        ("feishu", {"StatusCode": 1, "StatusMessage": "no"}, "webhook.robot-refused"),
        ("dingtalk", {"hello": 1}, "webhook.no-robot"),
        ("dingtalk", [], "webhook.no-robot"),
    ],
)
async def test_a_robot_that_says_no_with_http_200_has_not_taken_it(format_: str, answer: Any, key: str) -> None:
    async def say_no(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    async with serving(say_no) as server:
        assert (await refused(server, format=format_)).text.key == key


async def test_a_page_in_place_of_an_answer_is_none_of_a_robot_however_long_it_is() -> None:
    async def portal(_request: web.Request) -> web.Response:
        return web.Response(text="<html>" + "x" * 5_000_000)

    async with serving(portal) as server:
        assert (await refused(server, format="wecom")).text.key == "webhook.no-robot"


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_any_other_status_is_no_delivery(status: int) -> None:
    async def say_no(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(say_no) as server:
        assert (await refused(server)).text.args["status"] == status


async def test_a_redirect_is_not_followed_so_the_token_stays_where_it_belongs() -> None:
    async with serving() as other:

        async def elsewhere(_request: web.Request) -> web.Response:
            raise web.HTTPFound(f"http://127.0.0.1:{other.port}/")

        async with serving(elsewhere) as server:
            assert (await refused(server)).text.args["status"] == 302
        assert other.requests == []


async def test_a_server_that_is_silent_away_or_hangs_up_is_told_and_nothing_of_the_url_is() -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionResetError

    async with serving(never) as server:
        hook = Webhook(url=Secret.parse(server.url)).model_copy(update={"timeout_s": 0.1})
        session = await hook.open(RecordedPathLink())
        with pytest.raises(PathError, match="timeout"):
            await session.send(notice())
        await session.close()
        server.answer = hang_up
        assert (await refused(server)).text.key == "webhook.unreachable"
    assert (await refused(server)).text.key == "webhook.unreachable"
    assert (await refused(server, what="probe")).text.key == "webhook.unreachable"


async def test_a_probe_sends_nothing_that_people_would_read() -> None:
    async with serving() as server:
        condition = await send(server, what="probe")
        assert condition.facts == {"host": "127.0.0.1"}
        assert server.requests == []


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://example.com/x", "webhook.needs-https"),
        ("http://8.8.8.8/x", "webhook.needs-https"),
        ("ftp://127.0.0.1/x", "webhook.bad-url"),
        ("https://user:pass@example.com/", "webhook.bad-url"),
        ("https://[::1", "webhook.bad-url"),
        ("nothing", "webhook.bad-url"),
    ],
)
async def test_an_address_that_will_not_do_is_refused_before_anything_is_sent(url: str, key: str) -> None:
    with pytest.raises(PathError) as caught:
        await Webhook(url=Secret.parse(url)).open(RecordedPathLink())
    assert caught.value.text.key == key


def test_an_english_site_is_spoken_to_in_english() -> None:
    from dataclasses import replace

    site = replace(SITE, name="Shiyan Primary", language="en")
    body, _ = message("wecom", notice(text="Gatehouse: panic raised"), site, None, 0.0, at_all=False)
    assert json.loads(body)["text"]["content"] == "[Shiyan Primary] Gatehouse: panic raised\n2026-11-23 08:00:05"


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_s_own_authority_taken(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert, authority.key)
    async with serving(tls=context) as server:
        assert (await refused(server)).text.key == "webhook.unreachable"
        assert server.requests == []
        await send(server, ca=str(authority.ca))
        await send(server, ca=str(authority.ca), what="probe")
        assert len(server.requests) == 1
