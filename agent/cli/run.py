"""`campus-agent run`: become the daemon."""

import os
import sys
from typing import Annotated, Literal

import typer

from agent.cli.shared import command, commands, environment

app = commands()


@command(app, "run", "cli.help-run")
def run(
    ctx: typer.Context,
    log_format: Annotated[Literal["text", "json"], typer.Option("--log-format", help="cli.opt-log-format")] = "text",
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option("--log-level", help="cli.opt-log-level")
    ] = "info",
) -> None:
    """Replace this process by the daemon, under the same pid: a daemon that has only what it needs in memory (the
    command line's libraries would cost it some 30 MB for life)."""
    env = environment(ctx)
    sys.stdout.flush()
    os.execv(  # noqa: S606 - no shell is wanted
        sys.executable,
        [
            sys.executable,
            *("-m", "agent.runtime"),
            *("--config", str(env.config_path)),
            *("--lang", env.language),
            *("--log-format", log_format),
            *("--log-level", log_level),
        ],
    )
