"""`python -m agent.console`: the console process. Only the core starts it."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from agent import childhood

log = logging.getLogger("agent.console")


def main(argv: list[str]) -> int:
    """Serve until SIGTERM; return the exit code: 0 stopped, 1 cannot listen, 2 wrong configuration."""
    childhood.begin()
    parser = argparse.ArgumentParser(prog="python -m agent.console")
    parser.add_argument("--config", type=Path, required=True)
    for name in ("--core", "--media"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--lang")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    options = parser.parse_args(argv)

    from agent.clock import SystemClock
    from agent.config.load import ConfigErrors, load
    from agent.config.models import ConsoleSettings
    from agent.logs import set_up
    from agent.texts import pick_language, say

    try:
        config = load(options.config)
    except ConfigErrors as error:
        print(error.text.render(pick_language(options.lang)), file=sys.stderr)
        return 2
    language = pick_language(options.lang, config.site.language)
    set_up(language, format_=options.log_format, level=logging.getLevelName(options.log_level.upper()))
    settings, clock = config.console or ConsoleSettings(), SystemClock(config.site.timezone)
    del config  # this process meets browsers: it keeps nothing that it does not show

    from agent.console.serve import serve

    try:
        signals = (signal.SIGTERM, signal.SIGINT)
        asyncio.run(serve(settings, options.core, options.media, clock, language, stop_on=signals))
    except OSError as error:
        log.error(say("console.cannot-listen", listen=settings.listen, error=error.strerror or str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
