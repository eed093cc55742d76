"""A school's uplink for tests: the real journal on a real file, the real command desk, the real uplink."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.clock import Clock, SystemClock
from agent.config.models import JournalSettings, UplinkSettings
from agent.journal import Journal
from agent.model import Command, Event, JsonValue, Lane, Site, Stored, new_event
from agent.texts import Text
from agent.uplink import CommandDesk, Uplink
from agent.uplink.commands import Verb
from agent.uplink.limits import Limits

SITE: Final = Site("370812", "sy-primary")
WAIT_S: Final = 30.0
"""What takes longer on a busy machine does not come."""
FAST: Final = Limits(
    retry_first_s=0.2,
    retry_cap_s=0.4,
    retry_alarm_s=0.1,
    takeover_s=0.6,
    return_s=0.3,
    puback_s=5.0,
    alarm_puback_s=2.0,
    connack_s=5.0,
    modern_connack_s=2.0,
    tls_s=5.0,
    offline_fault_s=0.5,
)
"""Waits short enough for tests, and long enough for a broker on a busy machine; nothing else differs."""


@dataclass
class School:
    """One running uplink and what it told."""

    journal: Journal
    uplink: Uplink
    desk: CommandDesk
    clock: Clock
    faults: dict[str, Text | None] = field(default_factory=dict)
    fault_history: list[tuple[str, str | None]] = field(default_factory=list)
    ran: list[Command] = field(default_factory=list)

    async def press(self, *, type_: str = "campus.alarm.raised", point: str = "panic", **data: JsonValue) -> Stored:
        """Store an alarm as the alarms room makes it."""
        event = new_event(type_, Lane.ALARM, self.clock.moment(), device="guardroom", point=point)
        about: dict[str, JsonValue] = {"kind": "panic", "name": "门卫室一键报警", "priority": 1, "value": True}
        (row,) = await self.journal.append(replace(event, data={**about, **data}))
        return row

    async def note(self, count: int = 1, lane: Lane = Lane.EVENT, size: int = 0) -> list[Stored]:
        """Store events of another lane."""
        moment = self.clock.moment()
        events: list[Event] = []
        for number in range(count):
            event = new_event(f"campus.{lane}.noted", lane, moment)
            events.append(replace(event, data={"number": number, "text": "x" * size}))
        return list(await self.journal.append(*events))

    async def until(self, condition: Any, wait_s: float = WAIT_S) -> Any:
        """Wait until `condition()` is true; return it."""
        async with asyncio.timeout(wait_s):
            while not (value := condition()):
                await self.clock.sleep(0.01)
        return value

    async def connected(self, broker: str | None = None) -> None:
        """Wait for a connection (to `broker`)."""
        await self.until(lambda: self.uplink.status().connected and broker in (None, self.uplink.status().broker))

    async def delivered(self, seq: int) -> None:
        """Wait until event `seq` counts as delivered."""
        await self.until(lambda: self.uplink.delivery(seq) == "delivered")


def settings(*brokers: str, **members: Any) -> UplinkSettings:
    """Uplink settings from TOML-like values."""
    return UplinkSettings.model_validate({"brokers": list(brokers), **members})


@contextlib.asynccontextmanager
async def school(
    directory: Path,
    *brokers: str,
    limits: Limits = FAST,
    verbs: Mapping[str, Verb] | None = None,
    clock: Clock | None = None,
    states: Mapping[str, bytes] | None = None,
    close: bool = True,
    max_size_bytes: int = 1 << 30,
    **members: Any,
) -> AsyncIterator[School]:
    """Run an uplink in this loop; leaving closes it in order (`close`) or drops it as a killed process would."""
    time = clock or SystemClock("Asia/Shanghai")
    uplink_settings = settings(*brokers, **members)
    store = JournalSettings(path=directory / "journal.db", max_size_bytes=max_size_bytes)
    journal = await Journal.open(store, SITE, time)
    ran: list[Command] = []

    async def output(command: Command) -> Mapping[str, JsonValue]:
        ran.append(command)
        return {"done": True}

    desk = CommandDesk(journal, time, uplink_settings, {"output": output, **(verbs or {})}, "en", limits)
    uplink = Uplink(
        uplink_settings,
        SITE,
        time,
        journal,
        desk,
        states=lambda: (states or {}).items(),
        version="0.0.0-test",
        started=datetime.now(ZoneInfo("Asia/Shanghai")),
        language="en",
        limits=limits,
    )
    built = School(journal, uplink, desk, time, ran=ran)

    def fault(name: str, text: Text | None) -> None:
        built.faults[name] = text
        built.fault_history.append((name, str(text) if text else None))

    uplink.on_fault(fault)
    running = asyncio.ensure_future(uplink.run())
    try:
        yield built
    finally:
        if close and not running.done():
            await uplink.close(3.0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await journal.close()
