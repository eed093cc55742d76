"""One camera's stream for whoever wants it: one connection, tried again as long as anybody listens."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from agent.backoff import Backoff
from agent.camera import (
    CameraError,
    LoginRefused,
    LoginTry,
    StreamFailed,
    StreamRole,
    StreamSource,
    Transport,
    Unreachable,
)
from agent.clock import NS_PER_S, Clock
from agent.skyeye.login import NoLogin
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.skyeye.streams.hung import Hung
from agent.skyeye.streams.knock import knock, nothing_came
from agent.skyeye.streams.opening import OPEN_TIMEOUT_S, SILENCE_S, Silent, TransportRefused, address_of
from agent.skyeye.streams.reader import Reader
from agent.skyeye.streams.times import Forward
from agent.texts import Spoken, say

log = logging.getLogger(__name__)

T = TypeVar("T")
Resolve = Callable[[str, StreamRole], Awaitable[StreamSource]]
Admit = Callable[[str, StreamSource], AbstractAsyncContextManager[LoginTry]]
"""Holds a try of the camera's login from the connection to its outcome (agent.camera.LoginGate)."""
OnState = Callable[[str, StreamRole, CameraError | None], None]

RESOLVE_TIMEOUT_S: Final = 45.0
"""Opening a session may take 30 s (agent.skyeye.cameras); asking it for the address is one request more."""
RETRY_CAP_S: Final = 60.0
OPEN_DEADLINE_S: Final = 2 * OPEN_TIMEOUT_S + 5.0
"""FFmpeg has its time twice, for the connection and for the first packet; beyond that it hangs."""
SILENCE_DEADLINE_S: Final = SILENCE_S + 5.0
JUDGE_S: Final = 0.1
"""How often a stream that logs in is looked at: others may wait for what comes of it."""
TICK_S: Final = 1.0
"""How often a stream is looked after."""
RATE_WINDOW: Final = 10
"""Ticks over which the bit rate is measured."""
REPLAY_MAX_BYTES: Final = 2 << 20
"""Four seconds at 4 Mbit/s, kept for who joins in the middle of a group; of a longer group nothing is kept."""


@asynccontextmanager
async def no_gate(_camera: str, _source: StreamSource) -> AsyncIterator[LoginTry]:
    """Streams that no gate guards."""
    yield NoLogin()


@dataclass(eq=False, slots=True)
class Member:
    """One who listens."""

    sink: PacketSink
    name: str
    replay: bool = True
    """Begin with what has come since the last keyframe."""
    epoch: int = 0


