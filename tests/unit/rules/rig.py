"""The rules at work without devices: the real alarm engine, journal and rule desk, on a clock that the test moves."""

import asyncio
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.alarms.engine import Alarms
from agent.clock import SimClock
from agent.config.load import load
from agent.config.models import Config
from agent.driver import Sample
from agent.journal import Journal
from agent.model import Command, JsonValue, Stored
from agent.rules.parts import place_of
from agent.runtime.desk import AlarmDesk
from agent.runtime.devices import Measure
from agent.runtime.ruleacts import RuleActs
from agent.runtime.rules import SAVE_AFTER_S, RuleDesk
from agent.uplink import CommandDesk
from tests.unit.rules.story import MONDAY

WAIT_S: Final = 30.0
LONGEST_CHAIN: Final = 6
"""Commits one after the other: alarms, an escalation, events, the orders' commands, the rules' state."""
SAVED_S: Final = SAVE_AFTER_S + 0.1
SITE: Final = """
    [site]
    district = "370812"
    school = "sy-primary"
    name = "兖州区实验小学"
    language = "en"
    [journal]
    path = "{folder}/journal.db"
    [uplink]
    brokers = ["mqtt://127.0.0.1:1"]
    [calendar]
    lessons = ["08:00-12:00", "14:00-17:30"]
    [[bus]]
    id = "line"
    port = "/dev/null"
    [[device]]
    id = "hall"
    name = "Hall"
    driver = "modbus-io"
    bus = "line"
    unit = 1
    outputs = 4
      [[device.point]]
      id = "fan"
      name = "Fan"
      kind = "input"
      input = 0
      debounce = "0s"
      [[device.point]]
      id = "door"
      name = "Door"
      kind = "door"
      input = 1
      debounce = "0s"
      [[device.point]]
      id = "reader"
      name = "Reader"
      kind = "door-denied"
      input = 2
      debounce = "0s"
      [[device.point]]
      id = "tag"
      name = "Tag"
      kind = "guard-tour"
      input = 3
      debounce = "0s"
"""


def configure(folder: Path, rules: str) -> Config:
    """Write and load a configuration."""
    path = folder / "agent.toml"
    path.write_text(textwrap.dedent(SITE.format(folder=folder)) + textwrap.dedent(rules), encoding="utf-8")
    return load(path)


class Rig:
    """Everything of one run of the agent that rules touch."""

    def __init__(self, config: Config, journal: Journal, clock: SimClock) -> None:
        self.config = config
        self.journal = journal
        self.clock = clock
        self.told: list[Stored] = []
        self.ordered: list[Command] = []
        self.engine = Alarms(config.watched, ack_timeout_s=3600, lamp_means="acknowledged", language="en")
        self.desk = AlarmDesk(self.engine, journal, clock)
        for problem in self.engine.restore(journal.saved, clock.moment()):
            raise AssertionError(problem)
        verbs = dict.fromkeys(("output", "snapshot", "clip", "patrol"), self._verb)
        commands = CommandDesk(journal, clock, config.uplink, verbs)
        self.acts = RuleActs(self.desk, commands, clock, "en")
        self.rules = RuleDesk(lambda: self.config, self.desk, journal, clock, self.acts)
        journal.on_stored(self.rules.stored)
        journal.on_stored(self.told.extend)
        self.desk.on_decided.append(self.rules.decided)

    async def _verb(self, command: Command) -> Mapping[str, JsonValue]:
        self.ordered.append(command)
        return {}

    async def look(self, place: str, value: bool, **more: str) -> None:
        """A device has looked at an input."""
        device, point = place_of(place)
        settings = next(one for owner in self.config.devices for one in owner.points if one.id == point)
        await self.desk.samples(device, [Sample(settings.input, value, self.clock.boottime_ns(), detail=more)])

    async def swipe(self, place: str, **detail: str) -> None:
        """Something that has no release."""
        await self.look(place, True, **detail)
        await self.look(place, False)

    def measure(self, place: str, value: float) -> None:
        """A device has measured something."""
        device, input_ = place_of(place)
        self.rules.measured(Measure(device, input_, value, "", self.clock.boottime_ns()))

    async def go(self, seconds: float) -> None:
        """Let time pass. A commit takes no time of this clock, so what is to be saved is saved first, by itself."""
        for part in (min(seconds, SAVED_S), max(0.0, seconds - SAVED_S)):
            await self.quiet()
            await self.clock.advance(part)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until nothing is under way any more: one commit after the other, more than any fact leads to."""
        for _ in range(LONGEST_CHAIN):
            await self.desk.keep({})
            for _ in range(20):
                await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object], step_s: float = 0.0) -> None:
        """Wait for what must come, with time standing still, or passing in steps."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await self.quiet()
                await self.clock.advance(step_s)

    def types(self, point: str) -> list[str]:
        """The events of one rule so far."""
        return [one.type.removeprefix("campus.") for one in self.told if (one.device, one.point) == ("rules", point)]


@asynccontextmanager
async def a_rig(config: Config, clock: SimClock | None = None, wall: datetime = MONDAY) -> AsyncIterator[Rig]:
    """Run until the block ends, then stop as the agent does."""
    clock = clock or SimClock(wall)
    async with AsyncExitStack() as stack:
        journal = await Journal.open(config.journal, config.site.site, clock)
        stack.push_async_callback(journal.close)
        rig = Rig(config, journal, clock)
        tasks = [asyncio.create_task(rig.rules.run()), asyncio.create_task(rig.acts.run())]
        try:
            await rig.quiet()
            yield rig
            await rig.quiet()
            await rig.rules.close()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
