"""The ring keeps whole groups, for so long, and all rings together no more than the budget."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.camera import CameraError, StreamFailed
from agent.clock import NS_PER_S
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.skyeye.streams.ring import PACKET_OVERHEAD_BYTES, Ring, RingBudget
from agent.texts import say

INFO = StreamInfo("h264", 640, 360, 25.0, b"sets", (1, 90_000))
OTHER = StreamInfo("h264", 320, 180, 25.0, b"other", (1, 90_000))
LOST = StreamFailed(say("streams.nothing", seconds=1))


def packets(count: int, gop: int = 5, size: int = 100, since_s: float = 0.0) -> Iterator[Packet]:
    """One a second."""
    for n in range(count):
        at_ns = int((since_s + n) * NS_PER_S)
        yield Packet(bytes(size), n * 90_000, n * 90_000, n % gop == 0, at_ns)


def filled(count: int, *, seconds: float = 10.0, gop: int = 5, max_bytes: int = 1 << 20) -> Ring:
    ring = Ring(seconds, RingBudget(max_bytes))
    ring.opened(INFO)
    for packet in packets(count, gop):
        ring.packet(packet)
    return ring


class Heard(PacketSink):
    def __init__(self) -> None:
        self.what: list[object] = []

    def opened(self, info: StreamInfo) -> None:
        self.what.append(info)

    def packet(self, packet: Packet) -> None:
        self.what.append(packet)

    def lost(self, error: CameraError) -> None:
        self.what.append(error)


def seconds_of(ring: Ring, from_s: float) -> list[int]:
    frozen = ring.freeze(int(from_s * NS_PER_S))
    return [packet.arrived_ns // NS_PER_S for packet in frozen.packets] if frozen else []


def test_a_frozen_ring_begins_at_the_keyframe_at_or_before() -> None:
    ring = filled(20)
    assert seconds_of(ring, 12) == list(range(10, 20))
    assert seconds_of(ring, 15) == list(range(15, 20))
    assert seconds_of(ring, 99) == list(range(15, 20)), "the future begins with the newest keyframe"
    assert seconds_of(ring, 0)[0] == 5, "what is gone is gone: the oldest keyframe that is there"


def test_what_is_older_than_asked_for_goes_a_group_at_a_time() -> None:
    ring = filled(30)
    assert seconds_of(ring, 0)[0] == 15, "29 - 10 lies in the group of 15"


def test_a_group_longer_than_the_ring_is_kept_whole() -> None:
    assert len(seconds_of(filled(60, gop=1000), 55)) == 60


def test_nothing_is_kept_before_the_first_keyframe() -> None:
    ring = Ring(10, RingBudget(1 << 20))
    ring.opened(INFO)
    for packet in list(packets(5))[1:]:
        ring.packet(packet)
    assert ring.freeze(0) is None


def test_after_a_gap_it_goes_on_with_a_keyframe_and_before_it_stays() -> None:
    ring = filled(8)
    ring.lost(LOST)
    ring.opened(INFO)
    for packet in list(packets(15))[8:]:
        ring.packet(packet)
    assert seconds_of(ring, 0) == [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14]


def test_another_size_is_another_clip() -> None:
    ring = filled(10)
    ring.opened(OTHER)
    for packet in packets(5, since_s=10):
        ring.packet(packet)
    frozen = ring.freeze(0)
    assert frozen
    assert (frozen.info, len(frozen.packets)) == (OTHER, 5)


def test_a_tap_hears_on_without_a_gap() -> None:
    ring, heard = filled(7), Heard()
    frozen = ring.tap(0, heard)
    more = list(packets(12))[7:]
    for packet in more:
        ring.packet(packet)
    ring.lost(LOST)
    ring.untap(heard)
    ring.packet(more[-1])
    assert frozen
    assert [*frozen.packets, *heard.what] == [*packets(12), LOST]


def test_the_oldest_of_all_rings_goes_first() -> None:
    budget = RingBudget(25 * (100 + PACKET_OVERHEAD_BYTES))
    rings = [Ring(100, budget) for _ in range(2)]
    for ring in rings:
        ring.opened(INFO)
    for packet in packets(10):
        rings[0].packet(packet)
    for packet in packets(20, since_s=10):
        rings[1].packet(packet)
    assert seconds_of(rings[0], 0) == list(range(5, 10))
    assert len(seconds_of(rings[1], 0)) == 20
    assert budget.evicted == 1


def test_clearing_gives_all_of_it_back() -> None:
    ring = filled(20)
    ring.clear()
    assert (ring.budget.bytes, ring.freeze(0)) == (0, None)


class Rings(RuleBasedStateMachine):
    """Three rings on one small budget, and whatever may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RingBudget(20_000)
        self.rings = [Ring(seconds, self.budget) for seconds in (1.0, 5.0, 60.0)]
        self.now_ns = 0

    @rule(ring=st.integers(0, 2), size=st.integers(0, 30_000), keyframe=st.booleans(), passed=st.integers(0, NS_PER_S))
    def packet(self, ring: int, size: int, keyframe: bool, passed: int) -> None:
        self.now_ns += passed
        self.rings[ring].packet(Packet(bytes(size), 0, 0, keyframe, self.now_ns))

    @rule(ring=st.integers(0, 2), info=st.sampled_from([INFO, OTHER]))
    def opened(self, ring: int, info: StreamInfo) -> None:
        self.rings[ring].opened(info)

    @rule(ring=st.integers(0, 2))
    def lost(self, ring: int) -> None:
        self.rings[ring].lost(LOST)

    @rule(ring=st.integers(0, 2))
    def clear(self, ring: int) -> None:
        self.rings[ring].clear()

    @invariant()
    def never_more_than_the_budget(self) -> None:
        held = sum(
            len(packet.data) + PACKET_OVERHEAD_BYTES
            for ring in self.rings
            for group in ring.groups
            for packet in group.packets
        )
        assert held == self.budget.bytes <= self.budget.max_bytes

    @invariant()
    def what_is_frozen_can_be_shown(self) -> None:
        for ring in self.rings:
            if frozen := ring.freeze(0):
                assert frozen.packets[0].keyframe
                assert frozen.info in (INFO, OTHER)


TestRings = Rings.TestCase


@given(st.integers(1, 30), st.integers(0, 40))
def test_a_freeze_covers_what_it_is_asked_for(gop: int, from_s: int) -> None:
    found = seconds_of(filled(40, seconds=100, gop=gop), from_s)
    assert found[0] % gop == 0
    assert found[0] <= max(from_s, 0) or from_s >= 40
