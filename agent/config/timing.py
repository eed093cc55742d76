"""How long a round on each bus takes at worst, and the shortest press that is sure to be seen. Pure arithmetic.

Every unit is looked at once in a round, panic units first; that gives them the first word after a start or a
trouble, and nothing else: the time between two looks at one unit is that between two rounds. A press is sure to be
seen if it lasts longer than that. `agent.bus` starts a round well before the poll interval is over, or at once after
the last if that took longer; the remainder is for timers that are late. So on a line that is fast enough a press as
long as the poll interval is sure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.bus.timing import LONGEST_TURNAROUND_S, bits_per_char, exchange_time_s, line_time_s, silence_s
from agent.config.models import BusSettings, DeviceSettings
from agent.driver import BusDriver, Exchange
from agent.model import JsonValue

LATENESS_S: Final = 0.01
"""By how much the daemon may be late to look on a line that it keeps busy; its event loop is late by 1 to 5 ms."""
MS_DECIMALS: Final = 1


@dataclass(frozen=True, slots=True)
class Situations:
    """One figure, in seconds: on a healthy line, when an output is written in the round as well, and when one unit is
    dead and is probed."""

    healthy_s: float
    writing_s: float
    probing_s: float

    def as_data(self) -> dict[str, JsonValue]:
        """In milliseconds, for `--json`."""
        return {
            "healthy_ms": round(self.healthy_s * 1000, MS_DECIMALS),
            "writing_ms": round(self.writing_s * 1000, MS_DECIMALS),
            "probing_ms": round(self.probing_s * 1000, MS_DECIMALS),
        }


@dataclass(frozen=True, slots=True)
class BusTiming:
    """What to expect of one bus. `press` has, by device, the shortest press that is sure to be seen; zeros where the
    module itself holds every press long enough."""

    bus: str
    units: int
    round: Situations
    press: Mapping[str, Situations]


def bus_timing(bus: BusSettings, devices: Sequence[DeviceSettings]) -> BusTiming:
    """Work out the timing of `bus` with those of `devices` that are on it."""
    drivers = {
        device.id: device.settings
        for device in devices
        if device.bus == bus.id and isinstance(device.settings, BusDriver)
    }
    looks = {name: sum(_time_s(bus, exchange) for exchange in driver.poll()) for name, driver in drivers.items()}
    writes = [_time_s(bus, write) for driver in drivers.values() if (write := driver.output_write())]
    probes = [_probe_s(bus, driver) - looks[name] for name, driver in drivers.items()]
    healthy_s = sum(looks.values())
    round_ = Situations(
        healthy_s, healthy_s + max(writes, default=0.0), healthy_s + max([0.0, *probes]) if drivers else 0.0
    )
    press = {name: _press(bus, round_, driver.input_hold_s()) for name, driver in drivers.items()}
    return BusTiming(bus.id, len(drivers), round_, press)


def _time_s(bus: BusSettings, exchange: Exchange) -> float:
    """One exchange with the slowest module on the market: the bound must hold for what really hangs there."""
    bits = bits_per_char(bus.bytesize, bus.parity, bus.stopbits)
    return exchange_time_s(exchange, baudrate=bus.baudrate, bits_per_char=bits, turnaround_s=LONGEST_TURNAROUND_S)


def _probe_s(bus: BusSettings, driver: BusDriver) -> float:
    """How long the line stands still for a unit that does not answer its first request."""
    bits = bits_per_char(bus.bytesize, bus.parity, bus.stopbits)
    request = max((exchange.request_bytes for exchange in driver.poll()), default=0)
    line_s = line_time_s(request, baudrate=bus.baudrate, bits_per_char=bits)
    return line_s + driver.probe_timeout_s() + silence_s(baudrate=bus.baudrate, bits_per_char=bits)


def _press(bus: BusSettings, round_: Situations, hold_s: float) -> Situations:
    return Situations(
        _sure_s(bus, round_.healthy_s, hold_s),
        _sure_s(bus, round_.writing_s, hold_s),
        _sure_s(bus, round_.probing_s, hold_s),
    )


def _sure_s(bus: BusSettings, round_s: float, hold_s: float) -> float:
    """The time between two looks, with what timers may be late. A module that holds a press that long leaves no
    press to miss."""
    between_s = max(bus.poll_interval_s, round_s + LATENESS_S)
    return 0.0 if hold_s >= between_s else between_s
