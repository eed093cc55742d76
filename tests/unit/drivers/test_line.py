"""Frames out of bytes as they come, and copies told from new reports."""

from collections.abc import Callable

import pytest

from agent.driver import BadFrame
from drivers import contact_id, ev1527, sur_gard
from drivers._contact_id import Report
from drivers._line import Copies, Terminated
from tests.contract.peers import Framer

S = 1_000_000_000
REPORT = b"5011 181234E13001003"
BLOCK = b"1234181131010158"


def frames(framer: Framer, data: bytes, step: int = 0) -> tuple[list[bytes], bytes]:
    """The frames of some bytes, given whole or in steps; and what was rejected."""
    junk: list[bytes] = []
    found: list[bytes] = []
    for at in range(0, len(data), step or len(data)):
        found += framer.feed(data[at : at + (step or len(data))], lambda raw, _error: junk.append(raw))
    return found, b"".join(junk)


@pytest.mark.parametrize("step", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("make", "data", "expected"),
    [
        (sur_gard.framer, REPORT + b"\x14" + REPORT + b"\x14", [REPORT, REPORT]),
        (lambda: contact_id.Blocks(("1234",)), b"1234 18 1131 01 015 8\r\n", [BLOCK]),
        (lambda: contact_id.Blocks(("1234",)), BLOCK, [BLOCK]),
        (lambda: contact_id.Blocks(("1234",)), BLOCK * 3, [BLOCK] * 3),
        (lambda: contact_id.Blocks(("1234",)), b"EVENT: " + BLOCK + b";" + BLOCK + b"\n", [BLOCK] * 2),
        (lambda: ev1527.framer(ev1527.PRESETS["lc"]), b"LC:A1B2C1\r\nLC:A1B2C1\r\n", [b"LC:A1B2C1"] * 2),
    ],
)
def test_frames_are_found_however_their_bytes_arrive(
    make: Callable[[], Framer], data: bytes, expected: list[bytes], step: int
) -> None:
    found, junk = frames(make(), data, step)
    assert found == expected
    assert junk.strip() in (b"", b"EVENT:;")


@pytest.mark.parametrize("step", [0, 1])
def test_a_block_behind_the_rest_of_one_that_was_cut_off_is_found_if_its_account_is_known(step: int) -> None:
    data = b"123418113" + BLOCK + b"\r\n"
    assert BLOCK in frames(contact_id.Blocks(("1234",)), data, step)[0]
    assert BLOCK not in frames(contact_id.Blocks(("5678",)), data, step)[0]


@pytest.mark.parametrize("step", [0, 1])
def test_a_report_behind_noise_is_found(step: int) -> None:
    found, junk = frames(sur_gard.framer(), b"\xff\x00" * 500 + REPORT + b"\x14", step)
    assert isinstance(sur_gard.decode(found[0]), Report)
    assert junk


@pytest.mark.parametrize("step", [0, 1, 50])
def test_a_line_that_is_too_long_is_none_up_to_its_end(step: int) -> None:
    found, junk = frames(Terminated(b"\n", 100, tail=False), b"x" * 500 + b"fire\nfire\n", step)
    assert found == [b"fire"]
    assert junk


def test_what_never_ends_is_not_kept() -> None:
    framers: list[Framer] = [sur_gard.framer(), contact_id.Blocks(()), Terminated(b"\n", 100, tail=False)]
    for framer in framers:
        for _ in range(200):
            list(framer.feed(b"0" * 1_000, lambda _raw, _error: None))
        assert len(vars(framer)["_buffer"]) <= 128


def test_a_report_like_the_last_one_of_its_subject_is_a_copy() -> None:
    copies = Copies(20.0)
    assert [copies.count("zone 3", "E", at * S) for at in (0, 4, 8, 12)] == [1, 2, 3, 4]
    assert copies.count("zone 4", "E", 12 * S) == 1
    assert copies.count("zone 3", "E", 13 * S) == 5, "another zone came between"
    assert copies.count("zone 3", "R", 14 * S) == 1
    assert copies.count("zone 3", "E", 15 * S) == 1, "it was restored, so this is new"
    assert copies.count("zone 3", "E", 36 * S) == 1, "too late for a copy"


def test_one_that_never_stops_stays_a_copy_and_the_memory_is_bounded() -> None:
    copies = Copies(20.0)
    assert [copies.count("zone", "E", at * S) for at in range(0, 600, 10)] == list(range(1, 61))
    for number in range(5_000):
        copies.count(number, "E", 0)
    assert len(vars(copies)["_last"]) <= 1_024


def test_a_wrong_checksum_is_handed_on_to_be_rejected() -> None:
    found, _ = frames(contact_id.Blocks(("1234",)), b"1234181131010157\r\n")
    assert found == [b"1234181131010157"]
    with pytest.raises(BadFrame):
        contact_id.decode(found[0])
