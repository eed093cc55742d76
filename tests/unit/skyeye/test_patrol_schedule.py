"""When patrols start: once, at their minute, on their days, whatever the clock does."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.models import PatrolSettings
from agent.skyeye.patrol import due, starts

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 11, 23, 0, 0, tzinfo=ZONE)


def patrol(*at: str, days: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")) -> PatrolSettings:
    return PatrolSettings.model_validate(
        {"id": "p", "name": "早巡", "at": at, "days": days, "stop": ({"camera": "gate"},)}
    )


def at(hours: float, day: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hours)


@pytest.mark.parametrize(
    ("after", "until", "wanted"),
    [
        (at(7.49), at(7.5), True),
        (at(7.5), at(7.51), False),  # it has started already
        (at(7.4), at(7.49), False),
        (at(23.99), at(0.01, 1), False),
        (at(7.0), at(7.55), True),  # a loop that was held up
        (at(6.0), at(9.0), False),  # the clock was set ahead: long past
        (at(9.0), at(7.0), False),  # set back
    ],
)
def test_it_starts_at_its_minute(after: datetime, until: datetime, wanted: bool) -> None:
    assert due(patrol("07:30"), after, until) is wanted


def test_only_on_its_days() -> None:
    weekdays = patrol("07:30", days=("mon", "tue"))
    found = [moment.strftime("%a") for moment in starts(weekdays, at(0), at(0, 14))]
    assert found == ["Mon", "Tue", "Mon", "Tue"]


def test_without_times_it_starts_by_hand_only() -> None:
    assert [*starts(patrol(), at(0), at(0, 8))] == []


@given(steps=st.lists(st.floats(min_value=1, max_value=300), min_size=1, max_size=600))
def test_however_often_the_clock_is_looked_at_each_start_is_seen_once(steps: list[float]) -> None:
    one = patrol("00:00", "00:20", "03:00")
    before = at(-0.5)
    seen = 0
    for step in steps:
        now = before + timedelta(seconds=step)
        seen += due(one, before, now)
        before = now
    assert seen == len([*starts(one, at(-0.5), before)])
