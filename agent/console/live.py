"""A browser's live picture: what the media socket sends goes on over a WebSocket.

First a text message, `{"mime": ...}` or `{"error": {...}}`, then binary ones. Nothing is kept here: a browser that
reads slowly slows us down on the media socket, and the eye then skips for this viewer alone.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from agent.control import ControlError
from agent.control.media import FORMATS, ROLES, BadMedia, LiveRequest, MediaClient, MediaDown
from agent.control.protocol import text_json
from agent.texts import Text, say

log = logging.getLogger(__name__)

SOCKET_LIMIT: Final = 32
"""As many as the eye serves."""
HEARTBEAT_S: Final = 20.0
"""A browser that has gone without a word is noticed so."""
MESSAGE_LIMIT: Final = 1024
"""A browser has nothing to say here."""


class LiveSockets:
    """All live pictures."""

    def __init__(self, media: Path) -> None:
        self._media = media
        self._open: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One live picture: `/live/{camera}?role=main&format=fmp4`."""
        role, format_ = ROLES.get(request.query.get("role", "sub")), FORMATS.get(request.query.get("format", "fmp4"))
        if role is None or format_ is None:
            raise web.HTTPBadRequest
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_LIMIT, compress=False)
        await socket.prepare(request)
        try:
            if len(self._open) >= SOCKET_LIMIT:
                await self._refuse(socket, say("live.too-many-viewers", limit=SOCKET_LIMIT))
                return socket
            self._open.add(socket)
            await self._show(socket, LiveRequest(request.match_info["camera"], role, format_))
        except ConnectionError:
            log.debug("a browser has gone")
        finally:
            self._open.discard(socket)
            await socket.close()
        return socket

    async def close(self) -> None:
        """End all."""
        for socket in tuple(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    async def _show(self, socket: web.WebSocketResponse, wanted: LiveRequest) -> None:
        passing = asyncio.ensure_future(self._pass_on(socket, wanted))
        listening = asyncio.ensure_future(listen(socket))
        try:
            await asyncio.wait({passing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (passing, listening):
                task.cancel()
            await asyncio.gather(passing, listening, return_exceptions=True)

    async def _pass_on(self, socket: web.WebSocketResponse, wanted: LiveRequest) -> None:
        try:
            async with MediaClient(self._media, wanted) as client:
                await socket.send_json({"mime": client.answer.mime})
                async for payload in client.frames():
                    await socket.send_bytes(payload)
        except (MediaDown, BadMedia, ControlError) as error:
            await self._refuse(socket, error.text)

    async def _refuse(self, socket: web.WebSocketResponse, text: Text) -> None:
        await socket.send_json({"error": text_json(text)})


async def listen(socket: web.WebSocketResponse) -> None:
    """Until the browser closes."""
    async for message in socket:
        if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
            return
