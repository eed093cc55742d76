"""The self-test: what the gateway can try by itself, at its times and on command.

Every check has one word; `ok` is fine, `skipped` was not tried. What failed is one fault, `selftest`, that names it;
the next test that passes clears it. Outputs are pulsed, unless an alarm stands at their device: its lamp tells the
truth, and its siren is not ours.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Final

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from agent.clock import NS_PER_S, Clock
from agent.config.arming import SelftestSettings
from agent.model import JsonValue, Lane, new_event
from agent.runtime.desk import AlarmDesk
from agent.runtime.status import Parts
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[Text | None]]
"""Tries one path; returns why it does not work, or None."""
SELFTEST_KEY: Final = "agent/selftest"
"""Where the time of the last one is saved."""
FAULT: Final = "selftest"
OK: Final = "ok"
SKIPPED: Final = "skipped"
FINE: Final = (OK, SKIPPED)
LOOK_S: Final = 15.0
"""How often the clock is looked at: a test begins within its minute."""
PROBE_S: Final = 20.0
"""A modem that answers takes a second, a receiver across the country three."""
FREE_BYTES: Final = 16 << 20
"""Below that the journal soon has no room for events."""
MISSED: Final = timedelta(minutes=10)
"""A time of day that passed longer ago, with the gateway off, is not made up for: sirens are not tried in a lesson."""
HALF_DAY: Final = timedelta(hours=12)
"""Between two tests at a time of day there is about `every`, never half a day less."""


class SelfTest:
    """Judges, records, and keeps the times."""

    def __init__(self, parts: Parts, desk: AlarmDesk, clock: Clock, saved: Mapping[str, str]) -> None:
        self._parts = parts
        self._desk = desk
        self._clock = clock
        self._last = read_time(saved.get(SELFTEST_KEY))
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Test whenever it is time, until cancelled. Raises JournalError."""
        while True:
            await self._clock.sleep(LOOK_S)
            now = self._clock.wall()
            settings = self._parts.config.selftest
            if self._last is None and settings.every_s is not None and settings.at is None:
                await self._keep(now)  # its time counts from when it was first set
            elif is_due(settings, self._last, now):
                await self.test("schedule")

    async def test(self, actor: str | None) -> dict[str, JsonValue]:
        """Try everything now, and record the result. Raises JournalError."""
        async with self._lock:  # two at once would pulse each other's outputs
            checks = await self._checks()
            failed = {name: word for name, word in checks.items() if word not in FINE}
            listed: dict[str, JsonValue] = dict(checks)
            text = say("arming.selftest-passed", count=len(checks))
            if failed:
                text = say("arming.selftest-failed", failed=", ".join(f"{n} ({word})" for n, word in failed.items()))
            type_ = "campus.test.failed" if failed else "campus.test.passed"
            said = text.render(self._parts.config.site.language)
            moment = self._clock.moment()
            event = new_event(type_, Lane.EVENT, moment, kind="selftest", actor=actor, checks=listed, text=said)
            stored = await self._desk.tell(event)
            await self._desk.fault(FAULT, text if failed else None)
            await self._keep(moment.wall)
        return {"passed": not failed, "checks": listed, "seq": stored.seq if stored else None}

    async def _keep(self, wall: datetime) -> None:
        self._last = wall
        await self._desk.keep({SELFTEST_KEY: wall.isoformat()})

    async def _checks(self) -> dict[str, str]:
        parts = self._parts
        checks = {
            "journal": OK if parts.journal.store == "file" else parts.journal.store,
            "disk": await asyncio.to_thread(self._disk),
            "uplink": OK if parts.uplink.status().connected else "offline",
            "clock": OK if self._clock.quality() == "synced" else "unsynced",
        }
        for name, link in parts.links.items():
            checks[f"device {name}"] = OK if link.online else "offline"
        checks |= self._batteries()
        outputs = parts.config.selftest.outputs
        words = await asyncio.gather(*map(self._pulse, outputs))
        checks |= {f"output {name}": word for name, word in zip(outputs, words, strict=True)}
        probes = {**parts.probes, **parts.paths.probes()}
        words = await asyncio.gather(*(self._probe(name, probe) for name, probe in probes.items()))
        return checks | {f"path {name}": word for name, word in zip(probes, words, strict=True)}

    def _disk(self) -> str:
        """Blocking."""
        try:
            free = shutil.disk_usage(self._parts.config.journal.path.parent).free
        except OSError as error:
            return error.strerror or "error"
        return OK if free >= FREE_BYTES else "full"

    def _batteries(self) -> dict[str, str]:
        """What tells of its battery: points of that kind, and inputs that say so themselves."""
        found: dict[str, str] = {}
        for view in self._parts.engine.views():
            place = f"{view.device}/{view.point}"
            low = self._parts.engine.fault_stands(view.device, view.point, "battery-low")
            if low or view.kind == "battery-low":
                found[f"battery {place}"] = "low" if low else OK
        return found

    async def _pulse(self, name: str) -> str:
        """Switch an output on and off again, and see that the device confirms both."""
        device, _, number = name.partition("/")
        link = self._parts.links.get(device)
        if link is None or not link.online:
            return "offline"
        alarms = ("active", "acknowledged")
        if any(view.device == device and view.state in alarms for view in self._parts.engine.views()):
            return SKIPPED
        output, pulse_s = int(number), self._parts.config.selftest.pulse_s
        until_ns = self._clock.boottime_ns() + round(pulse_s * NS_PER_S)
        self._desk.engine.override(device, output, True, until_ns)
        self._desk.poke()
        if not await link.confirmed(output, True):
            return "unconfirmed"
        await self._clock.sleep(pulse_s)
        self._desk.poke()
        return OK if await link.confirmed(output, False) else "unconfirmed"

    async def _probe(self, name: str, probe: Probe) -> str:
        try:
            async with asyncio.timeout(PROBE_S):
                trouble = await probe()
        except TimeoutError:
            return "timeout"
        except (Spoken, OSError) as error:
            log.warning("%s: %s", name, error)
            return str(error)
        return OK if trouble is None else trouble.render(self._parts.config.site.language)


def is_due(settings: SelftestSettings, last: datetime | None, now: datetime) -> bool:
    """Whether it is time. `at` is a time of the day of `now`'s zone."""
    every = None if settings.every_s is None else timedelta(seconds=settings.every_s)
    if settings.at is None:
        return every is not None and (last is None or now - last >= every or last > now)
    begin = datetime.combine(now.date(), time.fromisoformat(settings.at), now.tzinfo)
    if not begin <= now < begin + MISSED:
        return False
    return last is None or last > now or begin - last >= (every or timedelta(days=1)) - HALF_DAY


def read_time(text: str | None) -> datetime | None:
    """A saved time; one that cannot be read is none."""
    try:
        return TypeAdapter(AwareDatetime).validate_python(text)
    except ValidationError:
        return None
