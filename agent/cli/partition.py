"""`campus-agent partition ...`: what is armed, and arming by hand."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, command, environment, group, print_json
from agent.cli.words import clock_time
from agent.texts import say

if TYPE_CHECKING:
    from rich.text import Text as Styled

app = group("armcli.help-partition")

Partition = Annotated[str, typer.Argument(metavar="PARTITION", help="armcli.arg-partition")]
STYLES: Mapping[str, str] = {"armed": "green", "exit": "yellow", "entry": "bold red", "disarmed": "yellow"}


@command(app, "list", "armcli.help-partition-list")
def list_(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """List partitions, who armed or disarmed them, and when that changes."""
    from agent.cli.calls import ask

    env = environment(ctx)
    partitions = ask(env.config(), "status")["partitions"]
    if as_json:
        print_json(partitions)
    elif not partitions:
        env.say("armcli.no-partitions")
    else:
        env.table(COLUMNS, [partition_row(env, one) for one in partitions])
    return OK


COLUMNS = (
    "armcli.col-partition",
    "cli.col-name",
    "cli.col-state",
    "cli.col-since",
    "armcli.col-actor",
    "armcli.col-next",
    "armcli.col-open",
)


def partition_row(env: Environment, one: Mapping[str, Any]) -> "list[str | Styled]":
    """One line of the list."""
    from rich.text import Text as Styled

    state = env.render(say(f"armcli.state-{one['state']}"))
    marks = [f"{place} ({env.render(say('armcli.bypassed'))})" for place in one["bypassed"]]
    still = [place for place in one["open"] if place not in one["bypassed"]]
    return [
        one["id"],
        one["name"],
        Styled(state, style=STYLES.get(one["state"], "")),
        clock_time(one["since"]),
        one["actor"] or "-",
        clock_time(one["next_change"]) if one["next_change"] else "-",
        ", ".join(marks + still) or "-",
    ]


@command(app, "arm", "armcli.help-partition-arm")
def arm(
    ctx: typer.Context,
    partition: Partition,
    force: Annotated[bool, typer.Option("--force", help="armcli.opt-force")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Arm a partition."""
    return order(environment(ctx), "arm", {"partition": partition, "force": force}, as_json=as_json)


@command(app, "disarm", "armcli.help-partition-disarm")
def disarm(ctx: typer.Context, partition: Partition, as_json: JsonFlag = False) -> int:
    """Disarm a partition."""
    return order(environment(ctx), "disarm", {"partition": partition}, as_json=as_json)


def order(env: Environment, verb: str, args: Mapping[str, Any], *, as_json: bool) -> int:
    """Send a command, and print what became of it."""
    from agent.cli.calls import ask

    reply = ask(env.config(), "command", verb=verb, args=dict(args))
    if as_json:
        print_json(reply)
    elif not reply["ok"]:
        env.say("armcli.refused", reason=reply["reason"])
    else:
        result = reply["result"]
        key = "armcli.already" if result["already"] else "armcli.is-now"
        env.say(key, partition=result["partition"], state=env.render(say(f"armcli.state-{result['state']}")))
        if result["bypassed"]:
            env.say("armcli.left-out", points=", ".join(result["bypassed"]))
    return OK if reply["ok"] else PROBLEM
