"""The core's end of the control socket."""

import asyncio
import json
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.bucket import Bucket
from agent.control.protocol import BadRequest, Peer, Request, dump_line, may_trust, parse_request, text_json
from agent.model import JsonValue
from agent.texts import Spoken, say

log = logging.getLogger(__name__)

Params = Mapping[str, JsonValue]
Call = Callable[[Params, Peer], Awaitable[JsonValue]]
Stream = Callable[[Params, Peer], AsyncIterator[JsonValue]]

CLIENT_LIMIT: Final = 32
"""Connections at once: technicians, the console and the eye; more is a loop somewhere."""
PROCESS_LIMIT: Final = 16
"""Connections of one process: whoever goes mad leaves places to the others."""
REQUEST_LIMIT: Final = 256 * 1024
"""Bytes of one request. The longest, the eye's word on 200 cameras with their faults, has some 60 KiB; a megabyte of
JSON would hold the loop for 10 ms."""
CALLS_BURST: Final = 500.0
CALLS_PER_S: Final = 200.0
BYTES_BURST: Final = 2.0 * 1024 * 1024
BYTES_PER_S: Final = 512.0 * 1024
"""What one process may ask for, all its connections together. Beyond that it is read more slowly: some 2 % of a
core's time go into its requests, however mad it is."""
SOCKET_MODE: Final = 0o660
"""The service's user and group; a technician is in the group or uses sudo."""
SEND_TIMEOUT_S: Final = 10.0
"""A reader that takes nothing for so long is hung (stopped with Ctrl-Z), and is cut off."""
GONE_LOOK_S: Final = 0.5
"""How often a quiet stream looks whether anybody is still there."""
BACKLOG: Final = 16
PACES_LIMIT: Final = 256
"""Processes that are remembered after their last connection, as they had asked for much."""


@dataclass(frozen=True, slots=True)
class Methods:
    """What the socket offers: calls with one answer, and streams of items."""

    calls: Mapping[str, Call] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)


@dataclass(slots=True)
class Pace:
    """How quickly one process is read."""

    connections: int = 0
    _calls: Bucket = field(default_factory=lambda: Bucket(CALLS_BURST, CALLS_PER_S))
    _bytes: Bucket = field(default_factory=lambda: Bucket(BYTES_BURST, BYTES_PER_S))

    def owe(self, size: int) -> float:
        """Seconds to wait before a request of `size` bytes is served."""
        now_ns = time.monotonic_ns()
        return max(self._calls.owe(now_ns), self._bytes.owe(now_ns, size))

    @property
    def rested(self) -> bool:
        """Whether a new process of this number would be treated the same."""
        now_ns = time.monotonic_ns()
        return self._calls.full(now_ns) and self._bytes.full(now_ns)


