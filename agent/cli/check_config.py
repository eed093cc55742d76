"""`campus-agent check-config`: every problem of the configuration at once, or what would run with it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.shared import MISUSE, OK, Environment, JsonFlag, command, commands, environment, print_json
from agent.texts import Text, say
from agent.units import format_duration

if TYPE_CHECKING:
    from agent.config.models import Config, DeviceSettings
    from agent.config.problems import Problem
    from agent.config.timing import BusTiming, Situations

app = commands()


@command(app, "check-config", "config.help-check-config")
def check_config(
    ctx: typer.Context,
    no_files: Annotated[bool, typer.Option("--no-files", help="config.opt-no-files")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Load the configuration, look for the files that it names, and print what would run."""
    from agent.config.load import ConfigErrors, load, load_here

    env = environment(ctx)
    try:
        config = (load if no_files else load_here)(env.config_path)
    except ConfigErrors as error:
        report_errors(env, error, as_json=as_json)
        return MISUSE
    if as_json:
        print_json(as_data(config))
    else:
        show(env, config)
    return OK


def report_errors(env: Environment, error: Any, *, as_json: bool) -> None:
    """Print every problem, numbered, and how many there are."""
    if as_json:
        print_json({"ok": False, "problems": [problem.as_data() for problem in error.problems]})
        return
    for number, problem in enumerate(error.problems, 1):
        env.complain(say("config.numbered", number=number, text=problem.text))
    env.complain(error.text)


def as_data(config: "Config") -> dict[str, Any]:
    """The same as data; of secrets only where they come from."""
    timings = timings_of(config)
    return {
        "ok": True,
        "config": config.as_data(),
        "warnings": [warning.as_data() for warning in config.warnings],
        "buses": [
            {
                "id": timing.bus,
                "units": timing.units,
                "worst_round": timing.round.as_data(),
                "sure_press": {device: press.as_data() for device, press in timing.press.items()},
            }
            for timing in timings
        ],
    }


def timings_of(config: "Config") -> "list[BusTiming]":
    """The timing of every bus."""
    from agent.config.timing import bus_timing

    return [bus_timing(bus, config.devices) for bus in config.buses]


def show(env: Environment, config: "Config") -> None:
    """Print what would run, and then what to think about."""
    for text in overview(config):
        print(env.render(text))
    for bus, timing in zip(config.buses, timings_of(config), strict=True):
        print()
        line = f"{bus.baudrate} {bus.bytesize}{bus.parity}{bus.stopbits}"
        env.say("config.show-bus", id=bus.id, port=bus.port, line=line, units=timing.units)
        for text in bus_lines(timing):
            print("  " + env.render(text))
    for device in config.devices:
        print()
        env.say("config.show-device", id=device.id, name=device.name, driver=device.driver, bus=device.bus or "-")
        if device.points:
            columns = ("point", "name", "kind", "input", "contact", "lamp", "siren", "cameras")
            env.table([f"config.col-{column}" for column in columns], point_rows(env, device))
    print()
    show_warnings(env, config.warnings)
    env.say("config.show-fine", files=", ".join(map(str, config.sources)), count=len(config.warnings))


def overview(config: "Config") -> Iterable[Text]:
    """The site, the way to the district, and the journal."""
    site, uplink, journal = config.site, config.uplink, config.journal
    yield say("config.show-site", name=site.name, district=site.district, school=site.school, zone=site.timezone)
    yield say("config.show-brokers", brokers=", ".join(map(str, uplink.brokers)), username=uplink.username or "-")
    yield say(
        "config.show-uplink",
        receipts=say("config.receipts-on" if uplink.receipts else "config.receipts-off"),
        ack=format_duration(uplink.ack_timeout_s),
        receipt=format_duration(uplink.receipt_timeout_s),
    )
    size = config.as_data()["journal"]["max_size"]
    yield say("config.show-journal", path=journal.path, size=size, keep=format_duration(journal.keep_s))
    listen = config.console.listen if config.console else "-"
    yield say("config.show-console", listen=listen, cameras=len(config.cameras))


def bus_lines(timing: "BusTiming") -> Iterable[Text]:
    """The worst round, and the shortest press that is sure to be seen."""
    if not timing.press:
        return
    yield say("config.show-round", **_figures(timing.round))
    for device, press in timing.press.items():
        if press.probing_s:
            yield say("config.show-press", device=device, **_figures(press))
        else:
            yield say("config.show-press-held", device=device)


def _figures(situations: "Situations") -> dict[str, str]:
    """Rounded to what the arithmetic is good for."""
    seconds = {
        "healthy": situations.healthy_s,
        "writing": situations.writing_s,
        "probing": situations.probing_s,
    }
    return {name: f"{value * 1000:.0f}ms" for name, value in seconds.items()}


def point_rows(env: Environment, device: "DeviceSettings") -> list[list[str]]:
    """The points of a device."""
    return [
        [
            point.id,
            point.name,
            f"{env.render(say(f'kinds.{point.kind}'))} ({point.kind})",
            str(point.input),
            env.render(say(f"config.contact-{point.contact}")),
            "-" if point.lamp is None else str(point.lamp),
            "-" if point.siren is None else str(point.siren),
            ", ".join(point.cameras) or "-",
        ]
        for point in device.points
    ]


def show_warnings(env: Environment, warnings: "Sequence[Problem]") -> None:
    """Print what is allowed and probably not meant."""
    for number, warning in enumerate(warnings, 1):
        env.say("config.warning", number=number, text=warning.text)
    if warnings:
        print()
