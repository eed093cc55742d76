"""`python -m agent.demo.module`: simulated Modbus modules as a process, for benches and tests from outside.

Prints one JSON object a line: first `{"ready": ...}` with the device's path, then `{"unit", "coil", "value",
"monotonic_ns"}` for each coil that changes, and `{"error": ...}` for a command that it does not know. Reads commands,
one a line: `press UNIT INPUT`, `release UNIT INPUT`, `dead UNIT`, `alive UNIT`, `delay UNIT SECONDS`,
`garbage UNIT HEX`, `truncate UNIT BYTES`, `crc UNIT`, `as UNIT OTHER`, `bytes UNIT SECONDS`, `mute UNIT` (ignores
writes), `heal UNIT` (all faults back), `power UNIT` (loses its coils), `inject HEX`, `unplug`, `plug`, `hangup`,
`show UNIT`, `quit`.
"""

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from agent.demo.module import Faults, Modules


def emit(**values: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(values), flush=True)


def obey(modules: Modules, line: str, stop: Callable[[], None]) -> None:
    """Carry out one command. Raises KeyError, IndexError or ValueError for what cannot be understood."""
    word, *args = line.split()
    lines = {"unplug": modules.unplug, "plug": modules.plug, "hangup": modules.hang_up, "quit": stop}
    if word in lines:
        lines[word]()
    elif word == "inject":
        modules.inject(bytes.fromhex(args[0]))
    else:
        obey_unit(modules, word, int(args[0]), args[1:])


def obey_unit(modules: Modules, word: str, address: int, args: list[str]) -> None:
    """Carry out a command to one unit."""
    unit = modules.units[address]
    faults = unit.faults
    commands: dict[str, Callable[[], None]] = {
        "press": lambda: modules.press(address, int(args[0])),
        "release": lambda: modules.release(address, int(args[0])),
        "dead": lambda: setattr(faults, "dead", True),
        "alive": lambda: setattr(faults, "dead", False),
        "delay": lambda: setattr(faults, "delay_s", float(args[0])),
        "garbage": lambda: setattr(faults, "garbage", bytes.fromhex(args[0])),
        "truncate": lambda: setattr(faults, "keep", int(args[0])),
        "crc": lambda: setattr(faults, "wrong_crc", True),
        "as": lambda: setattr(faults, "answers_as", int(args[0])),
        "bytes": lambda: setattr(faults, "byte_gap_s", float(args[0])),
        "mute": lambda: setattr(faults, "ignores_writes", True),
        "heal": lambda: setattr(unit, "faults", Faults()),
        "power": unit.power_cycle,
        "show": lambda: emit(unit=address, inputs=unit.inputs, coils=unit.coils, polls=unit.polls),
    }
    commands[word]()


async def serve(args: argparse.Namespace) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    modules = Modules(
        Path(args.link),
        [int(unit) for unit in args.units.split(",")],
        inputs=args.inputs,
        coils=args.coils,
        baudrate=args.baudrate if args.line_time else None,
        on_coil=lambda unit, coil, on, when: emit(unit=unit, coil=coil, value=on, monotonic_ns=when),
    )

    def take(line: str) -> None:
        try:
            if line.strip():
                obey(modules, line, stopped.set)
        except (KeyError, IndexError, ValueError) as error:
            emit(error=f"{line.strip()}: {error!r}")

    def read() -> None:  # a thread: standard input may be a file, which no event loop can watch
        for line in sys.stdin:
            loop.call_soon_threadsafe(take, line)

    async with modules:
        port = None
        if args.tcp:
            host, _, number = args.tcp.rpartition(":")
            port = await modules.listen(host or "127.0.0.1", int(number))
        emit(ready=str(modules.link), tcp=port, units=sorted(modules.units))
        threading.Thread(target=read, daemon=True).start()
        await stopped.wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m agent.demo.module", description=__doc__)
    parser.add_argument("--link", required=True, help="symlink to make to the pty")
    parser.add_argument("--units", default="1", help="addresses, with commas between")
    parser.add_argument("--inputs", type=int, default=8)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--line-time", action="store_true", help="bytes take their time")
    parser.add_argument("--baudrate", type=int, default=9600, help="for --line-time")
    parser.add_argument("--tcp", help="also answer on host:port (port 0: any free one)")
    asyncio.run(serve(parser.parse_args()))
