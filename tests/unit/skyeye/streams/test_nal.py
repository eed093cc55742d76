"""Parameter sets of real encoders, and of nobody."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.skyeye.streams.nal import (
    BadParameterSet,
    NalCodec,
    other_codec,
    parameter_sets,
    picture_size,
    plausible,
    unit_type,
    units,
)

START = b"\x00\x00\x00\x01"


def annexb(*units_: str) -> bytes:
    return b"".join(START + bytes.fromhex(unit) for unit in units_)


# As encoders gave them: x264 640x360 baseline; x264 high 640x360; x265 640x360 main.
X264 = annexb("6742c01eda0280bfe5c05a83030352800000030080000019478b1750", "68ce3c80")
X264_HIGH = annexb(
    "67640016acb405017fcb0800000300080000030 0a702000493e000927f230c03c58ba8".replace(" ", ""), "68ef3cb0"
)
X265 = annexb(
    "40010c01ffff04080000030098080000030000 3fba0240".replace(" ", ""),
    "42010104080000030098080000030000 3f9000a0402e3e24a52dd252617ff8000800 0b506060604000000300400000064 2".replace(
        " ", ""
    ),
    "4401c07030603120",
)


@pytest.mark.parametrize(
    ("codec", "sets", "size"), [("h264", X264, (640, 360)), ("h264", X264_HIGH, (640, 360)), ("h265", X265, (640, 360))]
)
def test_sizes(codec: NalCodec, sets: bytes, size: tuple[int, int]) -> None:
    assert parameter_sets(codec, sets + START + b"\x65\x88\x84") == sets
    assert picture_size(codec, sets) == size
    assert not other_codec(codec, sets)
    assert other_codec("h265" if codec == "h264" else "h264", sets)


@pytest.mark.parametrize(
    ("codec", "sps", "size"),
    [
        ("h264", "67640028acd940780227e5c044000003000400000300c83c60c658", (1920, 1080)),
        ("h264", "6764001eacd940b424d8088000000300800000190f8a14cb", (720, 576)),
        (
            "h265",
            "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
            (1920, 1080),
        ),
    ],
    ids=["cropped from 1088 lines", "interlaced", "cropped"],
)
def test_what_is_cropped_and_interlaced_counts(codec: NalCodec, sps: str, size: tuple[int, int]) -> None:
    assert picture_size(codec, annexb(sps)) == size


def test_sets_without_a_pps_are_none() -> None:
    assert parameter_sets("h264", X264.rpartition(START)[0]) == b""


def test_repeated_sets_are_taken_once() -> None:
    assert parameter_sets("h264", X264 + X264) == X264


def test_types() -> None:
    assert [unit_type("h264", unit) for unit in units(X264)] == [7, 8]
    assert [unit_type("h265", unit) for unit in units(X265)] == [32, 33, 34]
    assert unit_type("h264", b"\xff") == unit_type("h264", b"") == -1


def test_h265_payloads_are_no_h264() -> None:
    assert plausible("h264", START + b"\x65\x88")
    assert not plausible("h264", START + b"\x62\x01\x67")


@given(st.sampled_from(["h264", "h265"]), st.binary(max_size=600))
@example("h264", START + b"\x67" + bytes(600))
@example("h264", START + b"\x67\x64" + b"\xff" * 600)
def test_nothing_but_its_own_error(codec: NalCodec, data: bytes) -> None:
    for raw in (data, START + b"\x67" + data, START + b"\x42\x01" + data):
        parameter_sets(codec, raw)
        plausible(codec, raw)
        with suppress(BadParameterSet):
            assert all(0 < side <= 16_384 for side in picture_size(codec, raw))
