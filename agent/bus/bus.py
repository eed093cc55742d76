"""One line, many seats: who may speak when.

A round begins every `poll_interval` less a margin, or as soon as the last one is over if the line is slower. In it
every seat that waits gets one turn, the lowest rank first; a seat that does not wait (its driver restarts) is passed
over and costs nothing. Rounds are driven by callbacks, so a poll costs two task switches: turn and reply.
"""

import asyncio
import contextlib
import random
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from agent.bus.line import Line, LineCounts
from agent.bus.port import BytePort, OpenPort, PortOpener, PortSettings
from agent.clock import Clock
from agent.driver import DeviceError
from agent.texts import Text, say

T = TypeVar("T")

POLL_MARGIN: Final = 0.7
"""Rounds start every 0.7 poll intervals: timers are late by a millisecond or more, and a press that lasts just one
interval must still meet a look."""
TURN_IDLE_S: Final = 0.05
"""A turn without a word passes on after so long: its driver waits for a disk, or has failed. The driver gets the
turn back with its next exchange."""
TURN_LIMIT_S: Final = 3.0
"""A look and its outputs are three exchanges, of which at most one is in vain: three times the longest sensible
reply timeout, 1 s."""
REOPEN_FIRST_S: Final = 0.1
REOPEN_CAP_S: Final = 2.0
"""Trying to open a port is cheap, and a button behind it is dead until it works."""
STABLE_S: Final = 5.0
"""A port that was open for so long did work: the next attempt after its loss comes at once."""
ROUNDS_KEPT: Final = 256
"""Rounds that the statistics look back on: 10 s at the default interval."""


class LineSettings(PortSettings, Protocol):
    """The settings of a bus."""

    @property
    def id(self) -> str: ...
    @property
    def poll_interval_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class BusStats:
    """What a line has done since the start. Rounds are timed from the first turn to the end of the last, over the
    last `ROUNDS_KEPT`; `stray_bytes` came when nobody had asked; `error` is why the port is not open."""

    port: str
    open: bool
    error: Text | None
    opens: int
    rounds: int
    round_ms_last: float
    round_ms_p50: float
    round_ms_max: float
    exchanges: int
    timeouts: int
    bad_frames: int
    stray_bytes: int
    bytes_in: int
    bytes_out: int


class BusSeat:
    """One device's place (agent.driver.Seat)."""

    __slots__ = ("_bus", "lapsed", "name", "order", "rank", "runs", "turn")

    def __init__(self, bus: "Bus", name: str, rank: int, order: int) -> None:
        self._bus = bus
        self.name = name
        self.rank = rank
        self.order = order
        self.runs = 0
        self.turn: asyncio.Future[None] | None = None
        """Set while the seat waits for its turn."""
        self.lapsed = False
        """Its turn was given on; the next exchange asks for another."""

    def __lt__(self, other: "BusSeat") -> bool:
        return (self.rank, self.order) < (other.rank, other.order)

    def turns(self) -> AsyncIterator[None]:
        self.runs += 1
        return _Turns(self, self._bus)

    async def exchange(self, request: bytes, decode: Callable[[bytes], T | None], *, timeout_s: float) -> T:
        if self._bus.holder is not self:
            if not self.lapsed:
                raise RuntimeError(f"{self.name}: exchange outside of a turn")
            await self.take()
        return await self._bus.line().exchange(self.name, request, decode, timeout_s)

    async def take(self) -> None:
        """Give back the turn, if it is this seat's, and wait for the next. Raises DeviceError."""
        turn = self._bus.queue(self)
        try:
            await turn
        except asyncio.CancelledError:
            self._bus.let_go(self)
            raise
        finally:
            self.turn = None


class _Turns(AsyncIterator[None]):
    """The turns of one run of a driver. A driver that fails drops this, and with it the turn that it had."""

    __slots__ = ("_bus", "_run", "_seat")

    def __init__(self, seat: BusSeat, bus: "Bus") -> None:
        self._seat = seat
        self._bus = bus
        self._run = seat.runs

    async def __anext__(self) -> None:
        await self._seat.take()

    def __del__(self) -> None:
        if self._bus.holder is self._seat:
            self._bus.let_go_soon(self._seat, self._run)


