"""`campus-agent drill ...`: drills, in which everything works and nothing rings at the police."""

from typing import Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, command, environment, group, print_json
from agent.cli.words import clock_time
from agent.texts import say

app = group("armcli.help-drill")

MINUTES: Final = 30.0
"""An evacuation and the talk about it."""


@command(app, "start", "armcli.help-drill-start")
def start(
    ctx: typer.Context,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, max=240, metavar="N", help="armcli.opt-minutes")
    ] = MINUTES,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="DEVICE[/POINT]", help="armcli.opt-scope")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Begin a drill."""
    env = environment(ctx)
    reply = send(env, "drill-start", {"minutes": minutes, "scope": scope or []}, as_json=as_json)
    if reply["ok"] and not as_json:
        env.say("armcli.drill-on", minutes=f"{minutes:g}", scope=scope_text(env, scope or []))
    return OK if reply["ok"] else PROBLEM


@command(app, "stop", "armcli.help-drill-stop")
def stop(
    ctx: typer.Context,
    real: Annotated[bool, typer.Option("--real", help="armcli.opt-real")] = False,
    as_json: JsonFlag = False,
) -> int:
    """End the drill."""
    env = environment(ctx)
    reply = send(env, "drill-stop", {"real": real}, as_json=as_json)
    if reply["ok"] and not as_json:
        env.say("armcli.drill-off")
        if raised := reply["result"]["real"]:
            env.say("armcli.drill-real", points=", ".join(raised))
    return OK if reply["ok"] else PROBLEM


@command(app, "status", "armcli.help-drill-status")
def status(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Say whether a drill goes on."""
    from agent.cli.calls import ask

    env = environment(ctx)
    drill = ask(env.config(), "status")["drill"]
    if as_json:
        print_json(drill)
    elif drill is None:
        env.say("armcli.drill-none")
    else:
        env.say(
            "armcli.drill-goes-on",
            since=clock_time(drill["since"]),
            actor=drill["actor"] or "-",
            minutes=-(-drill["left_s"] // 60),
            scope=scope_text(env, drill["scope"]),
        )
    return OK


def send(env: Environment, verb: str, args: dict[str, Any], *, as_json: bool) -> Any:
    """Send a command; print a refusal, or the whole reply as JSON."""
    from agent.cli.calls import ask

    reply = ask(env.config(), "command", verb=verb, args=args)
    if as_json:
        print_json(reply)
    elif not reply["ok"]:
        env.say("armcli.refused", reason=reply["reason"])
    return reply


def scope_text(env: Environment, scope: list[str]) -> str:
    """What a drill covers."""
    return ", ".join(scope) if scope else env.render(say("armcli.scope-all"))
