"""Devices restart; the core does not notice. One supervised task per device, and the link that it speaks through."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from agent.backoff import Backoff
from agent.bus import Bus, OwnLine, own_line
from agent.clock import NS_PER_S, Clock
from agent.config.models import DeviceSettings
from agent.driver import BadFrame, DeviceError, Input, Sample, Seat, SerialDriver
from agent.journal import JournalError
from agent.kinds import KINDS
from agent.logs import Loudness
from agent.runtime.desk import AlarmDesk
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

HEARD_EVERY_NS: Final = NS_PER_S
"""The engine hears of a living device once a second; polls come at 20 Hz, and `offline_after` is longer."""
LOWEST_RANK: Final = 1_000
"""Rank of a unit without points: after every unit that has some."""
NOISE_LIMIT: Final = 10
"""So many unreadable frames within the window are a wiring fault rather than a spark."""
NOISE_WINDOW_NS: Final = 60 * NS_PER_S
PROBE_SPREAD: Final = 0.2
"""Jitter of the waits on a bus: enough that silent units are not asked in one round; more would ask more often."""
MOST_AWAY: Final = 5
"""Each silent unit is asked as much less often as there are silent ones, up to so many: with 2 s each, together they
take some 5 % of the line, and every one is asked within 10 s."""
MEASURES_KEPT: Final = 256
"""Measured inputs of one device that are remembered for `status`: more than any sensor has."""
CONFIRM_TIMEOUT_S: Final = 5.0
"""How long an output command waits for the device's word; 32 units at 9600 baud come round in one second."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measured value of one input of a device, at a boot clock time."""

    device: str
    input: Input
    value: float
    unit: str
    seen_ns: int


