"""What stands between a connection and aiohttp: deadlines for requests, a number of connections, and quiet answers to
what is no HTTP."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiohttp import web

from drivers._listen import keep_alive

REQUEST_S: Final = 10.0
"""From a connection, or from the end of the answer before, to the whole head of a request, and again to its whole
body: a terminal on a bad line takes a second."""
IDLE_S: Final = 75.0
"""A connection that is kept for the next request; devices open a new one as easily."""
CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="campus-agent"'}


class Door(Protocol):
    """Who counts connections."""

    def admit(self, guard: "Guard") -> bool: ...
    def left(self, guard: "Guard") -> None: ...
    def nonsense(self, address: str) -> None: ...


def plain_address(address: str | None) -> str:
    """An address without its zone; of an IPv4 one that came through an IPv6 socket the IPv4 address."""
    return (address or "?").partition("%")[0].removeprefix("::ffff:")


def refusal(status: int) -> web.Response:
    """An answer that is no yes. The connection ends with it: what else came on it was not read."""
    headers: dict[str, str] = dict(CHALLENGE) if status == 401 else {}
    if status in (429, 503):
        headers["Retry-After"] = "1"
    response = web.json_response({"ok": False, "status": status}, status=status, headers=headers)
    response.force_close()
    return response


class Handler(web.RequestHandler):
    """aiohttp's side of a connection, that tells of nonsense instead of logging it."""

    on_nonsense: Callable[[], None] = staticmethod(lambda: None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status < 500:
            self.on_nonsense()
        return refusal(status)


class Guard(asyncio.Protocol):
    """Stands before one connection, and ends it when a request takes too long to come."""

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.address = "?"
        self._served = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.address = plain_address(str((transport.get_extra_info("peername") or ("?",))[0]))
        if (connection := transport.get_extra_info("socket")) is not None:
            keep_alive(connection)
        admitted = self._door.admit(self)
        self._inner.connection_made(transport)
        if admitted:
            self.arm(REQUEST_S)
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.disarm()
        self._door.left(self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    @property
    def is_idle(self) -> bool:
        """Whether no whole request has come that is not answered."""
        return self._timer is not None

    def arm(self, seconds: float) -> None:
        """End the connection unless a request has come by then."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._late)

    def disarm(self) -> None:
        """It has come."""
        self._served = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if not self._served:
            self._door.nonsense(self.address)
        self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()
