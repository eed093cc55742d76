"""Schedules by the wall clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.calendar import EVERY_DAY
from agent.skyeye.analysis.schedule import watched

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NIGHT = ("22:00-06:00",)


@pytest.mark.parametrize(
    ("times", "days", "day", "clock", "wanted"),
    [
        ((), EVERY_DAY, 0, "12:00", True),
        ((), ("tue",), 0, "12:00", False),
        (("08:00-17:30",), EVERY_DAY, 0, "08:00", True),
        (("08:00-17:30",), EVERY_DAY, 0, "17:29", True),
        (("08:00-17:30",), EVERY_DAY, 0, "17:30", False),
        (("06:00-07:00", "12:00-13:00"), EVERY_DAY, 0, "12:30", True),
        (NIGHT, EVERY_DAY, 0, "23:00", True),
        (NIGHT, EVERY_DAY, 0, "05:59", True),
        (NIGHT, EVERY_DAY, 0, "06:00", False),
        (NIGHT, ("mon",), 0, "05:00", False),  # belongs to Sunday
        (NIGHT, ("mon",), 0, "22:00", True),
        (NIGHT, ("mon",), 1, "05:00", True),  # still Monday's night
        (NIGHT, ("mon",), 1, "22:00", False),
        (NIGHT, ("sun",), 0, "05:00", True),  # the week goes round
        (("22:00-00:00",), ("mon",), 1, "00:00", False),
    ],
)
def test_when(times: tuple[str, ...], days: tuple[str, ...], day: int, clock: str, wanted: bool) -> None:
    hour, minute = clock.split(":")
    wall = MONDAY + timedelta(days=day, hours=int(hour), minutes=int(minute))
    assert watched(times, days, wall) is wanted  # type: ignore[arg-type]


@given(st.integers(0, 7 * 1440 - 1), st.integers(0, 1439), st.integers(0, 1439), st.sets(st.sampled_from(EVERY_DAY)))
def test_a_span_and_the_rest_of_its_day_make_a_day(now: int, start: int, end: int, days: set[str]) -> None:
    """A span that begins on a chosen day lasts its length from there, and no longer."""
    if start == end:
        return
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    length = (end - start) % 1440
    since = (now % 1440 - start) % 1440
    began = (now - since) // 1440 % 7
    wanted = since < length and EVERY_DAY[began] in days
    chosen = tuple(day for day in EVERY_DAY if day in days)
    assert watched((text,), chosen, MONDAY + timedelta(minutes=now)) is wanted
