"""The check of a chain, on what a district may have stored."""

import json
import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import UnreadableChain, canonical, canonical_json, hash_of, published, verify, verify_path
from agent.journal.chain import stored_from
from agent.model import ZERO_HASH, JsonValue, Lane, new_event
from tests.unit.journal.kit import SITE, sim_clock


def chain(
    count: int, journal: str = "J1", lost: dict[int, dict[str, JsonValue]] | None = None, ids: str = "id"
) -> list[bytes]:
    """Published events 1..count; `lost` makes some of them loss records."""
    clock, prevhash, lines = sim_clock(), ZERO_HASH, []
    for seq in range(1, count + 1):
        clock.tick(1)
        data = (lost or {}).get(seq)
        made = new_event("campus.lost" if data else "campus.alarm.raised", Lane.ALARM, clock.moment())
        made = replace(made, data=data or {})
        body = canonical(replace(made, id=f"{ids}-{seq}"), SITE, journal, seq, prevhash)
        prevhash = hash_of(body)
        lines.append(published(stored_from(body, prevhash), False))
    return lines


def keys(report: Any) -> list[str]:
    return [problem.key.removeprefix("journal.check-") for problem in report.problems]


def altered(line: bytes, **members: Any) -> bytes:
    return json.dumps({**json.loads(line), **members}).encode()


def test_a_whole_chain_is_fine_and_its_head_is_told() -> None:
    lines = chain(20)
    report = verify(lines)
    assert report.ok
    assert (report.events, report.duplicates) == (20, 0)
    assert report.chains[0].head.seq == 20
    assert report.chains[0].head.hash == json.loads(lines[-1])["hash"]


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_order_and_repetition_are_no_problem(rng: random.Random) -> None:
    lines = chain(15)
    stored = lines + rng.choices(lines, k=6)
    rng.shuffle(stored)
    report = verify(stored)
    assert report.ok
    assert (report.events, report.duplicates, report.chains[0].events) == (21, 6, 15)


def test_altered_event_is_named_with_both_hashes() -> None:
    lines = chain(5)
    lines[2] = altered(lines[2], type="campus.alarm.reset")
    report = verify(lines)
    assert keys(report) == ["altered"]
    assert report.problems[0].args["seq"] == 3
    assert report.problems[0].args["expected"] == json.loads(lines[2])["hash"]
    assert "3" in report.problems[0].render("zh-CN")


def test_late_and_correctedtime_may_differ() -> None:
    lines = chain(3)
    lines[1] = altered(lines[1], late=True, correctedtime="2030-01-01T00:00:00.000+08:00")
    assert verify(lines).ok


def test_event_altered_with_a_new_hash_breaks_the_link() -> None:
    lines = chain(5)
    forged = {k: v for k, v in json.loads(lines[2]).items() if k not in ("hash", "late")} | {"type": "campus.x"}
    lines[2] = json.dumps({**forged, "hash": hash_of(canonical_json(forged))}).encode()
    report = verify(lines)
    assert keys(report) == ["link"]
    assert report.problems[0].args["seq"] == 4


def test_gap_is_named() -> None:
    lines = chain(10)
    del lines[3:6]
    report = verify(lines)
    assert keys(report) == ["gap"]
    assert (report.problems[0].args["first"], report.problems[0].args["last"]) == (4, 6)


def test_gap_with_a_loss_record_is_explained() -> None:
    full = chain(10, lost=None)
    hash_5 = json.loads(full[4])["hash"]
    lines = chain(10, lost={8: {"from": 3, "to": 5, "count": 3, "reason": "quota", "hash": hash_5}})
    del lines[2:5]
    report = verify(lines)
    assert report.ok
    assert report.chains[0].missing == 3
    assert [note.key for note in report.notes] == ["journal.check-lost"]


def test_loss_record_with_a_wrong_hash_explains_nothing_by_stealth() -> None:
    lines = chain(10, lost={8: {"from": 3, "to": 5, "count": 3, "reason": "quota", "hash": "ab" * 32}})
    del lines[2:5]
    assert keys(verify(lines)) == ["link"]


def test_a_loss_record_that_was_altered_explains_nothing() -> None:
    lines = chain(10, lost={8: {"from": 3, "to": 4, "count": 3, "reason": "quota", "hash": "ab" * 32}})
    lost = json.loads(lines[7])
    lines[7] = altered(lines[7], data={**lost["data"], "to": 5})
    del lines[2:5]
    assert keys(verify(lines)) == ["altered", "gap"]


def test_part_of_a_chain_is_fine_and_says_where_it_begins() -> None:
    report = verify(chain(10)[4:])
    assert report.ok
    assert [note.key for note in report.notes] == ["journal.check-begins"]


def test_two_journals_are_two_chains() -> None:
    report = verify(chain(5, "J1") + chain(7, "J2"))
    assert report.ok
    assert [(one.journal, one.head.seq) for one in report.chains] == [("J1", 5), ("J2", 7)]


def test_two_events_with_one_number_are_told() -> None:
    lines = chain(5) + chain(3, ids="other")[2:]
    assert keys(verify(lines)) == ["twice"]


def test_first_event_must_begin_at_zero() -> None:
    first = json.loads(chain(1)[0])
    body = {k: v for k, v in first.items() if k not in ("hash", "late")} | {"prevhash": "ab" * 32}
    assert keys(verify([json.dumps({**body, "hash": hash_of(canonical_json(body))})])) == ["link"]


def test_events_without_hash_are_checked_by_their_links() -> None:
    stored = [{k: v for k, v in json.loads(line).items() if k not in ("hash", "late")} for line in chain(5)]
    assert verify(stored).ok
    stored[2]["type"] = "campus.alarm.reset"
    assert keys(verify(stored)) == ["link"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"{}",
        b"17",
        b'{"seq": "1"}',
        b'{"seq": 1, "seq": 2}',
        b'{"seq":NaN}',
        b"\xff\xfe",
        b"[" * 99_999,
    ],
)
def test_what_is_no_event_is_a_problem_with_its_line(line: bytes) -> None:
    report = verify([*chain(2), line])
    assert keys(report) == ["unreadable"]
    assert report.problems[0].args["line"] == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_reported_never_raised(line: bytes) -> None:
    verify([line])


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["seq", "hash", "prevhash", "id", "data", "type", "journal"]), x)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_reported_never_raised(value: Any) -> None:
    verify([json.dumps(value)])


def test_many_problems_are_counted_and_few_kept() -> None:
    report = verify([b"x"] * 1_500)
    assert report.problem_count == 1_500
    assert len(report.problems) == 1_000


@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
def test_files_of_lines_and_arrays(form: str, tmp_path: Path) -> None:
    lines = chain(6)
    file = tmp_path / "events"
    events = [json.loads(line) for line in lines]
    text = {
        "lines": b"\n".join(lines) + b"\n\n",
        "array": json.dumps(events).encode(),
        "pretty": b"\n " + json.dumps(events, indent=2, ensure_ascii=False).encode(),
    }[form]
    file.write_bytes(text)
    report = verify_path(file)
    assert report.ok
    assert report.events == 6


def test_missing_file_and_other_databases_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UnreadableChain):
        verify_path(tmp_path / "none")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(UnreadableChain) as error:
        verify_path(other)
    assert "other.db" in error.value.text.render("zh-CN")


def test_empty_input_says_so() -> None:
    assert [note.key for note in verify([]).notes] == ["journal.check-empty"]
