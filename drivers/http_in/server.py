"""The HTTP server of devices that post. Loads aiohttp; nobody in here waits for anybody else.

A request is answered with 200 only after what it tells is durable. aiohttp has no deadline for the head of a first
request, so each connection stands behind a guard that has.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agent.driver import NS_PER_S, BadFrame, Bucket, DeviceError, Link, Sample, SecretError, Text, say
from drivers._listen import bind
from drivers.http_in import GRACE, SUPERVISION, HttpIn, HttpSource
from drivers.http_in.bodies import clean
from drivers.http_in.guard import IDLE_S, REQUEST_S, Guard, Handler, plain_address, refusal
from drivers.http_in.handshakes import Handshakes
from drivers.http_in.mapping import read
from drivers.http_in.posted import Posted, placed
from drivers.http_in.tokens import has_login, is_known

CONNECTIONS: Final = 128
CONNECTIONS_PER_ADDRESS: Final = 32
"""More than any device opens; a router may have several behind it."""
WRONG_TOKEN_S: Final = 1.0
"""Who has a wrong token waits so long for the answer: it makes guessing slow, and costs nobody else anything."""
BURST_S: Final = 5.0
"""Seconds' worth of requests that may come at once: what a device kept while its line was away."""
DUPLICATES_S: Final = 600.0
"""For how long an event is known again by the number that its device gave it."""
DUPLICATES: Final = 256
UNDER_WAY: Final = -1
LOOK_S: Final = 1.0
HAND_OVER_S: Final = 1.0
BACKLOG: Final = 64
HEAD_BYTES: Final = 8_190


class Rejected(BadFrame):
    """A request that is not taken: why, in words."""

    def __init__(self, text: Text, raw: bytes = b"") -> None:
        super().__init__("", raw)
        self.text = text
        self.args = (text,)


@dataclass(slots=True)
class Sender:
    """What is known of one source since the start."""

    settings: HttpSource
    token: bytes
    prefix: str
    bucket: Bucket
    heard_ns: int
    recent: dict[str, int] = field(default_factory=dict)
    """Events by their devices' numbers, each with when it was durable, or `UNDER_WAY`."""
    lost: bool | None = None

    @property
    def due_ns(self) -> int | None:
        """When it counts as lost unless it posts."""
        if self.settings.silence_s is None or self.lost:
            return None
        return self.heard_ns + round(self.settings.silence_s * GRACE * NS_PER_S)


async def serve(driver: HttpIn, link: Link) -> None:
    """Serve until cancelled. Raises DeviceError for a port, a token or a certificate that cannot be had, and
    JournalError."""
    server = Server(driver, link)
    try:
        await server.start()
        link.identify(model="HTTPS" if driver.cert else "HTTP")
        if driver.silence_s() is None:
            link.alive()  # the port is there, which is all that can be known
        await server.failed
    finally:
        await server.close()


