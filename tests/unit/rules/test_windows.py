"""Windows of rules on the days on which the clock is put forward or back."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.clock import NS_PER_S
from agent.config.calendar import CalendarSettings, WindowSettings
from agent.model import Moment
from agent.rules.facts import Now
from agent.rules.parts import WindowPart

ZONE = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 7.5), ((2026, 3, 29), 6.5), ((2026, 10, 25), 8.5)])
def test_a_window_opens_on_time_on_a_day_with_an_hour_more_or_less(day: tuple[int, int, int], hours: float) -> None:
    wall = datetime(*day, 0, 30, tzinfo=UTC).astimezone(ZONE).replace(hour=0, minute=30)
    part = WindowPart(WindowSettings(times=("08:00-12:00",)))
    now = Now.of(Moment(wall, 0, "boot", "synced"), CalendarSettings())
    assert part.judge(now) is False
    assert part.due_ns(now) == hours * 3600 * NS_PER_S
