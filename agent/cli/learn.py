"""`campus-agent learn DEVICE`: what a device tells of and no point has, as it comes, ready to be made a point."""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.shared import (
    OK,
    PROBLEM,
    Environment,
    JsonFlag,
    command,
    commands,
    environment,
    print_json_line,
    run_async,
)
from agent.texts import Spoken, say
from agent.units import shown

if TYPE_CHECKING:
    from agent.config.models import Config

app = commands()

LEARN_S: Final = 600.0
"""Ten minutes: long enough to walk round and press every button."""
UNKNOWN_KIND: Final = "input"
"""For an input whose device does not say what it is."""
ID_CHARS: Final = 64


class NoDevice(Spoken):
    """A device that the configuration does not have."""


@command(app, "learn", "cli.help-learn")
def learn(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="cli.arg-device")],
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="cli.opt-walk-timeout")
    ] = LEARN_S,
    as_json: JsonFlag = False,
) -> int:
    """Show each unknown input as it comes, with the lines that make a point of it."""
    env = environment(ctx)
    config = env.config()
    known = [one.id for one in config.devices]
    if device not in known:
        raise NoDevice(say("cli.no-device", device=device, known=", ".join(known) or "-"))
    lesson = Lesson(env, as_json=as_json)
    if not as_json:
        env.say("cli.learn-go", device=device, seconds=round(timeout_s))
    try:
        run_async(lesson.run(config, device, timeout_s))
    except TimeoutError:
        pass
    except KeyboardInterrupt:
        lesson.summary()
        raise
    lesson.summary()
    return OK if lesson.count else PROBLEM


class Lesson:
    """What was learnt so far."""

    def __init__(self, env: Environment, *, as_json: bool) -> None:
        self._env = env
        self._as_json = as_json
        self.count = 0

    async def run(self, config: "Config", device: str, timeout_s: float) -> None:
        """Follow the daemon's stream. Raises TimeoutError, DaemonDown, ControlError."""
        from agent.cli.calls import listen

        async with asyncio.timeout(timeout_s):
            async for found in listen(config, "learn", device=device):
                self.count += 1
                if self._as_json:
                    print_json_line(found)
                else:
                    self.show(found)

    def show(self, found: Mapping[str, Any]) -> None:
        """Print one input, and the block that makes a point of it."""
        detail = "  ".join(f"{name}={value}" for name, value in found["detail"].items())
        self._env.say("cli.learn-found", input=found["input"], what=what(self._env, found), detail=detail)
        if found["also"]:
            self._env.say("cli.learn-also", names=", ".join(shown(name) for name in found["also"]))
        print(f"\n{block(self._env, found)}\n", flush=True)

    def summary(self) -> None:
        """Say how it ended."""
        if not self._as_json:
            self._env.say("cli.learn-done" if self.count else "cli.learn-nothing", count=self.count)


def what(env: Environment, found: Mapping[str, Any]) -> str:
    """What a device says that an input is."""
    from agent.kinds import KINDS

    kind = KINDS.get(found["kind"] or "")
    return env.render(kind.text if kind else say("cli.learn-unknown"))


def block(env: Environment, found: Mapping[str, Any]) -> str:
    """A point to start from."""
    input_, kind = found["input"], found["kind"] or UNKNOWN_KIND
    name = f"{what(env, found)} {input_}" if found["kind"] else str(input_)
    lines = (f"id = {shown(point_id(input_))}", f"name = {shown(name)}", f"kind = {shown(kind)}")
    return "\n".join(f"  {line}" for line in ("[[device.point]]", *lines, f"input = {shown(input_)}"))


def point_id(input_: str | int) -> str:
    """An id made of an input's name."""
    word = re.sub(r"[^a-z0-9]+", "-", str(input_).lower()).strip("-")
    return f"p{word}" if isinstance(input_, int) or not word else word[:ID_CHARS]
