"""`campus-agent status`: one page on how the gateway is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, command, commands, environment, print_json
from agent.cli.words import clock_time, duration, kind_word, place, size, word
from agent.texts import Language, Text, say

if TYPE_CHECKING:
    from rich.text import Text as Styled

app = commands()

GOOD = "green"
WARN = "yellow"
BAD = "bold red"
Headline = tuple[str, Text | str, str]
"""Its label (`label-...` of the catalogue, or none for a continuation), what it says, and its style."""
CAMERA_STATES = ("ok", "fault", "offline", "unknown")
POINT_STYLES: Mapping[str, str] = {"active": BAD, "acknowledged": WARN, "fault": BAD, "disarmed": WARN}


@command(app, "status", "cli.help-status")
def status(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Ask the daemon how it is, and print it."""
    from agent.cli.calls import ask

    env = environment(ctx)
    answer = ask(env.config(), "status")
    if as_json:
        print_json(answer)
    else:
        show(env, answer)
    return OK if is_fine(answer) else PROBLEM


def is_fine(answer: Mapping[str, Any]) -> bool:
    """Judge a status: an alarm is no problem of the gateway, everything that keeps one from arriving is."""
    return bool(
        answer["journal"]["store"] == "file"
        and not answer["journal"]["trouble"]
        and answer["uplink"]["connected"]
        and not answer["refused"]
        and not answer["faults"]
        and all(device["state"] == "online" for device in answer["devices"])
        and all(bus["open"] for bus in answer["buses"])
        and not any(path["state"] == "failing" for path in answer.get("paths", ()))
        and not any(process["error"] for process in processes(answer))
    )


def show(env: Environment, answer: Mapping[str, Any]) -> None:
    """Print the page."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text as Styled

    console = env.console()
    site = answer["site"]
    console.print(
        env.render(
            say(
                "cli.status-title",
                name=site["name"],
                district=site["district"],
                school=site["school"],
                version=answer["version"],
                uptime=duration(answer["uptime_s"], env.language),
            )
        ),
        style="bold",
    )
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text, style in headlines(answer, env.language):
        shown = text if isinstance(text, str) else env.render(text)
        facts.add_row(word("label", label, env.language) if label else "", Styled(shown, style=style))
    console.print(Padding(facts, (0, 0, 0, 2)))
    for heading, columns, rows in tables(env, answer):
        print()
        console.print(env.render(say(heading)), style="bold")
        env.table(columns, rows)


def headlines(answer: Mapping[str, Any], language: Language) -> Iterable[Headline]:
    """Yield the facts at the top; a drill first."""
    yield from mode_lines(answer, language)
    synced = answer["clock"] == "synced"
    yield "clock", say("cli.status-clock-synced" if synced else "cli.status-clock-unsynced"), GOOD if synced else WARN
    journal = answer["journal"]
    yield (
        "journal",
        say(
            "cli.status-journal",
            store=word("store", journal["store"], language),
            path=journal["path"],
            size=size(journal["size_bytes"]),
            max=size(journal["max_size_bytes"]),
            seq=answer["seq"],
        ),
        GOOD if journal["store"] == "file" else BAD,
    )
    if journal["trouble"]:
        yield "", journal["trouble"][language], BAD
    due = answer["due"]
    counts = "  ".join(f"{word('lane', lane, language)} {due.get(lane, 0)}" for lane in ("alarm", "fault", "event"))
    if any(due.values()):
        yield "due", say("cli.status-due", counts=counts, oldest=clock_time(answer["oldest_due"])), WARN
    else:
        yield "due", say("cli.status-nothing-due"), GOOD
    if answer["refused"]:
        yield "refused", say("cli.status-refused", count=answer["refused"]), BAD
    yield from uplink_lines(answer["uplink"], language)
    yield from process_lines(answer, language)


def mode_lines(answer: Mapping[str, Any], language: Language) -> Iterable[Headline]:
    """Yield the drill that goes on, and how the partitions are; an older daemon has neither."""
    if drill := answer.get("drill"):
        minutes, scope = -(-drill["left_s"] // 60), ", ".join(drill["scope"]) or say("armcli.scope-all")
        yield "drill", say("armcli.status-drill", minutes=minutes, actor=drill["actor"] or "-", scope=scope), BAD
    if walked := answer.get("walk_test"):
        yield "" if drill else "drill", say("armcli.status-walk", count=len(walked)), BAD
    if partitions := answer.get("partitions"):
        shown = [
            say("armcli.status-partition", name=one["name"], state=say(f"armcli.state-{one['state']}")).render(language)
            for one in partitions
        ]
        armed = all(one["state"] == "armed" and not one["bypassed"] for one in partitions)
        yield "partitions", "  ".join(shown), GOOD if armed else WARN


def processes(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The processes beside the core that are wanted; an older daemon has none."""
    found = (answer.get(name) for name in ("eye", "console"))
    return [process for process in found if process and process["state"] != "off"]


