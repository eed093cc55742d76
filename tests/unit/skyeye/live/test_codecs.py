"""The codecs string out of parameter sets."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import Codec
from agent.skyeye.live.codecs import BadParameters, annex_b, codecs_string, nal_units, parameter_sets

START = b"\x00\x00\x00\x01"
CODECS = st.sampled_from(["h264", "h265"])
H265_SPS = bytes.fromhex("420101016000000300b0000003000003005da00280802d16594e4924cae01000003e9000061a8f02")


@pytest.mark.parametrize(
    ("codec", "sps", "expected"),
    [
        ("h264", bytes.fromhex("6764001fac"), "avc1.64001f"),
        ("h264", bytes.fromhex("6742c01eda"), "avc1.42c01e"),
        ("h264", bytes.fromhex("674d0028"), "avc1.4d0028"),
        ("h265", H265_SPS, "hvc1.1.6.L93.B0"),
        ("h265", bytes.fromhex("4201012222000000900000030000030099a0"), "hvc1.2.44.H153.90"),
    ],
)
def test_the_string_that_browsers_ask_for(codec: Codec, sps: bytes, expected: str) -> None:
    assert codecs_string(START + b"\x09\xf0" + START + sps + START + b"\x68\xee", codec) == expected


def test_parameter_sets_are_taken_from_in_front_of_the_picture() -> None:
    keyframe = START + b"\x67\x64\x00\x1f" + b"\x00\x00\x01\x68\xee\x3c" + b"\x00\x00\x01\x65\x88\x84"
    assert parameter_sets(keyframe, "h264") == START + b"\x67\x64\x00\x1f" + START + b"\x68\xee\x3c"
    assert parameter_sets(b"\x00\x00\x01\x41\x9a", "h264") == b""


def test_a_decoder_configuration_becomes_annex_b() -> None:
    avcc = bytes.fromhex("0164001fffe1") + b"\x00\x04\x67\x64\x00\x1f" + b"\x01" + b"\x00\x02\x68\xee"
    assert annex_b(avcc, "h264") == START + b"\x67\x64\x00\x1f" + START + b"\x68\xee"
    hvcc = bytes(22) + b"\x01" + b"\xa1\x00\x01" + len(H265_SPS).to_bytes(2, "big") + H265_SPS
    assert codecs_string(annex_b(hvcc, "h265"), "h265") == "hvc1.1.6.L93.B0"
    assert annex_b(START + b"\x67", "h264") == START + b"\x67"


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_no_parameter_sets(codec: Codec) -> None:
    with pytest.raises(BadParameters):
        codecs_string(START + b"\x65\x88", codec)
    with pytest.raises(BadParameters):
        codecs_string(b"", codec)


@given(st.binary(max_size=120), CODECS)
def test_whatever_comes_is_read_or_bad(raw: bytes, codec: Codec) -> None:
    for act in (annex_b, codecs_string):
        with suppress(BadParameters):
            act(raw, codec)
    parameter_sets(raw, codec)
    assert all(unit for unit in nal_units(raw))


@given(st.binary(max_size=120), CODECS)
def test_behind_a_start_code_too(raw: bytes, codec: Codec) -> None:
    test_whatever_comes_is_read_or_bad.hypothesis.inner_test(START + b"\x67\x42" + raw, codec)  # type: ignore[attr-defined]  # hypothesis keeps the function there
