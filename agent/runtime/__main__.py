"""`python -m agent.runtime`: the core process. The command line's `run` becomes this one, without its own imports."""

import argparse
import asyncio
import gc
import logging
import sys
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.config.load import ConfigErrors, load
from agent.config.machine import check_files
from agent.journal import JournalError, JournalLocked
from agent.logs import set_up
from agent.runtime.core import RESTART_EXIT, Core, Programs, Restart
from agent.texts import pick_language, say

log = logging.getLogger("agent.runtime")

DEFAULT_CONFIG: Final = Path("/etc/campus-agent/agent.toml")
SWITCH_INTERVAL_S: Final = 0.0002
"""How soon a thread that waits for the interpreter gets it. The journal's writer asks for it after each of its four
SQLite calls; with Python's own 5 ms, an alarm waited for that while a backlog kept the loop busy."""


def main(argv: list[str], programs: Programs | None = None) -> int:
    """Run the daemon; return its exit code: 0 stopped, 1 failed, 2 wrong configuration, 75 to be started again.
    `programs` are the processes beside the core, if not our own."""
    parser = argparse.ArgumentParser(prog="campus-agent run")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    parser.add_argument("--lang")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    options = parser.parse_args(argv)
    try:
        config = load(options.config)
    except ConfigErrors as error:
        language = pick_language(options.lang)
        print(
            error.text.render(language), *(p.text.render(language) for p in error.problems), sep="\n", file=sys.stderr
        )
        return 2
    language = pick_language(options.lang, config.site.language)
    set_up(language, format_=options.log_format, level=logging.getLevelName(options.log_level.upper()))
    for problem in (
        *config.warnings,
        *check_files(config),
    ):  # a missing file must not keep the buttons from being watched
        log.warning(problem.text)
    clock = SystemClock(config.site.timezone)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what is loaded now stays: the collector need not walk it at every alarm
    return run(Core(config, options.config, clock, language, programs))


def run(core: Core) -> int:
    """Run the core to its end; return the exit code."""
    code = 0
    try:
        asyncio.run(core.run())
    except* Restart:
        code = RESTART_EXIT
    except* JournalLocked as group:
        log.critical(say("runtime.already-running", error=group.exceptions[0]))
        code = 1
    except* JournalError as group:
        log.critical(say("runtime.fatal", error=group.exceptions[0]))
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
