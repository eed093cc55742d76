"""`campus-agent camera ...`: the cameras as they are, and what can be done with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli import camera_acts, camera_audit, camera_probe
from agent.cli.help import UsageProblem
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
from agent.cli.words import clock_time, kind_word
from agent.texts import Language, Text, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.skyeye.inventory.sheet import Entry

app = group("camcli.help-camera")

KINDS: Final = (".csv", ".xlsx")
CameraArguments = Annotated[list[str] | None, typer.Argument(metavar="CAMERA", help="camcli.arg-cameras")]


@command(app, "list", "camcli.help-list")
def list_(
    ctx: typer.Context,
    export: Annotated[Path | None, typer.Option("--export", metavar="FILE", help="camcli.opt-export")] = None,
    as_json: JsonFlag = False,
) -> int:
    """List the cameras, or write the inventory into a file."""
    env = environment(ctx)
    if export is not None and export.suffix.lower() not in KINDS:
        raise UsageProblem(say("camcli.bad-export", file=str(export), kinds=", ".join(KINDS)))
    config = env.config()
    rows, why = cameras_now(config)
    if why is not None:
        env.complain(why)
    if export is not None:
        write_export(env, config, rows, export)
    if as_json:
        print_json(rows)
    elif export is not None:
        env.say("camcli.exported", count=len(rows), file=str(export))
    elif not rows:
        env.say("camcli.none")
    else:
        columns = ("id", "called", "address", "state", "faults", "model", "stream", "inspected")
        env.table([f"camcli.col-{name}" for name in columns], [list_cells(env, row) for row in rows])
    return PROBLEM if any(row.get("state") in {"fault", "offline"} for row in rows) else OK


def cameras_now(config: "Config") -> tuple[list[dict[str, Any]], Text | None]:
    """The cameras as the daemon sees them; without one as they are configured and were last known, and why."""
    from agent.cli.calls import ask
    from agent.control.client import DaemonDown

    try:
        rows = [dict(row) for row in ask(config, "cameras")]
    except DaemonDown:
        return [offline_row(config, camera) for camera in config.cameras], say("camcli.daemon-down")
    away = next((row["why"] for row in rows if row.get("why")), None)
    return rows, say("camcli.eye-away", why=_Told(away)) if away else None


class _Told(Text):
    """A text that the daemon has put into every language."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        super().__init__(str(said.get("key", "")), dict(said))

    def render(self, language: Language) -> str:
        return str(self.args.get(language, self.key))


def offline_row(config: "Config", camera: Any) -> dict[str, Any]:
    """One camera by its settings and the inventory on disk."""
    from agent.skyeye.inventory import Store

    facts = Store(config.skyeye_path / "inventory").load(camera.id)
    return {
        "id": camera.id,
        "name": camera.name,
        "driver": camera.driver,
        "address": camera.address,
        "gb_id": camera.gb_id,
        "state": None,
        "faults": [],
        "inspected": None,
        "facts": facts.as_data() if facts else None,
    }


def list_cells(env: Environment, row: Mapping[str, Any]) -> list[str]:
    """One line of the table."""
    facts = row.get("facts") or {}
    streams = facts.get("streams") or []
    stream = f"{streams[0]['codec']} {streams[0]['width']}x{streams[0]['height']}" if streams else "-"
    faults = ", ".join(kind_word(fault, env.language) for fault in row.get("faults") or ())
    return [
        str(row["id"]),
        str(row.get("name") or "-"),
        str(row.get("address") or "-"),
        state_word(env, row.get("state")),
        faults or "-",
        " ".join(str(facts[name]) for name in ("maker", "model") if facts.get(name)) or "-",
        stream,
        clock_time(row.get("inspected")),
    ]


def state_word(env: Environment, state: object) -> str:
    """How a camera is, in the user's words."""
    known = {"ok", "fault", "offline", "unknown"}
    return env.render(say(f"inventory.state-{state}")) if state in known else "-"


