"""`campus-agent serial ...`: which ports there are, what comes in on one, and who answers on it."""

import os
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

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
from agent.texts import Spoken, Text, say

if TYPE_CHECKING:
    from agent.bus.port import SerialSettings
    from agent.bus.ports import PortInfo
    from agent.cli.serial_scan import Scan
    from agent.driver import DeviceError

app = group("serial.help")

DEFAULT_BAUDRATE: Final = 9600
DEFAULT_UNITS: Final = "1-32"
"""What one RS-485 line carries without a repeater."""
SCAN_TIMEOUT_S: Final = 0.06
"""Modules answer within 10 ms, USB and network adapters add up to 50; the time counts from the request's end."""
LAST_UNIT: Final = 247
HEX_COLUMNS: Final = 48
MAX_BAUDRATE: Final = 4_000_000
"""The fastest that Linux knows."""


class Parity(StrEnum):
    """None, even, odd: typer takes lists of these, and none of Literals."""

    N = "N"
    E = "E"
    O = "O"  # noqa: E741 - it is the parity's name


PortArgument = Annotated[str, typer.Argument(metavar="PORT", help="serial.arg-port")]
BaudrateOption = Annotated[
    int, typer.Option("--baudrate", min=50, max=4_000_000, metavar="N", help="serial.opt-baudrate")
]


@command(app, "list", "serial.help-list")
def list_(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """List the serial ports of this machine."""
    from dataclasses import asdict

    from agent.bus.ports import list_ports

    env = environment(ctx)
    ports = list_ports()
    if as_json:
        print_json([asdict(port) for port in ports])
    elif not ports:
        env.say("serial.none")
    else:
        columns = ("serial.col-port", "serial.col-device", "serial.col-maker", "serial.col-state")
        env.table(columns, [[port.path, port.device, maker(port), env.render(state(port))] for port in ports])
    return OK


def maker(port: "PortInfo") -> str:
    """Who made an adapter, and what it is."""
    parts = [part for part in (port.maker, port.product) if part]
    return " ".join([*parts, f"[{port.usb_id}]"] if port.usb_id else parts) or "-"


def state(port: "PortInfo") -> Text:
    """Whether this user could open a port now."""
    if port.holder:
        return say("serial.state-busy", holder=port.holder)
    return say("serial.state-free") if port.permitted else say("serial.state-denied", group=port.group or "dialout")


@command(app, "listen", "serial.help-listen")
def listen(
    ctx: typer.Context,
    port: PortArgument,
    baudrate: BaudrateOption = DEFAULT_BAUDRATE,
    bytesize: Annotated[int, typer.Option("--bytesize", min=5, max=8, help="serial.opt-bytesize")] = 8,
    parity: Annotated[Parity, typer.Option("--parity", help="serial.opt-parity")] = Parity.N,
    stopbits: Annotated[int, typer.Option("--stopbits", min=1, max=2, help="serial.opt-stopbits")] = 1,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="serial.opt-seconds")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Show what comes in, as hexadecimal and text, with times and gaps."""
    from agent.bus.port import SerialSettings
    from agent.driver import DeviceError

    env = environment(ctx)
    settings = SerialSettings(port, baudrate, bytesize, parity, stopbits)
    try:
        heard = run_async(print_bursts(env, settings, seconds, as_json=as_json))
    except KeyboardInterrupt:
        return OK
    except DeviceError as error:
        raise explained(env, port, error) from error
    if not heard and not as_json:
        env.complain(say("serial.nothing-heard", port=port))
    return OK if heard else PROBLEM


async def print_bursts(env: Environment, settings: "SerialSettings", seconds: float | None, *, as_json: bool) -> int:
    """Print what comes; return how many bytes it was. Raises DeviceError."""
    from agent.bus.port import PortOpener
    from agent.cli.serial_listen import listen as bursts

    heard = 0

    def opened() -> None:
        if not as_json:
            shown = f"{settings.baudrate} {settings.bytesize}{settings.parity}{settings.stopbits}"
            env.complain(say("serial.listening", port=settings.port, settings=shown))

    async for burst in bursts(PortOpener(), settings, seconds, opened):
        heard += len(burst.data)
        if as_json:
            times = {"at_s": round(burst.at_s, 4), "gap_s": round(burst.gap_s, 4)}
            print_json_line({**times, "hex": burst.data.hex(), "text": burst.text})
        else:
            shown = burst.data.hex(" ")
            times_shown = f"{burst.at_s:9.3f} s {burst.gap_s * 1e3:+9.1f} ms"
            print(f"{times_shown}  {shown:<{HEX_COLUMNS}}  {burst.text}", flush=True)
    return heard


@command(app, "scan", "serial.help-scan")
def scan(
    ctx: typer.Context,
    port: PortArgument,
    baudrates: Annotated[
        list[int] | None,
        typer.Option("--baudrate", min=50, max=4_000_000, metavar="N", help="serial.opt-scan-baudrate"),
    ] = None,
    parities: Annotated[list[Parity] | None, typer.Option("--parity", help="serial.opt-scan-parity")] = None,
    units: Annotated[str, typer.Option("--units", metavar="A-B", help="serial.opt-units")] = DEFAULT_UNITS,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.005, max=5, metavar="SECONDS", help="serial.opt-timeout")
    ] = SCAN_TIMEOUT_S,
    as_json: JsonFlag = False,
) -> int:
    """Find the Modbus modules on a line, and print configuration for them."""
    from agent.cli import serial_scan
    from agent.driver import DeviceError

    env = environment(ctx)
    addresses = parse_units(units)
    settings = list(
        serial_scan.line_settings(port, baudrates or serial_scan.BAUDRATES, parities or serial_scan.PARITIES)
    )
    try:
        found = run_async(search(env, settings, addresses, timeout_s, quiet=as_json))
    except DeviceError as error:
        raise explained(env, port, error) from error
    path = best_name(port)
    if as_json:
        print_json(as_json_value(found, path, len(settings)))
    else:
        report(env, found, path)
    return OK if found.units else PROBLEM


async def search(
    env: Environment, settings: "list[SerialSettings]", units: list[int], timeout_s: float, *, quiet: bool
) -> "Scan":
    """Scan with a progress bar on standard error. Raises DeviceError."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from agent.bus.port import PortOpener
    from agent.cli.serial_scan import Scanner

    console = env.console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=len(settings) * len(units))

        def step(now: "SerialSettings", unit: int) -> None:
            at = f"{now.baudrate} {now.bytesize}{now.parity}{now.stopbits:g}"
            bar.update(task, advance=1, description=env.render(say("serial.trying", settings=at, unit=unit)))

        return await Scanner(PortOpener(), timeout_s, step).run(iter(settings), units)


