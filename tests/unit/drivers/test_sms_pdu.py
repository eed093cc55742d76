"""Short messages as bytes: the standard's own examples, and what a reader of its own reads back."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.demo.modem import read_submit, status_report
from agent.driver import BadFrame
from drivers._sms_pdu import GSM7, PARTS_LIMIT, UCS2, address, encode, pack7, read_report, submits


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "E8329BFD4697D9EC37"),  # the example that is in every introduction to TS 23.038, 6.1.2.1
        ("How are you?", "C8F71D14969741F977FD07"),
        ("", ""),
    ],
)
def test_septets_are_packed_as_in_the_published_examples(text: str, packed: str) -> None:
    coding, (part,) = encode(text)
    assert coding == GSM7
    assert pack7(part).hex().upper() == packed


def test_numbers_are_written_in_swapped_pairs() -> None:
    assert address("+46708251358").hex().upper() == "0B916407281553F8"
    assert address("10086").hex().upper() == "05810180F6"


def test_a_chinese_text_is_ucs2_with_a_validity_and_a_wish_for_a_report() -> None:
    (made,) = submits("+8613800138000", "报警", 7, report=True)
    assert made.hex == "00" + "3100" + "0D91683108108300F0" + "00082F" + "04" + "62A58B66"
    assert made.length == len(made.hex) // 2 - 1


def test_signs_outside_the_basic_alphabet_are_escaped() -> None:
    assert encode("[€]")[1] == [bytes([0x1B, 0x3C, 0x1B, 0x65, 0x1B, 0x3E])]


def test_a_long_text_comes_in_parts_that_fit_and_never_cut_a_sign() -> None:
    text = "警" * 66 + "😀" + "报" * 70
    parts = [read_submit(bytes.fromhex(one.hex)[1:]) for one in submits("13800138000", text, 300, report=False)]
    assert [(one.parts, one.position, one.reference) for one in parts] == [(3, n, 300 & 0xFF) for n in (1, 2, 3)]
    assert len(parts[0].text) == 66  # the pair of the smiley goes into the next one
    assert "".join(one.text for one in parts) == text
    assert all(one.length <= 164 for one in submits("13800138000", text, 1, report=False))


def test_a_text_without_end_is_cut() -> None:
    assert len(submits("13800138000", "警" * 5000, 1, report=False)) == PARTS_LIMIT


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.integers(0, 1000))
@settings(max_examples=60)
def test_whatever_is_written_is_read_back(text: str, reference: int) -> None:
    made = submits("+8613800138000", text, reference, report=False)
    coding, _ = encode(text)
    read = "".join(read_submit(bytes.fromhex(one.hex)[1:]).text for one in made)
    if coding == UCS2:
        assert read == text
    else:
        assert len(read) >= len(text)


@pytest.mark.parametrize("number", ["", "12", "+", "abc", "1" * 21, "13800138000\r"])
def test_what_is_no_number_is_refused_and_never_shown(number: str) -> None:
    with pytest.raises(BadFrame) as caught:
        submits(number, "x", 0, report=False)
    assert caught.value.got == b""


@pytest.mark.parametrize(
    ("status", "delivered", "failed"), [(0, True, False), (0x30, False, False), (0x41, False, True)]
)
def test_a_report_says_of_whom_it_is_and_what_became_of_it(status: int, delivered: bool, failed: bool) -> None:
    report = read_report(status_report(17, "+8613800138000", status))
    assert (report.reference, report.number, report.delivered, report.failed) == (
        17,
        "+8613800138000",
        delivered,
        failed,
    )


@given(st.text("0123456789ABCDEFabcdef xyz", max_size=80))
@settings(max_examples=100)
def test_noise_is_no_report(digits: str) -> None:
    with suppress(BadFrame):
        read_report(digits)
