"""Runs a driver in a process of its own, and writes what it does as JSON lines; wanted outputs come as lines, and the
end of the input cancels it: `python -m tests.sims.gpio_child DRIVER SETTINGS`."""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NoReturn

from agent.bus import OwnLine
from agent.clock import SystemClock
from agent.config.drivers import find_driver
from agent.driver import BadFrame, DeviceError, Driver, Input, Sample, Seat, SerialDriver
from tests.sims.rig import RESTART_S


class Line:
    """The link of a driver whose recorder is elsewhere (agent.driver.Link)."""

    seat: Seat | None = None

    def __init__(self) -> None:
        self.clock = SystemClock("Asia/Shanghai")
        self.inputs: tuple[Input, ...] = ()
        self.desired: dict[int, bool] = {}

    def tell(self, word: str, **more: Any) -> None:
        """Write one line."""
        sys.stdout.write(json.dumps({"word": word, **more}, default=str) + "\n")
        sys.stdout.flush()

    def serial(self, settings: SerialDriver) -> NoReturn:
        raise NotImplementedError(settings.port, OwnLine)

    def wrote(self, output: int, value: bool) -> None:
        self.tell("wrote", output=output, value=value)

    async def emit(self, *samples: Sample) -> None:
        self.tell("emit", samples=[asdict(sample) for sample in samples])

    def measure(self, input: Input, value: float, unit: str) -> None:
        self.tell("measure", input=input, value=value, unit=unit)

    def alive(self) -> None:
        self.tell("alive")

    def reject(self, raw: bytes, error: BadFrame) -> None:
        self.tell("reject", raw=raw.hex(), expected=error.expected)

    def identify(self, **facts: str) -> None:
        self.tell("identify", facts=facts)


async def supervise(driver: Driver, line: Line) -> None:
    """Run the driver again and again."""
    while True:
        line.tell("start")
        try:
            await driver.run(line)
        except DeviceError as error:
            line.tell("error", key=error.text.key, args={name: str(value) for name, value in error.text.args.items()})
        await asyncio.sleep(RESTART_S)


async def main(name: str, settings: str) -> None:
    line = Line()
    running = asyncio.create_task(supervise(find_driver(name).model_validate(json.loads(settings)), line))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for wanted in reader:
        line.desired = {int(output): value for output, value in json.loads(wanted).items()}
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
