"""The school's calendar, and the windows of time that rules, arming and escalation are bound to. Pure.

A window is the part of the week that lies in all of what it names: `days`, `times`, `during`. Wall times are local and
aware; a span over midnight ("22:00-06:00") belongs to the day on which it begins.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from agent.config.base import Settings
from agent.config.values import ClockSpan
from agent.texts import say
from agent.units import BadSetting

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Part = Literal["term", "holidays", "school-days", "free-days", "lessons", "outside-lessons"]
"""term: within one, whatever day it is. holidays: outside every term, or a holiday of the list. school-days: a day
with lessons. free-days: any other day. lessons: within the class hours of a school day. outside-lessons: the rest."""
SATURDAY: Final = 5
LOOK_AHEAD_DAYS: Final = 8
"""A window changes within a week, or not before the calendar does, at whose midnights it is looked at again."""
DAY_PATTERN: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _days(value: object) -> tuple[date, date]:
    """Read `2026-09-01/2027-01-22`, or one day."""
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str) or not re.fullmatch(f"{DAY_PATTERN}(/{DAY_PATTERN})?", value):
        raise BadSetting(say("config.days"), value)
    first, _, last = value.partition("/")
    try:
        found = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise BadSetting(say("config.days"), value) from None
    if found[0] > found[1]:
        raise BadSetting(say("config.days"), value)
    return found


def _days_text(value: tuple[date, date]) -> str:
    return "/".join(day.isoformat() for day in dict.fromkeys(value))


Days = Annotated[
    tuple[date, date],
    BeforeValidator(_days),
    PlainSerializer(_days_text),
    WithJsonSchema({"type": "string", "pattern": f"^{DAY_PATTERN}(/{DAY_PATTERN})?$"}),
]
"""A span of days, both ends included."""


class WindowSettings(Settings):
    """A part of the week and of the school year: `when = { days = ["mon"], times = ["08:00-12:00"] }`."""

    table: ClassVar[str] = "window"
    days: tuple[Day, ...] = Field(EVERY_DAY, min_length=1)
    times: tuple[ClockSpan, ...] = ()
    during: tuple[Part, ...] = ()


ALWAYS: Final = WindowSettings()


class CalendarSettings(Settings):
    """[calendar]: terms, holidays and class hours. Without terms the whole year is one."""

    table: ClassVar[str] = "calendar"
    terms: tuple[Days, ...] = ()
    holidays: tuple[Days, ...] = ()
    workdays: tuple[Days, ...] = ()
    """Days off that are worked (调休)."""
    lessons: tuple[ClockSpan, ...] = ("08:00-12:00", "14:00-17:30")

    def in_term(self, day: date) -> bool:
        """Whether a day lies in a term and is no holiday."""
        return (not self.terms or _within(day, self.terms)) and not _within(day, self.holidays)

    def is_school_day(self, day: date) -> bool:
        """Whether there are lessons: a weekday of a term that is no holiday, or a day that is worked instead."""
        if _within(day, self.workdays):
            return True
        return day.weekday() < SATURDAY and self.in_term(day)

    def holds(self, window: WindowSettings, wall: datetime) -> bool:
        """Whether `wall` (local) lies in a window."""
        if not all(self._during(part, wall) for part in window.during):
            return False
        return any(_covers(window, begin, wall) for begin in (wall.date() - timedelta(days=1), wall.date()))

    def next_change(self, window: WindowSettings, wall: datetime) -> datetime:
        """The next time at which `holds` may be different; at the latest the end of the days that are looked at."""
        now = self.holds(window, wall)
        for moment in self._edges(window, wall):
            if moment > wall and self.holds(window, moment) != now:
                return moment
        return _at(wall, wall.date() + timedelta(days=LOOK_AHEAD_DAYS), time())

    def next_edge(self, window: WindowSettings, wall: datetime) -> datetime:
        """The next time at which a part of a window begins or ends, whether `holds` is different then or not: as good
        as `next_change` for a timer, and much cheaper."""
        return next(moment for moment in self._edges(window, wall) if moment > wall)

    def _during(self, part: Part, wall: datetime) -> bool:
        day = wall.date()
        match part:
            case "term":
                return self.in_term(day)
            case "holidays":
                return not self.in_term(day) and not _within(day, self.workdays)
            case "school-days":
                return self.is_school_day(day)
            case "free-days":
                return not self.is_school_day(day)
            case "lessons":
                return self.is_school_day(day) and any(_spans(span, wall) for span in self.lessons)
            case "outside-lessons":
                return not self._during("lessons", wall)

    def _edges(self, window: WindowSettings, wall: datetime) -> Iterator[datetime]:
        """Every moment at which one of the parts begins or ends, in order."""
        times = {time()} | {edge for span in (*window.times, *self.lessons) for edge in _ends(span)}
        for ahead in range(LOOK_AHEAD_DAYS):
            day = wall.date() + timedelta(days=ahead)
            yield from (_at(wall, day, edge) for edge in sorted(times))


def _within(day: date, spans: tuple[tuple[date, date], ...]) -> bool:
    return any(first <= day <= last for first, last in spans)


def _covers(window: WindowSettings, begin: date, wall: datetime) -> bool:
    """Whether a span of the window that begins on a day covers `wall`."""
    if EVERY_DAY[begin.weekday()] not in window.days:
        return False
    if not window.times:
        return wall.date() == begin
    return any(_covers_span(span, begin, wall) for span in window.times)


def _covers_span(span: str, begin: date, wall: datetime) -> bool:
    first, last = _ends(span)
    if first < last:
        return wall.date() == begin and first <= wall.time() < last
    return (wall.date() == begin and wall.time() >= first) or (
        wall.date() == begin + timedelta(days=1) and wall.time() < last
    )


def _spans(span: str, wall: datetime) -> bool:
    return _covers_span(span, wall.date(), wall)


def _ends(span: str) -> tuple[time, time]:
    begin, _, end = span.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


def _at(wall: datetime, day: date, edge: time) -> datetime:
    """A wall time on another day, in the same zone."""
    return datetime.combine(day, edge, tzinfo=wall.tzinfo)
