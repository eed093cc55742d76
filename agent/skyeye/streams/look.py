"""A short look at a stream: what an inspection and a snapshot need of it."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from agent.camera import CameraError, StreamFailed
from agent.clock import NS_PER_S
from agent.skyeye.model import Packet, PacketSink, StreamInfo, StreamReport
from agent.skyeye.streams.channel import Channel
from agent.skyeye.streams.decode import decode_keyframe
from agent.texts import say

RATE_TRUST: Final = 0.2
"""Timestamps give a finer frame rate than arrivals, as long as the two agree so well."""
RATE_LEAST_S: Final = 0.5
"""A rate over less than that says nothing."""


@dataclass(eq=False)
class Looker(PacketSink):
    """Counts, and keeps two keyframes."""

    asked_ns: int
    seconds: float
    pictures: Literal[0, 1, 2]
    loop: asyncio.AbstractEventLoop
    over: asyncio.Future[None] = field(init=False)
    _info: StreamInfo | None = None
    _packets: int = 0
    _bytes: int = 0
    _keyframes: int = 0
    _first: Packet | None = None
    _last: Packet | None = None
    _first_key: tuple[StreamInfo, Packet] | None = None
    _last_key: tuple[StreamInfo, Packet] | None = None
    _key_ns: int | None = None
    _unread: tuple[int, int, int, int] | None = None
    """Packets, bytes, first and last arrival of a stream that never said what it is."""

    def __post_init__(self) -> None:
        self.over = self.loop.create_future()

    def opened(self, info: StreamInfo) -> None:
        self._info = info

    def packet(self, packet: Packet) -> None:
        self._packets += 1
        self._bytes += len(packet.data)
        self._last = packet
        first = self._first = self._first or packet
        if packet.keyframe and self._info:
            self._keyframes += 1
            self._key_ns = self._key_ns or packet.arrived_ns
            self._last_key = self._info, packet
            self._first_key = self._first_key or self._last_key
        long_enough = packet.arrived_ns - first.arrived_ns >= self.seconds * NS_PER_S
        if long_enough and (self._keyframes or not self.pictures):
            self.loop.call_soon_threadsafe(self._settle, None)

    def lost(self, error: CameraError) -> None:
        self.loop.call_soon_threadsafe(self._settle, error)

    def give_up(self, channel: Channel, deadline_s: float) -> None:
        """Time is up: be content with what there is. Raises CameraError if that is nothing."""
        reader = channel.reader
        if self._packets:
            if not self._keyframes and channel.last_key and channel.info:
                self._last_key = self._first_key = channel.info, channel.last_key
        elif reader and reader.packets and reader.first_ns and reader.last_ns:
            self._unread = reader.packets, reader.bytes, reader.first_ns, reader.last_ns
        else:
            raise channel.error or StreamFailed(say("streams.nothing", seconds=deadline_s))

    def report(self, backward: int) -> StreamReport:
        """Decode what was asked for. Blocks; raises StreamFailed."""
        report = self._counted()
        report = replace(report, backward=backward)
        if not self.pictures or self._last_key is None:
            return report
        picture = decode_keyframe(*self._last_key)
        earlier = None
        if self.pictures == 2 and self._first_key and self._first_key[1] is not self._last_key[1]:
            earlier = decode_keyframe(*self._first_key)
        return replace(report, picture=picture, earlier=earlier)

    def _counted(self) -> StreamReport:
        if self._unread:
            packets, size, first_ns, last_ns = self._unread
        elif self._first and self._last:
            packets, size = self._packets, self._bytes
            first_ns, last_ns = self._first.arrived_ns, self._last.arrived_ns
        else:
            raise StreamFailed(say("streams.nothing", seconds=self.seconds))
        seconds = (last_ns - first_ns) / NS_PER_S
        fast = seconds >= RATE_LEAST_S
        return StreamReport(
            info=self._info,
            seconds=seconds,
            packets=packets,
            bytes=size,
            keyframes=self._keyframes,
            first_packet_s=max(0.0, (first_ns - self.asked_ns) / NS_PER_S),
            first_keyframe_s=None if self._key_ns is None else max(0.0, (self._key_ns - self.asked_ns) / NS_PER_S),
            fps=self._fps(packets, seconds) if fast else None,
            bitrate_kbps=size * 8 / 1000 / seconds if fast else None,
        )

    def _fps(self, packets: int, seconds: float) -> float:
        arrived = (packets - 1) / seconds
        if not (self._info and self._first and self._last):
            return arrived
        num, den = self._info.time_base
        claimed_s = (self._last.dts - self._first.dts) * num / den
        claimed = (packets - 1) / claimed_s if claimed_s > 0 else 0.0
        return claimed if abs(claimed - arrived) <= RATE_TRUST * arrived else arrived

    def _settle(self, error: CameraError | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)
