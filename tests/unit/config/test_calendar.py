"""Windows of time and the school's calendar."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.calendar import CalendarSettings, WindowSettings

ZONE = ZoneInfo("Asia/Shanghai")
CALENDAR = CalendarSettings.model_validate(
    {
        "terms": ["2026-09-01/2027-01-22", "2027-02-22/2027-07-02"],
        "holidays": ["2026-10-01/2026-10-07", "2027-01-01"],
        "workdays": ["2026-10-10"],
        "lessons": ["08:00-12:00", "14:00-17:30"],
    }
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def window(**keys: Any) -> WindowSettings:
    return WindowSettings.model_validate(keys)


@pytest.mark.parametrize(
    ("wall", "during", "holds"),
    [
        ("2026-11-23T09:00", "lessons", True),  # a Monday of the term
        ("2026-11-23T12:00", "lessons", False),  # the end is not included
        ("2026-11-22T09:00", "lessons", False),  # a Sunday
        ("2026-10-10T09:00", "lessons", True),  # a Saturday that is worked
        ("2026-10-05T09:00", "lessons", False),  # a Monday of the holiday
        ("2026-10-05T09:00", "holidays", True),
        ("2026-10-05T09:00", "outside-lessons", True),
        ("2026-08-31T09:00", "term", False),
        ("2026-09-01T00:00", "term", True),
        ("2027-01-22T23:59", "term", True),
        ("2027-01-23T00:00", "holidays", True),
        ("2026-11-22T09:00", "free-days", True),
        ("2026-10-10T20:00", "school-days", True),
    ],
)
def test_parts_of_the_school_year(wall: str, during: str, holds: bool) -> None:
    assert CALENDAR.holds(window(during=[during]), at(wall)) is holds


def test_without_terms_the_whole_year_is_one() -> None:
    plain = CalendarSettings()
    assert plain.holds(window(during=["lessons"]), at("2026-08-03T09:00"))
    assert not plain.holds(window(during=["lessons"]), at("2026-08-02T09:00"))


@pytest.mark.parametrize(
    ("wall", "holds"),
    [
        ("2026-11-23T22:00", True),  # Monday evening
        ("2026-11-24T05:59", True),  # belongs to Monday
        ("2026-11-24T06:00", False),
        ("2026-11-24T22:00", False),  # Tuesday is not named
        ("2026-11-23T05:00", False),  # belongs to Sunday
    ],
)
def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins(wall: str, holds: bool) -> None:
    assert CALENDAR.holds(window(days=["mon"], times=["22:00-06:00"]), at(wall)) is holds


def test_all_that_is_named_must_hold() -> None:
    both = window(times=["20:00-07:00"], during=["term"])
    assert CALENDAR.holds(both, at("2026-11-23T21:00"))
    assert not CALENDAR.holds(both, at("2026-08-23T21:00"))


def test_no_window_is_always() -> None:
    assert CALENDAR.holds(WindowSettings(), at("2026-02-28T03:00"))


@pytest.mark.parametrize("text", ["2026-13-01", "2026-10-07/2026-10-01", "tomorrow", "2026-1-1", "2026-10-01/", ""])
def test_days_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-10-01"):
        CalendarSettings.model_validate({"holidays": [text]})


TIMES = st.sampled_from(["00:00", "06:00", "08:30", "12:00", "22:00", "23:59"])


@given(
    minutes=st.integers(0, 200 * 24 * 60),
    begin=TIMES,
    end=TIMES,
    day=st.sampled_from(["mon", "sat", "sun"]),
    during=st.sampled_from([[], ["lessons"], ["holidays"], ["outside-lessons", "term"]]),
)
def test_nothing_changes_before_the_next_change(
    minutes: int, begin: str, end: str, day: str, during: list[str]
) -> None:
    if begin == end:
        return
    wall = at("2026-08-20T00:00") + timedelta(minutes=minutes)
    one = window(times=[f"{begin}-{end}"], days=[day, "tue"], during=during)
    change = CALENDAR.next_change(one, wall)
    assert change > wall
    now = CALENDAR.holds(one, wall)
    step = wall.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while step < change:
        assert CALENDAR.holds(one, step) == now
        step += timedelta(minutes=29)
