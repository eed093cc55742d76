"""`campus-agent doctor`: every part checked, each finding with its remedy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agent.cli.layout import paragraphs
from agent.cli.shared import (
    OK,
    PROBLEM,
    Environment,
    JsonFlag,
    command,
    commands,
    environment,
    print_json,
    run_async,
)
from agent.texts import say

if TYPE_CHECKING:
    from agent.cli.doctor.finding import Finding

app = commands()

STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}
INDENT: Final = " " * 6


@command(app, "doctor", "cli.help-doctor")
def doctor(
    ctx: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="cli.opt-full")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Run every check and print what was found."""
    from agent.cli.doctor.examine import findings

    env = environment(ctx)
    found = run_async(findings(env.config_path, full=full))
    if as_json:
        print_json({"checks": [finding.as_json(env.language) for finding in found]})
    else:
        show(env, found)
    return PROBLEM if any(finding.level == "fail" for finding in found) else OK


def show(env: Environment, found: "Sequence[Finding]") -> None:
    """Print the report: a line per finding, the remedy below where there is one."""
    from rich.text import Text as Styled

    console = env.console()
    marks = {level: env.render(say(f"cli.level-{level}")) for level in STYLES}
    for finding in found:
        console.print(Styled.assemble((marks[finding.level], STYLES[finding.level]), "  ", (finding.name, "bold")))
        for line in paragraphs(env.render(finding.message), console.width, INDENT):
            console.print(line, soft_wrap=True)
        if finding.remedy is not None:
            remedy = env.render(say("cli.remedy", remedy=finding.remedy))
            for line in paragraphs(remedy, console.width, INDENT):
                console.print(line, style="cyan", soft_wrap=True)
    counts = {level: sum(finding.level == level for finding in found) for level in STYLES}
    env.say("cli.doctor-summary", ok=counts["ok"], warn=counts["warn"], fail=counts["fail"])
