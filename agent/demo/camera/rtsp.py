"""RTSP 1.0 as cameras speak it (RFC 2326): digest logins, RTP over the connection or UDP, RTCP sender reports; and,
when told so, as bad cameras speak it. One process serves hundreds of streams: payloads are cut once, one task paces."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from agent.demo.camera.digest import Algorithm, Door
from agent.demo.camera.feed import Feed, Player
from agent.demo.camera.rtp import describe
from agent.demo.camera.rtsp_message import (
    HEAD_BYTES,
    BadRequest,
    Request,
    Wanted,
    build_answer,
    parse_request,
    parse_transport,
)
from agent.demo.camera.spec import CameraSpec, RtspMode

TIMEOUT_S: Final = 60
"""What most cameras say (RFC 2326 12.37's default too)."""
BODY_BYTES: Final = 65_536
METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
HUGE_BYTES: Final = 64 << 20
CHUNK: Final = b"X-Padding: " + b"x" * 4000 + b"\r\n"
ELSEWHERE: Final = "rtsp://192.0.2.1/1/main"
"""A host of documentation's range (RFC 5737): nothing must ever connect to it."""
INTERLEAVED: Final = 0x24
"""`$`, before RTP and RTCP in a connection (RFC 2326 10.12)."""


class Camera(Protocol):
    """What the server asks of its camera."""

    spec: CameraSpec
    door: Door
    rtsp_mode: RtspMode
    after_s: float

    async def feed(self, path: str) -> Feed | None:
        """The stream at a path."""
        ...

    def counted(self, what: str) -> None:
        """Count one request."""
        ...


class RtspServer:
    """One camera's RTSP port."""

    def __init__(self, camera: Camera, host: str, port: int) -> None:
        self.port = port
        self._camera = camera
        self._host = host
        self._server: asyncio.Server | None = None
        self._links: set[Connection] = set()

    @property
    def listening(self) -> bool:
        return self._server is not None

    @property
    def connections(self) -> int:
        return len(self._links)

    async def start(self) -> None:
        if self._server:
            return
        self._server = await asyncio.start_server(self._serve, self._host, self.port, limit=HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and drop every connection."""
        if self._server:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Connection(self._camera, reader, writer)
        self._links.add(link)
        try:
            await link.run()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, BadRequest):
            pass  # gone, or nonsense: cameras hang up
        finally:
            link.close()
            self._links.discard(link)


class Connection:
    """One client."""

    def __init__(self, camera: Camera, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._camera = camera
        self._reader = reader
        self._writer = writer
        self._session = secrets.token_hex(4)
        self._players: dict[str, Player] = {}
        self._datagrams: list[asyncio.DatagramTransport] = []

    def close(self) -> None:
        for player in self._players.values():
            player.leave()
        self._players.clear()
        for transport in self._datagrams:
            transport.close()
        self._writer.close()

    async def run(self) -> None:
        """Answer requests until the client goes."""
        while request := await self._next():
            mode = self._camera.rtsp_mode
            self._camera.counted(f"rtsp {request.method}")
            if spoil := SPOILERS.get(mode):
                await spoil(self._reader, self._writer)
                continue
            status, headers, body = await self._answer(request, mode)
            cseq = request.headers.get("cseq", "0")
            self._writer.write(build_answer(status, cseq, headers, body))
            await self._writer.drain()
            if request.method == "PLAY" and status == 200:
                for player in self._players.values():
                    player.play()
            if request.method == "TEARDOWN" and status == 200:
                return

    async def _next(self) -> Request | None:
        """The next request; what comes between (receiver reports) is passed over."""
        while first := await self._reader.read(1):
            if first[0] == INTERLEAVED:
                head = await self._reader.readexactly(3)
                await self._reader.readexactly(int.from_bytes(head[1:], "big"))
                continue
            if first in b"\r\n":
                continue
            head = first + await self._reader.readuntil(b"\r\n\r\n")
            request = parse_request(head)
            length = int(request.headers.get("content-length", "0"))
            if length > BODY_BYTES:
                raise BadRequest(f"a body of {length} bytes")
            await self._reader.readexactly(length)
            return request
        return None

    async def _answer(self, request: Request, mode: RtspMode) -> tuple[int, list[tuple[str, str]], bytes]:
        if request.method == "OPTIONS":
            return 200, [("Public", METHODS)], b""
        if mode == "redirect":
            return 302, [("Location", ELSEWHERE)], b""
        if not self._let_in(request) or mode == "unauthorized":
            return 401, [("WWW-Authenticate", value) for value in self._challenges()], b""
        handlers: dict[str, Callable[[Request], Awaitable[tuple[int, list[tuple[str, str]], bytes]]]] = {
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "TEARDOWN": self._teardown,
            "GET_PARAMETER": self._alive,
            "SET_PARAMETER": self._alive,
        }
        if handler := handlers.get(request.method):
            return await handler(request)
        return 501, [("Public", METHODS)], b""

    def _algorithms(self) -> tuple[Algorithm, ...]:
        wanted = self._camera.spec.rtsp_digest
        return ("SHA-256", "MD5") if wanted == "both" else (wanted,)

    def _challenges(self) -> list[str]:
        # without qop: RFC 2326 14 has RFC 2069 in mind, and many a client knows nothing else
        return self._camera.door.challenges(self._algorithms(), qop=False)

    def _let_in(self, request: Request) -> bool:
        return self._camera.door.digest(request.headers.get("authorization"), request.method, self._algorithms())

    async def _describe(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        feed = await self._camera.feed(request.path)
        if feed is None:
            return 404, [], b""
        stream = feed.stream
        codec = stream.codec
        if self._camera.rtsp_mode == "lie":
            codec = "h265" if codec == "h264" else "h264"
        host = self._writer.get_extra_info("sockname")[0]
        body = describe(host, codec, feed.sets, stream.fps, stream.kbps)
        base = request.url.rstrip("/") + "/"
        return 200, [("Content-Base", base), ("Content-Type", "application/sdp")], body

    async def _setup(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        path = request.path.removesuffix("/trackID=1")
        feed = await self._camera.feed(path)
        if feed is None:
            return 404, [], b""
        wanted = parse_transport(request.headers.get("transport", ""))
        if wanted is None or ("tcp" if wanted.tcp else "udp") not in self._camera.spec.transports:
            return 461, [], b""
        if old := self._players.pop(path, None):
            old.leave()
        if wanted.tcp:
            player = Player(feed, self._camera.after_s, lambda: self._camera.rtsp_mode)
            player.over_connection(self._writer.transport, wanted.pair)
            transport = f"RTP/AVP/TCP;unicast;interleaved={wanted.pair[0]}-{wanted.pair[1]}"
        else:
            player, transport = await self._over_udp(feed, wanted)
        self._players[path] = player
        lines = [("Transport", f"{transport};ssrc={player.ssrc:08X}"), self._session_line()]
        return 200, lines, b""

    async def _over_udp(self, feed: Feed, wanted: Wanted) -> tuple[Player, str]:
        loop = asyncio.get_running_loop()
        ours = self._writer.get_extra_info("sockname")[0]
        theirs = self._writer.get_extra_info("peername")[0]
        pair = []
        for port in wanted.pair:
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(ours, 0), remote_addr=(theirs, port)
            )
            pair.append(transport)
        self._datagrams += pair
        player = Player(feed, self._camera.after_s, lambda: self._camera.rtsp_mode)
        player.over_datagrams(pair[0], pair[1])
        ports = "-".join(str(transport.get_extra_info("sockname")[1]) for transport in pair)
        return player, f"RTP/AVP;unicast;client_port={wanted.pair[0]}-{wanted.pair[1]};server_port={ports}"

    def _session_line(self) -> tuple[str, str]:
        return "Session", f"{self._session};timeout={TIMEOUT_S}"

    def _known(self, request: Request) -> bool:
        return bool(self._players) and request.headers.get("session", "").split(";")[0].strip() == self._session

    async def _play(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        if not self._known(request):
            return 454, [], b""
        for player in self._players.values():
            player.begin()
        url = request.url.rstrip("/")
        info = ",".join(f"url={url}/trackID=1;{player.rtp_info}" for player in self._players.values())
        return 200, [self._session_line(), ("Range", "npt=now-"), ("RTP-Info", info)], b""

    async def _pause(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        if not self._known(request):
            return 454, [], b""
        for player in self._players.values():
            player.leave()
        return 200, [self._session_line()], b""

    async def _teardown(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        if not self._known(request):
            return 454, [], b""
        for player in self._players.values():
            player.leave()
        self._players.clear()
        return 200, [], b""

    async def _alive(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        return 200, [self._session_line()] if self._known(request) else [], b""


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def _endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"RTSP/1.0 200 OK\r\n")
    while not writer.is_closing():
        writer.write(CHUNK)
        await writer.drain()


async def _huge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n" % HUGE_BYTES)
    for _ in range(HUGE_BYTES // len(CHUNK)):
        writer.write(CHUNK)
        await writer.drain()


async def _garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01" + secrets.token_bytes(400) + b"\r\n\r\n")
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.close()


SPOILERS: Final[dict[RtspMode, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]]] = {
    "silent": _silent,
    "endless": _endless,
    "huge": _huge,
    "garbage": _garbage,
}
