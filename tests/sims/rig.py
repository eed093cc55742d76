"""A line with simulated modules, a bus and drivers on it, without the rest of the agent."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.bus import Bus, OwnLine, own_line
from agent.bus.port import OpenPort
from agent.clock import Clock, SystemClock
from agent.demo.module import Modules
from agent.driver import BadFrame, DeviceError, Driver, Input, Sample, Seat, SerialDriver

WAIT_S = 30.0
"""How long a test waits for what must come at last; the machine may be busy."""
RESTART_S = 0.02
"""How long the rig waits before it restarts a driver: the backoff proper is the runtime's."""


@dataclass(frozen=True)
class LineConfig:
    """The settings of a bus."""

    port: str
    id: str = "line"
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1
    poll_interval_s: float = 0.05


class RecordedLink:
    """What a driver did (agent.driver.Link)."""

    def __init__(self, clock: Clock, seat: Seat | None) -> None:
        self.clock = clock
        self.seat = seat
        self.inputs: tuple[Input, ...] = ()
        self.desired: dict[int, bool] = {}
        self.samples: list[Sample] = []
        self.measures: list[tuple[Input, float, str]] = []
        self.written: list[tuple[int, bool]] = []
        self.rejected: list[tuple[bytes, BadFrame]] = []
        self.errors: list[DeviceError] = []
        self.starts = 0
        self.heard = 0
        self.facts: dict[str, str] = {}
        self.emitting = 0
        self.disk_works = asyncio.Event()
        """Cleared, commits wait."""
        self.disk_works.set()

    def serial(self, settings: SerialDriver) -> AbstractAsyncContextManager[OwnLine]:
        return own_line(settings)

    def measure(self, input: Input, value: float, unit: str) -> None:
        self.measures.append((input, value, unit))

    def wrote(self, output: int, value: bool) -> None:
        self.written.append((output, value))

    async def emit(self, *samples: Sample) -> None:
        self.emitting += 1
        await self.disk_works.wait()
        self.samples.extend(samples)
        self.heard += 1

    def alive(self) -> None:
        self.heard += 1

    def reject(self, raw: bytes, error: BadFrame) -> None:
        self.rejected.append((raw, error))

    def identify(self, **facts: str) -> None:
        self.facts.update(facts)

    def edges(self, number: Input) -> list[bool]:
        """The values that one input had, in order."""
        return [bool(sample.value) for sample in self.samples if sample.input == number]


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition that must come true."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - any condition on real parts; they have no event for it
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"never came: {what or condition}") from None


class Rig:
    """Modules behind a pty, a bus on it, and drivers that are restarted when they fail."""

    def __init__(
        self,
        folder: Path,
        units: Iterable[int] = (1,),
        *,
        port: str | None = None,
        baudrate: int = 9600,
        line_time: bool = False,
        poll_interval_s: float = 0.05,
        opener: OpenPort | None = None,
    ) -> None:
        self.clock = SystemClock("Asia/Shanghai")
        self.coils: list[tuple[int, int, bool]] = []
        folder.mkdir(exist_ok=True)
        self.modules = Modules(
            folder / "line",
            units,
            baudrate=baudrate if line_time else None,
            on_coil=lambda unit, coil, on, _: self.coils.append((unit, coil, on)),
        )
        config = LineConfig(port or str(self.modules.link), baudrate=baudrate, poll_interval_s=poll_interval_s)
        self.bus = Bus(config, self.clock, opener=opener)
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self.modules.plug()
        self.tasks["bus"] = asyncio.create_task(self.bus.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_all()
        await self.modules.close()

    def add(self, driver: Driver, *, name: str | None = None, rank: int = 1) -> RecordedLink:
        """Start a driver on a seat of the bus."""
        name = name or f"unit {len(self.tasks)}"
        link = RecordedLink(self.clock, self.bus.seat(name, rank))
        self.tasks[name] = asyncio.create_task(supervise(driver, link))
        return link

    async def stop_all(self) -> None:
        """Cancel the drivers and then the bus."""
        for name in reversed([*self.tasks]):
            await self.stop(name)

    async def stop(self, name: str) -> None:
        """Cancel a task; it must end without an error."""
        task = self.tasks.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def supervise(driver: Driver, link: RecordedLink) -> None:
    """Run a driver again and again."""
    while True:
        link.starts += 1
        try:
            await driver.run(link)
        except DeviceError as error:
            link.errors.append(error)
        await asyncio.sleep(RESTART_S)
