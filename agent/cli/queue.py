"""`campus-agent queue ...`: what waits for the district, and what the broker refused."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, JsonFlag, command, environment, group, print_json
from agent.cli.words import clock_time, event_word, place, word
from agent.model import JsonValue, Lane
from agent.texts import Language, say

app = group("cli.help-queue")

LIST_LIMIT: Final = 1_000
"""Rows that one answer of the daemon has room for."""


@command(app, "show", "cli.help-queue-show")
def show(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Count what is due and what was refused."""
    from agent.cli.calls import ask

    env = environment(ctx)
    found = ask(env.config(), "queue-show")
    if as_json:
        print_json(found)
        return PROBLEM if found["refused"] else OK
    rows = [[word("lane", lane, env.language), str(found["due"].get(str(lane), 0))] for lane in Lane]
    env.table(("cli.col-lane", "cli.col-due"), rows)
    if found["oldest_due"]:
        env.say("cli.queue-oldest", time=clock_time(found["oldest_due"]))
    if found["refused"]:
        env.say("cli.status-refused", count=found["refused"])
    return PROBLEM if found["refused"] else OK


@command(app, "list", "cli.help-queue-list")
def list_(
    ctx: typer.Context,
    lane: Annotated[Lane | None, typer.Option("--lane", help="cli.opt-lane")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="cli.opt-refused")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIST_LIMIT, metavar="N", help="cli.opt-limit")] = 50,
    as_json: JsonFlag = False,
) -> int:
    """List what is due, or what was refused and why."""
    from agent.cli.calls import ask

    env = environment(ctx)
    state = "refused" if refused else None
    rows = ask(env.config(), "queue-list", lane=lane and str(lane), state=state, limit=limit)
    rows = [row for row in rows if lane is None or row["lane"] == lane]
    if as_json:
        print_json(rows)
    elif not rows:
        env.say("cli.queue-nothing-refused" if refused else "cli.status-nothing-due")
    else:
        columns = ["cli.col-seq", "cli.col-time", "cli.col-event", "cli.col-place"]
        last = ["cli.col-code", "cli.col-reason"] if refused else ["cli.col-state"]
        env.table([*columns, *last], [row_cells(row, env.language, refused=refused) for row in rows])
    return PROBLEM if refused and rows else OK


@command(app, "retry", "cli.help-queue-retry")
def retry(
    ctx: typer.Context,
    seqs: Annotated[list[int] | None, typer.Argument(metavar="SEQ", help="cli.arg-retry-seqs")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Send refused events again: those named, or every one."""
    from agent.cli.calls import ask

    env = environment(ctx)
    chosen: JsonValue = list(seqs) if seqs else None
    found = ask(env.config(), "queue-retry", seqs=chosen)
    if as_json:
        print_json(found)
    elif found["retried"] or seqs:
        env.say("cli.queue-retried", count=found["retried"])
    else:
        env.say("cli.queue-retry-nothing")
    missed = bool(seqs) and found["retried"] < len(set(seqs or ()))
    if missed and not as_json:
        env.say("cli.queue-retry-missed")
    return PROBLEM if missed else OK


def row_cells(row: Mapping[str, Any], language: Language, *, refused: bool) -> list[str]:
    """The cells of one row of the outbox."""
    cells = [str(row["seq"]), clock_time(row["time"]), event_word(row["type"], language), place(row)]
    if not refused:
        return [*cells, word("state", row["state"], language)]
    code = "-" if row["code"] is None else f"0x{row['code']:02X}"  # as the MQTT 5 specification writes it
    return [*cells, code, refusal_words(row["reason"], code, language)]


def refusal_words(reason: str | None, code: str, language: Language) -> str:
    """The reason of a refusal. The journal keeps it in English; the common one is told in the reader's language."""
    common = say("uplink.puback-refused", code=code)
    return common.render(language) if reason == common.render("en") else reason or "-"
