"""The demo's devices beside the buttons, running, each behind its own wire: what a person does to them, and what they
then show to whoever asks. What becomes of it is the daemon's business.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Self

from agent.demo import devices
from agent.demo.lamp import LampWatch
from agent.demo.modem import SimModem
from agent.demo.module import Modules
from agent.demo.panels import AlarmCentre, AlarmHost
from agent.demo.reader import CardReader

STEP_S: Final = 0.25
"""How often what is measured changes."""
PULL: Final = 0.1
"""How much of the way to where it tends the gas goes in one step."""
CLEAN_AIR: Final = 1.2
LEAK_WITH_FAN: Final = 16.0
LEAK_WITHOUT_FAN: Final = 21.0
"""%LEL where a leak ends. Below what the detector alarms at by itself: here the rule is earlier."""
FAN_AMPERE: Final = 1.8
ROOM_C: Final = 21.4
FIRE_C: Final = 58.0
FENCE_KV: Final = 7.2
NOISE: Final = 0.15
NULL_EVERY_S: Final = 5.0
"""A quarter of the interval that the gateway is told."""
ANSWER_S: Final = 2.0
"""Shorter than real hosts wait before they send again, so that nobody waits for one that was not heard."""
TENTHS: Final = 10
NS_PER_MS: Final = 1_000_000
LEFT_BRACKET: Final = ("\x1b<", "[")
RIGHT_BRACKET: Final = ("\x1b>", "]")
"""Two of the signs that the network's alphabet writes as a pair (3GPP TS 23.038, 6.2.1.1)."""
CONTACT_ID: Final = {True: f"1130 01 {devices.DOOR_ZONE}", False: f"3130 01 {devices.DOOR_ZONE}"}
"""SIA DC-05: burglary, and its end."""


class Canteen:
    """A gas detector and a current meter on the fan's cable; siren and gas valve on a module."""

    def __init__(self, folder: Path, now_ns: Callable[[], int]) -> None:
        self.siren = LampWatch()
        self.valve = LampWatch()
        self.leaking = False
        self.fan_runs = True
        self._gas = CLEAN_AIR
        outputs = {devices.SIREN: self.siren, devices.VALVE: self.valve}

        def on_coil(_unit: int, coil: int, value: bool, _monotonic_ns: int) -> None:
            if coil in outputs:
                outputs[coil].saw(value, now_ns())

        units = (devices.IO_UNIT, devices.GAS_UNIT)
        self.modules = Modules(folder / "tty-canteen", units, baudrate=devices.BAUDRATE, on_coil=on_coil)
        self.step()

    def step(self) -> None:
        """Time passes. Gas comes as long as there is a leak and the valve is open."""
        leaks = self.leaking and not self.valve.lit
        end = (LEAK_WITH_FAN if self.fan_runs else LEAK_WITHOUT_FAN) if leaks else CLEAN_AIR
        self._gas += (end - self._gas) * PULL
        self.modules.units[devices.IO_UNIT].inputs[devices.VALVE_INPUT] = self.valve.lit
        registers = self.modules.units[devices.GAS_UNIT].registers
        registers[devices.GAS_REGISTER] = max(0, round((self._gas + noise()) / devices.GAS_SCALE))
        registers[devices.FAN_REGISTER] = round(FAN_AMPERE / devices.FAN_SCALE) if self.fan_runs else 0


class Store:
    """The chemical store: a reader with a door contact, smoke and temperature."""

    def __init__(self, folder: Path) -> None:
        self.door_open = False
        self.smoke = False
        self._heat = ROOM_C
        self.modules = Modules(folder / "tty-store", (devices.SMOKE_UNIT,), baudrate=devices.BAUDRATE)
        key = bytes.fromhex(devices.keys()[devices.READER_KEY])
        self.reader = CardReader(folder / "tty-reader", address=devices.READER_ADDRESS, key=key)
        self.step()

    def begin(self) -> None:
        """Show the door as it is."""
        self.reader.inputs(self.door_open, 0, 0, 0)

    def step(self) -> None:
        """Time passes."""
        self._heat += ((FIRE_C if self.smoke else ROOM_C) - self._heat) * PULL
        registers = self.modules.units[devices.SMOKE_UNIT].registers
        registers[devices.TEMPERATURE_REGISTER] = round((self._heat + noise()) * TENTHS)
        registers[devices.SMOKE_REGISTER] = int(self.smoke)

    def card(self) -> None:
        """A teacher holds a card to the reader."""
        self.reader.card(devices.CARD_DATA, devices.CARD_BITS)

    def toggle_door(self) -> None:
        """Open the door, or shut it."""
        self.door_open = not self.door_open
        self.reader.inputs(self.door_open, 0, 0, 0)


