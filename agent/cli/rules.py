"""`campus-agent rules ...`: what every rule is at, and what changed rules would have made of a journal."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, command, environment, group, print_json
from agent.cli.words import clock_time, kind_word, word
from agent.texts import Spoken, Text, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.model import Moment
    from agent.rules.replay import Replayed, Ringing

app = group("cli.help-rules")

PAGE: Final = 500
SQLITE: Final = b"SQLite format 3\0"
MARKS: Final = {True: "✓", False: "✗", None: "?"}


class NoRules(Spoken):
    """A configuration without rules, or a file that cannot be read."""


@command(app, "list", "cli.help-rules-list")
def list_(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Show what every rule is at, condition by condition."""
    from agent.cli.calls import ask

    env = environment(ctx)
    config = env.config()
    rules: list[dict[str, Any]] = []
    while page := ask(config, "rules", **{"from": len(rules)}):
        rules += page
    if as_json:
        print_json(rules)
        return OK
    if not rules:
        env.say("cli.rules-none")
    for rule in rules:
        print(headline(env, rule))
        for condition in rule["conditions"]:
            now = "" if condition["now"] is None else f"  [{condition['now']}]"
            indent = "  " * (condition["depth"] + 1)
            print(f"{indent}{MARKS[condition['truth']]} {env.pick(condition['text'])}{now}")
    return OK


def headline(env: Environment, rule: Mapping[str, Any]) -> str:
    """One rule in a line."""
    kind = kind_word(rule["kind"], env.language) if rule["kind"] else "-"
    state = word("rule", rule["state"], env.language)
    parts = [rule["id"], rule["name"], kind, state]
    if rule["since"]:
        parts.append(env.render(say("cli.rules-since", time=clock_time(rule["since"]))))
    if rule["count"]:
        parts.append(env.render(say("cli.rules-count", count=rule["count"])))
    return "  ".join(parts)


@command(app, "test", "cli.help-rules-test")
def try_(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="cli.arg-rules-file")],
    as_json: JsonFlag = False,
) -> int:
    """Replay a journal, or an export of one, through the rules of the configuration."""
    from agent.rules.replay import Replay

    env = environment(ctx)
    config = env.config()
    if not config.rules:
        raise NoRules(say("cli.rules-none"))
    problems: list[Text] = []
    points = {device.id: device.points for device in config.watched}
    found = Replay(config.rules, config.calendar, points).run(lambda: events_of(path, config, problems))
    seen = list(dict.fromkeys(env.render(problem) for problem in problems))
    if as_json:
        print_json({**as_data(env, found), "problems": seen})
    else:
        show(env, found)
        for problem in seen:
            print(problem)
    return PROBLEM if seen or not found.events else OK


def events_of(path: Path, config: "Config", problems: list[Text]) -> Iterator[Mapping[str, Any]]:
    """The events of a journal's file, or of one that holds JSON lines. Raises NoRules, Unreadable."""
    try:
        with path.open("rb") as file:
            is_journal = file.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise NoRules(say("cli.rules-unreadable", path=path, error=error.strerror or str(error))) from None
    yield from from_journal(path, config, problems) if is_journal else from_lines(path, problems)


def from_journal(path: Path, config: "Config", problems: list[Text]) -> Iterator[Mapping[str, Any]]:
    """Read a database, page by page; what does not fit its hash is told and left out."""
    from agent.clock import SystemClock
    from agent.journal.offline import Offline
    from agent.journal.reading import Sick

    now = SystemClock(config.site.timezone).moment()
    with Offline(path) as journal:
        for first in range(1, journal.head.seq + 1, PAGE):
            for row in journal.rows(first, first + PAGE - 1, PAGE):
                stored = row.mended if isinstance(row, Sick) else row
                if stored is not None:
                    yield json.loads(journal.published(stored, now))
                elif row.body is not None:
                    problems.append(say("cli.row-altered", seq=row.seq))


def from_lines(path: Path, problems: list[Text]) -> Iterator[Mapping[str, Any]]:
    """Read an export: one event a line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                yield event
            else:
                problems.append(say("cli.rules-bad-line", path=path, line=number))


def show(env: Environment, found: "Replayed") -> None:
    """Print what a replay found."""
    span = {"first": time_of(found.first), "last": time_of(found.last)}
    env.say("cli.rules-replayed", events=found.events, **span)
    if found.ringings or found.gone:
        columns = ("cli.col-time", "cli.col-rule", "cli.col-name", "cli.col-until", "cli.col-then", "cli.col-why")
        env.table(columns, [line[1:] for line in sorted([*lines(env, found), *lines_gone(env, found)])])
    else:
        env.say("cli.rules-silent")
    new = sum(not one.rang for one in found.ringings)
    env.say(
        "cli.rules-summary", count=len(found.ringings), same=len(found.ringings) - new, new=new, gone=len(found.gone)
    )
    for rule, measures in found.unjudged.items():
        env.say("cli.rules-unjudged", rule=rule, measures=", ".join(measures))
    if found.skipped:
        env.say("cli.rules-skipped", count=found.skipped)
    if found.left_out:
        env.say("cli.rules-left-out", count=found.left_out)


def lines(env: Environment, found: "Replayed") -> Iterable[list[str]]:
    """What would ring."""
    for one in found.ringings:
        until = env.render(say("cli.rules-still")) if one.ended is None else time_of(one.ended)
        then = word("then", "same" if one.rang else "new", env.language)
        began = time_of(one.began)
        yield [began, began, one.rule.id, one.rule.name, until, then, why(one)]


def lines_gone(env: Environment, found: "Replayed") -> Iterable[list[str]]:
    """What rang, and would not."""
    for one in found.gone:
        at = time_of(one.at)
        yield [at, at, one.rule, one.name, "", word("then", "gone", env.language), f"#{one.seq}"]


def why(ringing: "Ringing") -> str:
    """The conditions that held: what each showed."""
    return ", ".join(name if shown is True else f"{name}={shown}" for name, shown in ringing.why.items())


def time_of(moment: "Moment | None") -> str:
    """A moment as people write it."""
    return clock_time(moment.wall.isoformat()) if moment is not None else "-"


def as_data(env: Environment, found: "Replayed") -> dict[str, Any]:
    """What a replay found, for programs."""
    return {
        "events": found.events,
        "skipped": found.skipped,
        "first": iso(found.first),
        "last": iso(found.last),
        "ringings": [
            {
                "rule": one.rule.id,
                "name": one.rule.name,
                "kind": one.rule.kind,
                "began": iso(one.began),
                "ended": iso(one.ended),
                "why": dict(one.why),
                "rang": one.rang,
            }
            for one in found.ringings
        ],
        "left_out": found.left_out,
        "gone": [{"rule": one.rule, "name": one.name, "seq": one.seq, "time": iso(one.at)} for one in found.gone],
        "unjudged": [
            {
                "rule": rule,
                "measures": [*measures],
                "reason": env.render(say("cli.rules-unjudged", rule=rule, measures=", ".join(measures))),
            }
            for rule, measures in found.unjudged.items()
        ],
    }


def iso(moment: "Moment | None") -> str | None:
    """A moment as messages carry it."""
    return None if moment is None else moment.wall.isoformat(timespec="milliseconds")