class Server:
    """One port and its sources."""

    def __init__(self, driver: HttpIn, link: Link) -> None:
        self._driver = driver
        self._link = link
        self._senders = {source.path: self._sender(source) for source in driver.sources}
        self._networks = {
            source.path: tuple(ip_network(network, strict=False) for network in source.allow)
            for source in driver.sources
        }
        self._http = web.Server(self._handle)
        self._guards: dict[Guard, None] = {}
        """The oldest first."""
        self._listener: asyncio.Server | None = None
        self._handshakes: Handshakes | None = None
        self._watching: asyncio.Task[None] | None = None
        self._under_way = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _sender(self, source: HttpSource) -> Sender:
        try:
            token = source.token.reveal().encode("utf-8")
        except SecretError as error:
            raise DeviceError(error.text) from error
        bucket = Bucket(max(1.0, source.requests_per_s * BURST_S), source.requests_per_s)
        prefix = self._driver.inputs.prefix(source)
        return Sender(source, token, prefix, bucket, self._link.clock.boottime_ns())

    async def start(self) -> None:
        """Open the port. Raises DeviceError."""
        context = self._tls()
        place = await bind(self._driver.listen, socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        if context is None:
            self._listener = await loop.create_server(self._guard, sock=place, backlog=BACKLOG)
        else:
            self._handshakes = Handshakes(
                place, context, self._guard, most=CONNECTIONS, most_of_address=CONNECTIONS_PER_ADDRESS
            )
        self._watching = loop.create_task(self._watch())

    def _tls(self) -> ssl.SSLContext | None:
        if self._driver.cert is None or self._driver.key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._driver.cert, self._driver.key.path())
        except SecretError as error:
            raise DeviceError(error.text) from error
        except OSError as error:  # ssl.SSLError is one
            raise DeviceError(say("httpin.certificate", reason=error.strerror or str(error))) from error
        return context

    async def close(self) -> None:
        """Let what is under way finish, then end everything."""
        if self._listener is not None:
            self._listener.close()
        if self._handshakes is not None:
            await self._handshakes.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                while self._under_way:  # noqa: ASYNC110 - at the end, for milliseconds
                    await asyncio.sleep(0.005)
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        await self._http.shutdown(0.0)
        for guard in [*self._guards]:
            guard.abort()
        if self.failed.done() and not self.failed.cancelled():
            self.failed.exception()  # seen, if nobody waited

    async def _watch(self) -> None:
        """Tell of sources that do not post any more, when it is time."""
        clock = self._link.clock
        while True:
            now_ns = clock.boottime_ns()
            late = [one for one in self._senders.values() if one.due_ns is not None and one.due_ns <= now_ns]
            for sender in late:
                sender.lost = True
            if late:
                await self._emit([supervision(sender, now_ns) for sender in late])
            await clock.sleep(LOOK_S)

    async def _emit(self, samples: list[Sample]) -> None:
        """Make durable; an error of the journal ends the driver, and the process."""
        try:
            await self._link.emit(*samples)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it is, it ends the driver too, not only this request
            if not self.failed.done():
                self.failed.set_exception(error)
            raise

    # --- connections

    def _guard(self) -> Guard:
        handler = Handler(
            self._http,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as AppRunner has it
            keepalive_timeout=IDLE_S,
            lingering_time=0.0,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            auto_decompress=False,
        )
        guard = Guard(self, handler)
        handler.on_nonsense = lambda: self.nonsense(guard.address)
        return guard

    def admit(self, guard: Guard) -> bool:
        """Make room for one more connection: one on which no request is under way goes for it. Return whether there
        is room."""
        same = [other for other in self._guards if other.address == guard.address]
        crowd = same if len(same) >= CONNECTIONS_PER_ADDRESS else [*self._guards]
        if len(same) >= CONNECTIONS_PER_ADDRESS or len(self._guards) >= CONNECTIONS:
            self._link.reject(b"", Rejected(say("httpin.connections", address=guard.address)))
            if (idle := next((other for other in crowd if other.is_idle), None)) is None:
                return False
            self.left(idle)
            idle.abort()
        self._guards[guard] = None
        return True

    def nonsense(self, address: str) -> None:
        """Something came that is no request."""
        self._link.reject(b"", Rejected(say("httpin.no-http", address=address)))

    def left(self, guard: Guard) -> None:
        """A connection is closed."""
        self._guards.pop(guard, None)

    # --- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        guard = next((one for one in self._guards if one.transport is request.transport), None)
        if guard is not None:
            guard.disarm()
        self._under_way += 1
        try:
            return await self._answer(request)
        finally:
            self._under_way -= 1
            if guard is not None:
                guard.arm(IDLE_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        address = plain_address(request.remote)
        sender = self._senders.get(request.path)
        if sender is None or not self._is_allowed(request.path, address):
            self._link.reject(b"", Rejected(say("httpin.stranger", address=address, path=clean(request.path)[:64])))
            return refusal(404)
        if sender.settings.username is not None and not has_login(request):
            return refusal(401)  # many a device asks first, and logs in when it is told to
        if not is_known(request, sender.settings, sender.token):
            self._link.reject(b"", Rejected(say("httpin.wrong-token", source=sender.settings.id, address=address)))
            await asyncio.sleep(WRONG_TOKEN_S)
            return refusal(401)
        if request.method not in ("POST", "PUT"):
            return refusal(405)
        now_ns = self._link.clock.boottime_ns()
        if not sender.bucket.take(now_ns):
            self._link.reject(b"", Rejected(say("httpin.too-fast", source=sender.settings.id)))
            return refusal(429)
        try:
            async with asyncio.timeout(REQUEST_S):
                body = await read_body(request, sender.settings.limit_bytes)
        except TimeoutError:
            self._link.reject(b"", Rejected(say("httpin.slow", source=sender.settings.id)))
            return refusal(408)
        except (HttpProcessingError, web.RequestPayloadError, ConnectionError):
            self.nonsense(address)
            return refusal(400)
        if body is None:
            self._link.reject(b"", Rejected(say("httpin.too-large", source=sender.settings.id)))
            return refusal(413)
        return await self._take(sender, body, request.headers.get("Content-Type", ""), now_ns)

    async def _take(self, sender: Sender, body: bytes, content_type: str, now_ns: int) -> web.StreamResponse:
        """Read a body, make durable what it tells, and say so."""
        try:
            posted = read(sender.settings, body, content_type)
        except BadFrame as error:
            text = say("httpin.unreadable", source=sender.settings.id, error=error.text)
            self._link.reject(body, Rejected(text, body))
            return refusal(422)
        samples = self._heard(sender, now_ns)
        if (came_ns := self._seen(sender, posted, now_ns)) == UNDER_WAY:
            return refusal(503)  # the first of them is not yet durable; the device tries again
        if came_ns is None:
            more = {"source": sender.settings.id}
            samples += [placed(sample, sender.prefix, more, now_ns) for sample in posted.samples]
        await self._durable(sender, posted.same if came_ns is None else "", samples, now_ns)
        return web.json_response({"ok": True})

    async def _durable(self, sender: Sender, same: str, samples: list[Sample], now_ns: int) -> None:
        if not samples:
            self._link.alive()
            return
        if same:
            sender.recent[same] = UNDER_WAY
        try:
            await self._emit(samples)
        except BaseException:  # also when cancelled: it is not durable
            sender.recent.pop(same, None)  # it comes again, and is to be told then
            raise
        if same:
            sender.recent[same] = now_ns

    def _seen(self, sender: Sender, posted: Posted, now_ns: int) -> int | None:
        """When this event was durable, if it was told before."""
        oldest_ns = now_ns - round(DUPLICATES_S * NS_PER_S)
        for same in [same for same, came_ns in sender.recent.items() if UNDER_WAY < came_ns <= oldest_ns]:
            del sender.recent[same]
        while len(sender.recent) > DUPLICATES:
            del sender.recent[next(iter(sender.recent))]
        return sender.recent.get(posted.same) if posted.same else None

    def _heard(self, sender: Sender, now_ns: int) -> list[Sample]:
        """It posted: what to tell of that."""
        sender.heard_ns = now_ns
        if sender.settings.silence_s is None or sender.lost is False:
            return []
        sender.lost = False
        return [supervision(sender, now_ns)]

    def _is_allowed(self, path: str, address: str) -> bool:
        networks = self._networks[path]
        try:
            return not networks or any(ip_address(address) in network for network in networks)
        except ValueError:
            return False


def supervision(sender: Sender, now_ns: int) -> Sample:
    """Whether a source is lost."""
    detail = {"source": sender.settings.id}
    name = sender.prefix + SUPERVISION
    return Sample(name, bool(sender.lost), now_ns, kind="supervision-lost", detail=detail)


async def read_body(request: web.BaseRequest, limit_bytes: int) -> bytes | None:
    """The body of a request; None if it is larger than may be."""
    if (request.content_length or 0) > limit_bytes:
        return None
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > limit_bytes:
            return None
    return bytes(body)
