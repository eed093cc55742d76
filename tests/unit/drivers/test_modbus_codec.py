"""Modbus RTU as bytes: the standard's and makers' vectors, and everything that may come instead."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.demo.module import crc16
from agent.driver import BadFrame
from drivers._modbus import (
    READ_COILS,
    READ_INPUTS,
    Refused,
    decode_bits,
    decode_write,
    read_request,
    write_reply,
    write_request,
)

UNITS = st.integers(1, 247)
BITS = st.lists(st.booleans(), min_size=1, max_size=256)


def good(body: bytes) -> bytes:
    return body + crc16(body)


def reads(unit: int, function: int, bits: list[bool]) -> bytes:
    packed = sum(bit << number for number, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")
    return good(bytes((unit, function, len(packed))) + packed)


@pytest.mark.parametrize(
    ("request_hex", "unit", "count"), [("FF 02 00 00 00 08 6C 12", 255, 8), ("0B 02 00 00 00 0A F8 A7", 11, 10)]
)
def test_read_requests_are_as_makers_print_them(request_hex: str, unit: int, count: int) -> None:
    assert read_request(unit, READ_INPUTS, 0, count) == bytes.fromhex(request_hex)


def test_a_printed_reply_is_read() -> None:
    bits = decode_bits(bytes.fromhex("FF 02 01 01 51 A0"), 255, READ_INPUTS, 8)
    assert bits == (True, False, False, False, False, False, False, False)


def test_writes_are_as_the_standard_prints_them() -> None:
    """V1.1b3, 6.5: coil 173 on is `05 00 AC FF 00`; 6.11: ten coils from 20 on are `0F 00 13 00 0A 02 CD 01`."""
    assert write_request(1, 172, [True])[1:-2] == bytes.fromhex("05 00 AC FF 00")
    bits = [bool(int(bit)) for bit in "1011001110"]
    assert write_request(1, 19, bits)[1:-2] == bytes.fromhex("0F 00 13 00 0A 02 CD 01")
    assert write_reply(1, 19, bits)[1:-2] == bytes.fromhex("0F 00 13 00 0A")


@given(unit=UNITS, bits=BITS, function=st.sampled_from([READ_COILS, READ_INPUTS]))
def test_every_reply_is_read_as_it_was_meant(unit: int, bits: list[bool], function: int) -> None:
    assert decode_bits(reads(unit, function, bits), unit, function, len(bits)) == tuple(bits)


@given(unit=UNITS, bits=BITS)
def test_a_reply_that_is_not_complete_is_waited_for(unit: int, bits: list[bool]) -> None:
    reply = reads(unit, READ_INPUTS, bits)
    for length in range(len(reply)):
        assert decode_bits(reply[:length], unit, READ_INPUTS, len(bits)) is None


@given(noise=st.binary(max_size=600), unit=UNITS, count=st.integers(1, 256))
def test_noise_is_never_a_reply(noise: bytes, unit: int, count: int) -> None:
    with suppress(BadFrame):
        found = decode_bits(noise, unit, READ_INPUTS, count)
        assert found is None, "a CRC, a unit, a function and a length that are right by chance: 1 in 10^12"


@given(unit=UNITS, bits=BITS, bit=st.integers(0))
def test_one_flipped_bit_is_never_a_reply(unit: int, bits: list[bool], bit: int) -> None:
    reply = bytearray(reads(unit, READ_INPUTS, bits))
    reply[bit // 8 % len(reply)] ^= 1 << bit % 8
    with suppress(BadFrame):
        assert decode_bits(bytes(reply), unit, READ_INPUTS, len(bits)) is None


@given(unit=st.integers(1, 246), late=BITS, bits=BITS)
def test_the_late_reply_of_another_unit_is_passed_over(unit: int, late: list[bool], bits: list[bool]) -> None:
    other = reads(unit + 1, READ_INPUTS, late)
    assert decode_bits(other, unit, READ_INPUTS, len(bits)) is None
    assert decode_bits(other + reads(unit, READ_INPUTS, bits), unit, READ_INPUTS, len(bits)) == tuple(bits)


def test_the_late_echo_of_a_write_is_not_taken_for_the_inputs() -> None:
    late = write_reply(1, 0, [True])
    assert decode_bits(late + reads(1, READ_INPUTS, [False] * 8), 1, READ_INPUTS, 8) == (False,) * 8


def test_glitches_before_a_reply_are_dropped_a_few_of_them() -> None:
    reply = reads(1, READ_INPUTS, [True] * 8)
    assert decode_bits(b"\x00\xff" + reply, 1, READ_INPUTS, 8) == (True,) * 8
    with pytest.raises(BadFrame):
        decode_bits(b"\x00" * 9 + reply, 1, READ_INPUTS, 8)


def test_the_wrong_number_of_inputs_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="6 bytes"):
        decode_bits(reads(1, READ_INPUTS, [True] * 16), 1, READ_INPUTS, 8)


def test_an_exception_reply_is_read() -> None:
    assert decode_bits(good(b"\x01\x82\x02"), 1, READ_INPUTS, 8) == Refused(2, 2)


@given(code=st.integers(0, 255), function=st.sampled_from([1, 2, 5, 15]))
def test_every_exception_code_has_words(code: int, function: int) -> None:
    text = Refused(function, code).text
    assert text.render("zh-CN")
    assert text.render("en")


@given(unit=UNITS, first=st.integers(0, 2000), values=BITS)
def test_only_its_echo_confirms_a_write(unit: int, first: int, values: list[bool]) -> None:
    expected = write_reply(unit, first, values)
    assert decode_write(expected, expected) is True
    assert decode_write(expected[:-1], expected) is None
    with pytest.raises(BadFrame):
        decode_write(write_reply(unit, first + 1, values), expected)


def test_a_refused_write_is_no_confirmation() -> None:
    assert decode_write(good(b"\x01\x85\x02"), write_reply(1, 12, [True])) == Refused(5, 2)