class Dormitory:
    """An alarm host with the door as a zone; it reports over the network, and sends again until it is answered."""

    def __init__(self, port: int) -> None:
        key = bytes.fromhex(devices.keys()[devices.HOST_KEY])
        self.host = AlarmHost(port, devices.ACCOUNT, key=key, answer_s=ANSWER_S)
        self.door_open = False
        self.answered_ms: float | None = None
        """How long the last report waited for its answer; None while it waits."""
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Report regularly that the host is there, until cancelled."""
        try:
            while True:
                async with self._busy:
                    await self.host.null()
                await asyncio.sleep(NULL_EVERY_S)
        finally:
            self.host.close()

    async def toggle_door(self) -> None:
        """Open the door, or shut it; returns when the host has been answered."""
        self.door_open = not self.door_open
        self.answered_ms = None
        async with self._busy:
            began_ns = time.monotonic_ns()
            await self.host.contact_id(CONTACT_ID[self.door_open])
            self.answered_ms = (time.monotonic_ns() - began_ns) / NS_PER_MS


class Fence:
    """A pulse fence: a state code and a voltage."""

    def __init__(self, folder: Path) -> None:
        self.cut = False
        self.modules = Modules(folder / "tty-fence", (devices.FENCE_UNIT,), baudrate=devices.BAUDRATE)
        self.step()

    def step(self) -> None:
        """Time passes."""
        registers = self.modules.units[devices.FENCE_UNIT].registers
        registers[devices.FENCE_REGISTER] = devices.FENCE_CUT if self.cut else 0
        registers[devices.VOLTAGE_REGISTER] = 0 if self.cut else round((FENCE_KV + noise()) * TENTHS)


class Equipment:
    """`async with Equipment(folder, host_port, now_ns) as equipment`: all of it, and what stands outside of the school:
    an alarm centre and a telephone behind a modem."""

    def __init__(self, folder: Path, host_port: int, now_ns: Callable[[], int]) -> None:
        self.canteen = Canteen(folder, now_ns)
        self.store = Store(folder)
        self.dormitory = Dormitory(host_port)
        self.fence = Fence(folder)
        key = bytes.fromhex(devices.keys()[devices.CENTRE_KEY])
        self.centre = AlarmCentre(keys={devices.CENTRE_ACCOUNT: key})
        self.modem = SimModem(folder / "tty-modem")
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for part in (self.canteen.modules, self.store.modules, self.store.reader, self.fence.modules):
                await stack.enter_async_context(part)
            await stack.enter_async_context(self.centre)
            await stack.enter_async_context(self.modem)
            self.store.begin()
            stack.push_async_callback(self._end)
            self.spawn(self._pass_time())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def go_on_air(self) -> None:
        """Let the alarm host report: there is somebody to report to."""
        self.spawn(self.dormitory.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on until the end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def reported(self) -> list[str]:
        """What the alarm centre was told, without the polls."""
        return [message.data.partition("|")[2] for message in self.centre.messages if message.data]

    @property
    def texts(self) -> list[str]:
        """What came to the telephone, as it shows it."""
        return [text.replace(*LEFT_BRACKET).replace(*RIGHT_BRACKET) for _, text in self.modem.texts]

    async def _pass_time(self) -> None:
        while True:
            for part in (self.canteen, self.store, self.fence):
                part.step()
            await asyncio.sleep(STEP_S)

    async def _end(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def noise() -> float:
    """What a real sensor's value does when nothing happens."""
    return random.uniform(-NOISE, NOISE)
