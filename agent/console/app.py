"""The console's web application: one page, its texts, its state, its pictures, and the few acts of a guard."""

import asyncio
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import web

from agent.clock import Clock
from agent.console.guard import guard, headers, own_hosts, refusal
from agent.console.live import LiveSockets
from agent.console.state import Board, TooMany
from agent.console.words import own_names, page_texts
from agent.control import ControlClient, ControlError, DaemonDown
from agent.control.media import BadMedia, EvidenceRequest, MediaClient, MediaDown, MediaRequest, PictureRequest
from agent.control.protocol import text_json
from agent.model import JsonValue
from agent.texts import Language, Text, say

BODY_LIMIT: Final = 16 * 1024
"""Bytes of a request's body; an act has some hundred."""
ACTS: Final = frozenset({"ptz", "snapshot"})
"""What this page may ask the core to do."""
ACTS_AT_ONCE: Final = 8
ACTOR: Final = "console"
NO_PICTURE: Final = "live.no-picture"
LANGUAGES: Final[Mapping[str, Language]] = {"zh-CN": "zh-CN", "en": "en"}
STATIC: Final[Mapping[str, str]] = {
    "wall.css": "text/css",
    "wall.js": "text/javascript",
    "words.js": "text/javascript",
    "live.js": "text/javascript",
    "ptz.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""The files that there are: nothing else is looked for."""
RETRY_MS: Final = 2_000
"""How soon a page that lost us asks again."""


class Console:
    """The handlers."""

    def __init__(
        self,
        connect: Callable[[], ControlClient],
        media: Path,
        clock: Clock,
        language: Language,
        *,
        host: str,
        port: int,
    ) -> None:
        self._connect = connect
        self._media = media
        self._language = language
        self._board = Board(connect, clock)
        self._live = LiveSockets(media)
        self._acting = asyncio.Semaphore(ACTS_AT_ONCE)
        self._hosts = own_hosts(host, port)
        self._files = {name: (files("agent.console") / "static" / name).read_bytes() for name in STATIC}
        self._page = (files("agent.console") / "static" / "index.html").read_bytes()

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[guard(self._hosts)], client_max_size=BODY_LIMIT)
        app.on_response_prepare.append(headers(self._hosts))
        app.on_shutdown.append(self._shut)
        app.router.add_get("/", self._index)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/api/texts", self._texts)
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/picture/{camera}", self._picture)
        app.router.add_get("/api/evidence/{id}", self._evidence)
        app.router.add_post("/api/act/{verb}", self._act)
        app.router.add_get("/live/{camera}", self._live.serve)
        return app

    async def _shut(self, _app: web.Application) -> None:
        await self._live.close()
        await self._board.close()

    async def _index(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page, content_type="text/html", charset="utf-8")

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        return web.Response(
            body=self._files[name], content_type=STATIC[name], charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    async def _texts(self, request: web.Request) -> web.Response:
        language = LANGUAGES.get(request.query.get("lang", ""), self._language)
        return web.json_response({"language": language, "languages": own_names(), **page_texts(language)})

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events (WHATWG HTML, 9.2)."""
        watching = self._board.watch()
        try:
            first = await anext(watching)
        except TooMany:
            return refusal(503, say("console.too-many"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        try:
            await response.prepare(request)
            await response.write(f"retry: {RETRY_MS}\ndata: {first}\n\n".encode())
            async for said in watching:
                await response.write(f"data: {said}\n\n".encode() if said else b": \n\n")
        except ConnectionError:
            pass  # the page is closed
        finally:
            await watching.aclose()
        return response

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        return await self._fetch(request, PictureRequest(request.match_info["camera"]))

    async def _evidence(self, request: web.Request) -> web.StreamResponse:
        return await self._fetch(request, EvidenceRequest(request.match_info["id"]))

    async def _fetch(self, request: web.Request, wanted: MediaRequest) -> web.StreamResponse:
        try:
            async with MediaClient(self._media, wanted) as client:
                response = web.StreamResponse(headers={"Content-Type": client.answer.mime})
                response.content_length = client.answer.bytes
                await response.prepare(request)
                async for payload in client.frames():
                    await response.write(payload)
        except MediaDown as error:
            return refusal(503, error.text)
        except (ControlError, BadMedia) as error:
            if error.text.key == NO_PICTURE:  # nothing is wrong
                return web.Response(status=204)
            return refusal(404, error.text)
        except ConnectionError:
            pass  # the browser has gone
        return response

    async def _act(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        if verb not in ACTS:
            raise web.HTTPNotFound
        try:
            args = json.loads(await request.text())
        except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
            args = None
        if not isinstance(args, dict):
            return refusal(400, say("console.bad-act"))
        if self._acting.locked():
            return refusal(503, say("console.busy"))
        async with self._acting:
            return await self._command(verb, args)

    async def _command(self, verb: str, args: dict[str, JsonValue]) -> web.Response:
        text: Text
        try:
            async with self._connect() as client:
                reply = await client.call("command", verb=verb, args=args, actor=ACTOR)
        except DaemonDown as error:
            return refusal(503, error.text)
        except ControlError as error:
            text = error.text
        else:
            if isinstance(reply, dict) and reply.get("ok"):
                return web.json_response({"result": reply.get("result")})
            reason = reply.get("reason") if isinstance(reply, dict) else None
            if isinstance(reason, dict):
                return web.json_response({"error": reason}, status=409)
            text = say("console.refused", reason=str(reason or "-"))
        return web.json_response({"error": text_json(text)}, status=409)
