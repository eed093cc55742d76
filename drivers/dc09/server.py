"""The sockets of the receiver: several hosts at once over TCP and UDP, none of which can delay the others or fill the
memory. What messages mean is the business of `drivers.dc09.receiver`."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, cast

from agent.driver import NS_PER_S, BadFrame, Bucket, DeviceError, Link, SecretError, say
from drivers._dc09 import FRAME_MAX, KEY_BYTES, Splitter
from drivers._listen import bind, keep_alive
from drivers.dc09 import Dc09
from drivers.dc09.receiver import Receiver, Rejected

READ_BYTES: Final = 16 * 1024
"""Some hundred messages: what one host can have under way."""
BATCH: Final = 32
"""Messages of one connection that are made durable together; the rest of them wait, and others come between."""
UNSENT_BYTES: Final = 16 * 1024
"""Answers that a host does not fetch. Hundreds of them: it is not there any more."""
STRIKES: Final = 10
"""Unreadable or unknown messages in a row after which a connection is closed."""
PAUSE_MAX_S: Final = 5.0
"""The longest that a host which sends too fast is left waiting at a time."""
DATAGRAMS: Final = 512
"""Datagrams that wait. A slow disk takes 50 ms a commit, and hosts send one at a time."""
ADDRESSES: Final = 1_024
"""Addresses whose rate is known; beyond it the longest silent is forgotten."""
DATAGRAM_BURST: Final = 1_000
DATAGRAMS_PER_S: Final = 1_000.0
"""Of one address, which may be a router with all hosts behind it; to read so many takes 5 % of a processor."""
HAND_OVER_S: Final = 1.0
"""At the end a commit under way may finish: it may be an alarm, and takes milliseconds."""
LOOK_S: Final = 1.0
"""How often supervision looks at the clock at least."""
BACKLOG: Final = 128


async def serve(driver: Dc09, link: Link) -> None:
    """Serve until cancelled. Raises DeviceError for a port or a key that cannot be had, and JournalError."""
    receiver = Receiver(driver, keys_of(driver), link)
    server = Server(driver, receiver, link)
    try:
        await server.start()
        link.identify(model="SIA DC-09")
        if driver.silence_s() is None:
            link.alive()  # the port is there, which is all that can be known
        await server.failed
    finally:
        await server.close()


def keys_of(driver: Dc09) -> dict[str, bytes]:
    """The keys of the accounts that have one. Raises DeviceError."""
    found: dict[str, bytes] = {}
    for account in driver.accounts:
        if account.key is None:
            continue
        try:
            key = bytes.fromhex(account.key.reveal())
        except SecretError as error:
            raise DeviceError(error.text) from error
        except ValueError:
            key = b""  # and nothing of what it was into any message
        if len(key) not in KEY_BYTES:
            raise DeviceError(say("dc09.bad-key", account=account.account))
        found[account.account] = key
    return found


@dataclass(eq=False, slots=True)
class Connection:
    """One host's, or whoever's."""

    address: str
    writer: asyncio.StreamWriter
    heard_s: float = field(default_factory=time.monotonic)
    busy: bool = False
    task: asyncio.Task[None] | None = None


class Server:
    """Everything that one driver listens on."""

    def __init__(self, driver: Dc09, receiver: Receiver, link: Link) -> None:
        self._driver = driver
        self._receiver = receiver
        self._link = link
        self._server: asyncio.Server | None = None
        self._datagrams: Datagrams | None = None
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """What ends the driver: an error of the journal, for one."""

    async def start(self) -> None:
        """Open what is to be listened on. Raises DeviceError."""
        for transport, address in self._driver.listens():
            if transport == "tcp":
                listener = await bind(address, socket.SOCK_STREAM)
                self._server = await asyncio.start_server(
                    self._connected, sock=listener, limit=READ_BYTES, backlog=BACKLOG
                )
            else:
                await self._start_datagrams(address)
        self._spawn(self._supervise())

    async def _start_datagrams(self, address: str) -> None:
        place = await bind(address, socket.SOCK_DGRAM)
        inbox = self._datagrams = Datagrams(self._link)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: inbox, sock=place)
        self._spawn(self._serve_datagrams(inbox))

    async def close(self) -> None:
        """Let what is under way finish, then end everything."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        busy = [one.task for one in self._connections if one.busy and one.task]
        if busy:
            await asyncio.wait(busy, timeout=HAND_OVER_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._datagrams is not None:
            self._datagrams.close()
        if self.failed.done() and not self.failed.cancelled():
            self.failed.exception()  # seen, if nobody waited

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _supervise(self) -> None:
        """Tell of hosts that do not report any more, when it is time."""
        clock = self._link.clock
        while True:
            if samples := self._receiver.overdue():
                await self._link.emit(*samples)
            due_ns = self._receiver.next_due_ns()
            wait_s = LOOK_S if due_ns is None else (due_ns - clock.boottime_ns()) / NS_PER_S
            await clock.sleep(min(LOOK_S, max(wait_s, 0.0)))

    # --- TCP

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("?",))[0])
        keep_alive(writer.get_extra_info("socket"))
        connection = Connection(address, writer)
        self._connections.append(connection)
        self._make_room(connection)
        connection.task = self._spawn(self._serve_connection(reader, connection))

    def _make_room(self, new: Connection) -> None:
        """Close the longest silent connection where there are too many: of this address, or of the address that has
        most. A host that comes back after a loss of power leaves its old one behind."""
        ours = [one for one in self._connections if one.address == new.address]
        if len(ours) <= self._driver.connections_per_address:
            if len(self._connections) <= self._driver.connections:
                return
            counts: dict[str, list[Connection]] = {}
            for one in self._connections:
                counts.setdefault(one.address, []).append(one)
            ours = max(counts.values(), key=len)
        oldest = min((one for one in ours if not one.busy), key=lambda one: one.heard_s, default=new)
        text = say("dc09.connections", address=oldest.address, count=len(self._connections))
        self._link.reject(b"", Rejected(text, b""))
        self._drop(oldest)

    def _drop(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        connection.writer.transport.abort()

    async def _serve_connection(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        try:
            await self._converse(reader, connection)
        except (OSError, TimeoutError):
            pass  # hosts come and go; whether they are there is supervised
        finally:
            self._drop(connection)

    async def _converse(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        splitter, strikes = Splitter(), 0
        while not self._closing:
            async with asyncio.timeout(self._driver.idle_s):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            connection.heard_s = time.monotonic()
            frames = list(splitter.feed(data))
            for first in range(0, len(frames), BATCH):
                good, wait_s = await self._answer(connection, frames[first : first + BATCH])
                strikes = 0 if good else strikes + len(frames[first : first + BATCH])
                if strikes >= STRIKES or connection.writer.transport.get_write_buffer_size() > UNSENT_BYTES:
                    return
                if wait_s:
                    await self._link.clock.sleep(min(wait_s, PAUSE_MAX_S))

    async def _answer(self, connection: Connection, frames: list[bytes | BadFrame]) -> tuple[int, float]:
        connection.busy = True
        try:
            taken = await self._receiver.take([(frame, connection.address) for frame in frames])
        finally:
            connection.busy = False
        if answers := b"".join(answer for answer in taken.answers if answer):
            connection.writer.write(answers)
        return taken.good, taken.wait_s

    # --- UDP

    async def _serve_datagrams(self, inbox: "Datagrams") -> None:
        """Take what has come by now as one: more comes while it is made durable."""
        while True:
            batch = await inbox.some()
            taken = await self._receiver.take([(frame, str(sender[0])) for frame, sender in batch], drops=True)
            for (_, sender), answer in zip(batch, taken.answers, strict=True):
                if answer:
                    inbox.send(answer, sender)


class Datagrams(asyncio.DatagramProtocol):
    """What came by UDP and waits, within limits: whoever gets no answer sends again."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[bytes | BadFrame, tuple[Any, ...]]] = deque()
        self._came = asyncio.Event()
        self._rates: dict[str, Bucket] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._told_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        now_ns = self._link.clock.boottime_ns()
        if len(self._waiting) >= DATAGRAMS or not self._rate(str(addr[0])).take(now_ns):
            self._drop(str(addr[0]), now_ns)
            return
        data = data[:FRAME_MAX]
        frames = list(Splitter().feed(data)) or [BadFrame("LF ... CR", data)]
        self._waiting.extend((frame, addr) for frame in frames)
        self._came.set()

    def error_received(self, exc: Exception) -> None:
        """A host that is gone: whether it is there is supervised."""

    async def some(self) -> list[tuple[bytes | BadFrame, tuple[Any, ...]]]:
        """Wait for datagrams, and return the first of them."""
        await self._came.wait()
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        if not self._waiting:
            self._came.clear()
        return batch

    def send(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Send an answer, if the socket takes it."""
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def close(self) -> None:
        """Give the socket back."""
        if self._transport is not None:
            self._transport.abort()

    def _rate(self, address: str) -> Bucket:
        rate = self._rates.pop(address, None) or Bucket(DATAGRAM_BURST, DATAGRAMS_PER_S)
        self._rates[address] = rate  # the last heard is the last to be forgotten
        if len(self._rates) > ADDRESSES:
            del self._rates[next(iter(self._rates))]
        return rate

    def _drop(self, address: str, now_ns: int) -> None:
        """Count it, once a second: a flood must cost nothing."""
        if now_ns - self._told_ns > NS_PER_S:
            self._told_ns = now_ns
            self._link.reject(b"", Rejected(say("dc09.flood", address=address), b""))
