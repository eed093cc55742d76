"""Durations and sizes: every text that is one is read exactly, every other is refused with one error type."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    BadSetting,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    shown,
    type_of,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("30ms", 0.03),
        ("0.5ms", 0.0005),
        ("15s", 15.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("30d", 2_592_000.0),
        ("0s", 0.0),
    ],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0B", 0), ("4096B", 4096), ("512KiB", 524_288), ("512MiB", 536_870_912), ("1GiB", 1 << 30), ("2TiB", 2 << 40)],
)
def test_sizes_are_read_in_bytes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "s",
        "15 s",
        " 15s",
        "15s\n",
        "-1s",
        "+1s",
        "1e3s",
        "1,5s",
        "15S",
        "15min",
        "1h30m",
        "٣s",
        "9" * 10 + "s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_duration(text)
    assert caught.value.text.render("zh-CN").startswith('应为带单位的时长，例如 "200ms"')
    assert str(caught.value).startswith("expected a duration with its unit")


@pytest.mark.parametrize("text", ["", "1", "1GB", "1 GiB", "1.5GiB", "GiB", "1gib", "-1B", "1B\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_size(text)
    assert caught.value.text.render("zh-CN").startswith('应为带单位的大小，例如 "512KiB"')


@given(st.text())
def test_any_text_is_read_or_refused_and_the_schema_agrees(text: str) -> None:
    for parse, pattern in ((parse_duration, DURATION_PATTERN), (parse_size, SIZE_PATTERN)):
        try:
            parse(text)
        except BadSetting:
            assert not re.fullmatch(pattern.strip("^$"), text)
        else:
            assert re.fullmatch(pattern.strip("^$"), text)


@given(st.integers(0, 10**9), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_that_is_written_is_read_back(count: int, unit: str) -> None:
    seconds = parse_duration(f"{count % 10**9}{unit}")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**9 - 1), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB"]))
def test_a_size_that_is_written_is_read_back(count: int, unit: str) -> None:
    size_bytes = parse_size(f"{count}{unit}")
    assert parse_size(format_size(size_bytes)) == size_bytes


def test_a_duration_is_written_in_the_largest_unit_that_keeps_it_whole() -> None:
    assert [format_duration(s) for s in (0, 0.0005, 0.05, 1.5, 90, 300, 86_400)] == [
        *("0s", "0.5ms", "50ms", "1500ms", "90s", "5m", "1d")
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_a_shown_value_is_one_short_printable_line(value: object) -> None:
    text = shown(value)
    assert len(text) <= 60
    assert text.isprintable()


def test_of_a_table_only_its_keys_are_shown() -> None:
    assert shown({"file": "hunter2"}) == "{ file }"
    assert type_of({"file": "hunter2"}).render("en") == "a table"
