"""The canonical form: RFC 8785's own vectors, the fast path against the reference, and what goes out."""

import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import NotJson, canonical, canonical_json, hash_of, published
from agent.journal.chain import MAX_SAFE, stored_from
from agent.model import ZERO_HASH, Event, Lane, Moment, Site

SITE = Site("370812", "sy-primary")
MOMENT = Moment(datetime.fromisoformat("2026-11-23T08:00:00.123456+08:00"), 12_345_678_901, "boot-1", "synced")
EVENT = Event("01JDABC", "campus.alarm.raised", Lane.ALARM, MOMENT, "guardroom", "panic", False, {"kind": "panic"})

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE, MAX_SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(json_values)
def test_fast_path_writes_the_same_bytes_as_the_reference(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


def test_rfc_8785_section_3_2_2_sample() -> None:
    given_text = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical_json(json.loads(given_text)) == expected.encode()


def test_rfc_8785_section_3_2_3_sorts_by_utf_16() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical_json(dict.fromkeys(keys, 0)))) == ordered


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555555", "333333333.3333333"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_rfc_8785_appendix_b_numbers(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json([number]) == f"[{text}]".encode()


def test_event_has_the_members_of_the_contract() -> None:
    body = canonical(EVENT, SITE, "01JOURNAL", 42, ZERO_HASH)
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": "01JDABC",
        "source": "/370812/sy-primary/guardroom/panic",
        "type": "campus.alarm.raised",
        "time": "2026-11-23T08:00:00.123+08:00",
        "datacontenttype": "application/json",
        "lane": "alarm",
        "seq": 42,
        "prevhash": ZERO_HASH,
        "drill": False,
        "clock": "synced",
        "journal": "01JOURNAL",
        "data": {
            "device": "guardroom",
            "point": "panic",
            "kind": "panic",
            "bootid": "boot-1",
            "boottime_ns": 12_345_678_901,
        },
    }
    assert body == rfc8785.dumps(json.loads(body))
    assert hash_of(body) == sha256(body).hexdigest()


def test_absent_parts_are_left_off() -> None:
    body = json.loads(canonical(replace(EVENT, device=None, point=None), SITE, "J", 1, ZERO_HASH))
    assert body["source"] == "/370812/sy-primary"
    assert not {"device", "point"} & body["data"].keys()


text_with_halves = st.text(st.characters(), max_size=12)


@given(text_with_halves, text_with_halves, json_values, st.booleans())
def test_any_event_is_canonical_and_reads_back(device: str, name: str, value: Any, drill: bool) -> None:
    event = replace(EVENT, device=device, type=name, drill=drill, data={"value": value, "name": name})
    body = canonical(event, SITE, "J", 7, ZERO_HASH)
    assert body == canonical_json(json.loads(body))
    row = stored_from(body, hash_of(body))
    assert (row.seq, row.id, row.lane, row.boottime_ns) == (7, EVENT.id, Lane.ALARM, MOMENT.boottime_ns)


@given(st.integers(0, 2**62))
def test_boot_clock_passes_the_safe_integers_after_104_days_and_stays_one_number_everywhere(boottime_ns: int) -> None:
    body = canonical(replace(EVENT, moment=replace(MOMENT, boottime_ns=boottime_ns)), SITE, "J", 1, ZERO_HASH)
    as_javascript_reads = json.loads(body, parse_int=float)
    as_python_reads = json.loads(body)["data"]["boottime_ns"]
    assert as_javascript_reads["data"]["boottime_ns"] == float(as_python_reads)
    if boottime_ns < 10**18:  # 31 years
        assert as_python_reads == (boottime_ns if boottime_ns <= MAX_SAFE else boottime_ns // 1000 * 1000)


def test_what_json_cannot_hold_is_written_as_ecmascript_writes_it() -> None:
    data: dict[str, Any] = {"nan": float("nan"), "inf": float("inf"), "big": 2**70, "half": "a\ud800b", "huge": 10**400}
    assert canonical_json(data) == (
        '{"big":1.1805916207174113e+21,"half":"a\ufffdb","huge":null,"inf":null,"nan":null}'.encode()
    )


@pytest.mark.parametrize("bad", [{"x": object()}, {"x": b"bytes"}, {"x": {1, 2}}])
def test_what_is_no_json_at_all_is_one_error(bad: Any) -> None:
    with pytest.raises(NotJson):
        canonical_json(bad)


def test_endless_data_is_one_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotJson):
        canonical_json(endless)


@pytest.mark.parametrize("corrected", [None, "2026-11-23T08:00:00.123+08:00"])
def test_published_adds_hash_late_and_correctedtime_outside_the_hash(corrected: str | None) -> None:
    body = canonical(EVENT, SITE, "J", 1, ZERO_HASH)
    stored = stored_from(body, hash_of(body))
    out = json.loads(published(stored, True, corrected))
    assert out.pop("hash") == stored.hash
    assert out.pop("late") is True
    assert out.pop("correctedtime", None) == corrected
    assert canonical_json(out) == body


def test_time_keeps_its_own_offset() -> None:
    moment = replace(MOMENT, wall=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    body = json.loads(canonical(replace(EVENT, moment=moment), SITE, "J", 1, ZERO_HASH))
    assert body["time"] == "1970-01-01T00:00:01.000+00:00"