class ControlServer:
    """Serves `methods` on the first of `candidates` that can be bound."""

    def __init__(self, candidates: list[Path], methods: Methods) -> None:
        self._candidates = candidates
        self._methods = methods
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._paces: dict[int, Pace] = {}
        self.path: Path | None = None

    async def start(self) -> None:
        """Bind. Raises OSError of the last candidate when none can be bound."""
        failure: OSError = FileNotFoundError("no control socket path is short enough")
        for path in self._candidates:
            try:
                listener = bind(path)
            except OSError as error:
                failure = error
                continue
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=REQUEST_LIMIT)
            self.path = path
            return
        raise failure

    async def close(self) -> None:
        """Stop listening, end what is open, and remove the socket."""
        if self._server:
            self._server.close()
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self.path:
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) > CLIENT_LIMIT:
                await send(writer, {"ok": False, "error": text_json(say("control.too-many", limit=CLIENT_LIMIT))})
                return
            peer = peer_of(writer)
            with self._pace_of(peer) as pace:
                if pace.connections > PROCESS_LIMIT:
                    text = say("control.too-many", limit=PROCESS_LIMIT)
                    await send(writer, {"ok": False, "error": text_json(text)})
                    return
                while line := await reader.readline():
                    if wait_s := pace.owe(len(line)):
                        await asyncio.sleep(wait_s)
                    await self._answer(line, peer, reader, writer)
        except (OSError, ValueError, TimeoutError) as error:  # ValueError: a line over the limit
            log.debug("control connection ended: %s", error)
        except asyncio.CancelledError:
            pass  # the server closes; a cancelled handler task would be reported as an error by asyncio
        finally:
            self._clients.discard(task)
            writer.close()

    @contextmanager
    def _pace_of(self, peer: Peer) -> Iterator["Pace"]:
        """The pace of the process that has connected; forgotten with its last connection."""
        pace = self._paces.setdefault(peer.pid, Pace())
        pace.connections += 1
        try:
            yield pace
        finally:
            pace.connections -= 1
            if not pace.connections and pace.rested:
                self._paces.pop(peer.pid, None)
            if len(self._paces) > PACES_LIMIT:
                self._paces = {pid: one for pid, one in self._paces.items() if one.connections or not one.rested}

    async def _answer(
        self, line: bytes, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method = "?"
        try:
            request = parse_request(line)
            method = request.method
            result = await self._perform(request, peer, reader, writer)
        except BadRequest as error:
            await send(writer, {"ok": False, "error": text_json(error.text)})
        except Spoken as error:
            await send(writer, {"ok": False, "error": text_json(error.text)})
        except (KeyError, TypeError, ValueError) as error:
            problem = say("control.bad-params", method=method, problem=f"{type(error).__name__}: {error}")
            log.debug("control request failed", exc_info=True)
            await send(writer, {"ok": False, "error": text_json(problem)})
        else:
            await send(writer, {"ok": True, "result": result})

    async def _perform(
        self, request: Request, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> JsonValue:
        if call := self._methods.calls.get(request.method):
            return await call(request.params, peer)
        if stream := self._methods.streams.get(request.method):
            async for item in while_read(stream(request.params, peer), reader):
                await send(writer, {"item": item})
            return None
        raise BadRequest(say("control.unknown-method", method=request.method))


async def while_read(items: AsyncIterator[JsonValue], reader: asyncio.StreamReader) -> AsyncIterator[JsonValue]:
    """Pass items on; raise ConnectionResetError when the other side has closed. A stream that has nothing to send
    would not notice that, and hold its place for ever."""
    while True:
        step = asyncio.ensure_future(anext_or_end(items))
        try:
            while not (await asyncio.wait({step}, timeout=GONE_LOOK_S))[0]:
                if reader.at_eof():
                    raise ConnectionResetError("closed by the other side")
        finally:
            step.cancel()
        if (found := step.result()) is None:
            return
        yield found[0]


async def anext_or_end(items: AsyncIterator[JsonValue]) -> tuple[JsonValue] | None:
    """The next item, None at the end."""
    async for item in items:
        return (item,)
    return None


async def send(writer: asyncio.StreamWriter, value: Mapping[str, JsonValue]) -> None:
    """Send one line; raise TimeoutError when the other side does not read."""
    writer.write(dump_line(value))
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await writer.drain()


def bind(path: Path) -> socket.socket:
    """Bind a socket at `path`, in place of a dead daemon's. The journal's lock keeps a living one's out."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat().st_uid not in {0, os.getuid()} or not may_trust(path.parent):
        raise PermissionError(f"{path.parent} belongs to another user")  # a trap laid in /tmp
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def peer_of(writer: asyncio.StreamWriter) -> Peer:
    """Ask the kernel who is on the other end."""
    sock: socket.socket = writer.get_extra_info("socket")
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Peer(pid, uid)


def as_json(value: object) -> JsonValue:
    """Make plain JSON of dataclasses' dictionaries, enums and times, as `json` would write them."""
    plain: JsonValue = json.loads(json.dumps(value, default=str))
    return plain
