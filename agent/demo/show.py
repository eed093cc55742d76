"""The demo: a whole school on one machine, with nothing but Python. `campus-agent demo`, `make demo`.

On a terminal it is live; elsewhere, or with `--script`, it runs through its steps by itself and says by its exit code
whether all of them happened: 0 they did, 1 one did not, 2 wrong usage, 130 interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from agent.demo.school import School
from agent.demo.script import Script
from agent.texts import Language, Spoken, Text, pick_language, say

OK: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
SCRIPT_S: Final = 240.0
"""The script takes about a minute; on a small, busy board three or four times that."""
SHORT_PREFIX: Final = "campus-demo-"
"""Of the temporary folder: socket paths must stay under 108 bytes (unix(7))."""


def main(argv: list[str]) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="campus-agent demo")
    parser.add_argument("--script", action="store_true", help="run unattended and verify every step")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--lang", help="zh-CN or en; LANG if not given")
    options = parser.parse_args(argv)
    environment = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = pick_language(options.lang, *environment)
    live = not options.script and sys.stdin.isatty() and sys.stdout.isatty()
    return asyncio.run(demo(language, options.seconds, live=live))


async def demo(language: Language, seconds: float | None, *, live: bool) -> int:
    """Run until the end or until a signal; whatever happens, no process and no file stays."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    def tell(text: Text) -> None:
        print(text.render(language), flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix=SHORT_PREFIX) as folder:
            return await show(Path(folder), language, seconds, live=live)
    except asyncio.CancelledError:
        tell(say("demo.interrupted"))
        return INTERRUPTED
    except Spoken as error:
        tell(say("demo.script-failed", error=error.text))
        return FAILED
    finally:
        tell(say("demo.bye"))


async def show(folder: Path, language: Language, seconds: float | None, *, live: bool) -> int:
    """Start the school, and show it. Raises ChildFailed, Missing."""
    async with School(folder, language) as school:
        if live:
            from rich.console import Console

            from agent.demo.live import run_live

            await run_live(school, language, Console(), seconds)
        else:
            await run_script(school, language, seconds or SCRIPT_S)
    return OK


async def run_script(school: School, language: Language, limit_s: float) -> None:
    """Go through the steps and print each. Raises Missing, ChildFailed."""

    def tell(text: Text) -> None:
        print(text.render(language), flush=True)

    tell(say("demo.script-begin", school=say("demo.school"), config=school.config))
    script = Script(school, tell)
    try:
        async with asyncio.timeout(limit_s):
            await script.run()
    except TimeoutError:
        raise TooLong(say("demo.script-timeout", seconds=limit_s)) from None
    except Spoken:
        tell(say("demo.script-log", log=school.daemon.tail()))
        raise
    tell(say("demo.script-passed", count=script.steps, seconds=script.elapsed_s))


class TooLong(Spoken):
    """The whole took too long."""
