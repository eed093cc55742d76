"""Buttons and lamps on the GPIO header of a small box, through the kernel's character device.

Source: Linux GPIO character device userspace API v2 (Documentation/userspace-api/gpio/chardev.rst), spoken by libgpiod
(https://libgpiod.readthedocs.io). Edges come with the time at which the kernel saw them, and debounced by it or by
the hardware where that can.
"""

import asyncio
import errno
import time
from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import model_validator

from agent.driver import (
    NS_PER_S,
    BadSetting,
    DeviceError,
    Driver,
    Duration,
    Field,
    Input,
    Link,
    Sample,
    Text,
    say,
)

if TYPE_CHECKING:
    import gpiod

TICK_S: Final = 0.02
"""How often wanted outputs are looked at: a lamp that blinks at 4 Hz changes every 125 ms."""
REREAD_NS: Final = NS_PER_S
"""The lines are also read so often, in case an edge was lost (the kernel's buffer holds 16 for each line)."""
CONSUMER: Final = "campus-agent"
LINES_MAX: Final = 64
"""Of one request (GPIO_V2_LINES_MAX)."""


class Gpio(Driver):
    """Lines of a GPIO chip: inputs with buttons, outputs with lamps.

    Source: Linux GPIO character device API v2, by libgpiod.
    """

    name: ClassVar[str] = "gpio"
    retry_cap_s: ClassVar[float] = 2.0

    chip: str = Field("/dev/gpiochip0", pattern=r"^/dev/", description="the chip's device")
    inputs: tuple[int, ...] = Field((), max_length=LINES_MAX, description="lines with a button, by their offset")
    outputs: tuple[int, ...] = Field((), max_length=LINES_MAX, description="lines with a lamp, by their offset")
    bias: Literal["pull-up", "pull-down", "disabled", "as-is"] = Field("pull-up", description="resistor of the inputs")
    active_low: bool = Field(True, description="whether an input is active when it is pulled to ground")
    settle_s: Duration = Field(0.005, alias="settle", ge=0, le=0.2, description="debouncing by the kernel")

    @model_validator(mode="after")
    def _lines_once(self) -> "Gpio":
        lines = [*self.inputs, *self.outputs]
        if not lines:
            raise BadSetting(say("gpio.no-lines"), say("config.none"))
        for line in lines:
            if line < 0 or lines.count(line) > 1:
                raise BadSetting(say("gpio.line-once"), line)
        return self

    def inputs_available(self) -> Container[Input]:
        return list(self.inputs)

    def outputs_available(self) -> Container[int]:
        return list(self.outputs)

    async def run(self, link: Link) -> None:
        with self._request() as request:
            await _Lines(self, link, request).serve()

    def _request(self) -> "gpiod.LineRequest":
        """Take the lines. Raises DeviceError that says why they cannot be had."""
        import gpiod
        from gpiod.line import Bias, Clock, Direction, Edge

        wanted = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias={
                "pull-up": Bias.PULL_UP,
                "pull-down": Bias.PULL_DOWN,
                "disabled": Bias.DISABLED,
                "as-is": Bias.AS_IS,
            }[self.bias],
            active_low=self.active_low,
            debounce_period=timedelta(seconds=self.settle_s),
            event_clock=Clock.MONOTONIC,
        )
        config: dict[Iterable[int | str] | int | str, gpiod.LineSettings | None] = {}
        if self.inputs:
            config[self.inputs] = wanted
        if self.outputs:
            config[self.outputs] = gpiod.LineSettings(direction=Direction.OUTPUT)
        try:
            return gpiod.request_lines(self.chip, config=config, consumer=CONSUMER)
        except (OSError, ValueError) as error:
            raise DeviceError(self._why(error)) from error

    def _why(self, error: Exception) -> Text:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.ENOENT:
            return say("gpio.no-chip", chip=self.chip)
        if code in (errno.EACCES, errno.EPERM):
            return say("gpio.no-permission", chip=self.chip)
        if code == errno.EBUSY:
            return say("gpio.busy", chip=self.chip)
        lines = ", ".join(map(str, (*self.inputs, *self.outputs)))
        return say("gpio.failed", chip=self.chip, lines=lines, error=str(error))


class _Lines:
    """One run: what the lines showed, and what was set."""

    def __init__(self, driver: Gpio, link: Link, request: "gpiod.LineRequest") -> None:
        self.driver = driver
        self.link = link
        self.request = request
        self.values: dict[int, bool] = {}
        self.written: dict[int, bool] = {}
        self.readable = asyncio.Event()
        self.read_ns = 0

    async def serve(self) -> None:
        """Hand over edges and set outputs until cancelled. Raises DeviceError."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.request.fd, self._wake)
        try:
            while True:
                if self.readable.is_set():
                    self.readable.clear()
                    await self._hand_over(self._edges())
                    loop.add_reader(self.request.fd, self._wake)
                now_ns = self.link.clock.boottime_ns()
                if now_ns - self.read_ns >= REREAD_NS or not self.read_ns:
                    self.read_ns = now_ns
                    await self._hand_over(self._look(now_ns))
                    self.link.alive()
                self._write()
                try:
                    async with asyncio.timeout(TICK_S):
                        await self.readable.wait()
                except TimeoutError:
                    pass  # time to look at the outputs
        except OSError as error:
            raise DeviceError(say("gpio.lost", chip=self.driver.chip, error=error.strerror or str(error))) from error
        finally:
            loop.remove_reader(self.request.fd)

    def _wake(self) -> None:
        """Edges wait; not asked again until they are read, or a lost chip would spin."""
        asyncio.get_running_loop().remove_reader(self.request.fd)
        self.readable.set()

    async def _hand_over(self, samples: list[Sample]) -> None:
        if samples:
            await self.link.emit(*samples)

    def _edges(self) -> list[Sample]:
        """The edges that the kernel has seen, in its order."""
        from gpiod import EdgeEvent

        ahead_ns = self.link.clock.boottime_ns() - time.monotonic_ns()  # the boot clock also counts suspended time
        samples = []
        for event in self.request.read_edge_events():
            value = event.event_type is EdgeEvent.Type.RISING_EDGE
            if self.values.get(event.line_offset) is not value:
                self.values[event.line_offset] = value
                samples.append(Sample(event.line_offset, value, event.timestamp_ns + ahead_ns))
        return samples

    def _look(self, now_ns: int) -> list[Sample]:
        """The inputs as they are now, those that no edge has told."""
        from gpiod.line import Value

        if not self.driver.inputs or self.request.wait_edge_events(0):
            return []  # the edges that wait say it better, with their times
        samples = []
        values = self.request.get_values(list(self.driver.inputs))
        for line, value in zip(self.driver.inputs, values, strict=True):
            active = value is Value.ACTIVE
            if self.values.get(line) is not active:
                self.values[line] = active
                samples.append(Sample(line, active, now_ns))
        return samples

    def _write(self) -> None:
        """Bring the outputs to what is wanted."""
        from gpiod.line import Value

        wanted: Mapping[int, bool] = self.link.desired
        for line in self.driver.outputs:
            value = wanted.get(line)
            if value is not None and self.written.get(line) is not value:
                self.request.set_value(line, Value.ACTIVE if value else Value.INACTIVE)
                self.written[line] = value
                self.link.wrote(line, value)
