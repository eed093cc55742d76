"""`campus-agent test ...`: what a technician tries on site."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli import testpath
from agent.cli.shared import (
    OK,
    PROBLEM,
    Environment,
    JsonFlag,
    command,
    environment,
    group,
    print_json,
    print_json_line,
    run_async,
)
from agent.cli.words import clock_time, kind_word, place, word
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from rich.table import Table

    from agent.config.models import Config
    from agent.model import JsonValue

app = group("cli.help-test")

WALK_S: Final = 600.0
"""Ten minutes: long enough to walk round a school with a dozen buttons."""
LONGEST_WALK_S: Final = 3600.0
"""What the daemon grants: while a walk goes on, its buttons ring at nobody."""
LAMP_S: Final = 10.0
"""Long enough to walk from the laptop to the lamp and see it."""


class NoLamps(Spoken):
    """A device that has no lamp to light."""


@command(app, "buttons", "cli.help-test-buttons")
def buttons(
    ctx: typer.Context,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, max=LONGEST_WALK_S, metavar="SECONDS", help="cli.opt-walk-timeout")
    ] = WALK_S,
    every: Annotated[bool, typer.Option("--all", help="armcli.opt-walk-all")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="armcli.opt-walk-reset")] = False,
    real: Annotated[bool, typer.Option("--real", help="armcli.opt-walk-real")] = False,
    listed: Annotated[bool, typer.Option("--list", help="armcli.opt-walk-list")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Show each button turn green as it is pressed, until all were or the time is up."""
    env = environment(ctx)
    if listed:
        return list_tested(env, every=every, as_json=as_json)
    walk = Walk(env, as_json=as_json)
    wishes: dict[str, JsonValue] = {"all": every, "reset": reset, "real": real, "seconds": timeout_s}
    try:
        run_async(walk.run(env.config(), timeout_s, wishes))
    except TimeoutError:
        pass
    except KeyboardInterrupt:
        walk.summary()
        raise
    walk.summary()
    return PROBLEM if walk.missing() or not walk.rows else OK


class Walk:
    """A walk test as far as it has come: each button's row by place, drawn in the way that the output allows."""

    def __init__(self, env: Environment, *, as_json: bool) -> None:
        self._env = env
        self._as_json = as_json
        self._console = env.console()
        self.rows: dict[str, Mapping[str, Any]] = {}

    async def run(self, config: "Config", timeout_s: float, wishes: "Mapping[str, JsonValue]") -> None:
        """Follow the daemon's stream. Raises TimeoutError, DaemonDown, ControlError."""
        if self._as_json or not self._console.is_terminal:
            async with asyncio.timeout(timeout_s):
                await self._follow(config, wishes, self._print)
            return
        from rich.live import Live

        self._env.say("cli.test-buttons-go", seconds=round(timeout_s))
        with Live(self.table(), console=self._console, auto_refresh=False) as live:
            async with asyncio.timeout(timeout_s):
                await self._follow(config, wishes, lambda _row: live.update(self.table(), refresh=True))

    async def _follow(self, config: "Config", wishes: "Mapping[str, JsonValue]", show: Any) -> None:
        from agent.cli.calls import listen

        async for row in listen(config, "test-buttons", **wishes):
            if not self.rows and not self._as_json:
                self._env.say("armcli.walk-real" if wishes["real"] else "armcli.walk-drill")
            self.rows[place(row)] = row
            show(row)

    def _print(self, row: Mapping[str, Any]) -> None:
        if self._as_json:
            print_json_line(row)
            return
        cells = [place(row), str(row["name"]), word("button", row["state"], self._env.language), latency(row)]
        print("  ".join(cells).rstrip(), flush=True)

    def table(self) -> "Table":
        """All buttons as they stand."""
        from rich.table import Table
        from rich.text import Text as Styled

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for key in ("cli.col-place", "cli.col-name", "cli.col-state", "cli.col-latency"):
            table.add_column(self._env.render(say(key)), overflow="fold")
        for name, row in self.rows.items():
            pressed = row["state"] == "pressed"
            state = Styled(word("button", row["state"], self._env.language), style="bold green" if pressed else "dim")
            table.add_row(name, str(row["name"]), state, latency(row))
        return table

    def missing(self) -> list[str]:
        """The buttons that were not pressed."""
        return [name for name, row in self.rows.items() if row["state"] != "pressed"]

    def summary(self) -> None:
        """Say how it ended."""
        if self._as_json:
            return
        if not self.rows:
            self._env.say("cli.test-no-buttons")
        elif missing := self.missing():
            done = len(self.rows) - len(missing)
            self._env.say("cli.test-buttons-missing", done=done, count=len(self.rows), missing=", ".join(missing))
        else:
            self._env.say("cli.test-buttons-passed", count=len(self.rows))


