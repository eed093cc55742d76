"""The desk where alarms meet the journal: every outcome is durable before any lamp, panel or console shows it.

The engine decides at once and in order; the journal commits in the same order; only then are lamps and states
brought up to date. One task turns the engine's timers and the lamps' blinking.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from agent.alarms.engine import Alarms, Outcome
from agent.alarms.lamp import Delivery
from agent.alarms.state import NoticeRecord
from agent.clock import NS_PER_S, Clock
from agent.driver import Sample
from agent.journal import Journal, JournalFull
from agent.model import Event, JsonValue, Moment, Stored
from agent.texts import Text

log = logging.getLogger(__name__)

LONGEST_NAP_S: Final = 5.0
"""The desk looks up at least so often, which is what the watchdog counts on."""
SHORTEST_NAP_S: Final = 0.005
"""Timers closer together than this are served together; a lamp need not be more exact."""


class OutputSink(Protocol):
    """Where wanted outputs go: one call with all of them, whenever one may have changed."""

    def __call__(self, values: Mapping[tuple[str, int], bool], /) -> None: ...


class AlarmDesk:
    """Carries out what the engine decides."""

    def __init__(self, engine: Alarms, journal: Journal, clock: Clock) -> None:
        self.engine = engine
        self._journal = journal
        self._clock = clock
        self._poke = asyncio.Event()
        self.delivery: Callable[[int], Delivery] = lambda _seq: "due"
        self.on_outputs: OutputSink = lambda _values: None
        self.on_states: Callable[[], None] = lambda: None
        self.on_decided: list[Callable[[Outcome, str | None], None]] = []
        """Called with every outcome at once, before it is durable, and with the device if one was looked at. Must not
        wait or raise."""
        self.on_notices: Callable[[Sequence[NoticeRecord]], None] = lambda _records: None
        """Called with what the second paths are to bring over, when it is durable."""
        self.on_again: Callable[[int], None] = lambda _seq: None
        """Called with the place of an event that is to be published on the next broker."""
        self.last_turn_ns = clock.boottime_ns()
        self._untold = False
        """Whether events were committed whose states were not published since."""
        journal.on_stored(self._stored)

    def _stored(self, stored: Sequence[Stored]) -> None:
        """Events are durable: now they may be shown, also if whoever handed them over was stopped meanwhile."""
        self.engine.stored(stored)
        self._untold = True
        self.poke()

    def _tell_states(self) -> None:
        self._untold = False
        self.on_states()

    def moment(self) -> Moment:
        """Both clocks now."""
        return self._clock.moment()

    def poke(self) -> None:
        """Something changed that lamps or timers depend on."""
        self._poke.set()

    async def take(self, outcome: Outcome, device: str | None = None) -> tuple[Stored, ...]:
        """Make an outcome durable, then show it; `device` has been looked at. Raises JournalError."""
        stored: tuple[Stored, ...] = ()
        for listener in self.on_decided:
            listener(outcome, device)
        if outcome.events or outcome.save:
            try:
                stored = await self._journal.append(*outcome.events, save=outcome.save)
            except JournalFull as error:  # events of the event lane alone; the journal has counted them as lost
                log.debug("%s", error)
            self._tell_states()
        if outcome.notices:
            self.on_notices(outcome.notices)
        for seq in outcome.again:
            self.on_again(seq)
        self.poke()
        return stored

    async def tell(
        self, event: Event, save: Mapping[str, str | None] | None = None, *, knows_drill: bool = False
    ) -> Stored | None:
        """Record an event that is no alarm's; None if the journal has no room for it. During a drill it is marked as
        one of it, unless it `knows_drill` by itself, as what belongs to an alarm does. Raises JournalError."""
        if not knows_drill and not event.drill and self.engine.modes.drill.covers(event.device, event.point):
            event = replace(event, drill=True)
        try:
            (stored,) = await self._journal.append(event, save=save)
        except JournalFull as error:
            log.debug("%s", error)
            return None
        return stored

    async def keep(self, save: Mapping[str, str | None]) -> None:
        """Save something that is no event; returns when it is durable. Raises JournalError."""
        await self._journal.append(save=save)

    async def samples(self, device: str, samples: Sequence[Sample]) -> None:
        """A device has looked at its inputs; returns when what follows is durable."""
        await self.take(self.engine.samples(device, samples, self._clock.moment()), device)

    async def fault(self, name: str, text: Text | None, *, device: str | None = None, point: str | None = None) -> None:
        """Raise a fault with its text, or clear it (None). Telling the same again does nothing."""
        moment = self._clock.moment()
        if text:
            await self.take(self.engine.raise_fault(device, point, name, text, moment))
        else:
            await self.take(self.engine.clear_fault(device, point, name, moment))

    async def ack(self, selector: Mapping[str, JsonValue], actor: str | None) -> Outcome:
        """Acknowledge. Raises Refusal."""
        outcome = self.engine.ack(selector, actor, self._clock.moment())
        await self.take(outcome)
        return outcome

    async def reset(self, selector: Mapping[str, JsonValue], actor: str | None) -> Outcome:
        """Reset. Raises Refusal."""
        outcome = self.engine.reset(selector, actor, self._clock.moment())
        await self.take(outcome)
        return outcome

    async def run(self) -> None:
        """Turn timers and lamps until cancelled. Raises JournalError."""
        while True:
            self._poke.clear()
            self._journal.check()
            self.last_turn_ns = self._clock.boottime_ns()
            due_ns = self.engine.next_due_ns()
            if due_ns is not None and due_ns <= self.last_turn_ns:
                await self.take(self.engine.tick(self._clock.moment()))
            if self._untold:
                self._tell_states()
            now_ns = self._clock.boottime_ns()
            plan = self.engine.outputs(now_ns, self.delivery)
            self.on_outputs(plan.values)
            await self._nap(now_ns, self.engine.next_due_ns(), plan.next_change_ns)

    async def _nap(self, now_ns: int, *times_ns: int | None) -> None:
        next_ns = min((t for t in times_ns if t is not None), default=now_ns + round(LONGEST_NAP_S * NS_PER_S))
        nap_s = min(LONGEST_NAP_S, max(SHORTEST_NAP_S, (next_ns - now_ns) / NS_PER_S))
        sleeper = asyncio.ensure_future(self._clock.sleep(nap_s))
        poked = asyncio.ensure_future(self._poke.wait())
        try:
            await asyncio.wait((sleeper, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            poked.cancel()
