"""`campus-agent doctor`: every part checked, each finding with its remedy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

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

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


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
    from rich.padding import Padding
    from rich.text import Text as Styled

    console = env.console()
    marks = {level: env.render(say(f"cli.level-{level}")) for level in STYLES}
    for finding in found:
        head = Styled.assemble((marks[finding.level], STYLES[finding.level]), "  ", (finding.name, "bold"))
        console.print(head)
        console.print(Padding(env.render(finding.message), (0, 0, 0, 6)))
        if finding.remedy is not None:
            remedy = env.render(say("cli.remedy", remedy=finding.remedy))
            console.print(Padding(Styled(remedy, style="cyan"), (0, 0, 0, 6)))
    counts = {level: sum(finding.level == level for finding in found) for level in STYLES}
    env.say("cli.doctor-summary", ok=counts["ok"], warn=counts["warn"], fail=counts["fail"])
