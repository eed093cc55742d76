"""What the daemon does with cameras when it is asked to: pictures, clips, moves, patrols. All of it is journaled."""

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.help import UsageProblem
from agent.cli.shared import OK, Environment, JsonFlag, environment, print_json, run_async
from agent.cli.words import clock_time
from agent.texts import Spoken, Text, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.model import JsonValue

MOVE_S: Final = 0.5
LONGEST_MOVE_S: Final = 10.0
"""As the eye allows."""
SPEED: Final = 0.5
BEFORE_LIMIT_S: Final = 60.0
AFTER_LIMIT_S: Final = 300.0
STREAM: Final = Path("-")

CameraArgument = Annotated[str, typer.Argument(metavar="CAMERA", help="camcli.arg-camera")]


class Act(StrEnum):
    """What a camera is to do."""

    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    IN = "in"
    OUT = "out"
    STOP = "stop"
    GOTO = "goto"
    SAVE = "save"
    PRESETS = "presets"


MOVES: Final = {
    Act.LEFT: ("pan", -1),
    Act.RIGHT: ("pan", 1),
    Act.UP: ("tilt", 1),
    Act.DOWN: ("tilt", -1),
    Act.IN: ("zoom", 1),
    Act.OUT: ("zoom", -1),
}


class Refused(Spoken):
    """The daemon did not do it."""


class NoFile(Spoken):
    """A picture that was taken and cannot be had."""


def order(env: Environment, config: "Config", verb: str, **args: "JsonValue") -> Any:
    """Have the daemon do something; return what it says. Raises Refused, DaemonDown, ControlError."""
    from agent.cli.calls import ask

    reply = ask(config, "command", verb=verb, args={name: value for name, value in args.items() if value is not None})
    if not reply["ok"]:
        reason = reply["reason"]
        raise Refused(say("camcli.refused", reason=env.pick(reason) if isinstance(reason, dict) else reason or "-"))
    return reply["result"]


def snapshot(
    ctx: typer.Context,
    camera: CameraArgument,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="camcli.arg-file")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Have a picture taken, and save it."""
    env = environment(ctx)
    config = env.config()
    result = order(env, config, "snapshot", camera=camera)
    evidence = result["evidence"]
    target = file or Path(f"{camera}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.jpg")
    picture = run_async(fetch(config, str(evidence["id"])))
    if target == STREAM:
        sys.stdout.buffer.write(picture)
        return OK
    target.write_bytes(picture)
    if as_json:
        print_json({"file": str(target), "evidence": evidence})
    else:
        env.say("camcli.snapshot-saved", file=str(target), bytes=len(picture), id=evidence["id"])
    return OK


async def fetch(config: "Config", id_: str) -> bytes:
    """Get one file from the eye, past the daemon. Raises NoFile, ControlError."""
    from agent.control.media import BadMedia, EvidenceRequest, MediaClient, MediaDown
    from agent.control.protocol import eye_sockets, may_trust, socket_candidates

    why: Text = say("camcli.no-media")
    for control in socket_candidates(config.control.socket, config.journal.path):
        _, path = eye_sockets(control)
        if not path.exists() or not may_trust(path.parent):
            continue
        try:
            async with MediaClient(path, EvidenceRequest(id_)) as client:
                return b"".join([chunk async for chunk in client.frames()])
        except (MediaDown, BadMedia) as error:
            why = error.text
    raise NoFile(say("camcli.no-file", id=id_, why=why))


def clip(
    ctx: typer.Context,
    camera: CameraArgument,
    before_s: Annotated[
        float | None,
        typer.Option("--before", min=0, max=BEFORE_LIMIT_S, metavar="SECONDS", help="camcli.opt-before"),
    ] = None,
    after_s: Annotated[
        float | None, typer.Option("--after", min=1, max=AFTER_LIMIT_S, metavar="SECONDS", help="camcli.opt-after")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Have a clip recorded."""
    env = environment(ctx)
    result = order(env, env.config(), "clip", camera=camera, before_s=before_s, after_s=after_s)
    if as_json:
        print_json(result)
    else:
        env.say("camcli.clip-started", camera=camera, clip=result["clip"], seconds=result["ready_s"])
    return OK


def ptz(
    ctx: typer.Context,
    camera: CameraArgument,
    act: Annotated[Act, typer.Argument(metavar="ACTION", help="camcli.arg-act")],
    preset: Annotated[str | None, typer.Argument(metavar="PRESET", help="camcli.arg-preset")] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=LONGEST_MOVE_S, metavar="SECONDS", help="camcli.opt-seconds")
    ] = MOVE_S,
    speed: Annotated[float, typer.Option("--speed", min=0.05, max=1, metavar="N", help="camcli.opt-speed")] = SPEED,
    as_json: JsonFlag = False,
) -> int:
    """Move a camera, or go to a preset."""
    env = environment(ctx)
    named = act in {Act.GOTO, Act.SAVE}
    if named != bool(preset):
        raise UsageProblem(say("camcli.preset-needed" if named else "camcli.preset-unwanted", act=act.value))
    args: dict[str, JsonValue]
    if act in MOVES:
        axis, sign = MOVES[act]
        args = {"move": {axis: sign * speed, "seconds": seconds}}
    elif named:
        args = {act.value: preset}
    else:
        args = {"stop" if act is Act.STOP else "list": True}
    result = order(env, env.config(), "ptz", camera=camera, **args)
    if as_json:
        print_json(result)
    elif act is Act.PRESETS:
        rows = [[str(one["token"]), str(one["name"])] for one in result["presets"]]
        if rows:
            env.table(("camcli.col-token", "camcli.col-preset"), rows)
        else:
            env.say("camcli.no-presets", camera=camera)
    else:
        env.say("camcli.ptz-done", camera=camera, act=act.value)
    return OK


def patrol(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="PATROL", help="camcli.arg-patrol")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="camcli.opt-stop")] = False,
    as_json: JsonFlag = False,
) -> int:
    """List the patrols, or start or stop one."""
    from agent.cli.calls import ask

    env = environment(ctx)
    config = env.config()
    if name is None:
        if stop:
            raise UsageProblem(say("camcli.patrol-needed"))
        found = ask(config, "patrols")
        if as_json:
            print_json(found)
        elif not found:
            env.say("camcli.no-patrols")
        else:
            columns = ("patrol", "called", "stops", "next", "running")
            env.table([f"camcli.col-{column}" for column in columns], [patrol_cells(env, one) for one in found])
        return OK
    result = order(env, config, "patrol", patrol=name, action="stop" if stop else "start")
    if as_json:
        print_json(result)
    else:
        env.say("camcli.patrol-stopped" if stop else "camcli.patrol-started", patrol=name)
    return OK


def patrol_cells(env: Environment, one: Any) -> list[str]:
    """One line of the table."""
    running = "-"
    if one.get("running"):
        at, of = (one.get("stop") or 0) + 1, len(one["stops"])
        running = env.render(say("camcli.patrol-at", stop=at, of=of))
    return [str(one["id"]), str(one["name"]), str(len(one["stops"])), clock_time(one.get("next")), running]
