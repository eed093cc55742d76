"""`python -m agent.demo.camera --spec FILE`: simulated cameras until standard input ends.

Prints `{"ready": {...}}` when all listen: for each camera its ports and stream addresses. Then reads commands, one JSON
object a line (`Command` in spec.py): `{"camera": "gate", "picture": "black"}`, `{"camera": null, "rtsp_mode": "hang"}`,
`{"camera": "gate", "event": {"kind": "motion", "active": true}}`; answers each with one line, `{"ok": true, ...}` or
`{"ok": false, "error": "..."}`.
"""

import argparse
import asyncio
import json
import signal
import sys
import threading
from pathlib import Path

from agent.demo.camera.fleet import Fleet
from agent.demo.camera.spec import BadSpec, Spec, parse_command, parse_spec

LINE_CHARS = 65_536
"""A command is a few hundred characters."""


def emit(**values: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(values, ensure_ascii=False), flush=True)


async def answer(fleet: Fleet, line: str) -> None:
    """Carry out one line."""
    try:
        emit(ok=True, **await fleet.obey(parse_command(line[:LINE_CHARS])))
    except BadSpec as error:
        emit(ok=False, error=str(error))


async def serve(spec: Spec) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:  # a thread: standard input may be a file, which no event loop can watch
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(stopped.set)

    async def obey() -> None:
        while True:
            line = await lines.get()
            if line.strip():
                await answer(fleet, line)

    async with Fleet(spec) as fleet:
        emit(ready=fleet.addresses())
        threading.Thread(target=read, daemon=True).start()
        task = asyncio.ensure_future(obey())
        waiting = asyncio.ensure_future(stopped.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m agent.demo.camera", description=__doc__)
    parser.add_argument("--spec", required=True, help="a JSON file, or the JSON itself")
    given = parser.parse_args().spec
    try:
        spec = parse_spec(given if given.lstrip().startswith("{") else Path(given).read_bytes())
    except (BadSpec, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(serve(spec))
    return 0


if __name__ == "__main__":
    sys.exit(main())
