"""Every stream of the eye: each is open once, however many want it, and no longer than somebody wants it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import av.logging

from agent.camera import CameraError, LoginRefused, StreamFailed, StreamRole
from agent.clock import Clock
from agent.skyeye.model import PacketSink, StreamInfo, StreamReport
from agent.skyeye.streams.channel import Admit, Channel, Member, OnState, Resolve, no_gate
from agent.skyeye.streams.hung import Hung, exit_exhausted
from agent.skyeye.streams.look import Looker
from agent.skyeye.streams.memory import give_back
from agent.texts import say

CLOSE_TIMEOUT_S: Final = 2.0
"""A stream that flows ends at its next packet; for one that does not, nobody waits."""
CLOSE_STEP_S: Final = 0.02


class Running(NamedTuple):
    """One open stream, or one that is being tried."""

    camera: str
    role: StreamRole
    members: tuple[str, ...]
    info: StreamInfo | None
    kbps: float
    error: CameraError | None


@dataclass(eq=False, slots=True)
class Membership:
    """A place at a stream."""

    _leave: Callable[[], None] = field(repr=False)
    _left: bool = False

    def leave(self) -> None:
        """Hear nothing more; the last to leave closes the stream."""
        if not self._left:
            self._left = True
            self._leave()


class StreamHub:
    """Opens, shares and closes streams. `resolve` is asked before each connection, so that a closed login gate holds it
    back; `admit` holds a try of the login until the camera has answered; `on_state` hears what the streams themselves
    met (not what `resolve` raised), on the loop."""

    def __init__(
        self,
        resolve: Resolve,
        clock: Clock,
        *,
        admit: Admit = no_gate,
        on_state: OnState = lambda _camera, _role, _error: None,
        on_exhausted: Callable[[int], None] = exit_exhausted,
    ) -> None:
        av.logging.set_level(None)  # FFmpeg prints URLs, with what is in them
        give_back()
        self._resolve = resolve
        self._admit = admit
        self._clock = clock
        self._on_state = on_state
        self._hung = Hung(clock.boottime_ns, on_exhausted)
        self._channels: dict[tuple[str, StreamRole], Channel] = {}
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        self._closed = False

    def join(self, camera: str, role: StreamRole, sink: PacketSink, *, name: str, replay: bool = True) -> Membership:
        """Let `sink` hear a stream. One that joins a running stream is first given what has come since its last
        keyframe (if that is little enough, and unless `replay` is off)."""
        if self._closed:
            raise StreamFailed(say("streams.closed"))
        key, member = (camera, role), Member(sink, name, replay)
        if (channel := self._channels.get(key)) is None:
            channel = self._channels[key] = Channel(
                camera, role, self._resolve, self._admit, self._clock, self._on_state, self._hung
            )
            channel.add(member)
            channel.start()
        else:
            channel.add(member)

        def leave() -> None:
            channel.remove(member)
            if not channel.members and self._channels.get(key) is channel:
                del self._channels[key]
                channel.stop()

        return Membership(leave)

    async def look(
        self,
        camera: str,
        role: StreamRole,
        *,
        seconds: float,
        deadline_s: float,
        pictures: Literal[0, 1, 2] = 1,
    ) -> StreamReport:
        """Watch a stream for some seconds, from its first packet on, and until a keyframe if a picture is wanted; after
        `deadline_s` what has come by then is the answer. Raises CameraError if that is nothing, or the stream fails."""
        if (known := self._channels.get((camera, role))) is not None:
            if known.waiting and isinstance(known.error, LoginRefused):
                raise known.error  # another try would count against the account
            known.kick()
        looker = Looker(self._clock.boottime_ns(), seconds, pictures, asyncio.get_running_loop())
        member = self.join(camera, role, looker, name="look", replay=False)
        channel = self._channels[camera, role]
        bad = channel.bad_times
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.shield(looker.over)
        except TimeoutError:
            looker.give_up(channel, deadline_s)
        finally:
            looker.over.cancel()
            backward = channel.bad_times - bad
            member.leave()
        return await asyncio.get_running_loop().run_in_executor(self._decoder, looker.report, backward)

    def running(self) -> list[Running]:
        """What is open or being tried."""
        return [
            Running(one.camera, one.role, tuple(m.name for m in one.members), one.info, one.kbps, one.error)
            for one in self._channels.values()
        ]

    @property
    def hung(self) -> int:
        """Threads that should have ended and have not."""
        return self._hung.look()

    def forget(self, camera: str) -> None:
        """Its settings have changed: connect anew."""
        for channel in self._channels.values():
            if channel.camera == camera:
                channel.restart()

    async def close(self) -> None:
        """End every stream; those that flow say goodbye to their cameras."""
        self._closed = True
        for channel in self._channels.values():
            channel.stop()
        self._channels.clear()
        for _ in range(round(CLOSE_TIMEOUT_S / CLOSE_STEP_S)):
            if not self._hung.ending:
                break
            await asyncio.sleep(CLOSE_STEP_S)
        self._decoder.shutdown(wait=False, cancel_futures=True)
