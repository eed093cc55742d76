"""Clips of what was and what follows: a frozen ring, and the stream as it goes on, written as it comes.

Only a second of it is in memory at a time, however many clips are taken at once.
"""

import asyncio
import threading
from pathlib import Path
from typing import Final

from agent.camera import CameraError, StreamFailed
from agent.clock import NS_PER_S, Clock
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.skyeye.streams.clip import ClipFacts, ClipWriter
from agent.skyeye.streams.hub import StreamHub
from agent.skyeye.streams.ring import FrozenRing, Ring
from agent.texts import say

STEP_S: Final = 1.0
"""How often packets are written."""
START_STEP_S: Final = 0.1
"""How often a stream that is only just being opened is looked at."""
START_TIMEOUT_S: Final = 20.0
"""Opening a stream and waiting for its first keyframe."""


class Tap(PacketSink):
    """Hears what a ring takes after it was frozen."""

    def __init__(self) -> None:
        self.info: StreamInfo | None = None
        self.cut = False
        """Codec or size have changed: the clip ends there."""
        self._heard = False
        self._packets: list[Packet] = []
        self._lock = threading.Lock()

    def opened(self, info: StreamInfo) -> None:
        with self._lock:
            if not self._heard:
                self.info = info
            elif info != self.info:
                self.cut = True

    def begin(self, info: StreamInfo) -> None:
        """What comes belongs to a clip that has begun like this."""
        with self._lock:
            if self.info not in (None, info):  # it changed between the freeze and now
                self.cut = True
                self._packets.clear()
            self.info, self._heard = info, True

    def packet(self, packet: Packet) -> None:
        with self._lock:
            self._heard = True
            if not self.cut:
                self._packets.append(packet)

    def lost(self, error: CameraError) -> None:
        """It may come back; the ring remembers why."""

    def take(self) -> list[Packet]:
        """What has come since the last time."""
        with self._lock:
            packets, self._packets = self._packets, []
        return packets


class ClipTaker:
    """Takes clips."""

    def __init__(self, hub: StreamHub, clock: Clock, *, start_timeout_s: float = START_TIMEOUT_S) -> None:
        self._hub = hub
        self._clock = clock
        self._start_timeout_s = start_timeout_s

    async def take(self, camera: str, ring: Ring, before_s: float, after_s: float, path: Path) -> ClipFacts:
        """Write what `ring` holds of the last `before_s` and what comes in the next `after_s`. If it holds nothing yet,
        the clip begins with the first keyframe to come. A stream that fails in the middle makes it shorter, or leaves
        a gap. Raises CameraError if there is nothing at all; OSError."""
        asked_ns = self._clock.boottime_ns()
        tap = Tap()
        frozen = ring.tap(asked_ns - int(before_s * NS_PER_S), tap)
        try:
            end_ns = asked_ns + int(after_s * NS_PER_S)
            if frozen is not None:
                tap.begin(frozen.info)
            else:
                tap.info = tap.info or ring.info
                frozen = await self._begin(ring, tap)
                end_ns = frozen.packets[0].arrived_ns + int(after_s * NS_PER_S)
            writer = await asyncio.to_thread(ClipWriter, path, frozen.info)
            try:
                await asyncio.to_thread(writer.write, frozen.packets)
                await self._follow(writer, tap, end_ns)
                return await asyncio.to_thread(writer.finish)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(writer.abandon))
                raise
        finally:
            ring.untap(tap)

    async def _begin(self, ring: Ring, tap: Tap) -> FrozenRing:
        """Wait for the first keyframe of a ring that has just been joined."""
        waited_s = 0.0
        while not (packets := tap.take()) or (info := tap.info) is None:
            if waited_s >= self._start_timeout_s:
                raise ring.error or StreamFailed(say("streams.no-keyframe", seconds=self._start_timeout_s))
            await self._clock.sleep(START_STEP_S)
            waited_s += START_STEP_S
        return FrozenRing(info, tuple(packets))

    async def _follow(self, writer: ClipWriter, tap: Tap, end_ns: int) -> None:
        while True:
            left_s = (end_ns - self._clock.boottime_ns()) / NS_PER_S
            if left_s > 0 and not tap.cut:
                await self._clock.sleep(min(STEP_S, left_s))
            packets = [packet for packet in tap.take() if packet.arrived_ns <= end_ns]
            if packets:
                await asyncio.to_thread(writer.write, packets)
            if left_s <= 0 or tap.cut:
                return
