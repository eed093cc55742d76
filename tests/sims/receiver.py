"""An alarm centre's DC-09 receiver at the wire, TCP and UDP on one port: it answers, or misbehaves.

Its framing is its own, on purpose: a mistake in the codec must not be mirrored. Source: ANSI/SIA DC-09-2013, 5.5.
"""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Self, cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Habit = Literal["ack", "silent", "nak", "duh", "wrong-sequence", "cut", "noise", "byte-by-byte"]
HEADER: Final = re.compile(rb'"(\*?)([A-Z-]+)"(\d{4})(?:R(\w+))?(?:L(\w+))?#(\w+)\[(.*)', re.DOTALL)


@dataclass(frozen=True)
class Heard:
    """One frame as it came."""

    id: str
    sequence: str
    account: str
    data: str
    time: datetime | None
    encrypted: bool
    raw: bytes


@dataclass
class Receiver:
    """`async with Receiver() as receiver`: listens on a port of its own."""

    key: bytes | None = None
    habit: Habit = "ack"
    heard: list[Heard] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, again on the same port if it had one."""
        loop = asyncio.get_running_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=("127.0.0.1", self.port))

    async def stop(self) -> None:
        """Be away: connections are refused."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._udp.close()
        await self._server.wait_closed()

    @property
    def tcp(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def udp(self) -> str:
        return f"udp://127.0.0.1:{self.port}"

    @property
    def events(self) -> list[Heard]:
        """What was no poll."""
        return [one for one in self.heard if one.id != "NULL"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                raw = await reader.readuntil(b"\r")
                answer = self.answer(raw)
                if answer is None:
                    continue
                if self.habit == "cut":
                    writer.write(answer[: len(answer) // 2])
                    await writer.drain()
                    return
                for piece in (
                    [answer[i : i + 1] for i in range(len(answer))] if self.habit == "byte-by-byte" else [answer]
                ):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, raw: bytes) -> bytes | None:
        """Take a frame; return what it is answered."""
        heard = self._read(raw)
        self.heard.append(heard)
        if self.habit == "silent":
            return None
        id_, sequence = "ACK", heard.sequence
        if self.habit == "nak" or (self.habit == "duh"):
            id_ = self.habit.upper()
        if self.habit == "wrong-sequence":
            sequence = f"{(int(sequence) + 1) % 10000:04}"
        noise = b"\x00\xff" * 40 + b"\r" if self.habit == "noise" else b""
        return noise + self._frame(id_, sequence, heard.account)

    def clock(self) -> datetime:
        """What it takes for the time."""
        return datetime.now(UTC)

    def _read(self, raw: bytes) -> Heard:
        body = raw[9:-1]
        assert raw[:1] == b"\n", raw
        assert raw[1:5] == f"{crc(body):04X}".encode(), raw
        assert raw[5:9] == f"{len(body):04X}".encode(), raw
        match = HEADER.fullmatch(body)
        assert match, raw
        star, id_, sequence, _, _, account, rest = match.groups()
        if star:
            assert self.key is not None
            cipher = Cipher(algorithms.AES(self.key), modes.CBC(bytes(16))).decryptor()
            rest = (cipher.update(bytes.fromhex(rest.decode())) + cipher.finalize()).partition(b"|")[2]
        data, _, after = rest.partition(b"]")
        stamp = after.partition(b"_")[2].decode()
        time = datetime.strptime(stamp, "%H:%M:%S,%m-%d-%Y").replace(tzinfo=UTC) if stamp else None
        return Heard(id_.decode(), sequence.decode(), account.decode(), data.decode(), time, bool(star), raw)

    def _frame(self, id_: str, sequence: str, account: str) -> bytes:
        stamp = self.clock().strftime("_%H:%M:%S,%m-%d-%Y")
        if id_ == "NAK":
            body = f'"NAK"0000R0L0A0[]{stamp}'.encode()
        elif self.key and id_ == "ACK":
            inner = f"|]{stamp}".encode()
            inner = b"x" * (-len(inner) % 16) + inner
            cipher = Cipher(algorithms.AES(self.key), modes.CBC(bytes(16))).encryptor()
            body = (
                f'"*ACK"{sequence}L0#{account}['.encode()
                + (cipher.update(inner) + cipher.finalize()).hex().upper().encode()
            )
        else:
            body = f'"{id_}"{sequence}L0#{account}[]'.encode()
        return b"\n" + f"{crc(body):04X}{len(body):04X}".encode() + body + b"\r"


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := self._receiver.answer(data):
            self._transport.sendto(answer, addr)


def crc(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value
