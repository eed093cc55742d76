"""When a zone or line is watched: spans of the wall clock on days of the week."""

from collections.abc import Sequence
from datetime import datetime

from agent.config.calendar import EVERY_DAY, Day


def watched(times: Sequence[str], days: Sequence[Day], wall: datetime) -> bool:
    """Whether `wall` (local) lies in one of `times` ("22:00-06:00", the end not included; none: all day) of one of
    `days`. A span over midnight belongs to the day on which it begins."""
    minute = wall.hour * 60 + wall.minute
    today = EVERY_DAY[wall.weekday()] in days
    if not times:
        return today
    yesterday = EVERY_DAY[wall.weekday() - 1] in days
    for span in times:
        start, end = (_minute(text) for text in span.split("-"))
        if start < end:
            hit = today and start <= minute < end
        else:
            hit = (today and minute >= start) or (yesterday and minute < end)
        if hit:
            return True
    return False


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
