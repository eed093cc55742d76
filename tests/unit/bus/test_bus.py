"""Who may speak when: seats, rounds, turns, and a port that comes and goes. The port here is a fake at the edge."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from agent.bus import Bus, BusSeat
from agent.bus.bus import TURN_IDLE_S
from agent.bus.line import BUFFER_BYTES
from agent.bus.port import BytePort, PortSettings
from agent.clock import SystemClock
from agent.driver import BadFrame, DeviceError, Modem, NoReply
from agent.texts import say
from tests.sims.rig import LineConfig, until

TIMEOUT_S = 0.05


class FakePort:
    """A port whose far end answers a request with `answer(request)`, at once."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.sent: list[bytes] = []
        self.late = b""
        self.closed = False
        self.stuck = False

    def start(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        self.on_bytes = on_bytes
        self.on_lost = on_lost

    def write(self, data: bytes) -> None:
        if self.stuck:
            raise DeviceError(say("bus.port-stuck", port="fake", sent=0, length=len(data)))
        self.sent.append(data)
        if reply := self.answer(data):
            asyncio.get_running_loop().call_soon(self.on_bytes, reply)

    def drain(self) -> bytes:
        data, self.late = self.late, b""
        return data

    def modem(self) -> Modem:
        return Modem(cts=False, dsr=False, dcd=False, ri=False)

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        raise DeviceError(say("bus.no-modem", port="fake"))

    def close(self) -> None:
        self.closed = True


class FakeOpener:
    """Opens `FakePort`s; fails while `error` is set."""

    def __init__(self, answer: Callable[[bytes], bytes] = lambda request: request) -> None:
        self.answer = answer
        self.ports: list[FakePort] = []
        self.error: DeviceError | None = None
        self.attempts = 0

    @property
    def port(self) -> FakePort:
        return self.ports[-1]

    async def __call__(self, settings: PortSettings) -> BytePort:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.ports.append(FakePort(self.answer))
        return self.ports[-1]


@asynccontextmanager
async def running(opener: FakeOpener, poll_interval_s: float = 0.005) -> AsyncIterator[Bus]:
    config = LineConfig("fake", baudrate=115200, poll_interval_s=poll_interval_s)
    bus = Bus(config, SystemClock("Asia/Shanghai"), opener=opener)
    task = asyncio.create_task(bus.run())
    yield bus
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def speak(seat: BusSeat, word: bytes, times: int) -> None:
    """Take so many turns, and say a word in each."""
    async for _ in seat.turns():
        assert await seat.exchange(word, lambda data: data, timeout_s=TIMEOUT_S) == word
        times -= 1
        if not times:
            break


async def test_lower_ranks_come_first_in_every_round() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        seats = [bus.seat("door", 30), bus.seat("panic", 1), bus.seat("gas", 20)]
        words = [b"d", b"p", b"g"]
        await asyncio.gather(*(speak(seat, word, 5) for seat, word in zip(seats, words, strict=True)))
        assert b"".join(opener.port.sent) == b"pgd" * 5
        assert bus.stats().rounds >= 4


async def test_a_seat_that_does_not_wait_is_passed_over() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        bus.seat("resting", 1)
        await speak(bus.seat("panic", 2), b"p", 5)
        assert opener.port.sent == [b"p"] * 5


async def test_no_reply_in_time_is_an_error_that_names_the_device() -> None:
    async with running(FakeOpener(lambda request: b"")) as bus:
        with pytest.raises(NoReply, match="gate"):
            await speak(bus.seat("gate", 1), b"x", 1)
        assert bus.stats().timeouts == 1


async def test_half_a_reply_is_an_error_that_shows_it() -> None:
    async with running(FakeOpener(lambda request: b"\x01\x02")) as bus:
        seat = bus.seat("gate", 1)
        await anext(turns := seat.turns())
        with pytest.raises(NoReply, match="01 02"):
            await seat.exchange(b"x", lambda data: None, timeout_s=TIMEOUT_S)
        del turns


async def test_an_endless_reply_is_cut_off() -> None:
    async with running(FakeOpener(lambda request: b"\xaa" * 10_000)) as bus:
        seat = bus.seat("gate", 1)
        await anext(turns := seat.turns())
        with pytest.raises(BadFrame) as raised:
            await seat.exchange(b"x", lambda data: None, timeout_s=TIMEOUT_S)
        assert len(raised.value.got) == BUFFER_BYTES
        assert bus.stats().bad_frames == 1
        del turns


async def test_what_came_before_the_request_is_no_reply() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        seat = bus.seat("gate", 1)
        await anext(turns := seat.turns())
        opener.port.late = b"late"
        opener.port.on_bytes(b"later")
        assert await seat.exchange(b"x", lambda data: data, timeout_s=TIMEOUT_S) == b"x"
        assert bus.stats().stray_bytes == 9
        assert bus.stats().bytes_in == 10
        del turns


async def test_exchange_outside_of_a_turn_is_a_mistake() -> None:
    async with running(FakeOpener()) as bus:
        with pytest.raises(RuntimeError, match="outside"):
            await bus.seat("gate", 1).exchange(b"x", lambda data: data, timeout_s=TIMEOUT_S)


async def test_a_driver_that_fails_in_its_turn_gives_it_up() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:

        async def fail(seat: BusSeat) -> None:
            async for _ in seat.turns():
                raise ValueError

        with suppress(ValueError):
            await fail(bus.seat("first", 1))
        gc.collect()
        await speak(bus.seat("second", 2), b"s", 3)


async def test_a_turn_that_nobody_uses_passes_on_and_comes_back_with_the_next_exchange() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        slow = bus.seat("waits for a disk", 1)
        await anext(turns := slow.turns())
        await speak(bus.seat("second", 2), b"s", 3)
        assert await slow.exchange(b"x", lambda data: data, timeout_s=TIMEOUT_S) == b"x"
        assert opener.port.sent == [b"s", b"s", b"s", b"x"]
        del turns


async def say_forever(seat: BusSeat) -> None:
    while True:
        await seat.exchange(b"x", lambda data: data, timeout_s=TIMEOUT_S)


async def test_a_turn_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.bus.bus.TURN_LIMIT_S", 2 * TURN_IDLE_S)
    async with running(FakeOpener()) as bus:
        greedy = bus.seat("greedy", 1)
        await anext(turns := greedy.turns())
        with pytest.raises(DeviceError, match="greedy"):
            await say_forever(greedy)
        await speak(bus.seat("second", 2), b"s", 1)
        del turns


async def test_cancelling_a_driver_in_its_exchange_frees_the_line() -> None:
    async with running(FakeOpener(lambda request: b"" if request == b"f" else request)) as bus:
        task = asyncio.create_task(speak(bus.seat("first", 1), b"f", 1))
        await until(lambda: bus.stats().bytes_out == 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await speak(bus.seat("second", 2), b"s", 3)


async def test_a_port_that_cannot_be_opened_is_told_to_everyone_who_waits() -> None:
    opener = FakeOpener()
    opener.error = DeviceError(say("bus.refused", port="fake"))
    async with running(opener) as bus:
        results = await asyncio.gather(
            *(speak(bus.seat(name, 1), b"x", 1) for name in ("a", "b")), return_exceptions=True
        )
        assert [getattr(result, "text", None) for result in results] == [opener.error.text] * 2
        assert bus.stats().error == opener.error.text
        with pytest.raises(DeviceError):
            await speak(bus.seat("c", 1), b"x", 1)


async def test_it_is_opened_again_and_those_who_back_off_are_told() -> None:
    opener = FakeOpener()
    opener.error = DeviceError(say("bus.refused", port="fake"))
    async with running(opener) as bus:
        seat = bus.seat("a", 1)
        await until(lambda: opener.attempts >= 2)
        opened = asyncio.create_task(bus.wait_opened())
        await asyncio.sleep(0)
        opener.error = None
        await asyncio.wait_for(opened, 30)
        await speak(seat, b"x", 2)
        assert bus.stats().open


async def test_a_lost_port_ends_the_exchange_and_is_opened_again() -> None:
    opener = FakeOpener(lambda request: b"")
    async with running(opener) as bus:
        seat, other = bus.seat("a", 1), bus.seat("b", 2)
        tasks = [asyncio.create_task(speak(seat, b"x", 1)), asyncio.create_task(speak(other, b"y", 1))]
        await until(lambda: bus.stats().bytes_out > 0)
        opener.answer = lambda request: request
        opener.port.on_lost(DeviceError(say("bus.port-lost", port="fake", error="unplugged")))
        for task in tasks:
            with pytest.raises(DeviceError, match="unplugged"):
                await task
        assert opener.ports[0].closed
        await until(lambda: len(opener.ports) == 2)
        await speak(seat, b"x", 1)


async def test_a_port_that_takes_no_bytes_is_lost() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        seat = bus.seat("a", 1)
        await speak(seat, b"x", 1)
        opener.port.stuck = True
        with pytest.raises(DeviceError, match="no more data"):
            await speak(seat, b"x", 1)
        assert opener.ports[0].closed


async def test_a_seat_that_left_is_forgotten_and_a_new_one_takes_its_place() -> None:
    opener = FakeOpener()
    async with running(opener) as bus:
        await speak(bus.seat("a", 1), b"x", 1)
        bus.leave("a")
        await speak(bus.seat("a", 1), b"y", 2)
        assert opener.port.sent == [b"x", b"y", b"y"]


async def test_nobody_on_the_line_opens_no_port() -> None:
    opener = FakeOpener()
    async with running(opener):
        await asyncio.sleep(0.02)
        assert opener.attempts == 0


async def test_stopping_the_bus_tells_those_who_wait() -> None:
    opener = FakeOpener(lambda request: b"")
    async with running(opener) as bus:
        task = asyncio.create_task(speak(bus.seat("a", 1), b"x", 1))
        await until(lambda: bus.stats().bytes_out > 0)
    with pytest.raises(DeviceError):
        await task
    assert opener.port.closed