class Bus:
    """One line. `run` keeps its port open and must run for as long as seats are used; all on one event loop."""

    def __init__(
        self,
        settings: LineSettings,
        clock: Clock,
        *,
        opener: OpenPort | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._opener = opener or PortOpener()
        self._jitter = jitter or random.Random()
        self._interval_s = settings.poll_interval_s * POLL_MARGIN

        self._loop: asyncio.AbstractEventLoop
        self._line: Line | None = None
        self._error: Text | None = None
        self._counts = LineCounts()
        self._opens = 0
        self._seated = asyncio.Event()
        self._lost = asyncio.Event()
        self._opening: asyncio.Future[None] | None = None

        self._seats: list[BusSeat] = []
        self._seats_made = 0
        self.holder: BusSeat | None = None
        """Whose turn it is."""
        self._granted_at = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

        self._next_index = 0
        self._turns_in_round = 0
        self._round_started = 0.0
        self._round_timer: asyncio.Handle | None = None
        self._rounds = 0
        self._round_s: deque[float] = deque(maxlen=ROUNDS_KEPT)

    def seat(self, name: str, rank: int) -> BusSeat:
        """Give a device its place; lower ranks come first in a round. A place of the same name is replaced."""
        self.leave(name)
        seat = BusSeat(self, name, rank, self._seats_made)
        self._seats_made += 1
        insort(self._seats, seat)
        self._seated.set()
        return seat

    def leave(self, name: str) -> None:
        """Take a device's place away. Its driver must have been stopped."""
        for seat in self._seats:
            if seat.name == name:
                self._seats.remove(seat)
                self.let_go(seat)
                break
        if not self._seats:
            self._seated.clear()

    async def wait_opened(self) -> None:
        """Return when the port opens the next time."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._opening)

    def stats(self) -> BusStats:
        """Tell what the line has done."""
        rounds = sorted(self._round_s) or [0.0]
        counts = self._counts
        return BusStats(
            port=self.settings.port,
            open=self._line is not None,
            error=self._error,
            opens=self._opens,
            rounds=self._rounds,
            round_ms_last=self._round_s[-1] * 1e3 if self._round_s else 0.0,
            round_ms_p50=rounds[len(rounds) // 2] * 1e3,
            round_ms_max=rounds[-1] * 1e3,
            exchanges=counts.exchanges,
            timeouts=counts.timeouts,
            bad_frames=counts.bad_frames,
            stray_bytes=counts.stray_bytes,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
        )

    async def run(self) -> None:
        """Keep the port open for as long as there are seats; until cancelled."""
        self._loop = asyncio.get_running_loop()
        ceiling_s = REOPEN_FIRST_S
        try:
            while True:
                await self._seated.wait()
                try:
                    port = await self._opener(self.settings)
                except DeviceError as error:
                    self._fail(error)
                else:
                    opened_at = self._loop.time()
                    self._use(port)
                    await self._lost.wait()
                    if self._loop.time() - opened_at > STABLE_S:
                        ceiling_s = REOPEN_FIRST_S
                await self._clock.sleep(self._jitter.uniform(0.5, 1.0) * ceiling_s)
                ceiling_s = min(REOPEN_CAP_S, ceiling_s * 2)
        finally:
            self._fail(DeviceError(say("bus.stopped", port=self.settings.port)))

    def _use(self, port: BytePort) -> None:
        line = self._line = Line(port, self.settings, self._counts, self._fail)
        self._error = None
        self._opens += 1
        self._lost.clear()
        line.start()
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)
        self._schedule_round()

    def _fail(self, error: DeviceError) -> None:
        """The port is lost, or did not open: tell everybody who waits for it."""
        self._error = error.text
        if self.holder is not None:
            self.holder.lapsed = True
            self.holder = None
        for timer in (self._round_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._round_timer = self._idle_timer = None
        line, self._line = self._line, None
        if line is not None:
            line.close(error)
        for seat in self._seats:
            if seat.turn is not None and not seat.turn.done():
                seat.turn.set_exception(DeviceError(error.text))
        self._lost.set()

    def line(self) -> Line:
        """Return the line for an exchange in the present turn. Raises DeviceError."""
        seat = self.holder
        assert seat is not None
        assert self._line is not None
        if self._loop.time() - self._granted_at > TURN_LIMIT_S:
            seat.lapsed = True
            self._pass_turn()
            raise DeviceError(say("bus.turn-limit", device=seat.name, port=self.settings.port, seconds=TURN_LIMIT_S))
        return self._line

    def queue(self, seat: BusSeat) -> asyncio.Future[None]:
        """Return the future of this seat's next turn, and end the turn that it has. Raises DeviceError if the port
        could not be opened."""
        if self._error is not None:
            raise DeviceError(self._error)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        seat.turn = turn
        seat.lapsed = False
        if self.holder is seat:
            self._pass_turn()
        elif self.holder is None and self._round_timer is None and self._line is not None:
            self._schedule_round()
        return turn

    def _schedule_round(self) -> None:
        starts_at = self._round_started + self._interval_s
        if starts_at <= self._loop.time():
            self._round_timer = self._loop.call_soon(self._begin_round)
        else:
            self._round_timer = self._loop.call_at(starts_at, self._begin_round)

    def _begin_round(self) -> None:
        self._round_timer = None
        self._round_started = self._loop.time()
        self._next_index = self._turns_in_round = 0
        self._pass_turn()

    def _pass_turn(self) -> None:
        """Give the turn to the next seat that waits; after the last one, end the round."""
        now = self._loop.time()
        while self._next_index < len(self._seats):
            seat = self._seats[self._next_index]
            self._next_index += 1
            if seat.turn is not None and not seat.turn.done():
                self.holder = seat
                self._granted_at = now
                self._turns_in_round += 1
                seat.turn.set_result(None)
                if self._idle_timer is None:
                    self._idle_timer = self._loop.call_at(now + TURN_IDLE_S, self._check_idle)
                return
        self.holder = None
        if self._turns_in_round:
            self._rounds += 1
            self._round_s.append(now - self._round_started)
        if any(seat.turn is not None for seat in self._seats):
            self._schedule_round()

    def _check_idle(self) -> None:
        """Pass on a turn that nobody uses."""
        self._idle_timer = None
        if (seat := self.holder) is None or self._line is None:
            return
        now = self._loop.time()
        due = now + TURN_IDLE_S if self._line.busy else max(self._granted_at, self._line.idle_since) + TURN_IDLE_S
        if due > now:
            self._idle_timer = self._loop.call_at(due, self._check_idle)
        else:
            seat.lapsed = True
            self._pass_turn()

    def let_go(self, seat: BusSeat) -> None:
        """End the turn of a seat whose driver does not use it any more."""
        if self.holder is seat and self._line is not None:
            self._pass_turn()

    def let_go_soon(self, seat: BusSeat, run: int) -> None:
        """The same from a finaliser, which may run in any thread; not if the driver runs again by then."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(lambda: self.let_go(seat) if seat.runs == run else None)
