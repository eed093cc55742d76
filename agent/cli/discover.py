"""`campus-agent discover`: which cameras are there, what is new, gone or swapped; and configuration for the new."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, command, commands, environment, print_json, run_async
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.camera import Channel
    from agent.config.models import Config
    from agent.skyeye.discovery import Difference, Entry, Found, Row, Search

app = commands()

TIMEOUT_S: Final = 6.0
LONGEST_S: Final = 120.0
NAME: Final = "cameras.toml"


class NotWritten(Spoken):
    """A file that was left as it was."""


@command(app, "discover", "camcli.help-discover")
def discover(
    ctx: typer.Context,
    ranges: Annotated[list[str] | None, typer.Option("--range", metavar="RANGE", help="camcli.opt-range")] = None,
    interfaces: Annotated[
        list[str] | None, typer.Option("--interface", metavar="NAME", help="camcli.opt-interface")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="camcli.opt-write")] = False,
    username: Annotated[
        str | None, typer.Option("--username", metavar="NAME", help="camcli.opt-discover-username")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="camcli.opt-password-file")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, max=LONGEST_S, metavar="SECONDS", help="camcli.opt-timeout")
    ] = TIMEOUT_S,
    as_json: JsonFlag = False,
) -> int:
    """Search, compare, and write what is new."""
    from agent.cli.camera_login import ask_password

    env = environment(ctx)
    config = config_if_any(env, needed=write)
    password = ask_password(env, username, password_file) if username else None
    search, difference = run_async(find(env, config, interfaces, ranges or (), timeout_s, quiet=as_json))
    written: Mapping[str, Any] | None = None
    if write:
        entries = run_async(entries_of(env, difference.new, username, password))
        written = append(env, config, entries)
    if as_json:
        print_json(
            {
                "cameras": [row.as_data() for row in difference.rows],
                "interfaces_failed": [{"name": name, "reason": why} for name, why in search.failed],
                "answers_refused": search.refused,
                "written": written,
            }
        )
    else:
        report(env, search, difference, written, ranged=bool(ranges))
    fine = any(row.found for row in difference.rows) and not any(
        difference.of(state) for state in ("changed", "moved", "gone")
    )
    return OK if fine else PROBLEM


def config_if_any(env: Environment, *, needed: bool) -> "Config | None":
    """The configuration; None where there is none yet. A broken one is told, and ends it where we are to write."""
    from agent.config.load import ConfigErrors

    if not env.config_path.exists():
        env.complain(say("camcli.no-config", path=str(env.config_path)))
        return None
    try:
        return env.config()
    except ConfigErrors as error:
        if needed:
            raise
        env.complain(error.text)
        env.complain(say("camcli.broken-config"))
        return None


async def find(
    env: Environment,
    config: "Config | None",
    interfaces: Sequence[str] | None,
    ranges: Sequence[str],
    timeout_s: float,
    *,
    quiet: bool,
) -> "tuple[Search, Difference]":
    """Search with a progress bar on standard error. Raises DiscoveryError."""
    from rich.progress import BarColumn, Progress, TextColumn

    from agent.skyeye.discovery import Search, compare, ports_by_host
    from agent.skyeye.inventory import Store

    console = env.console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    cameras = config.cameras if config else ()
    extra = ports_by_host(cameras)
    seen: set[tuple[str, int]] = set()
    with bar:
        task = bar.add_task(env.render(say("camcli.searching", count=0)), total=None)

        def found(one: "Found") -> None:
            seen.add(one.place)
            shown = env.render(say("camcli.searching-found", count=len(seen), address=one.address, name=one.name or ""))
            bar.update(task, description=shown.rstrip())

        search = Search(
            interfaces,
            ranges,
            extra,
            timeout_s,
            on_found=found,
            on_progress=lambda at: bar.update(task, completed=at.done, total=at.total),
        )
        everything = await search.run()
    known = Store(config.skyeye_path / "inventory").all() if config else {}
    return search, compare(everything, cameras, known, search.addresses)


async def entries_of(
    env: Environment, found: "Sequence[Found]", username: str | None, password: str | None
) -> "list[Entry]":
    """What is to be written: with a login, recorders as their channels."""
    from agent.skyeye.discovery import Entry

    entries = []
    for one in found:
        channels: tuple[Channel, ...] = ()
        if username and password and one.how != "rtsp":
            from agent.cli.camera_login import channels_of

            channels = await channels_of(env, one, username, password)
        entries.append(Entry(one, channels, username))
    return entries


def append(env: Environment, config: "Config | None", entries: "Sequence[Entry]") -> Mapping[str, Any]:
    """Append to conf.d/cameras.toml, and look whether the agent still takes its configuration. Raises NotWritten,
    OSError."""
    from agent.config.load import ConfigErrors
    from agent.skyeye.discovery import to_toml

    path = env.config_path.parent / "conf.d" / NAME
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if not entries:
        return {"file": str(path), "ids": []}
    used: set[str] = set()
    if config:
        used = {camera.id for camera in config.cameras} | {device.id for device in config.devices}
    made = to_toml(entries, before or "", used)
    replace(path, made.text, env.config_path)
    if config is not None:
        try:
            env.config()
        except ConfigErrors as error:
            if before is None:
                path.unlink()
            else:
                replace(path, before, env.config_path)
            raise NotWritten(say("camcli.not-written", path=str(path), why=error.problems[0].text)) from None
    return {"file": str(path), "ids": [*made.ids]}


def replace(path: Path, text: str, like: Path) -> None:
    """Replace a file as a whole, with owner and mode of the file that it was, or else of `like`. Raises OSError."""
    import os
    import tempfile

    path.parent.mkdir(mode=0o755, exist_ok=True)
    model = path if path.exists() else like
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if model.exists():
            there = model.stat()
            Path(name).chmod(there.st_mode & 0o777)
            if os.geteuid() == 0:
                os.chown(name, there.st_uid, there.st_gid)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def report(
    env: Environment, search: "Search", difference: "Difference", written: Mapping[str, Any] | None, *, ranged: bool
) -> None:
    """Print what was found, and what to do now."""
    for name, why in search.failed:
        env.complain(say("camcli.interface-failed", name=name, why=why))
    if search.refused:
        env.complain(say("camcli.answers-refused", count=search.refused))
    if difference.rows:
        columns = ("state", "address", "maker", "model", "called", "mac", "camera")
        env.table([f"camcli.col-{name}" for name in columns], [cells(env, row) for row in difference.rows])
        for row in difference.rows:
            if row.why is not None:
                print(f"{', '.join(row.cameras)}: {env.render(row.why)}")
        counts = {state: len(difference.of(state)) for state in ("new", "known", "changed", "moved", "gone")}
        env.say("camcli.found", count=sum(bool(row.found) for row in difference.rows), **counts)
    else:
        env.complain(say("camcli.nobody" if ranged else "camcli.nobody-try-range"))
    if written is None:
        if difference.new:
            env.say("camcli.write-hint")
    elif written["ids"]:
        env.say("camcli.written", path=written["file"], count=len(written["ids"]), ids=", ".join(written["ids"]))
        env.say("camcli.written-next")
    else:
        env.say("camcli.nothing-to-write")


def cells(env: Environment, row: "Row") -> list[str]:
    """One line of the table."""
    from agent.skyeye.discovery.model import DEFAULT_PORTS

    found = row.found
    state = env.render(say(f"camcli.found-{row.state}"))
    ids = ", ".join(row.cameras) or "-"
    if found is None:
        return [state, row.address, "-", "-", "-", "-", ids]
    shown = found.address if found.port == DEFAULT_PORTS["http"] else f"{found.address}:{found.port}"
    how = f" ({found.how})" if found.how == "rtsp" else ""
    return [
        state,
        shown + how,
        found.maker or "-",
        found.hardware or "-",
        found.name or "-",
        found.mac or "-",
        ids,
    ]
