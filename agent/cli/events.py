"""`campus-agent events ...`: the journal for people and for the district."""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

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
from agent.cli.words import event_word, kind_word, place, precise_time, word
from agent.model import Lane
from agent.texts import Language, Text, say

if TYPE_CHECKING:
    from agent.cli.sources import Row, Source
    from agent.journal.audit import Report

app = group("cli.help-events")

TAIL_MAX: Final = 1_000
LIST_MAX: Final = 100_000
STREAM: Final = Path("-")

LaneOption = Annotated[Lane | None, typer.Option("--lane", help="cli.opt-lane")]


@command(app, "tail", "cli.help-events-tail")
def tail(
    ctx: typer.Context,
    count: Annotated[int, typer.Option("-n", "--count", min=0, max=TAIL_MAX, metavar="N", help="cli.opt-count")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="cli.opt-follow")] = False,
    lane: LaneOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="cli.opt-json-lines")] = False,
) -> int:
    """Print the last events, and with `-f` new ones as they come."""
    env = environment(ctx)
    return run_async(show_tail(env, count, lane, follow=follow, as_json=as_json))


async def show_tail(env: Environment, count: int, lane: Lane | None, *, follow: bool, as_json: bool) -> int:
    """Stream from the daemon; without one read the file, where nothing new can come."""
    from agent.cli.calls import listen
    from agent.cli.sources import open_source
    from agent.control.client import DaemonDown

    config = env.config()
    if follow:
        wanted = str(lane) if lane else None
        try:
            async for row in listen(config, "events-tail", n=count, follow=True, lane=wanted):
                print_event(env, row, as_json=as_json)
        except DaemonDown as error:
            env.complain(error.text)
            return PROBLEM
        return OK
    source, why = await open_source(config)
    if why is not None:
        env.complain(why)
    for row in await newest(source, count, lambda row: lane in {None, row["lane"]}):
        print_event(env, row, as_json=as_json)
    return complain_of(env, source)


@command(app, "list", "cli.help-events-list")
def list_(
    ctx: typer.Context,
    first: Annotated[int | None, typer.Option("--from", min=1, metavar="SEQ", help="cli.opt-from")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, metavar="SEQ", help="cli.opt-to")] = None,
    lane: LaneOption = None,
    type_: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="cli.opt-type")] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="cli.opt-device")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX, metavar="N", help="cli.opt-limit")] = 50,
    as_json: JsonFlag = False,
) -> int:
    """List the events that fit: from `--from` on, or the newest."""
    env = environment(ctx)

    def fits(row: Mapping[str, Any]) -> bool:
        return (
            lane in {None, row["lane"]}
            and (type_ is None or type_ in (row["type"], row["type"].removeprefix("campus.")))
            and device in {None, row["data"].get("device")}
        )

    async def work() -> int:
        from agent.cli.sources import forward, open_source

        source, why = await open_source(env.config())
        if why is not None:
            env.complain(why)
        end = min(last or sys.maxsize, await source.last())
        if first is None:
            rows = await newest(source, limit, fits, end)
        else:
            rows = []
            async for row in forward(source, first, end):
                if fits(row):
                    rows.append(row)
                if len(rows) == limit:
                    break
        show_rows(env, rows, as_json=as_json)
        return complain_of(env, source)

    return run_async(work())


async def newest(source: "Source", count: int, fits: Any, end: int | None = None) -> "list[Row]":
    """Collect the last `count` events that fit, in order."""
    from agent.cli.sources import backward

    rows: list[Row] = []
    if count == 0:
        return rows
    async for row in backward(source, await source.last() if end is None else end):
        if fits(row):
            rows.append(row)
        if len(rows) == count:
            break
    return rows[::-1]


def show_rows(env: Environment, rows: "list[Row]", *, as_json: bool) -> None:
    """Print a listing."""
    if as_json:
        print_json(rows)
    elif not rows:
        env.say("cli.events-none")
    else:
        columns = ("cli.col-seq", "cli.col-time", "cli.col-lane", "cli.col-event", "cli.col-place", "cli.col-detail")
        env.table(columns, [cells(env, row) for row in rows])


def cells(env: Environment, row: Mapping[str, Any]) -> list[str]:
    """One event as a line."""
    data = row["data"]
    marks = [word("mark", mark, env.language) for mark in ("drill", "late") if row.get(mark)]
    if row["clock"] == "unsynced":
        marks.append(word("mark", "unsynced", env.language))
    return [
        str(row["seq"]),
        precise_time(row.get("correctedtime") or row["time"]),
        word("lane", row["lane"], env.language),
        event_word(row["type"], env.language, failed=data.get("ok") is False),
        place(data),
        " ".join([*about(data, env.language), *seen(data, env.language), *marks]),
    ]


def about(data: Mapping[str, Any], language: Language) -> list[str]:
    """What an event concerns: the point's name, and which fault, which path, or who did it; of a command its verb, who
    gave it, and why it was not carried out."""
    if data.get("name"):
        fault = [kind_word(str(data["fault"]), language)] if data.get("fault") else []
        return [str(data["name"]), *fault, *(str(data[key]) for key in ("path", "actor") if data.get(key))]
    return [str(data[key]) for key in ("verb", "actor", "reason") if data.get(key)]


