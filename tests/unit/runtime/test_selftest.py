"""When a self-test is due, and how long a drill may be. Pure."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.engine import Refusal
from agent.config.arming import SelftestSettings
from agent.runtime.modeverbs import drill_length_s, scope_of
from agent.runtime.selftest import is_due, read_time

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 23, 12, 30, tzinfo=ZONE)
DAILY = SelftestSettings(every_s=86_400, at="12:30")


def test_without_a_time_it_is_never_due() -> None:
    assert not is_due(SelftestSettings(), None, NOON)


def test_it_is_due_when_its_period_is_over() -> None:
    hourly = SelftestSettings(every_s=3600)
    assert not is_due(hourly, NOON, NOON + timedelta(minutes=59))
    assert is_due(hourly, NOON, NOON + timedelta(minutes=60))


def test_a_last_time_that_lies_ahead_was_of_a_clock_that_was_wrong() -> None:
    assert is_due(SelftestSettings(every_s=3600), NOON + timedelta(days=9000), NOON)


def test_at_a_time_of_day_it_is_due_then_and_not_made_up_for_later() -> None:
    assert not is_due(DAILY, None, NOON - timedelta(minutes=1))
    assert is_due(DAILY, None, NOON + timedelta(minutes=1))
    assert not is_due(DAILY, None, NOON + timedelta(minutes=11)), "nobody wants a siren in a lesson"


def test_one_by_hand_in_the_morning_is_instead_of_the_one_at_noon() -> None:
    assert not is_due(DAILY, NOON - timedelta(hours=3), NOON)
    assert is_due(DAILY, NOON - timedelta(hours=18), NOON)


def test_once_a_week_at_noon() -> None:
    weekly = SelftestSettings(every_s=7 * 86_400, at="12:30")
    days = [day for day in range(1, 9) if is_due(weekly, NOON, NOON + timedelta(days=day))]
    assert days == [7, 8]


@given(st.integers(0, 59), st.integers(0, 14))
def test_a_daily_one_runs_once_a_day_however_the_looks_fall(minute: int, offset_s: int) -> None:
    settings = SelftestSettings(every_s=86_400, at=f"12:{minute:02}")
    last, runs, now = None, 0, NOON.replace(minute=0) + timedelta(seconds=offset_s)
    for _ in range(3 * 24 * 60):
        if is_due(settings, last, now):
            last, runs = now, runs + 1
        now += timedelta(minutes=1)
    assert runs == 3


def test_what_was_saved_badly_is_no_time() -> None:
    assert read_time(None) is None
    assert read_time("yesterday") is None
    assert read_time(NOON.isoformat()) == NOON


def test_a_drill_has_its_length_by_minutes_or_by_its_end() -> None:
    assert drill_length_s({}, NOON) == 1800
    assert drill_length_s({"minutes": 45}, NOON) == 2700
    assert drill_length_s({"until": "2026-11-23T13:00:00+08:00"}, NOON) == 1800


@pytest.mark.parametrize(
    "args",
    [
        {"minutes": 0},
        {"minutes": -1},
        {"minutes": 241},
        {"minutes": True},
        {"minutes": "30"},
        {"minutes": float("nan")},
        {"minutes": 10**400},
        {"until": "2026-11-23T13:00:00"},
        {"until": "2026-11-23T12:00:00+08:00"},
        {"until": "soon"},
        {"until": 5},
        {"minutes": 5, "until": "2026-11-23T13:00:00+08:00"},
    ],
)
def test_a_drill_of_no_sensible_length_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        drill_length_s(args, NOON)


@pytest.mark.parametrize("scope", ["guardroom", [1], [None], ["a"] * 201, {"a": 1}])
def test_a_scope_is_a_list_of_names(scope: Any) -> None:
    with pytest.raises(Refusal):
        scope_of({"scope": scope})
