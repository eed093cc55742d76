"""The simulated modules of the benchmarks, in a process of their own: `python -m bench.modules FOLDER LINE=UNITS...`

Commands come one a line, and each is answered with one line: `press LINE UNIT INPUT` and `release LINE UNIT INPUT` with
the boot clock in nanoseconds at which the contact changed, `polls LINE` with how often its inputs were read.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from agent.demo.module import Modules
from bench.minimal import INPUTS, boottime_ns


def obey(lines: dict[str, Modules], words: list[str]) -> int:
    """Carry out one command and return its answer."""
    match words:
        case ["press", line, unit, number]:
            lines[line].press(int(unit), int(number))
        case ["release", line, unit, number]:
            lines[line].release(int(unit), int(number))
        case ["polls", line]:
            return sum(unit.polls for unit in lines[line].units.values())
    return boottime_ns()


async def serve(folder: Path, sizes: dict[str, int]) -> None:
    """Serve until standard input ends."""
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        lines = {
            line: await stack.enter_async_context(Modules(folder / line, range(1, units + 1), inputs=INPUTS))
            for line, units in sizes.items()
        }
        print("ready", flush=True)
        while command := await commands.readline():
            print(obey(lines, command.decode().split()), flush=True)


def main(argv: list[str]) -> None:
    """Serve the lines that are named."""
    sizes = {line: int(units) for line, _, units in (word.partition("=") for word in argv[1:])}
    asyncio.run(serve(Path(argv[0]), sizes))


if __name__ == "__main__":
    main(sys.argv[1:])
