"""What the journal's tests share: settings, a site, events, and a journal that is closed again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from agent.clock import Clock, SimClock
from agent.journal import Journal, Trouble
from agent.model import Event, JsonValue, Lane, Site, Stored, new_event

SITE = Site("370812", "sy-primary")
START = datetime(2026, 11, 23, 8, 0, 0, 123_000, timezone(timedelta(hours=8)))


@dataclass(frozen=True)
class Settings:
    path: Path
    max_size_bytes: int = 64 << 20
    keep_s: float = 180 * 86_400.0


def sim_clock() -> SimClock:
    return SimClock(START, bootid="boot-1")


def event(clock: Clock, lane: Lane = Lane.ALARM, /, **data: JsonValue) -> Event:
    values: dict[str, JsonValue] = {"kind": "panic", "name": "门卫室一键报警", "value": True, **data}
    return new_event(
        f"campus.{lane}.raised", lane, clock.moment(), device="guardroom", point="panic", drill=False, **values
    )


@asynccontextmanager
async def journal_at(path: Path, clock: Clock, **settings: Any) -> AsyncIterator[Journal]:
    journal = await Journal.open(Settings(path, **settings), SITE, clock)
    try:
        yield journal
    finally:
        await journal.close()


def troubles_of(journal: Journal) -> list[Trouble]:
    told: list[Trouble] = []
    journal.on_trouble(told.append)
    return told


def published_lines(journal: Journal, rows: list[Stored]) -> list[bytes]:
    return [journal.published(row) for row in rows]


def body(row: Stored) -> dict[str, Any]:
    value = json.loads(row.body)
    assert isinstance(value, dict)
    return value
