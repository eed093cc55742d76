"""Late, and corrected: what the boot clock knows better than the wall clock. Pure.

An event from before the first sync of its boot carries a wall time that may be 1970. Once the offset is found, its
true time is that wall time plus the offset: for events of the same boot that were recorded unsynced and before the
sync.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from agent.clock import NS_PER_S
from agent.model import Moment, Stored

LATE_S: Final = 30
"""DESIGN 4: published more than 30 s after it happened."""

Boots = Mapping[str, tuple[int, int]]
"""`{bootid: (offset in ms, boot-clock ns of the sync)}`."""


def correct(stored: Stored, boots: Boots) -> str | None:
    """Return the event's true time (ISO 8601, ms, the event's own zone), None where there is nothing to correct."""
    if stored.clock != "unsynced" or (boot := boots.get(stored.bootid)) is None:
        return None
    offset_ms, sync_ns = boot
    if stored.boottime_ns >= sync_ns:
        return None
    try:
        corrected = _time(stored) + timedelta(milliseconds=offset_ms)
    except OverflowError:
        return None
    return corrected.isoformat(timespec="milliseconds")


def is_late(stored: Stored, corrected: str | None, now: Moment) -> bool:
    """Tell whether publishing at `now` is late: by the boot clock within a boot, else by the (corrected) wall
    clocks.
    """
    if stored.bootid == now.bootid:
        return now.boottime_ns - stored.boottime_ns > LATE_S * NS_PER_S
    happened = _time(stored) if corrected is None else datetime.fromisoformat(corrected)
    return now.wall - happened > timedelta(seconds=LATE_S)


def time_text(stored: Stored) -> str:
    """The event's own time, as it is in its body."""
    return str(json.loads(stored.body)["time"])


def _time(stored: Stored) -> datetime:
    return datetime.fromisoformat(time_text(stored))
