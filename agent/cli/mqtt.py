"""`campus-agent mqtt ...`: is the way to the broker open, and what goes over it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.shared import (
    OK,
    Environment,
    JsonFlag,
    command,
    environment,
    group,
    print_json,
    print_json_line,
    run_async,
)
from agent.cli.words import clock_time, event_word, place, precise_time, word
from agent.texts import Language, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.uplink.words import Incoming

app = group("mqtt.help")


@command(app, "ping", "mqtt.help-ping")
def ping(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Measure the way to the broker: over the daemon's connection, or over one of our own when it is down."""
    env = environment(ctx)
    found = run_async(measure(env, env.config()))
    if as_json:
        print_json(found)
    else:
        env.say("mqtt.pong" if found["by"] == "daemon" else "mqtt.pong-alone", broker=found["broker"], ms=found["ms"])
    return OK


async def measure(env: Environment, config: "Config") -> dict[str, Any]:
    """Return broker, milliseconds, and whose connection it was. Raises ControlError, ConnectFailed, VisitEnded."""
    from agent.control.client import ControlClient, DaemonDown

    try:
        async with ControlClient.connect(config) as client:
            found = await client.call("mqtt-ping")
    except DaemonDown as error:
        env.complain(error.text)
    else:
        assert isinstance(found, dict)
        return {"broker": found["broker"], "ms": found["ms"], "by": "daemon"}
    from agent.clock import SystemClock
    from agent.uplink.visitor import round_trip_ms, visit

    site = config.site.site
    connection = await visit(config.uplink, site, SystemClock(config.site.timezone), "ping")
    try:
        ms = await round_trip_ms(connection, site)
    finally:
        await connection.close()
    return {"broker": str(connection.broker), "ms": round(ms, 1), "by": "self"}


@command(app, "watch", "mqtt.help-watch")
def watch(
    ctx: typer.Context,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, metavar="N", help="mqtt.opt-count")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="cli.opt-json-lines")] = False,
) -> int:
    """Print every message of this school, retained ones first, until Ctrl-C."""
    env = environment(ctx)
    run_async(show(env, env.config(), count, as_json=as_json))
    return OK


async def show(env: Environment, config: "Config", count: int | None, *, as_json: bool) -> None:
    """Print messages. Raises ConnectFailed, VisitEnded."""
    from agent.clock import SystemClock
    from agent.uplink.visitor import visit
    from agent.uplink.visitor import watch as messages

    site = config.site.site
    connection = await visit(config.uplink, site, SystemClock(config.site.timezone), "watch")
    if not as_json:
        env.complain(say("mqtt.watching", broker=str(connection.broker), root=site.root))
    try:
        seen = 0
        async for message in messages(connection, site):
            if as_json:
                print_json_line(as_data(message))
            else:
                print(line(message, site.root, env.language), flush=True)
            seen += 1
            if seen == count:
                return
    finally:
        await connection.close()


def as_data(message: "Incoming") -> dict[str, Any]:
    """One message as data: its payload as JSON where it is JSON, else as text."""
    return {"topic": message.topic, "retain": message.retain, "payload": payload_of(message.payload)}


def payload_of(raw: bytes) -> Any:
    """The payload's JSON value, or its text."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return raw.decode(errors="replace")


def line(message: "Incoming", root: str, language: Language) -> str:
    """One message for people: what it is, in their words where we know it."""
    topic = message.topic.removeprefix(f"{root}/")
    value = payload_of(message.payload)
    kind = topic.partition("/")[0]
    said = ""
    if isinstance(value, Mapping):
        said = DESCRIBE[kind](value, language) if kind in DESCRIBE else ""
    if not said:
        said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    mark = say("mqtt.retained").render(language) if message.retain else ""
    return f"{topic}  {said}{mark}"


def event_line(value: Mapping[str, Any], language: Language) -> str:
    """`#42 2026-11-23 08:00:00.123 alarm raised guardroom/panic (name)`."""
    data = value.get("data")
    about: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    name = f" ({about['name']})" if about.get("name") else ""
    what = event_word(str(value.get("type")), language, failed=about.get("ok") is False)
    return f"#{value.get('seq')} {precise_time(value.get('time'))} {what} {place(about)}{name}"


def status_line(value: Mapping[str, Any], language: Language) -> str:
    """Online or not, the head of the chain, what is due."""
    due = value.get("due")
    counts = sum(n for n in due.values() if isinstance(n, int)) if isinstance(due, Mapping) else "?"
    text = say(
        "mqtt.status",
        state=word("state", value.get("state"), language),
        seq=value.get("seq"),
        due=counts,
        started=clock_time(value.get("started")),
    )
    return text.render(language)


def state_line(value: Mapping[str, Any], language: Language) -> str:
    """A point's state."""
    return f"{word('state', value.get('state'), language)}  {clock_time(value.get('since'))}"


def inventory_line(value: Mapping[str, Any], language: Language) -> str:
    """A device: its name, what and where it is, and whether it answers."""
    known = [str(value[key]) for key in ("driver", "maker", "model", "firmware", "address") if value.get(key)]
    return f"{value.get('name')} ({', '.join(known)})  {word('state', value.get('health'), language)}"


DESCRIBE = {"event": event_line, "status": status_line, "state": state_line, "inventory": inventory_line}
