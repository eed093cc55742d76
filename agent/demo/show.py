"""The demo: a whole school on one machine, with nothing but Python. `campus-agent demo`, `make demo`.

On a terminal it is live; elsewhere, or with `--script`, it runs through its steps by itself. With `--scenario` it plays
a story, on a terminal with the live view beside it. The exit code says whether all happened: 0 it did, 1 something did
not, 2 wrong usage, 130 interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.demo.acts import Acts
from agent.demo.school import School
from agent.demo.script import script
from agent.demo.stories import STORIES, play
from agent.texts import Language, Spoken, Text, pick_language, say

OK: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
SCRIPT_S: Final = 360.0
"""The script takes one and a half minutes; on a small, busy board three or four times that."""
PACE_S: Final = 1.2
"""How long each beat of a story stands on a terminal: long enough to read it."""
SHORT_PREFIX: Final = "campus-demo-"
"""Of the temporary folder: socket paths must stay under 108 bytes (unix(7))."""


def main(argv: list[str]) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="campus-agent demo")
    parser.add_argument("--script", action="store_true", help="run unattended and verify every step")
    parser.add_argument("--scenario", choices=[*STORIES], help="play one story and verify every beat")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--lang", help="zh-CN or en; LANG if not given")
    options = parser.parse_args(argv)
    environment = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = pick_language(options.lang, *environment)
    live = not options.script and sys.stdin.isatty() and sys.stdout.isatty()
    return asyncio.run(demo(language, options.seconds, options.scenario, live=live))


async def demo(language: Language, seconds: float | None, story: str | None, *, live: bool) -> int:
    """Run until the end or until a signal; whatever happens, no process and no file stays."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    def tell(text: Text) -> None:
        print(text.render(language), flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix=SHORT_PREFIX) as folder:
            await show(Path(folder), language, seconds, story, live=live)
        return OK
    except asyncio.CancelledError:
        tell(say("demo.interrupted"))
        return INTERRUPTED
    except Spoken as error:
        tell(say("demo.script-failed", error=error.text))
        return FAILED
    finally:
        tell(say("demo.bye"))


async def show(folder: Path, language: Language, seconds: float | None, story: str | None, *, live: bool) -> None:
    """Start the school, and show it. Raises ChildFailed, Missing, TooLong."""

    def tell(text: Text) -> None:
        print(text.render(language), flush=True)

    async with School(folder, language) as school:
        if not live:
            tell(say("demo.script-begin", school=say("demo.school"), config=school.config))
            if story is not None:
                tell(say(f"demostory.{story}"))
            await run(school, story, tell, seconds or SCRIPT_S)
            return
        from rich.console import Console

        from agent.demo.live import run_live, run_story

        if story is None:
            await run_live(school, language, Console(), seconds)
            return
        title = say(f"demostory.{story}")
        told = [title]

        async def play_it(put: Callable[[Text], None]) -> None:
            await run(school, story, put, seconds or SCRIPT_S, PACE_S)

        try:
            await run_story(school, language, Console(), title, play_it, told)
        finally:
            for text in told:
                tell(text)


async def run(
    school: School, story: str | None, tell: Callable[[Text], None], limit_s: float, pace_s: float = 0.0
) -> None:
    """Go through the script, or a story, and tell each step. Raises Missing, ChildFailed, TooLong."""
    acts = Acts(school, tell, pace_s)
    try:
        async with asyncio.timeout(limit_s):
            await (script(acts) if story is None else play(story, acts))
    except TimeoutError:
        raise TooLong(say("demo.script-timeout", seconds=limit_s)) from None
    except Spoken:
        tell(say("demo.script-log", log=school.daemon.tail()))
        raise
    tell(say("demo.script-passed", count=acts.count, seconds=acts.elapsed_s))


class TooLong(Spoken):
    """The whole took too long."""
