"""`campus-agent support-bundle`: what support needs to see, and no secret."""

import io
import json
import tarfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, Environment, command, commands, environment, run_async
from agent.cli.words import size
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.cli.doctor.subject import Subject
    from agent.cli.scrub import Scrubber

app = commands()

EVENTS: Final = 1_000
"""The last events: some days of a quiet school, some hours of a bad line."""
LOG_LINES: Final = 5_000
LOG_S: Final = 20.0
"""journalctl on a slow card."""
PRIVATE: Final = 0o600
"""Only its maker may read the bundle: it has names and addresses in it."""


@command(app, "support-bundle", "cli.help-support-bundle")
def support_bundle(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="cli.opt-output")] = None,
    with_journal: Annotated[bool, typer.Option("--with-journal", help="cli.opt-with-journal")] = False,
    events: Annotated[int, typer.Option("--events", min=0, max=100_000, metavar="N", help="cli.opt-events")] = EVENTS,
) -> int:
    """Collect, scrub, pack."""
    env = environment(ctx)
    target = output or Path(f"campus-agent-support-{datetime.now().astimezone():%Y%m%d-%H%M%S}.tar.gz")
    bundle = run_async(collect(env, events, with_journal=with_journal))
    pack(bundle, target)
    for name, data in sorted(bundle.items()):
        print(f"  {name}  {size(len(data))}")
    env.say("cli.bundle-made", path=target, size=size(target.stat().st_size))
    if with_journal and "journal.db" not in bundle:
        env.complain(say("cli.bundle-no-journal"))
        return PROBLEM
    return OK


async def collect(env: Environment, events: int, *, with_journal: bool) -> dict[str, bytes]:
    """Gather the files of the bundle by name, scrubbed. What cannot be had is replaced by the reason."""
    from agent.cli.doctor.examine import checks
    from agent.cli.doctor.runner import in_thread, run_checks
    from agent.cli.doctor.settings import borrow_credentials
    from agent.cli.doctor.subject import examine
    from agent.cli.scrub import Scrubber, scrub_urls
    from agent.cli.versions import installed

    borrow_credentials()
    subject = await examine(env.config_path, full=False)
    files = sources(subject)
    findings = [finding.as_json(env.language) for finding in await run_checks(checks(subject))]
    found: dict[str, bytes] = {
        "versions.json": dump(installed()),
        "doctor.json": dump({"checks": findings}),
        "status.json": dump(subject.status or {"down": env.render(subject.down.text) if subject.down else None}),
        "check-config.json": dump(config_report(env, subject)),
        "service.log": await in_thread(service_log),
    }
    found["events.jsonl"] = await last_events(env, subject, events)
    found["journal.json"] = await in_thread(lambda: journal_facts(env, subject))
    scrubber = Scrubber(secret_values(subject, files.values()))
    found = {name: scrub_urls(data.decode("utf-8", "replace")).encode() for name, data in found.items()}
    found |= configuration_files(files)
    found = {name: scrubber.scrub(data) for name, data in found.items()}
    if with_journal and (journal := await in_thread(lambda: journal_copy(subject, scrubber))) is not None:
        found["journal.db"] = journal
    return found


def sources(subject: "Subject") -> dict[str, str]:
    """Read the configuration's files by their names in the bundle, also when they are broken."""
    path = subject.config_path
    files = [path, *sorted((path.parent / "conf.d").glob("*.toml"))]
    found = {}
    for file in files:
        try:
            name = file.relative_to(path.parent)
            found[f"config/{name}"] = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            found[f"config/{file.name}.error"] = str(error)
    return found


def configuration_files(files: dict[str, str]) -> dict[str, bytes]:
    """The configuration's files without what stands where a secret belongs."""
    from agent.cli.scrub import scrub_toml

    return {name: scrub_toml(text).encode() for name, text in files.items()}


def secret_values(subject: "Subject", texts: Any) -> set[str]:
    """Every secret that can be had: revealed by the loaded configuration, or standing in its files as a literal."""
    from agent.cli.doctor.settings import secrets_of
    from agent.cli.scrub import literals
    from agent.secrets import SecretError

    values = {value for text in texts for value in literals(text)}
    for _, secret in secrets_of(subject.config) if subject.config else ():
        try:
            values.add(secret.reveal())
        except SecretError:
            continue  # what we cannot read, we cannot have packed either
    return values


def config_report(env: Environment, subject: "Subject") -> Any:
    """What `check-config` would say."""
    if subject.config is None:
        problems = getattr(subject.config_error, "problems", ())
        return {"ok": False, "problems": [problem.as_data() for problem in problems]}
    return {"ok": True, "warnings": [problem.as_data() for problem in subject.config.warnings]}


async def last_events(env: Environment, subject: "Subject", count: int) -> bytes:
    """The last events in their published form, a line each."""
    from agent.cli.events import newest
    from agent.cli.sources import open_source

    if subject.config is None:
        return b""
    try:
        source, _ = await open_source(subject.config)
        rows = await newest(source, count, lambda _row: True)
    except Spoken as error:
        return env.render(error.text).encode()
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    lines += [env.render(problem) for problem in source.problems]
    return "\n".join(lines).encode()


def journal_facts(env: Environment, subject: "Subject") -> bytes:
    """Where the chain ends, and how large its files are."""
    from agent.journal.offline import Offline

    if subject.config is None:
        return b"{}"
    path = subject.config.journal.path
    facts: dict[str, Any] = {"path": str(path)}
    if path.parent.is_dir():
        facts["files"] = {file.name: file.stat().st_size for file in sorted(path.parent.glob(f"{path.name}*"))}
    try:
        with Offline(path) as journal:
            facts |= {"seq": journal.head.seq, "hash": journal.head.hash, **journal.facts()}
    except Spoken as error:
        facts["error"] = env.render(error.text)
    return dump(facts)


def journal_copy(subject: "Subject", scrubber: "Scrubber") -> bytes | None:
    """The whole journal in one file; None when it cannot be read, or has a secret in it: a chain cannot be scrubbed
    and stay a chain."""
    from agent.journal.offline import Offline

    if subject.config is None:
        return None
    try:
        with Offline(subject.config.journal.path) as journal:
            data = journal.copy()
    except Spoken:
        return None
    return None if scrubber.holds(data) else data


def service_log() -> bytes:
    """The service's log from systemd's journal, if there is one."""
    import subprocess

    argv = ["journalctl", "-u", "campus-agent", "-n", str(LOG_LINES), "--no-pager", "-o", "short-iso"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=LOG_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error).encode()
    return done.stdout or done.stderr


def dump(value: object) -> bytes:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str).encode()


def pack(files: dict[str, bytes], target: Path) -> None:
    """Write the archive, readable for its maker only."""
    opener: Callable[[str, int], int] = private_opener
    with open(target, "wb", opener=opener) as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(f"campus-agent-support/{name}")
            info.size, info.mtime, info.mode = len(data), int(time.time()), PRIVATE
            archive.addfile(info, io.BytesIO(data))


def private_opener(path: str, flags: int) -> int:
    """Open a file that nobody else may read, from its first byte on."""
    import os

    return os.open(path, flags, PRIVATE)
