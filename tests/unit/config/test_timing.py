"""What check-config says of a bus: worked out by hand from the standard, and the same margins as the bus has."""

import pytest

from agent.bus.bus import POLL_MARGIN
from agent.config.models import BusSettings, DeviceSettings
from agent.config.timing import LATENESS_S, bus_timing
from agent.driver import Driver, Link
from drivers.modbus_io import ModbusIo

CHAR_S = 10 / 9600
SILENCE_S = 3.5 * CHAR_S
TURNAROUND_S = 0.010
LOOK_S = (8 + 6) * CHAR_S + TURNAROUND_S + 2 * SILENCE_S
"""FC02 for 8 inputs: 8 bytes there, 6 back."""
WRITE_S = (10 + 8) * CHAR_S + TURNAROUND_S + 2 * SILENCE_S
"""FC15 for 8 coils: 10 bytes there, 8 back."""


def bus(**settings: object) -> BusSettings:
    return BusSettings.model_validate({"id": "line", "port": "/dev/ttyUSB0", **settings})


def unit(address: int, *, on: str = "line", outputs: int = 8, **settings: object) -> DeviceSettings:
    driver = ModbusIo.model_validate({"unit": address, "outputs": outputs, **settings})
    return DeviceSettings(id=f"u{address}", name="U", driver="modbus-io", bus=on, settings=driver)


class NoBus(Driver):
    async def run(self, link: Link) -> None:
        raise NotImplementedError


def test_the_bus_leaves_more_of_the_usual_interval_than_timers_are_late() -> None:
    interval_s = bus().poll_interval_s
    assert interval_s * (1 - POLL_MARGIN) > LATENESS_S


def test_one_common_module_makes_a_press_of_50_ms_sure() -> None:
    timing = bus_timing(bus(), [unit(1)])
    assert timing.round.healthy_s == pytest.approx(LOOK_S)
    assert timing.round.writing_s == pytest.approx(LOOK_S + WRITE_S)
    assert timing.press["u1"].healthy_s == pytest.approx(0.05)
    assert timing.press["u1"].writing_s == pytest.approx(LOOK_S + WRITE_S + 0.01)


def test_a_dead_unit_costs_its_request_and_its_timeout_instead_of_a_look() -> None:
    timing = bus_timing(bus(), [unit(1), unit(2, reply_timeout="200ms")])
    probe_s = 8 * CHAR_S + 0.2 + SILENCE_S
    assert timing.round.probing_s == pytest.approx(LOOK_S + probe_s)


def test_more_units_need_a_longer_press_and_a_faster_line_a_shorter_one() -> None:
    slow = bus_timing(bus(), [unit(1), unit(2)]).press["u1"].healthy_s
    fast = bus_timing(bus(baudrate=115200), [unit(1), unit(2)]).press["u1"].healthy_s
    assert slow == pytest.approx(2 * LOOK_S + 0.01)
    assert fast == pytest.approx(0.05)


def test_a_module_that_holds_presses_long_enough_misses_none() -> None:
    press = bus_timing(bus(), [unit(1, input_hold="60ms")]).press["u1"]
    assert press.healthy_s == 0
    assert press.writing_s > 0  # 78 ms between two looks: more than it holds


def test_only_the_units_of_the_bus_count() -> None:
    other = DeviceSettings(id="other", name="O", driver="no-bus", settings=NoBus())
    timing = bus_timing(bus(), [unit(1), unit(2, on="elsewhere"), other])
    assert (timing.units, set(timing.press)) == (1, {"u1"})


def test_a_bus_without_units_takes_no_time() -> None:
    timing = bus_timing(bus(), [])
    assert timing.round.as_data() == {"healthy_ms": 0.0, "writing_ms": 0.0, "probing_ms": 0.0}
    assert timing.press == {}


def test_a_slow_poll_interval_needs_as_long_a_press() -> None:
    assert bus_timing(bus(poll_interval="1s"), [unit(1)]).press["u1"].healthy_s == pytest.approx(1.0)
