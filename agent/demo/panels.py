"""Simulated alarm hosts, and a simulated alarm centre, that speak DC-09: for the demo, tests and benches.

A host keeps a number per message, sends again until it is answered, and may be made to do everything that a real one
does wrong. A centre acknowledges, or does not, as it is told.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Self, cast

from agent.driver import BadFrame
from drivers._dc09 import ACK, ADM_CID, DUH, NAK, NULL, SEQUENCE_MAX, SIA_DCS, Frame, Message, Splitter, nak

ANSWER_S: Final = 10.0
"""How long a host waits before it sends again; real ones wait 5 to 20 s."""
Transport = Literal["tcp", "udp"]
Say = Literal["ack", "nak", "duh", "nothing"]


def now() -> datetime:
    """The time that hosts send."""
    return datetime.now(UTC)


class AlarmHost:
    """`async with AlarmHost(port, "1234") as host: await host.contact_id("1130 01 003")`."""

    def __init__(
        self,
        port: int,
        account: str,
        *,
        key: bytes | None = None,
        address: str = "127.0.0.1",
        transport: Transport = "tcp",
        clock: Callable[[], datetime | None] = now,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.account = account
        self.key = key
        self.clock = clock
        self.sequence = 0
        self.answers: list[Message] = []
        """Everything that came back, in order."""
        self._where = (address, port)
        self._transport = transport
        self._answer_s = answer_s
        self._line: _Line | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def connect(self) -> None:
        """Take up the line; one that is there is dropped."""
        self.close()
        self._line = await (_TcpLine if self._transport == "tcp" else _UdpLine).open(*self._where)
        self._line.on_bytes = self._take

    def close(self) -> None:
        """Drop the line."""
        if self._line is not None:
            self._line.close()
            self._line = None

    @property
    def connected(self) -> bool:
        """Whether the other side still has the line."""
        return self._line is not None and not self._line.lost.is_set()

    # --- what hosts send

    def message(self, id_: str, data: str = "", *, sequence: int | None = None) -> Message:
        """Make the next message, or one under an old number."""
        if sequence is None:
            self.sequence = self.sequence % SEQUENCE_MAX + 1
            sequence = self.sequence
        return Message(id_, sequence, self.account, data, time=self.clock())

    async def null(self) -> Message:
        """Report that the host is there."""
        return await self.send(self.message(NULL))

    async def contact_id(self, event: str) -> Message:
        """Report an event as `1130 01 003`."""
        return await self.send(self.message(ADM_CID, f"#{self.account}|{event}"))

    async def sia(self, event: str) -> Message:
        """Report an event as `Nri1/BA003`."""
        return await self.send(self.message(SIA_DCS, f"#{self.account}|{event}"))

    async def send(self, message: Message) -> Message:
        """Send until there is an answer that is no NAK, with a new line where the old one is lost; return it."""
        while True:
            data = message.to_bytes(self.key)
            if (answer := await self.once(data, message)) is None:
                continue
            if answer.id != NAK:
                return answer

    async def once(self, data: bytes, message: Message) -> Message | None:
        """Send bytes once; return the answer to `message`, or None if none came in time or the line was lost."""
        if not self.connected:
            try:
                await self.connect()
            except OSError:
                await asyncio.sleep(self._answer_s)
                return None
        seen = len(self.answers)
        self.raw(data)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._answer_s):
                while self._line is not None:
                    for answer in self.answers[seen:]:
                        if answer.is_answer_to(message):
                            return answer
                    seen = len(self.answers)
                    if self._line.lost.is_set():
                        return None
                    await self._line.stirred()
        return None

    def raw(self, data: bytes) -> None:
        """Send anything."""
        assert self._line is not None, "connect first"
        self._line.write(data)

    def _take(self, data: bytes) -> None:
        for piece in self._line.splitter.feed(data) if self._line else ():
            if isinstance(piece, bytes):
                with suppress(BadFrame):
                    self.answers.append(Message.from_bytes(piece, self.key))


class _Line:
    """A way to the receiver."""

    def __init__(self) -> None:
        self.splitter = Splitter()
        self.lost = asyncio.Event()
        self.on_bytes: Callable[[bytes], None] = lambda _data: None
        self._stir = asyncio.Event()

    @classmethod
    async def open(cls, address: str, port: int) -> "_Line":
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    async def stirred(self) -> None:
        """Wait for bytes, or for the loss of the line."""
        await self._stir.wait()
        self._stir.clear()

    def came(self, data: bytes) -> None:
        """Bytes came."""
        self.on_bytes(data)
        self._stir.set()

    def lose(self) -> None:
        """The other side is gone."""
        self.lost.set()
        self._stir.set()


class _TcpLine(_Line, asyncio.Protocol):
    @classmethod
    async def open(cls, address: str, port: int) -> "_Line":
        transport, line = await asyncio.get_running_loop().create_connection(cls, address, port)
        line._transport = transport
        return line

    _transport: asyncio.Transport

    def data_received(self, data: bytes) -> None:
        self.came(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.abort()


class _UdpLine(_Line, asyncio.DatagramProtocol):
    @classmethod
    async def open(cls, address: str, port: int) -> "_Line":
        loop = asyncio.get_running_loop()
        transport, line = await loop.create_datagram_endpoint(cls, remote_addr=(address, port))
        line._transport = transport
        return line

    _transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.came(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens: the host sends again."""

    def write(self, data: bytes) -> None:
        self._transport.sendto(data)

    def close(self) -> None:
        self._transport.abort()


@dataclass
class AlarmCentre:
    """A receiver of an alarm centre: `async with AlarmCentre(keys={...}) as centre: ... centre.port`. It takes TCP
    and UDP on one port, remembers what came, and answers as `say` tells it."""

    keys: dict[str, bytes] = field(default_factory=dict)
    """The key of each account that encrypts."""
    address: str = "127.0.0.1"
    port: int = 0
    say: Say = "ack"
    clock: Callable[[], datetime] = now
    messages: list[Message] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)
    connections: int = 0
    """How many were opened so far."""
    on_message: Callable[[Message], None] = lambda _message: None

    async def __aenter__(self) -> Self:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _CentreDatagrams(self), local_addr=(self.address, self.port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.abort()
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Drop every connection."""
        for writer in [*self._writers]:
            writer.transport.abort()

    def take(self, data: bytes | BadFrame) -> bytes:
        """Take one frame; return the answer, which may be none."""
        try:
            if isinstance(data, BadFrame):
                raise data
            frame = Frame.from_bytes(data)
            key = self.keys.get(frame.account.upper()) if frame.encrypted else None
            message = frame.open(key)
        except BadFrame as error:
            self.unreadable.append(error.got)
            return b""
        self.messages.append(message)
        self.on_message(message)
        if self.say == "ack":
            return message.answer(ACK, self.clock() if key else None).to_bytes(key)
        if self.say == "nak":
            return nak(self.clock()).to_bytes()
        return message.answer(DUH).to_bytes() if self.say == "duh" else b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        splitter = Splitter()
        try:
            while data := await reader.read(4096):
                writer.write(b"".join(self.take(frame) for frame in splitter.feed(data)))
        except OSError:
            pass  # the dialler hung up
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


class _CentreDatagrams(asyncio.DatagramProtocol):
    def __init__(self, centre: AlarmCentre) -> None:
        self._centre = centre

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for frame in Splitter().feed(data):
            if answer := self._centre.take(frame):
                self._transport.sendto(answer, addr)
