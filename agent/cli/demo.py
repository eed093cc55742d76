"""`campus-agent demo`: a simulated school on this machine."""

from typing import Annotated, Literal

import typer

from agent.cli.shared import command, commands, environment

app = commands()


@command(app, "demo", "demo.help")
def demo(
    ctx: typer.Context,
    script: Annotated[bool, typer.Option("--script", help="demo.opt-script")] = False,
    scenario: Annotated[
        Literal["gas-leak", "intruder", "drill", "outage"] | None,
        typer.Option("--scenario", help="demo.opt-scenario"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, metavar="SECONDS", help="demo.opt-seconds")
    ] = None,
) -> int:
    """Run the demo, live on a terminal."""
    from agent.demo.show import main

    argv = ["--lang", environment(ctx).language]
    argv += ["--script"] if script else []
    argv += ["--scenario", scenario] if scenario else []
    argv += ["--seconds", str(seconds)] if seconds else []
    return main(argv)