def parse_units(text: str) -> list[int]:
    """Read `1-32`, `5` or `1,3,8-12`. Raises UsageProblem."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise UsageProblem(say("serial.bad-units", found=text, last=LAST_UNIT))
        found += range(int(first), int(last or first) + 1) if int(last or first) <= LAST_UNIT else [0]
    if not found or min(found) < 1:
        raise UsageProblem(say("serial.bad-units", found=text, last=LAST_UNIT))
    return list(dict.fromkeys(found))


def best_name(port: str) -> str:
    """The name of a port that stays with its adapter, if it has one."""
    from agent.bus.ports import list_ports

    if "://" in port:
        return port
    device = os.path.realpath(port)
    return next((info.path for info in list_ports() if os.path.realpath(info.device) == device), port)


def report(env: Environment, found: "Scan", port: str) -> None:
    """Print what was found, and what to do with it."""
    from agent.cli.serial_scan import as_toml

    if found.settings is None:
        env.complain(say("serial.nobody-noise" if found.noise else "serial.nobody", port=port, count=found.noise))
        return
    at = f"{found.settings.baudrate} {found.settings.bytesize}{found.settings.parity}{found.settings.stopbits:g}"
    env.say("serial.found", count=len(found.units), settings=at)
    columns = ("serial.col-unit", "serial.col-function", "serial.col-inputs", "serial.col-outputs")
    env.table(
        columns, [[str(unit.unit), unit.function or "-", str(unit.inputs), str(unit.outputs)] for unit in found.units]
    )
    if any(unit.function for unit in found.units):
        env.say("serial.paste")
        print()
        print(as_toml(found, port))


def as_json_value(found: "Scan", port: str, tried: int) -> dict[str, Any]:
    """What a scan found, for programs."""
    from dataclasses import asdict

    settings = found.settings
    return {
        "port": port,
        "baudrate": settings and settings.baudrate,
        "parity": settings and settings.parity,
        "stopbits": settings and settings.stopbits,
        "units": [asdict(unit) for unit in found.units],
        "noise_bytes": found.noise,
        "settings_to_try": tried,
    }


def explained(env: Environment, port: str, error: "DeviceError") -> Spoken:
    """A port that is busy because our own daemon polls it wants other advice than any other."""
    if error.text.key == "bus.busy" and (bus := daemons_bus(env, port)) is not None:
        return Spoken(say("serial.daemon-has-it", port=port, bus=bus))
    return error


def daemons_bus(env: Environment, port: str) -> str | None:
    """Name the running daemon's bus on this port; None if no daemon runs or it has none there."""
    from agent.cli.calls import ask

    with suppress(Spoken):
        for bus in ask(env.config(), "buses"):
            if os.path.realpath(bus["port"]) == os.path.realpath(port):
                return str(bus["id"])
    return None