def seen(data: Mapping[str, Any], language: Language) -> list[str]:
    """What an event of a camera shows: the kind of proof, the stop of a patrol, the zone, whether it began or ended."""
    parts = [word("mark", "active" if data["active"] else "over", language)] if "active" in data and known(data) else []
    if isinstance(data.get("source"), str) and data.get("topic"):
        parts.insert(0, data["source"])
    if data.get("patrol") and data.get("stop"):
        parts.append(f"{data['stop']}/{data.get('of', '-')}")
    elif isinstance(data.get("evidence"), Mapping):
        parts.append(word("proof", data["evidence"].get("kind"), language))
    return parts


def known(data: Mapping[str, Any]) -> bool:
    """Whether a camera told if it began or ended: many tell only that it was."""
    return isinstance(data["active"], bool) and bool(data.get("topic"))


def print_event(env: Environment, row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one event at once, for a stream."""
    if as_json:
        print_json_line(row)
    else:
        seq, *rest = cells(env, row)
        print("  ".join([f"#{seq}", *rest]).rstrip(), flush=True)


def complain_of(env: Environment, source: "Source") -> int:
    """Print what could not be read, and say whether all was well."""
    for problem in source.problems:
        env.complain(problem)
    return PROBLEM if source.problems else OK


@command(app, "export", "cli.help-events-export")
def export(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="cli.arg-export")] = STREAM,
    first: Annotated[int | None, typer.Option("--from", min=1, metavar="SEQ", help="cli.opt-from")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, metavar="SEQ", help="cli.opt-to")] = None,
) -> int:
    """Write events as JSON lines in their published form, then verify what was written."""
    env = environment(ctx)
    return run_async(write_export(env, target, first or 1, last))


async def write_export(env: Environment, target: Path, first: int, last: int | None) -> int:
    """Export to a file or standard output, and verify a copy of what went out; the result goes to standard error."""
    from agent.cli.sources import forward, open_source

    source, why = await open_source(env.config())
    if why is not None:
        env.complain(why)
    end = min(last or sys.maxsize, await source.last())
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        out = sys.stdout.buffer if target == STREAM else stack.enter_context(target.open("wb"))
        async for row in forward(source, first, end):
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            out.write(line)
            copy.write(line)
        out.flush()
        copy.seek(0)
        code = report_on(env, copy)
    return max(code, complain_of(env, source))


def report_on(env: Environment, lines: Iterable[bytes]) -> int:
    """Verify exported lines and say the result on standard error."""
    from agent.journal.audit import verify as verify_lines

    report = verify_lines(lines)
    for text in report_texts(report):
        env.complain(text)
    return OK if report.ok else PROBLEM


@command(app, "verify", "cli.help-events-verify")
def verify(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE|DB|-", help="cli.arg-verify")],
    as_json: JsonFlag = False,
) -> int:
    """Check a chain offline: an export, a file that a district has stored, or a journal."""
    from agent.journal.audit import verify_path

    env = environment(ctx)
    report = verify_path(path)
    if as_json:
        print_json(report_json(env, report))
    else:
        for text in report_texts(report):
            print(env.render(text))
    return OK if is_proven(report) else PROBLEM


def is_proven(report: "Report") -> bool:
    """Whether there was something to check, and all of it is sound. Nothing at all proves nothing: it may be the wrong
    file, or one that was emptied."""
    return report.ok and report.events > 0


def report_texts(report: "Report") -> "Iterator[Text]":
    """What a check found, in sentences: problems first, then each chain, and the verdict at the end."""
    yield from report.problems
    if report.problem_count > len(report.problems):
        yield say("cli.verify-more", count=report.problem_count - len(report.problems))
    yield from report.notes
    for chain in report.chains:
        yield say(
            "cli.verify-chain",
            journal=chain.journal or "-",
            events=chain.events,
            first=chain.first,
            last=chain.head.seq,
            hash=chain.head.hash,
        )
    if report.ok and not report.events:
        yield say("cli.verify-nothing")
        return
    verdict = "cli.verify-ok" if report.ok else "cli.verify-broken"
    yield say(verdict, events=report.events, duplicates=report.duplicates, problems=report.problem_count)


def report_json(env: Environment, report: "Report") -> dict[str, Any]:
    """What a check found, for programs."""
    return {
        "ok": is_proven(report),
        "events": report.events,
        "duplicates": report.duplicates,
        "problem_count": report.problem_count,
        "problems": [env.render(text) for text in report.problems],
        "notes": [env.render(text) for text in report.notes],
        "chains": [
            {
                "journal": chain.journal,
                "events": chain.events,
                "missing": chain.missing,
                "first": chain.first,
                "last": chain.head.seq,
                "hash": chain.head.hash,
            }
            for chain in report.chains
        ],
    }
