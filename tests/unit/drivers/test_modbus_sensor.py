"""Measured values: what registers mean, when a value is an alarm, which registers are read together."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.driver import NS_PER_S, Sample
from drivers._modbus import READ_HOLDING, READ_REGISTERS, registers_request
from drivers.modbus_sensor import Block, Channel, ModbusSensor, blocks
from drivers.modbus_sensor.channel import ORDERS
from drivers.modbus_sensor.watch import Watch


def channel(**keys: Any) -> Channel:
    return Channel.model_validate({"id": "gas", "register": 0, **keys})


def word(number: int) -> bytes:
    return number.to_bytes(2, "big", signed=number < 0)


class Gas:
    """A watch with a clock in seconds."""

    def __init__(self, **keys: Any) -> None:
        self.watch = Watch(channel(**keys))
        self.now_s = 100.0

    def look(self, value: int, after_s: float = 1.0, *, warm: bool = True) -> Sample | None:
        self.now_s += after_s
        return self.watch.look(word(value), round(self.now_s * NS_PER_S), warm=warm)

    def looks(self, *values: int) -> list[bool | None]:
        return [None if (sample := self.look(value)) is None else bool(sample.value) for value in values]


def test_requests_are_as_the_standard_prints_them() -> None:
    """V1.1b3, 6.3: registers 108-110 are `03 00 6B 00 03`; 6.4: register 9 is `04 00 08 00 01`."""
    assert registers_request(17, READ_HOLDING, 107, 3)[1:-2] == bytes.fromhex("03 00 6B 00 03")
    assert registers_request(17, READ_REGISTERS, 8, 1)[1:-2] == bytes.fromhex("04 00 08 00 01")


@pytest.mark.parametrize(
    ("keys", "raw", "value"),
    [
        ({}, "00 7B", 123.0),
        ({"scale": 0.1, "offset": -40.0}, "01 F4", 10.0),
        ({"type": "int16"}, "FF 9C", -100.0),
        ({"type": "uint32"}, "00 01 00 02", 65538.0),
        ({"type": "uint32", "order": "cdab"}, "00 02 00 01", 65538.0),
        ({"type": "int32", "order": "dcba"}, "FE FF FF FF", -2.0),
        ({"type": "float32"}, "42 F6 E6 66", 123.45),
        ({"type": "float32", "order": "cdab"}, "E6 66 42 F6", 123.45),
        ({"type": "float32", "order": "badc"}, "F6 42 66 E6", 123.45),
        ({"type": "float32", "order": "dcba"}, "66 E6 F6 42", 123.45),
        ({"order": "badc"}, "7B 00", 123.0),
        ({"mask": 0x0F00}, "35 00", 5.0),
    ],
)
def test_registers_are_read_in_every_type_and_order(keys: dict[str, Any], raw: str, value: float) -> None:
    assert channel(**keys).value(bytes.fromhex(raw)) == pytest.approx(value, rel=1e-6)


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), order=st.sampled_from(sorted(ORDERS)))
def test_whatever_order_a_maker_chose_the_value_comes_back(value: float, order: str) -> None:
    stored = bytearray(4)
    for place, byte in zip(ORDERS[order], struct.pack(">f", value), strict=True):
        stored[place] = byte
    assert channel(type="float32", order=order).number(bytes(stored)) == value


def test_what_is_out_of_range_or_no_number_is_no_value() -> None:
    gas = channel(lowest=0.0, highest=100.0)
    assert [gas.value(word(number)) for number in (100, 101, 65535)] == [100.0, None, None]
    assert channel(type="float32").value(bytes.fromhex("7F C0 00 00")) is None
    assert channel(type="float32").value(bytes.fromhex("7F 80 00 00")) is None


def test_a_limit_is_passed_and_left_with_hysteresis() -> None:
    gas = Gas(alarm_above=10.0, hysteresis=2.0)
    assert gas.looks(5, 10, 11, 10, 9, 8, 9, 10, 11) == [False, None, True, None, None, False, None, None, True]


def test_a_value_may_be_too_low() -> None:
    assert Gas(alarm_below=200.0, hysteresis=5.0).looks(220, 199, 204, 205) == [False, True, None, False]


def test_a_delay_wants_the_limit_passed_all_the_while() -> None:
    gas = Gas(alarm_above=10.0, delay="3s")
    assert gas.looks(0, 20, 20, 5, 20, 20, 20, 20) == [False, None, None, None, None, None, None, True]
    assert gas.looks(5) == [False]


def test_a_fast_rise_is_an_alarm_below_the_limit() -> None:
    gas = Gas(rise_per_minute=5.0)
    assert gas.looks(1, 2, 3, 4, 5, 6) == [False, None, None, None, None, True]
    slow = Gas(rise_per_minute=5.0)
    assert {slow.look(number // 20, 1.0) is None for number in range(1, 400)} == {True, False}
    assert slow.watch.look(word(21), round(slow.now_s * NS_PER_S), warm=True) is None


def test_while_it_warms_up_nothing_is_told_and_the_value_is_shown() -> None:
    gas = Gas(alarm_above=10.0)
    assert gas.look(90, warm=False) is None
    assert gas.watch.measure == 90.0
    sample = gas.look(90)
    assert sample is not None
    assert (sample.value, sample.measure) == (True, 90.0)


def test_a_broken_sensor_is_told_and_ends_no_alarm() -> None:
    gas = Gas(alarm_above=10.0, highest=100.0)
    assert gas.looks(5, 20) == [False, True]
    broken = gas.look(65535)
    assert broken is not None
    assert (broken.value, broken.status, broken.measure) == (True, "invalid", None)
    mended = gas.look(5)
    assert mended is not None
    assert (mended.value, mended.status) == (False, "ok")


def test_codes_of_a_supervised_line() -> None:
    gas = Gas(codes={"normal": [0], "alarm": [1], "open": [2], "short": [3], "fault": [9]})
    seen = [(sample.value, sample.status) for code in (0, 2, 3, 1, 9, 77, 0) if (sample := gas.look(code))]
    assert seen == [
        (False, "ok"),
        (False, "open"),
        (False, "short"),
        (True, "ok"),
        (True, "invalid"),
        (False, "ok"),
    ]


def test_a_line_that_burns_through_ends_no_alarm() -> None:
    gas = Gas(codes={"normal": [0], "alarm": [1], "open": [2], "short": [3], "low-battery": [4]})
    seen = [(sample.value, sample.status) for code in (0, 1, 2, 3, 77, 1, 4) if (sample := gas.look(code))]
    assert seen == [
        (False, "ok"),
        (True, "ok"),
        (True, "open"),
        (True, "short"),
        (True, "invalid"),
        (True, "ok"),
        (False, "low-battery"),
    ]


def test_a_reading_that_fails_now_and_then_does_not_begin_the_delay_anew() -> None:
    gas = Gas(alarm_above=10.0, highest=100.0, delay="3s")
    seen = [sample.value for value in (0, 20, 65535, 20, 65535, 20) if (sample := gas.look(value))]
    assert seen[-1] is True


def test_with_a_delay_nothing_is_told_before_it_is_known_whether_there_is_an_alarm() -> None:
    """Of an alarm that stood before a restart, a first look that waits would say that it is over."""
    assert Gas(alarm_above=10.0, delay="3s").looks(20, 20, 20, 20) == [None, None, None, True]
    assert Gas(alarm_above=10.0, delay="3s").looks(20, 20, 5) == [None, None, False]


def test_what_a_sensor_showed_while_it_warmed_up_is_no_rise() -> None:
    gas = Gas(rise_per_minute=5.0)
    for value in range(0, 30, 3):
        gas.look(value, warm=False)
    assert gas.looks(30, 30, 31) == [False, None, None]


def test_a_change_says_when_it_was_looked_at_last() -> None:
    gas = Gas(alarm_above=10.0)
    gas.looks(5, 5)
    before_ns = round(gas.now_s * NS_PER_S)
    sample = gas.look(20, 0.5)
    assert sample is not None
    assert sample.previous_ns == before_ns


@given(values=st.lists(st.integers(0, 30), max_size=60), delay=st.sampled_from([0, 2]), hysteresis=st.integers(0, 3))
def test_an_alarm_begins_only_above_its_limit_and_ends_only_below(
    values: list[int], delay: int, hysteresis: int
) -> None:
    gas = Gas(alarm_above=10.0, hysteresis=float(hysteresis), delay=f"{delay}s")
    active = False
    for value in values:
        if (sample := gas.look(value)) is not None:
            if sample.value and not active:
                assert value > 10 - hysteresis
            if active and not sample.value:
                assert value <= 10 - hysteresis
            active = bool(sample.value)


def test_registers_that_lie_together_are_read_at_one_go() -> None:
    made = [
        channel(id="a", register=0),
        channel(id="b", register=1, type="float32"),
        channel(id="c", register=1),  # the same register once more
        channel(id="d", register=8),
        channel(id="e", register=3, function="input"),
    ]
    assert [(block.function, block.first, block.count, len(block.channels)) for block in blocks(made)] == [
        (READ_REGISTERS, 3, 1, 1),
        (READ_HOLDING, 0, 3, 3),
        (READ_HOLDING, 8, 1, 1),
    ]


def test_no_read_asks_for_more_than_the_standard_allows() -> None:
    many = [channel(id=str(number), register=2 * number, type="uint32") for number in range(100)]
    found = blocks(many)
    assert all(block.count <= 125 for block in found)
    assert sum(len(block.channels) for block in found) == 100
    assert isinstance(found[0], Block)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"alarm_below": 10.0, "alarm_above": 10.0}, "hysteresis"),
        ({"lowest": 5.0, "highest": 5.0}, "highest"),
        ({"codes": {"alarm": [1]}, "alarm_above": 1.0}, "supervised"),
        ({"codes": {"alarm": [1], "open": [1]}}, "once"),
        ({"mask": 3, "type": "int16"}, "uint16"),
        ({"register": 65535, "type": "uint32"}, "65535"),
        ({"order": "abdc"}, "abcd"),
        ({"alarm_above": float("nan")}, "finite"),
        ({"alarm_below": float("-inf")}, "finite"),
        ({"hysteresis": float("inf"), "alarm_above": 1.0}, "finite"),
        ({"scale": float("nan")}, "finite"),
        ({"scale": 0.0}, "0"),
        ({"highest": 100.0, "alarm_above": 100.0}, "0 to 100"),
        ({"lowest": 0.0, "alarm_below": 0.0}, "0 to 65535"),
        ({"alarm_above": 65535.0}, "65535"),
        ({"type": "int16", "scale": 0.1, "alarm_below": -3276.8}, "-3276.8"),
        ({"codes": {"alarm": [65536]}}, "65536"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        channel(**keys)


def test_a_channel_has_an_id_of_its_own() -> None:
    with pytest.raises(ValueError, match="own"):
        ModbusSensor.model_validate({"unit": 1, "channel": [{"id": "a", "register": 0}, {"id": "a", "register": 1}]})