def process_lines(answer: Mapping[str, Any], language: Language) -> Iterable[Headline]:
    """Yield how the eye and the console are, if they are wanted, and how many cameras are well."""
    for name in ("eye", "console"):
        process = answer.get(name)
        if not process or process["state"] == "off":
            continue
        up = process["state"] == "running" and not process["error"]
        text = say(
            "cli.status-process",
            state=word("state", process["state"], language),
            memory=size(process["rss_bytes"]) if process["rss_bytes"] else "-",
            restarts=process["restarts"],
        )
        yield name, text, GOOD if up else BAD
        if process["error"]:
            yield "", process["error"][language], BAD
    if cameras := answer.get("cameras"):
        counts = Counter(camera["state"] for camera in cameras)
        listed = "  ".join(
            f"{word('state', state, language)} {counts[state]}" for state in CAMERA_STATES if counts[state]
        )
        bad = counts["fault"] + counts["offline"]
        yield "cameras", listed, BAD if bad else WARN if counts["unknown"] else GOOD


def uplink_lines(uplink: Mapping[str, Any], language: Language) -> Iterable[Headline]:
    """Yield what is to be said of the connection and of receipts; loudly, when the district has never sent one."""
    if uplink["connected"]:
        since = clock_time(uplink["since"])
        text = say("cli.status-connected", broker=uplink["broker"], protocol=uplink["protocol"], since=since)
        yield "uplink", text, GOOD
    else:
        yield "uplink", say("cli.status-disconnected"), BAD
    if uplink["error"]:
        yield "", uplink["error"][language], BAD
    style = {"live": GOOD, "off": WARN}.get(uplink["receipts"], BAD)
    yield "receipts", say(f"cli.receipts-{uplink['receipts']}"), style


def tables(
    env: Environment, answer: Mapping[str, Any]
) -> "Iterable[tuple[str, tuple[str, ...], list[list[str | Styled]]]]":
    """Yield the tables below: (heading, columns, rows)."""
    language = env.language
    if answer["faults"]:
        yield (
            "cli.head-faults",
            ("cli.col-place", "cli.col-fault", "cli.col-since", "cli.col-text"),
            [
                [
                    place(fault),
                    styled(kind_word(fault["fault"], language), BAD),
                    clock_time(fault["since"]),
                    env.pick(fault["text"]),
                ]
                for fault in answer["faults"]
            ],
        )
    yield (
        "cli.head-devices",
        ("cli.col-device", "cli.col-name", "cli.col-driver", "cli.col-bus", "cli.col-state", "cli.col-error"),
        [device_row(env, device) for device in answer["devices"]],
    )
    yield (
        "cli.head-points",
        ("cli.col-place", "cli.col-name", "cli.col-kind", "cli.col-state", "cli.col-since"),
        [
            [
                place(point),
                point["name"],
                kind_word(point["kind"], language),
                styled(word("state", point["state"], language), POINT_STYLES.get(point["state"], GOOD)),
                clock_time(point["since"]),
            ]
            for point in answer["points"]
        ],
    )
    if answer.get("paths"):
        yield (
            "cli.head-paths",
            ("cli.col-path", "cli.col-name", "cli.col-driver", "cli.col-state", "cli.col-heard", "cli.col-error"),
            [path_row(env, path) for path in answer["paths"]],
        )
    if answer["buses"]:
        yield (
            "cli.head-buses",
            ("cli.col-bus", "cli.col-port", "cli.col-state", "cli.col-round", "cli.col-timeouts", "cli.col-bad-frames"),
            [bus_row(bus, language) for bus in answer["buses"]],
        )


def device_state(device: Mapping[str, Any]) -> str:
    """Of a device that speaks only when something happens, `online` would say too much."""
    return "unwatched" if device["state"] == "online" and not device.get("supervised", True) else device["state"]


def device_row(env: Environment, device: Mapping[str, Any]) -> "list[str | Styled]":
    online = device["state"] == "online"
    return [
        device["id"],
        device["name"],
        device["driver"],
        device["bus"] or "-",
        styled(word("state", device_state(device), env.language), GOOD if online else BAD),
        env.pick(device["error"]),
    ]


def path_row(env: Environment, path: Mapping[str, Any]) -> "list[str | Styled]":
    """A second path: is it there, when did it answer last, what waits for it."""
    style = {"ok": GOOD, "failing": BAD}.get(path["state"], WARN)
    heard = "-" if path["heard_s_ago"] is None else duration(path["heard_s_ago"], env.language)
    state = word("state", path["state"], env.language)
    if path["waiting"]:
        state += f" ({path['waiting']})"
    return [path["id"], path["name"], path["driver"], styled(state, style), heard, env.pick(path["error"])]


def bus_row(bus: Mapping[str, Any], language: Language) -> "list[str | Styled]":
    rounds = [bus["round_ms_last"], bus["round_ms_p50"], bus["round_ms_max"]]
    return [
        bus["id"],
        bus["port"],
        styled(word("state", "open" if bus["open"] else "closed", language), GOOD if bus["open"] else BAD),
        " / ".join("-" if ms is None else f"{ms:.0f}" for ms in rounds),
        str(bus["timeouts"]),
        str(bus["bad_frames"]),
    ]


def styled(text: str, style: str) -> "Styled":
    """A cell with a colour (on a terminal only)."""
    from rich.text import Text as Styled

    return Styled(text, style=style)
