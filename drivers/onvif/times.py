"""Times as cameras write them. Pure: what cannot be understood is None.

Source: XML Schema 1.0 part 2, 3.2.7 (dateTime), 3.2.6 (duration); POSIX 8.3 (TZ); ONVIF Core 23.12, 8.3.4; FACTS 5
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from drivers.onvif.soap import Element, find, text, whole

OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What is older is no recording but a clock that was never set, or a field that was never filled (1970, 0000-00-00)."""
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T \-]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,]\d*)?)?)?\s*(Z|[+-]\d{1,2}:?\d{2})?",
    re.IGNORECASE,
)
_POSIX: Final = re.compile(r"(?:<[^>]+>|[A-Za-z]+[ A-Za-z]*)([+-]?\d{1,2})(?::?(\d{2}))?(?::\d{2})?(?:[A-Za-z<,].*)?")
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def moment(value: str | None) -> datetime | None:
    """A moment, in UTC; without a zone it is UTC. Hours, minutes and seconds that run over (00:61:16) carry."""
    match = _MOMENT.fullmatch((value or "").strip())
    if match is None:
        return None
    year, month, day = (int(match[i]) for i in (1, 2, 3))
    hours, minutes, seconds = (int(match[i] or 0) for i in (4, 5, 6))
    found = _sum(year, month, day, hours, minutes, seconds)
    zone = match[7] or "Z"
    if found is not None and zone.upper() != "Z":
        digits = zone[1:].replace(":", "").rjust(4, "0")
        away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        try:
            found = found - away if zone[0] == "+" else found + away
        except OverflowError:
            return None
    return found


def recorded(value: str | None) -> datetime | None:
    """A moment of a recording; None for one that cannot be."""
    found = moment(value)
    return found if found is not None and found >= OLDEST else None


def lifetime_s(value: str | None) -> float | None:
    """Seconds of a duration like PT10M."""
    match = _DURATION.fullmatch((value or "").strip())
    if match is None:
        return None
    days, hours, minutes = (int(match[i] or 0) for i in (1, 2, 3))
    return days * 86_400.0 + hours * 3_600 + minutes * 60 + float(match[4] or 0)


def system_time(reply: Element, here: tzinfo | None) -> datetime | None:
    """The camera's clock out of GetSystemDateAndTime. Some tell their local time only: then by the zone that they name,
    or by ours, for they hang in the same school."""
    if (utc := _fields(find(reply, "UTCDateTime"))) is not None:
        return utc
    if (local := _fields(find(reply, "LocalDateTime"))) is None:
        return None
    zone = posix_zone(text(reply, "TimeZone", "TZ")) or here or UTC
    try:
        return local.replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def posix_zone(value: str | None) -> tzinfo | None:
    """The standard offset of a POSIX time zone: `CST-8` is east of Greenwich."""
    match = _POSIX.fullmatch((value or "").strip())
    if match is None:
        return None
    hours, minutes = int(match[1]), int(match[2] or 0)
    away = timedelta(hours=abs(hours), minutes=minutes)
    if away >= timedelta(hours=24):
        return None
    return timezone(away if match[1].startswith("-") else -away)


def _fields(element: Element | None) -> datetime | None:
    if element is None:
        return None
    date = [whole(element, "Date", part) for part in ("Year", "Month", "Day")]
    time = [whole(element, "Time", part) for part in ("Hour", "Minute", "Second")]
    if any(part is None for part in date) or time[0] is None:
        return None
    return _sum(*(part or 0 for part in date), *(part or 0 for part in time))


def _sum(year: int, month: int, day: int, hours: int, minutes: int, seconds: int) -> datetime | None:
    try:
        base = datetime(year, month, day, tzinfo=UTC)
        return base + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        return None
