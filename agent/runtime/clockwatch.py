"""Watches the wall clock: a start before the last known time, the first sync, and a clock that stays wrong."""

import logging
from datetime import datetime, timedelta
from typing import Final

from agent.clock import NS_PER_S, Clock
from agent.journal import Journal
from agent.model import Lane, new_event
from agent.runtime.desk import AlarmDesk
from agent.texts import say

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
"""How often the kernel's word on the clock is looked at; the first sync is told within this."""
UNSYNCED_FAULT_S: Final = 600.0
"""NTP answers within a minute or two of a network; ten minutes without is a fault that somebody must see to."""
STEP_S: Final = 1.0
"""A smaller offset at the first sync is slewing, and leaves the times as they are."""


class ClockWatch:
    """Keeps the wall clock of the start, to find by how much the first sync moved it."""

    def __init__(self, clock: Clock, journal: Journal, desk: AlarmDesk, floor: datetime | None) -> None:
        self._clock = clock
        self._journal = journal
        self._desk = desk
        self._floor = floor
        self._start_wall = clock.wall()
        self._start_ns = clock.boottime_ns()
        self._synced = clock.quality() == "synced"

    async def run(self) -> None:
        """Look until cancelled. Raises JournalError."""
        await self._before_floor()
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Tell a first sync, or that there has been none for too long."""
        quality = self._clock.quality()
        elapsed_s = (self._clock.boottime_ns() - self._start_ns) / NS_PER_S
        if quality == "synced":
            if not self._synced:
                await self._first_sync(elapsed_s)
            await self._desk.fault("clock", None)
        elif not self._synced and elapsed_s > UNSYNCED_FAULT_S:
            await self._desk.fault("clock", say("runtime.clock-unsynced", minutes=round(UNSYNCED_FAULT_S / 60)))

    async def _first_sync(self, elapsed_s: float) -> None:
        self._synced = True
        offset = self.offset(elapsed_s)
        log.info(say("runtime.clock-synced", offset_s=round(offset.total_seconds(), 3)))
        if abs(offset.total_seconds()) >= STEP_S:
            await self._journal.note_sync(offset)
        offset_ms = round(offset.total_seconds() * 1000)
        moment = self._clock.moment()
        await self._desk.tell(new_event("campus.agent.clock-synced", Lane.EVENT, moment, offset_ms=offset_ms))

    def offset(self, elapsed_s: float) -> timedelta:
        """By how much the wall clock moved beyond what passed on the boot clock."""
        return self._clock.wall() - self._start_wall - timedelta(seconds=elapsed_s)

    async def _before_floor(self) -> None:
        floor = self._floor
        if floor and self._start_wall < floor:
            text = say("runtime.clock-before-floor", wall=self._start_wall.isoformat(timespec="seconds"), floor=floor)
            log.warning(text)
            await self._desk.fault("clock", text)
