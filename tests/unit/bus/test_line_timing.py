"""The arithmetic of a serial line, against the standard and against what was measured on real modules."""

import pytest

from agent.bus.timing import (
    FAST_SILENCE_S,
    LONGEST_TURNAROUND_S,
    bits_per_char,
    exchange_time_s,
    line_time_s,
    silence_s,
)
from agent.driver import Exchange

READ_8 = Exchange(request_bytes=8, reply_bytes=6)
"""FC02 for 8 inputs."""


@pytest.mark.parametrize(
    ("bytesize", "parity", "stopbits", "bits"), [(8, "N", 1, 10), (8, "E", 1, 11), (8, "N", 2, 11), (7, "E", 1.5, 10.5)]
)
def test_a_character_has_start_data_parity_and_stop_bits(
    bytesize: int, parity: str, stopbits: float, bits: float
) -> None:
    assert bits_per_char(bytesize, parity, stopbits) == bits


def test_eight_inputs_take_fourteen_and_a_half_milliseconds_of_line_at_9600() -> None:
    assert line_time_s(14, baudrate=9600, bits_per_char=10) == pytest.approx(0.0146, abs=1e-4)


def test_reading_eight_inputs_at_9600_takes_about_25_milliseconds() -> None:
    assert exchange_time_s(READ_8, baudrate=9600, bits_per_char=10) == pytest.approx(0.025, abs=1e-3)


def test_32_modules_at_9600_take_about_800_milliseconds() -> None:
    assert 32 * exchange_time_s(READ_8, baudrate=9600, bits_per_char=10) == pytest.approx(0.8, abs=0.02)


def test_the_slowest_module_still_answers_inside_a_50_ms_press() -> None:
    worst_s = exchange_time_s(READ_8, baudrate=9600, bits_per_char=10, turnaround_s=LONGEST_TURNAROUND_S)
    assert worst_s < 0.050


def test_silence_is_three_and_a_half_characters_up_to_19200_baud() -> None:
    assert silence_s(baudrate=9600, bits_per_char=11) == pytest.approx(3.5 * 11 / 9600)
    assert silence_s(baudrate=19200, bits_per_char=11) == pytest.approx(3.5 * 11 / 19200)


def test_silence_does_not_shrink_above_19200_baud() -> None:
    assert silence_s(baudrate=38400, bits_per_char=10) == FAST_SILENCE_S
    assert silence_s(baudrate=115200, bits_per_char=10) == FAST_SILENCE_S