def write_export(env: Environment, config: "Config", rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write the inventory (一机一档). Raises OSError."""
    from agent.skyeye.inventory.sheet import export_csv, export_xlsx

    entries = [entry_of(config, row) for row in rows]
    if file.suffix.lower() == ".csv":
        file.write_bytes(export_csv(entries, env.language))
    else:
        export_xlsx(file, entries, env.language)


def entry_of(config: "Config", row: Mapping[str, Any]) -> "Entry":
    """One line of the inventory, of what the daemon said."""
    from agent.skyeye.inventory import BadFacts, Facts
    from agent.skyeye.inventory.sheet import Entry

    try:
        facts = Facts.from_data(row["facts"]) if row.get("facts") else None
    except BadFacts:  # a daemon of another version
        facts = None
    return Entry(
        id=str(row["id"]),
        name=str(row.get("name") or ""),
        address=str(row.get("address") or ""),
        driver=str(row.get("driver") or ""),
        gb_id=row.get("gb_id"),
        place=config.site.name,
        facts=facts,
        state=row.get("state"),
        faults=tuple(map(str, row.get("faults") or ())),
        inspected=row.get("inspected"),
    )


@command(app, "inspect", "camcli.help-inspect")
def inspect(
    ctx: typer.Context,
    cameras: CameraArguments = None,
    relearn: Annotated[bool, typer.Option("--relearn", help="camcli.opt-relearn")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="cli.opt-json-lines")] = False,
) -> int:
    """Have cameras inspected now, and show what was found."""
    env = environment(ctx)
    if relearn:
        if not cameras or len(cameras) != 1:
            raise UsageProblem(say("camcli.relearn-one"))
        camera_acts.order(env, env.config(), "inspect", camera=cameras[0], relearn=True)
    return run_async(watch_inspection(env, env.config(), cameras, as_json=as_json))


async def watch_inspection(env: Environment, config: "Config", cameras: Sequence[str] | None, *, as_json: bool) -> int:
    """Follow the daemon's stream. Raises DaemonDown, ControlError."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from agent.cli.calls import listen

    console = env.console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=as_json or not console.is_terminal,
    )
    bad = done = 0
    with bar:
        task = bar.add_task("", total=None)
        async for item in listen(config, "camera-inspect", cameras=[*cameras] if cameras else None):
            if as_json:
                print_json_line(item)
            bar.update(task, description=str(item["camera"]), completed=item["done"], total=item["of"])
            if item["state"] == "started":
                continue
            done += 1
            wrong = findings(env, item)
            bad += bool(wrong)
            if not as_json:
                show_inspected(env, str(item["camera"]), wrong)
    if not as_json:
        env.say("camcli.inspected" if done else "camcli.none", count=done, bad=bad)
    return PROBLEM if bad or not done else OK


def findings(env: Environment, item: Mapping[str, Any]) -> list[str]:
    """What is wrong with one camera by its inspection, in the user's words."""
    inspection = item.get("inspection")
    if not inspection:
        return [env.pick(item.get("error"), env.render(say("camcli.inspect-failed")))]
    failed = [env.pick(check["text"]) for check in inspection["checks"] if check["ok"] is False]
    return failed + [env.pick(verdict["text"]) for verdict in inspection["verdicts"] if verdict["bad"]]


def show_inspected(env: Environment, camera: str, wrong: Sequence[str]) -> None:
    """Print one camera."""
    mark = env.render(say("camcli.mark-fail" if wrong else "camcli.mark-ok"))
    print(f"{mark}  {camera}", flush=True)
    for line in wrong:
        print(f"      {line}", flush=True)


command(app, "probe", "camcli.help-probe")(camera_probe.probe)
command(app, "snapshot", "camcli.help-snapshot")(camera_acts.snapshot)
command(app, "clip", "camcli.help-clip")(camera_acts.clip)
command(app, "ptz", "camcli.help-ptz")(camera_acts.ptz)
command(app, "patrol", "camcli.help-patrol")(camera_acts.patrol)
command(app, "audit", "camcli.help-audit")(camera_audit.audit)