def list_tested(env: Environment, *, every: bool, as_json: bool) -> int:
    """Print when each button was last seen to work; a problem if one is overdue."""
    from agent.cli.calls import ask

    rows = ask(env.config(), "tested", all=every)
    if as_json:
        print_json(rows)
    else:
        columns = ("cli.col-place", "cli.col-name", "cli.col-kind", "armcli.col-tested", "armcli.col-how")
        env.table(columns, [tested_row(env, row) for row in rows])
    return PROBLEM if any(row["overdue"] for row in rows) else OK


def tested_row(env: Environment, row: Mapping[str, Any]) -> list[str]:
    """One line of that list."""
    tested = row["tested"]
    when = clock_time(tested["at"]) if tested else env.render(say("armcli.never"))
    how = env.render(say(f"armcli.how-{tested['how']}")) if tested else ""
    if row["overdue"]:
        how = f"{how} {env.render(say('armcli.overdue'))}".strip()
    return [place(row), str(row["name"]), kind_word(row["kind"], env.language), when, how]


def latency(row: Mapping[str, Any]) -> str:
    """From the press until its event was durable."""
    return "" if row["latency_ms"] is None else f"{row['latency_ms']:.0f} ms"


@command(app, "lamp", "cli.help-test-lamp")
def lamp(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="cli.arg-device")],
    target: Annotated[str | None, typer.Argument(metavar="POINT|OUTPUT", help="cli.arg-lamp")] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=3600, metavar="SECONDS", help="cli.opt-lamp-seconds")
    ] = LAMP_S,
    as_json: JsonFlag = False,
) -> int:
    """Light one lamp, or every lamp of a device, for some seconds."""
    from agent.cli.calls import ask

    env = environment(ctx)
    config = env.config()
    replies = [
        ask(config, "test-lamp", device=device, output=output, seconds=seconds)
        for output in lamp_outputs(config, device, target)
    ]
    if as_json:
        print_json(replies)
    else:
        for reply in replies:
            if reply["ok"]:
                env.say("cli.test-lamp-on", device=device, output=reply["result"]["output"], seconds=round(seconds))
            else:
                env.say("cli.test-lamp-failed", reason=reply["reason"])
    return OK if all(reply["ok"] for reply in replies) else PROBLEM


def lamp_outputs(config: "Config", device: str, target: str | None) -> list[int]:
    """Return the outputs to switch: a number stands for itself, a point for its lamp, nothing for all lamps of the
    device. Raises NoLamps."""
    if target is not None and target.isdecimal():
        return [int(target)]
    known = {d.id: d for d in config.devices}
    if device not in known:
        raise NoLamps(say("cli.no-device", device=device, known=", ".join(known) or "-"))
    lamps = {point.id: point.lamp for point in known[device].points if point.lamp is not None}
    if target is not None:
        lamps = {name: output for name, output in lamps.items() if name == target}
    if not lamps:
        raise NoLamps(say("cli.no-lamp", place=f"{device}/{target}" if target else device))
    return sorted(set(lamps.values()))


@command(app, "uplink", "cli.help-test-uplink")
def uplink(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Send a test event all the way, and measure it."""
    from agent.cli.calls import ask

    env = environment(ctx)
    found = ask(env.config(), "test-uplink")
    if as_json:
        print_json(found)
        return OK
    env.say("cli.test-uplink-puback", broker=found["broker"], ms=found["puback_ms"])
    if found["receipt_ms"] is None:
        env.say("cli.test-uplink-no-receipt")
    else:
        env.say("cli.test-uplink-receipt", ms=found["receipt_ms"])
    return OK


@command(app, "self", "armcli.help-test-self")
def self_test(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Let the daemon test itself: journal, disk, clock, uplink, devices, batteries, outputs, second paths."""
    from agent.cli.calls import command_slowly

    env = environment(ctx)
    reply = command_slowly(env.config(), "selftest")
    if as_json:
        print_json(reply)
    elif not reply["ok"]:
        env.say("armcli.refused", reason=reply["reason"])
    else:
        result = reply["result"]
        for name, how in result["checks"].items():
            print(f"{'✓' if how == 'ok' else '-' if how == 'skipped' else '✗'} {name}  {'' if how == 'ok' else how}")
        env.say("armcli.selftest-passed" if result["passed"] else "armcli.selftest-failed")
    return OK if reply["ok"] and reply["result"]["passed"] else PROBLEM


command(app, "path", "cli.help-test-path")(testpath.path)
