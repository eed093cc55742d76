"""The last seconds of a stream, coded, in memory: what a clip shows of the time before an alarm.

Rings share one budget. When it is full, the oldest pictures of all rings go first, a whole group at a time, for what
follows a missing keyframe cannot be shown.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from agent.camera import CameraError
from agent.clock import NS_PER_S
from agent.skyeye.model import Packet, PacketSink, StreamInfo

PACKET_OVERHEAD_BYTES: Final = 300
"""What a packet takes beside its data: two objects, three numbers, its place in a list (sys.getsizeof)."""


@dataclass(slots=True)
class Group:
    """A keyframe and what depends on it."""

    info: StreamInfo
    packets: list[Packet]
    bytes: int = 0

    @property
    def since_ns(self) -> int:
        return self.packets[0].arrived_ns


@dataclass(frozen=True, slots=True)
class FrozenRing:
    """What a ring held, from a keyframe on."""

    info: StreamInfo
    packets: tuple[Packet, ...]


class RingBudget:
    """The memory of all rings. Its lock is theirs as well: readers of several streams come in their own threads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.Lock()
        self.bytes = 0
        self.evicted = 0
        """Groups that had to go before their time."""
        self.rings: set[Ring] = set()

    def shrink(self) -> None:
        """Drop the oldest groups until the rest fits. The lock is held."""
        while self.bytes > self.max_bytes and self.rings:
            ring = min((ring for ring in self.rings if ring.groups), key=_oldest_ns, default=None)
            if ring is None:
                return
            ring.drop()
            self.evicted += 1


def _oldest_ns(ring: "Ring") -> int:
    return ring.groups[0].since_ns


@dataclass(eq=False, slots=True)
class Ring(PacketSink):
    """Keeps `seconds` of a stream, begun at a keyframe. Copies nothing: the bytes are the reader's own."""

    seconds: float
    budget: RingBudget
    groups: deque[Group] = field(default_factory=deque)
    error: CameraError | None = None
    """Why nothing comes at present."""
    _info: StreamInfo | None = None
    _sound: bool = False
    """A keyframe has come since the stream began: what follows can be shown."""
    _whole: bool = False
    """The group of that keyframe is still here."""
    _taps: tuple[PacketSink, ...] = ()

    def opened(self, info: StreamInfo) -> None:
        with self.budget.lock:
            self._info, self._sound, self._whole, self.error = info, False, False, None
            taps = self._taps
        for tap in taps:
            tap.opened(info)

    def packet(self, packet: Packet) -> None:
        with self.budget.lock:
            self._take(packet)
            taps = self._taps if self._sound else ()
        for tap in taps:
            tap.packet(packet)

    def lost(self, error: CameraError) -> None:
        with self.budget.lock:
            self._sound, self._whole, self.error = False, False, error
            taps = self._taps
        for tap in taps:
            tap.lost(error)

    @property
    def info(self) -> StreamInfo | None:
        """What the stream is, once it has begun."""
        return self._info

    def freeze(self, from_ns: int) -> FrozenRing | None:
        """Give what is there from the keyframe at or before `from_ns` (boot clock) on, or from the oldest one; None
        while nothing is there. Where codec or size have changed since, from the change on."""
        with self.budget.lock:
            return self._freeze(from_ns)

    def tap(self, from_ns: int, sink: PacketSink) -> FrozenRing | None:
        """Freeze, and let `sink` hear everything that comes after it, without a gap, until `untap`."""
        with self.budget.lock:
            self._taps = (*self._taps, sink)
            return self._freeze(from_ns)

    def untap(self, sink: PacketSink) -> None:
        """`sink` has heard enough."""
        with self.budget.lock:
            self._taps = tuple(one for one in self._taps if one is not sink)

    def clear(self) -> None:
        """Give the memory back."""
        with self.budget.lock:
            while self.groups:
                self.drop()
            self._whole = False

    def drop(self) -> None:
        """Forget the oldest group. The lock is held."""
        self.budget.bytes -= self.groups.popleft().bytes
        if not self.groups:
            self._whole = False
            self.budget.rings.discard(self)

    def _take(self, packet: Packet) -> None:
        if packet.keyframe and self._info:
            self.groups.append(Group(self._info, []))
            self.budget.rings.add(self)
            self._sound = self._whole = True
        elif not self._whole:
            return
        group, size = self.groups[-1], len(packet.data) + PACKET_OVERHEAD_BYTES
        group.packets.append(packet)
        group.bytes += size
        self.budget.bytes += size
        enough_ns = packet.arrived_ns - int(self.seconds * NS_PER_S)
        while len(self.groups) > 1 and self.groups[1].since_ns <= enough_ns:
            self.drop()
        if self.budget.bytes > self.budget.max_bytes:
            self.budget.shrink()

    def _freeze(self, from_ns: int) -> FrozenRing | None:
        if not self.groups:
            return None
        info = self.groups[-1].info
        packets: list[Packet] = []
        for group in reversed(self.groups):
            if group.info != info:
                break
            packets[:0] = group.packets
            if group.since_ns <= from_ns:
                break
        return FrozenRing(info, tuple(packets))