@dataclass(eq=False)
class Channel:
    """One (camera, role). Its members are served in the reader's thread, under the lock, so that one who has left hears
    nothing more, and one after another."""

    camera: str
    role: StreamRole
    resolve: Resolve
    admit: Admit
    clock: Clock
    on_state: OnState
    hung: Hung
    info: StreamInfo | None = None
    error: CameraError | None = None
    kbps: float = 0.0
    last_key: Packet | None = None
    reader: Reader | None = None
    members: tuple[Member, ...] = ()
    waiting: bool = False
    """In the pause between two tries."""
    _epoch: int = 0
    _group: list[Packet] = field(default_factory=list)
    _group_bytes: int = 0
    _forward: tuple[tuple[int, int], Forward] | None = None
    _transport: Transport | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Future[CameraError] | None = None
    _task: asyncio.Task[None] | None = None
    _judging: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> None:
        """Connect, and again after each failure."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"stream {self.camera} {self.role}")

    def stop(self) -> None:
        """Disconnect. Nobody hears anything any more."""
        if self._task:
            self._task.cancel()
            self._task = None
        self._leave_reader()

    def restart(self) -> None:
        """Connect anew, with new settings."""
        self.stop()
        self._transport = self.error = None
        self.start()

    def kick(self) -> None:
        """Try again at once if it waits; not after a refused login."""
        if self.waiting and not isinstance(self.error, LoginRefused):
            self._kick.set()

    def add(self, member: Member) -> None:
        with self._lock:
            self.members = (*self.members, member)

    def remove(self, member: Member) -> None:
        with self._lock:
            self.members = tuple(one for one in self.members if one is not member)

    @property
    def bad_times(self) -> int:
        """Timestamps that had to be repaired."""
        return self._forward[1].bad if self._forward else 0

    # What the reader says, in its thread.

    def begun(self, reader: Reader, info: StreamInfo) -> None:
        with self._lock:
            if reader is self.reader:
                self.info, self.error = info, None
                self._epoch += 1
                self._forget_group()
                for member in self.members:
                    self._open(member)

    def packet(self, reader: Reader, packet: Packet) -> None:
        with self._lock:
            if reader is not self.reader:
                return
            for member in self.members:
                if member.epoch != self._epoch:
                    self._open(member)
                self._safely(member, member.sink.packet, packet)
            if packet.keyframe:
                self._forget_group()
                self.last_key = packet
                self._group.append(packet)
            elif self._group:
                self._group.append(packet)
            self._group_bytes += len(packet.data)
            if self._group_bytes > REPLAY_MAX_BYTES:
                self._forget_group()

    def ended(self, reader: Reader, error: CameraError) -> None:
        if (over := self._over) is not None and reader is self.reader:
            over.get_loop().call_soon_threadsafe(_settle, over, error)

    def _open(self, member: Member) -> None:
        assert self.info
        member.epoch = self._epoch
        self._safely(member, member.sink.opened, self.info)
        for packet in self._group if member.replay else ():
            self._safely(member, member.sink.packet, packet)

    def _safely(self, member: Member, call: Callable[[T], None], value: T) -> None:
        try:
            call(value)
        except Exception:  # one listener's fault must not take the stream from the others
            log.exception("%s of %s fails and is dropped", member.name, self.camera)
            self.remove(member)

    def _forget_group(self) -> None:
        self._group, self._group_bytes = [], 0

    def _times(self, time_base: tuple[int, int]) -> Forward:
        """The same repair for every connection, so that what a ring holds of two of them fits together."""
        if self._forward is None or self._forward[0] != time_base:
            self._forward = time_base, Forward(time_base)
        self._forward[1].restart()
        return self._forward[1]

    # The conversation, on the loop.

    async def _run(self) -> None:
        backoff = Backoff(RETRY_CAP_S)
        while True:
            backoff.started(self.clock.boottime_ns())
            error = await self._attempt()
            if isinstance(error, TransportRefused) and self._transport is not None:
                continue
            self._failed(error)
            wait_s = RETRY_CAP_S if isinstance(error, LoginRefused) else backoff.failed(self.clock.boottime_ns())
            await self._pause(wait_s)

    async def _attempt(self) -> CameraError:
        """Connect and read until it ends; return why."""
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                source = await self.resolve(self.camera, self.role)
        except TimeoutError:
            return Unreachable(say("streams.no-source", camera=self.camera, seconds=RESOLVE_TIMEOUT_S))
        except CameraError as error:
            return error
        except Spoken as error:
            return Unreachable(error.text)
        transport, self._transport = self._transport or source.transport, None
        try:
            await knock(source)
            error_ = await self._read(source, transport)
        except CameraError as error:
            error_ = error
        finally:
            self._leave_reader()
        if isinstance(error_, Silent):
            error_ = nothing_came(source)
        elif isinstance(error_, TransportRefused) and transport == source.transport:
            self._transport = "udp" if transport == "tcp" else "tcp"
            return error_
        self.on_state(self.camera, self.role, error_)
        return error_

    async def _read(self, source: StreamSource, transport: Transport) -> CameraError:
        over: asyncio.Future[CameraError] = asyncio.get_running_loop().create_future()
        self._over = over
        reader = Reader(source, transport, self._times, self, self.clock.boottime_ns)
        with self._lock:
            self.reader = reader
        await self._begin(reader, source)
        told, marks = False, [(0, reader.since_ns)]
        while not over.done():
            await self._tick(over)
            now_ns = self.clock.boottime_ns()
            if reader.packets and not told:
                told = True
                self.on_state(self.camera, self.role, None)
            marks = [*marks[-RATE_WINDOW:], (reader.bytes, now_ns)]
            self.kbps = (marks[-1][0] - marks[0][0]) * 8e6 / max(1, marks[-1][1] - marks[0][1])
            last_ns, limit_s = (
                (reader.last_ns, SILENCE_DEADLINE_S) if reader.last_ns else (reader.since_ns, OPEN_DEADLINE_S)
            )
            if not over.done() and now_ns - last_ns > limit_s * NS_PER_S:
                host, port = address_of(source)
                return StreamFailed(say("streams.hung", place=f"{host}:{port}", seconds=limit_s))
        if reader.packets and not told:
            self.on_state(self.camera, self.role, None)
        return over.result()

    async def _begin(self, reader: Reader, source: StreamSource) -> None:
        """Let it log in when its turn comes. Raises StreamFailed, LoginRefused."""
        async with AsyncExitStack() as stack:
            login = await stack.enter_async_context(self.admit(self.camera, source))
            reader.start()
            judging = asyncio.get_running_loop().create_task(_judge(reader, login, self.clock, stack.pop_all()))
            self._judging.add(judging)
            judging.add_done_callback(self._judging.discard)

    async def _tick(self, over: asyncio.Future[CameraError]) -> None:
        sleep = asyncio.ensure_future(self.clock.sleep(TICK_S))
        both: set[asyncio.Future[Any]] = {over, sleep}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()

    async def _pause(self, seconds: float) -> None:
        self._kick.clear()
        self.waiting = True
        sleep, kick = asyncio.ensure_future(self.clock.sleep(seconds)), asyncio.ensure_future(self._kick.wait())
        both: set[asyncio.Future[Any]] = {sleep, kick}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting = False
            sleep.cancel()
            kick.cancel()

    def _failed(self, error: CameraError) -> None:
        with self._lock:
            self.error, self.kbps = error, 0.0
            for member in self.members:
                self._safely(member, member.sink.lost, error)

    def _leave_reader(self) -> None:
        with self._lock:
            reader, self.reader = self.reader, None
            self.info = self.last_key = None
            self.kbps = 0.0
            self._epoch += 1
            self._forget_group()
        if reader:
            self.hung.leave(reader)


async def _judge(reader: Reader, login: LoginTry, clock: Clock, stack: AsyncExitStack) -> None:
    """Hold a reader's login until the camera has answered, also when nobody listens to it any more: its thread goes on,
    and the camera counts what it sends."""
    async with stack:
        until_ns = clock.boottime_ns() + int(OPEN_DEADLINE_S * NS_PER_S)
        while reader.alive and not reader.opened and clock.boottime_ns() < until_ns:
            await clock.sleep(JUDGE_S)
        if reader.opened:
            login.accepted()
        elif isinstance(reader.error, LoginRefused):
            login.refused()


def _settle(over: asyncio.Future[CameraError], error: CameraError) -> None:
    if not over.done():
        over.set_result(error)
