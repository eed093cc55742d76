"""Contact ID: vectors from published manuals, and what a report becomes for the points of a school."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.driver import BadFrame, Sample, Text
from agent.kinds import KINDS
from agent.texts import room_texts
from drivers._contact_id import (
    NAMED,
    PanelInputs,
    Report,
    check_digit,
    decode_block,
    decode_event,
    kind_of,
    names,
    samples,
    total,
    words,
)

ONE = PanelInputs(("1234",))
TWO = PanelInputs(("1234", "5678"))
# DC-05's own example, two of the Cooper Menvier M2000 engineering manual (2-5-2), and two that were computed here: the
# first of them is printed in many manuals with the wrong digit D.
BLOCKS = {
    "1234 18 1131 01 015 8": Report("1234", 1, "131", "01", "015"),
    "1234 18 1137 01 015 2": Report("1234", 1, "137", "01", "015"),
    "1234 18 3137 01 015 F": Report("1234", 3, "137", "01", "015"),
    "1234 18 3402 01 015 0": Report("1234", 3, "402", "01", "015"),
    "1234 18 1120 01 001 0": Report("1234", 1, "120", "01", "001"),
}


def bare(text: str) -> bytes:
    return text.replace(" ", "").encode()


def said(event: str, inputs: PanelInputs = ONE, account: str = "1234") -> tuple[Sample, ...]:
    return samples(decode_event(event.encode(), account), inputs, 7)


@pytest.mark.parametrize("text", BLOCKS)
def test_blocks_of_the_manuals_are_understood(text: str) -> None:
    assert decode_block(bare(text)) == BLOCKS[text]
    assert check_digit(bare(text)[:-1]) == text[-1]


@pytest.mark.parametrize("text", BLOCKS)
def test_a_wrong_digit_anywhere_is_a_bad_frame(text: str) -> None:
    good = bare(text)
    for place in range(len(good)):
        for digit in b"0123456789ABCDEF":
            wrong = good[:place] + bytes([digit]) + good[place + 1 :]
            if total(wrong) % 15:
                with pytest.raises(BadFrame):
                    decode_block(wrong)


def test_a_wrong_checksum_names_the_right_one() -> None:
    with pytest.raises(BadFrame, match="CCC 8"):
        decode_block(b"1234181131010157")


@given(st.binary(max_size=24))
def test_any_bytes_are_a_report_or_a_bad_frame(data: bytes) -> None:
    for decode in (decode_block, lambda data: decode_event(data, "1234")):
        try:
            report = decode(data)
        except BadFrame:
            continue
        samples(report, TWO, 0)


def test_every_code_has_a_kind_that_there_is() -> None:
    assert {kind_of(f"{code:03X}") for code in range(0x1000)} <= set(KINDS)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("100", "medical"),
        ("110", "fire"),
        ("111", "smoke"),
        ("120", "panic"),
        ("121", "duress"),
        ("122", "duress"),
        ("123", "panic"),
        ("130", "intrusion"),
        ("131", "perimeter"),
        ("137", "tamper"),
        ("144", "tamper"),
        ("151", "gas"),
        ("154", "water-leak"),
        ("158", "temperature"),
        ("161", "fan-stopped"),
        ("301", "mains-lost"),
        ("302", "battery-low"),
        ("354", "panel-trouble"),
        ("381", "supervision-lost"),
        ("401", "armed"),
        ("421", "door-denied"),
        ("423", "door-forced"),
        ("570", "panel-trouble"),
        ("602", "panel-test"),
    ],
)
def test_codes_mean(code: str, kind: str) -> None:
    assert kind_of(code) == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [("119", "fire"), ("129", "panic"), ("149", "intrusion"), ("16F", "intrusion"), ("399", "panel-trouble")],
)
def test_a_code_that_nobody_knows_is_as_loud_as_its_group(code: str, kind: str) -> None:
    assert kind_of(code) == kind


def test_every_code_that_has_words_has_them_in_the_catalogue() -> None:
    assert {f"code-{code}" for code in NAMED} | {"code-other", "account"} == set(room_texts("contactid"))
    assert words("7FF").render("en") == "code 7FF"


def test_a_report_is_one_sample_with_the_names_a_point_may_use() -> None:
    (sample,) = said("113001003")
    assert (sample.input, sample.also) == ("130/003", ("zone-003", "130"))
    assert (sample.value, sample.kind, sample.press, sample.hold_s) == (True, "intrusion", True, None)
    event = sample.detail["event"]
    assert isinstance(event, Text)
    assert (event.render("zh-CN"), event.render("en")) == ("入侵", "burglary")
    assert sample.detail == {"account": "1234", "code": "130", "event": event, "partition": "01", "zone": "003"}
    (sample,) = said("R13001003")
    assert (sample.input, sample.value, sample.press) == ("130/003", False, False)
    (sample,) = said("P13001003")
    assert (sample.value, sample.press) == (True, False)


def test_tamper_of_a_zone_is_no_alarm_of_the_zone() -> None:
    assert names(decode_event(b"113701003", "1234")) == ("137/003", "137")


def test_opening_and_closing_are_one_input_per_partition() -> None:
    (opened,) = said("140102007")
    (closed,) = said("340102007")
    assert (opened.input, opened.also, opened.value) == ("armed-02", ("armed",), False)
    assert (closed.input, closed.value, closed.kind) == ("armed-02", True, "armed")
    assert closed.detail["user"] == "007"


def test_a_panic_button_is_released_after_a_while_or_by_its_restore() -> None:
    (pressed,) = said("E12000001")
    (restored,) = said("R12000001")
    assert (pressed.value, pressed.hold_s) == (True, 60.0)
    assert (restored.value, restored.input) == (False, pressed.input)


def test_what_happens_and_does_not_last_is_a_pulse() -> None:
    for event in ("160200000", "360200000"):
        on, off = said(event)
        assert (on.value, on.kind, off.value) == (True, "panel-test", False)


def test_with_several_accounts_their_inputs_are_told_apart() -> None:
    (sample,) = said("113001003", TWO, "5678")
    assert (sample.input, sample.also) == ("5678:130/003", ("5678:zone-003", "5678:130"))


def test_an_account_that_is_not_ours_is_told_apart_too() -> None:
    (sample,) = said("113001003", ONE, "9999")
    assert sample.input == "9999:130/003"
    assert sample.input not in ONE


@pytest.mark.parametrize("name", ["130/003", "zone-003", "130", "armed", "armed-01"])
def test_inputs_begin_with_the_account_where_there_are_several(name: str) -> None:
    assert name in ONE
    assert name not in TWO
    assert f"5678:{name}" in TWO
    assert f"1234:{name}" not in ONE
    assert f"9999:{name}" not in TWO


@pytest.mark.parametrize("name", [130, "13", "1300", "zone-3", "armed-1", "130/3", ":130", "", "1234:"])
def test_what_no_host_can_say_is_no_input(name: object) -> None:
    assert name not in ONE
    assert name not in TWO