class DeviceLink:
    """One device's way into the agent (agent.driver.Link)."""

    def __init__(self, device: DeviceSettings, desk: AlarmDesk, clock: Clock, seat: Seat | None) -> None:
        self.device = device
        self._desk = desk
        self._clock = clock
        self._seat = seat
        self._desired: dict[int, bool] = {}
        self._confirmed: dict[int, bool] = {}
        self._waiting: list[tuple[int, bool, asyncio.Future[None]]] = []
        self._pending_ns: dict[int, int] = {}
        self._output_fault = False
        self.driver_fault = False
        self._told_ns = 0
        self._heard_ns = 0
        self.rejected = 0
        self._noise_since_ns = 0
        self._noise_count = 0
        self._noisy = False
        self._loudness = Loudness()
        self._tasks: set[asyncio.Task[None]] = set()
        self.identity: dict[str, str] = {}
        self.on_inventory: Callable[[], None] = lambda: None
        self.on_measure: Callable[[Measure], None] = lambda _measure: None
        self.online = False
        self.error: Text | None = None
        self.measures: dict[Input, Measure] = {}
        """The last value of each measured input."""

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def seat(self) -> Seat | None:
        return self._seat

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(point.input for point in self.device.points)

    @property
    def desired(self) -> Mapping[int, bool]:
        return self._desired

    @property
    def heard_ns(self) -> int:
        """Boot clock when the device was last heard; 0 if never."""
        return self._heard_ns

    def serial(self, settings: SerialDriver) -> AbstractAsyncContextManager[OwnLine]:
        return own_line(settings)

    def measure(self, input: Input, value: float, unit: str) -> None:
        measure = Measure(self.device.id, input, value, unit, self._clock.boottime_ns())
        if input in self.measures or len(self.measures) < MEASURES_KEPT:
            self.measures[input] = measure
        self.on_measure(measure)

    def want(self, values: Mapping[int, bool]) -> None:
        """Set the outputs that the agent wants now."""
        if values != self._desired:
            self._desired = dict(values)
        self._judge_outputs()

    async def confirmed(self, output: int, value: bool) -> bool:
        """Wait until the device has confirmed an output; False when it does not in time."""
        if self._confirmed.get(output) is value:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (output, value, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(entry)
        return True

    def wrote(self, output: int, value: bool) -> None:
        self._confirmed[output] = value
        self._pending_ns.pop(output, None)
        for wanted, wanted_value, future in self._waiting:
            if (wanted, wanted_value) == (output, value) and not future.done():
                future.set_result(None)

    async def emit(self, *samples: Sample) -> None:
        self.alive()
        await self._desk.samples(self.device.id, samples)

    def alive(self) -> None:
        now_ns = self._clock.boottime_ns()
        self._heard_ns = now_ns
        if now_ns - self._told_ns < HEARD_EVERY_NS and self.online:
            return
        self._told_ns = now_ns
        self.error = None
        if not self.online:
            self.online = True
            self.on_inventory()
        self._background(self._tell_heard())

    def reject(self, raw: bytes, error: BadFrame) -> None:
        self.rejected += 1
        level = self._loudness.level("reject", error.text.key)  # what was expected may differ with every frame
        log.log(level, say("runtime.rejected", device=self.device.id, error=error.text))
        moment = self._clock.moment()
        silent = moment.boottime_ns - self._heard_ns > self.device.offline_after_s * NS_PER_S
        if not self.online or (silent and self.device.supervised):
            self._unreadable(error.text)
        self._desk.engine.failed(self.device.id, error.text, moment, down=False)
        self._quiet_window(moment.boottime_ns)
        self._noise_count += 1
        if self._noise_count >= NOISE_LIMIT and not self._noisy:
            self._noisy = True
            key = "runtime.noise-network" if self.device.settings.listens() else "runtime.noise"
            text = say(key, device=self.device.id, count=NOISE_LIMIT, error=error.text)
            self._background(self._desk.fault("bus", text, device=self.device.id))

    def _unreadable(self, text: Text) -> None:
        """Nothing but noise for as long as silence may last: it is offline, though its driver goes on."""
        self.error = text
        if self.online:
            self.online = False
            self.on_inventory()

    def _quiet_window(self, now_ns: int) -> bool:
        """Whether a whole window with little noise has just ended."""
        if now_ns - self._noise_since_ns <= NOISE_WINDOW_NS:
            return False
        quiet = self._noise_count < NOISE_LIMIT
        self._noise_since_ns, self._noise_count = now_ns, 0
        return quiet

    def identify(self, **facts: str) -> None:
        if not facts.items() <= self.identity.items():
            self.identity.update(facts)
            self.on_inventory()

    def forget(self) -> None:
        """The driver has stopped: what was written before is no longer certain."""
        self._confirmed.clear()
        self._pending_ns.clear()
        self.online = False
        self.on_inventory()

    def _judge_outputs(self) -> None:
        """An output that the device does not confirm makes its lamp a liar: that is a fault. While the device is away
        nothing can be confirmed, and its absence is told as such; the time counts anew when it is back."""
        if not self.online:
            self._pending_ns.clear()
            return
        now_ns = self._clock.boottime_ns()
        for output, value in self._desired.items():
            if self._confirmed.get(output) is value:
                self._pending_ns.pop(output, None)
            else:
                self._pending_ns.setdefault(output, now_ns)
        late = [n for n, since_ns in self._pending_ns.items() if now_ns - since_ns > CONFIRM_TIMEOUT_S * NS_PER_S]
        fault = bool(late)
        if fault != self._output_fault:
            self._output_fault = fault
            text = say("runtime.output-unconfirmed", device=self.device.id, output=late[0]) if fault else None
            self._background(self._desk.fault("output", text, device=self.device.id))

    async def _tell_heard(self) -> None:
        if self.driver_fault:
            self.driver_fault = False
            await self._desk.fault("driver", None, device=self.device.id)
        if outcome := self._desk.engine.heard(self.device.id, self._clock.moment()):
            await self._desk.take(outcome)
        if self._quiet_window(self._clock.boottime_ns()) and self._noisy:
            self._noisy = False
            self._loudness.over("reject")
            await self._desk.fault("bus", None, device=self.device.id)

    def _background(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def rank_of(device: DeviceSettings) -> int:
    """Where a unit comes in a round of its bus: by the most urgent of its points."""
    return min((KINDS[point.kind].priority for point in device.points), default=LOWEST_RANK)


def probe_cap_s(retry_cap_s: float, heard: Sequence[bool]) -> float:
    """The longest wait before a device is asked again, given who of its bus is heard. Where nobody is, a question
    costs nobody anything."""
    return retry_cap_s * (min(max(1, heard.count(False)), MOST_AWAY) if any(heard) else 1)


async def supervise(
    device: DeviceSettings,
    link: DeviceLink,
    bus: Bus | None,
    desk: AlarmDesk,
    clock: Clock,
    neighbours: Callable[[], Sequence[DeviceLink]] = tuple,
) -> None:
    """Run one device's driver, again and again, until cancelled; `neighbours` tells who is on its bus, with itself.
    Raises JournalError."""
    backoff = Backoff(device.settings.retry_cap_s, spread=PROBE_SPREAD if bus else 1.0)
    loudness = Loudness()
    while True:
        backoff.started(clock.boottime_ns())
        error = await run_once(device, link)
        link.forget()
        link.error = error
        log.log(loudness.level(device.id, error.key), say("runtime.device-failed", device=device.id, error=error))
        desk.engine.failed(device.id, error, clock.moment())
        if error.key == "runtime.driver-bug":
            link.driver_fault = True
            await desk.fault("driver", error, device=device.id)
        backoff.cap_s = probe_cap_s(device.settings.retry_cap_s, [other.online for other in neighbours()])
        wait_s = backoff.failed(clock.boottime_ns())
        log.debug("%s: next try in %.1f s", device.id, wait_s)
        await wait_or_reopened(clock, wait_s, bus)


async def run_once(device: DeviceSettings, link: DeviceLink) -> Text:
    """Run the driver until it fails; return why."""
    try:
        await device.settings.run(link)
    except JournalError:
        raise
    except Spoken as error:
        return error.text
    except Exception as error:  # a driver's bug must not end the other devices (DESIGN 2.2)
        log.exception(say("runtime.driver-bug", device=device.id, error=f"{type(error).__name__}: {error}"))
        return say("runtime.driver-bug", device=device.id, error=f"{type(error).__name__}: {error}")
    return say("runtime.driver-ended", device=device.id)


async def wait_or_reopened(clock: Clock, wait_s: float, bus: Bus | None) -> None:
    """Wait, but not past the moment when a lost port comes back."""
    if bus is None or bus.stats().open:
        await clock.sleep(wait_s)
        return
    tasks = (asyncio.ensure_future(clock.sleep(wait_s)), asyncio.ensure_future(bus.wait_opened()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


__all__ = ["DeviceError", "DeviceLink", "rank_of", "supervise"]
