"""`python -m agent.skyeye`: the eye process. Only the core starts it."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from agent import childhood


def main(argv: list[str]) -> int:
    """Run the eye until SIGTERM; return its exit code."""
    childhood.begin()
    parser = argparse.ArgumentParser(prog="python -m agent.skyeye")
    parser.add_argument("--config", type=Path, required=True)
    for name in ("--core", "--socket", "--media"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--lang")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    options = parser.parse_args(argv)

    from agent.clock import SystemClock
    from agent.config.load import ConfigErrors, load
    from agent.logs import set_up
    from agent.texts import pick_language

    try:
        config = load(options.config)
    except ConfigErrors as error:
        print(error.text.render(pick_language(options.lang)), file=sys.stderr)
        return 2
    language = pick_language(options.lang, config.site.language)
    set_up(language, format_=options.log_format, level=logging.getLevelName(options.log_level.upper()))

    from agent.skyeye.eye import Eye  # the heavy libraries, once we know that they are needed

    async def run() -> None:
        clock = SystemClock(config.site.timezone)
        eye = Eye(config, options.config, clock, core=options.core, socket=options.socket, media=options.media)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, eye.stop)
        await eye.run()

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
