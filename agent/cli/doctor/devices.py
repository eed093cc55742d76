"""Devices: does each one answer. A running daemon knows; without it the lines are opened from here."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from agent.cli.doctor import judge
from agent.cli.doctor.finding import Check, Finding, fail, ok
from agent.cli.doctor.subject import Subject
from agent.driver import BadFrame, Clock, DeviceError, Input, Sample, Seat, SerialDriver
from agent.texts import Text, say

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from agent.bus import Bus, OwnLine
    from agent.config.models import Config, DeviceSettings

LISTEN_S: Final = 5.0
"""A round of 32 dead units at 9600 baud takes less; a device that sends by itself is given `offline_after`."""
LISTEN_MOST_S: Final = 40.0
"""A receiver's heartbeat comes every 30 s. What speaks once a day is not waited for."""
SPARE_S: Final = 5.0
"""Beyond listening: opening a port, and letting go of it."""


def checks(subject: Subject) -> list[Check]:
    """Name the checks of all devices: of each by the daemon's word, or of all in one go from here."""
    config, status = subject.config, subject.status
    if config is None or not config.devices:
        return []
    if status is not None:
        states = status["devices"]
        return [Check("devices", lambda: by_status(states))]
    longest_s = max(listen_s(device) for device in config.devices)
    return [Check("devices", lambda: by_hand(config), longest_s + SPARE_S)]


async def by_status(states: Sequence[Mapping[str, object]]) -> Sequence[Finding]:
    """Judge the devices by the daemon's `status`."""
    return [judge.device(f"device {state['id']}", state) for state in states]


def listen_s(device: "DeviceSettings") -> float:
    """How long to wait for a device: those on a bus are asked, others speak when they like."""
    return LISTEN_S if device.bus else min(max(LISTEN_S, device.offline_after_s), LISTEN_MOST_S)


class Ear:
    """A link (`agent.driver.Link`) that listens for a sign of life, and neither reports nor switches anything."""

    def __init__(self, clock: Clock, seat: Seat | None) -> None:
        self._clock = clock
        self._seat = seat
        self.heard = asyncio.Event()
        self.error: Text | None = None

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def seat(self) -> Seat | None:
        return self._seat

    @property
    def inputs(self) -> tuple[Input, ...]:
        return ()

    @property
    def desired(self) -> Mapping[int, bool]:
        return {}

    def serial(self, settings: SerialDriver) -> "AbstractAsyncContextManager[OwnLine]":
        from agent.bus import own_line

        return own_line(settings)

    def wrote(self, output: int, value: bool) -> None:
        self.heard.set()

    async def emit(self, *samples: Sample) -> None:
        """Nothing is durable here, so a driver must not come to acknowledge its panel: this never returns."""
        self.heard.set()
        await asyncio.Event().wait()

    def measure(self, input: Input, value: float, unit: str) -> None:
        self.heard.set()

    def alive(self) -> None:
        self.heard.set()

    def reject(self, raw: bytes, error: BadFrame) -> None:
        self.error = error.text

    def identify(self, **facts: str) -> None:
        self.heard.set()


async def by_hand(config: "Config") -> Sequence[Finding]:
    """Open every line, run every driver until its device is heard or its time is up."""
    from agent.bus import Bus
    from agent.clock import SystemClock

    clock = SystemClock(config.site.timezone)
    buses = {settings.id: Bus(settings, clock) for settings in config.buses}
    running = [asyncio.ensure_future(bus.run()) for bus in buses.values()]
    try:
        return await asyncio.gather(*(hear(device, buses, clock) for device in config.devices))
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running) if running else None


async def hear(device: "DeviceSettings", buses: "Mapping[str, Bus]", clock: Clock) -> Finding:
    """Wait for one device's first sign of life."""
    name = f"device {device.id}"
    seat = buses[device.bus].seat(device.id, 0) if device.bus else None
    ear = Ear(clock, seat)
    running = asyncio.ensure_future(persist(device, ear))
    try:
        async with asyncio.timeout(listen_s(device)):
            await ear.heard.wait()
    except TimeoutError:
        reason = ear.error or say("doctor.device-silent", seconds=round(listen_s(device)))
        message = say("doctor.device-offline", name=device.name, reason=reason)
        return fail(name, message, say("doctor.device-remedy"))
    finally:
        running.cancel()
        await asyncio.wait([running])
    return ok(name, say("doctor.device-answers", name=device.name))


async def persist(device: "DeviceSettings", ear: Ear) -> None:
    """Run a driver again when it fails, as the daemon does: a port may need a second try."""
    while True:
        try:
            await device.settings.run(ear)
        except DeviceError as error:
            ear.error = error.text
        await ear.clock.sleep(1.0)
