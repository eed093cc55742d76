"""Rules at work: what the desk decides, what the journal stores and what devices measure goes into the rules; what
begins to hold becomes an alarm of the device "rules", or an event, and actions.

Nothing waits for rules: what they are to hear is put into a bounded queue, and one task judges it. When the queue is
full, which takes thousands of changes while the disk stands still, it looks at everything anew instead: points and
faults as they are, events as the journal has them.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final

from agent.alarms.drill import DRILL_KEY
from agent.alarms.engine import Outcome
from agent.alarms.partitions import PARTITION_PREFIX
from agent.alarms.state import FAULT_PREFIX, POINT_PREFIX
from agent.clock import NS_PER_S, Clock, elapsed_ns
from agent.config.models import Config
from agent.config.rulebook import RULES
from agent.control import Peer
from agent.control.protocol import text_json
from agent.control.server import Call, Params
from agent.driver import Sample
from agent.journal import Journal
from agent.kinds import KINDS
from agent.model import NO_PART, JsonValue, Lane, Stored, new_event
from agent.rules.engine import Firing, Rules, RuleView
from agent.rules.facts import (
    OFFLINE,
    DrillFact,
    EventFact,
    Fact,
    FaultFact,
    MeasureFact,
    Place,
    PointFact,
    event_fact,
    moment_of,
)
from agent.runtime.desk import AlarmDesk
from agent.runtime.devices import Measure
from agent.runtime.field import Field
from agent.runtime.ruleacts import RuleActs
from agent.texts import say

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 4_096
"""What a commit that takes seconds may keep waiting."""
TAIL: Final = 1_000
"""Events that may have been stored after the rules' state was saved last: it is saved a second after it changed."""
PAGE: Final = 1_000
SAVE_AFTER_S: Final = 1.0
"""What is counted is saved so late: a commit for every event would double the work of the disk."""
SHOWN: Final = 100
"""Rules of one answer of the control socket; one with 64 conditions takes 10 KiB."""
TURN: Final = 64
TURN_NS: Final = 5_000_000
"""How many facts are judged, and for how long, before others get their turn: 500 rules that all hear of each would
take 64 ms for 64 of them, and a button waits for nobody so long."""
LONGEST_NAP_S: Final = 60.0
"""How often all points are looked at, whatever was told: a walk test, for one, covers points and saves nothing."""


class RuleDesk:
    """Feeds the rules, and carries out what they find."""

    def __init__(
        self, config: Callable[[], Config], desk: AlarmDesk, journal: Journal, clock: Clock, acts: RuleActs
    ) -> None:
        self._config = config
        self._desk = desk
        self._journal = journal
        self._clock = clock
        self._acts = acts
        self._queue: deque[Fact | Stored] = deque()
        self._news = asyncio.Event()
        self._all_anew = True
        self._reload = False
        self._told: dict[Place, PointFact] = {}
        self._faults: set[tuple[str | None, str | None, str]] = set()
        self._fired: set[str] = set()
        """Rules without a kind whose beginning was told."""
        self._seq = journal.head.seq
        self._drill = False
        self._save_ns: int | None = None
        self._looked_ns = clock.boottime_ns()
        now = config()
        self._rules = Rules(now.rules, now.calendar, inputs_of(now), clock.moment())

    def listen(self, field: Field) -> None:
        """Hear of everything from now on."""
        self._journal.on_stored(self.stored)
        self._desk.on_decided.append(self.decided)
        field.on_measure.append(self.measured)

    # --- what comes in; none of these waits or raises

    def stored(self, stored: Sequence[Stored]) -> None:
        """Events are durable (Journal.on_stored)."""
        for one in stored:
            if self._rules.wants(one.type, one.device, one.point):
                self._put(one)

    def decided(self, outcome: Outcome, device: str | None) -> None:
        """The alarm engine has decided something (AlarmDesk.on_decided): what it saves names what has changed."""
        changed: dict[Place, None] = {}
        for key in outcome.save:
            prefix, _, rest = key.partition("/")
            if f"{prefix}/" == POINT_PREFIX:
                owner, _, point = rest.partition("/")
                changed[owner, point] = None
            elif f"{prefix}/" == FAULT_PREFIX:
                changed.update(dict.fromkeys(self._fault_changed(rest)))
            elif key == DRILL_KEY or key.startswith(PARTITION_PREFIX):  # it may concern any point
                changed.update(dict.fromkeys(self._rules.points))
        if device is not None:
            mine = (place for place in self._rules.points if place[0] == device and self._unseen(place))
            changed.update(dict.fromkeys(mine))
        for place in changed:
            self._look(place)

    def _unseen(self, place: Place) -> bool:
        """Whether a look at its device may be the first that tells of a point; later ones save what they change."""
        return (told := self._told.get(place)) is None or told.value is None

    def measured(self, measure: Measure) -> None:
        """A device has measured something (Field.on_measure)."""
        fact = MeasureFact(measure.device, str(measure.input), measure.value)
        if self._rules.hears(fact):
            self._put(fact)

    def reload(self) -> None:
        """The configuration has changed."""
        self._reload = True
        self._news.set()

    # --- the work

    async def run(self) -> None:
        """Judge until cancelled. Raises JournalError."""
        moment = self._clock.moment()
        for problem in self._rules.restore(self._journal.saved, moment):
            log.warning(problem)
        tail = await self._journal.tail(TAIL)
        self._rules.recall(self._past(tail))
        self._seq = max([self._seq, *(one.seq for one in tail)])
        while True:
            self._news.clear()
            await self._turn()
            await self._nap()

    async def close(self) -> None:
        """Save what was not saved. Raises JournalError."""
        if save := self._rules.unsaved(self._clock.moment()):
            await self._desk.keep(save)

    def calls(self) -> dict[str, Call]:
        """The calls of the control socket."""
        return {"rules": self._list}

    async def _turn(self) -> None:
        if self._reload:
            self._reload = False
            await self._reconfigure()
        if self._all_anew:
            await self._tell_all()
        if self._clock.boottime_ns() - self._looked_ns >= LONGEST_NAP_S * NS_PER_S:
            self._looked_ns = self._clock.boottime_ns()
            for place in self._rules.points:
                self._look(place)
        firings = self._judge_some()
        firings += self._rules.tick(self._clock.moment())
        await self._carry_out(firings)
        await self._save(at_once=bool(firings))

    def _judge_some(self) -> list[Firing]:
        """Judge what waits, for as long as others can wait."""
        firings, end_ns = list[Firing](), self._clock.boottime_ns() + TURN_NS
        for _ in range(min(TURN, len(self._queue))):
            firings += self._judge(self._queue.popleft())
            if self._clock.boottime_ns() >= end_ns:
                break
        return firings

    def _judge(self, fact: Fact | Stored) -> Sequence[Firing]:
        moment = self._clock.moment()
        firings: list[Firing] = []
        if isinstance(fact, Stored):
            if fact.seq <= self._seq:
                return ()  # it was read from the journal before it came
            self._seq = fact.seq
            fact = event_fact(json.loads(fact.body), fact.boottime_ns)
        drill = self._desk.engine.drills(RULES, NO_PART)
        if drill != self._drill:
            self._drill = drill
            firings += self._rules.take(DrillFact(drill), moment)
        firings += self._rules.take(fact, moment)
        return firings

    async def _nap(self) -> None:
        """Until something comes, or is due; others get their turn in any case."""
        now_ns = self._clock.boottime_ns()
        times = [due for due in (self._rules.next_due_ns(), self._save_ns) if due is not None]
        nap_s = min([LONGEST_NAP_S, *((due - now_ns) / NS_PER_S for due in times)])
        if nap_s <= 0 or self._queue or self._reload or self._all_anew:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.ensure_future(self._clock.sleep(nap_s))
        woken = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((sleeper, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            woken.cancel()

    async def _carry_out(self, firings: Sequence[Firing]) -> None:
        """Tell what begins and ends, in one commit; then what is to be done for it."""
        now_ns = self._clock.boottime_ns()
        if samples := [Sample(one.rule.id, one.holds, now_ns, detail=one.why) for one in firings if one.rule.kind]:
            await self._desk.samples(RULES, samples)
        for firing in firings:
            if not firing.rule.kind:
                await self._tell(firing)
            if firing.acts:
                await self._acts.order(firing.rule)

    async def _tell(self, firing: Firing) -> None:
        """A rule without a kind is an event; as often as its actions, so that one that flickers fills no journal."""
        rule = firing.rule
        told = firing.acts if firing.holds else rule.id in self._fired
        self._fired.add(rule.id) if firing.holds and told else self._fired.discard(rule.id)
        if not told:
            return
        key = "rules.fired" if firing.holds else "rules.ended"
        more: dict[str, JsonValue] = {"detail": {**firing.why}} if firing.why else {}
        event = new_event(
            "campus.rule.fired" if firing.holds else "campus.rule.ended",
            Lane.EVENT,
            self._clock.moment(),
            device=RULES,
            point=rule.id,
            drill=self._desk.engine.drills(RULES, rule.id),
            name=rule.name,
            text=say(key, name=rule.name).render(self._config().site.language),
            value=firing.holds,
            **more,
        )
        await self._desk.tell(event)

    async def _reconfigure(self) -> None:
        config, moment = self._config(), self._clock.moment()
        firings = self._rules.reconfigure(config.rules, config.calendar, inputs_of(config), moment)
        self._told.clear()
        self._all_anew = True
        await self._carry_out(firings)

    async def _tell_all(self) -> None:
        """Look at everything: at the start, after a change of configuration, and when too much has happened at once."""
        self._all_anew = False
        missed = await self._missed()
        came = [fact for fact in self._queue if isinstance(fact, MeasureFact | Stored)]
        self._queue = deque([*missed, *came])  # also while the journal was read; what is in both counts once
        self._told.clear()
        for place in self._rules.points:
            self._look(place)
        standing = {(fault.device, fault.point, fault.fault) for fault in self._desk.engine.faults()}
        for device, point, name in standing - self._faults:
            self._put(FaultFact(device, point, name, True))
        for device, point, name in self._faults - standing:
            self._put(FaultFact(device, point, name, False))
        self._faults = standing
        firings: list[Firing] = []
        while self._queue:
            firings += self._judge_some()
            await asyncio.sleep(0)
        firings += self._rules.look(self._clock.moment())
        await self._carry_out(firings)
        await self._agree()

    async def _missed(self) -> list[Stored]:
        """The events since the last that was judged, as far back as the queue could have held them."""
        last = self._journal.head.seq
        rows: list[Stored] = []
        for first in range(max(self._seq + 1, last - QUEUE_LIMIT + 1), last + 1, PAGE):
            rows += await self._journal.rows(first, min(last, first + PAGE - 1), PAGE)
        return [row for row in rows if self._rules.wants(row.type, row.device, row.point)]

    async def _agree(self) -> None:
        """What the alarm engine takes a rule to be may be older than the rule's state, or its condition another now."""
        now_ns = self._clock.boottime_ns()
        kinds = {rule.id for rule in self._config().rules if rule.kind}
        if samples := [Sample(name, holds, now_ns) for name, holds in self._rules.holding().items() if name in kinds]:
            await self._desk.samples(RULES, samples)

    async def _save(self, *, at_once: bool) -> None:
        if not self._rules.touched:
            return
        now_ns = self._clock.boottime_ns()
        if self._save_ns is None:
            self._save_ns = now_ns + round(SAVE_AFTER_S * NS_PER_S)
        if at_once or now_ns >= self._save_ns:
            self._save_ns = None
            if save := self._rules.unsaved(self._clock.moment()):
                await self._desk.keep(save)

    # --- facts

    def _put(self, fact: Fact | Stored) -> None:
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append(fact)
        elif not self._all_anew:
            log.warning(say("rules.behind", limit=QUEUE_LIMIT))
            self._all_anew = True
        self._news.set()

    def _look(self, place: Place) -> None:
        if place not in self._rules.points or (fact := self._point(place)) is None or self._told.get(place) == fact:
            return
        self._told[place] = fact
        self._put(fact)

    def _point(self, place: Place) -> PointFact | None:
        """A point as rules see it: its state may be known, as of an alarm that latched, while its input is not. A drill
        that does not cover the rules must not make them ring, so that nothing is known of what it covers."""
        engine = self._desk.engine
        view = engine.view(*place)
        if view is None:
            return None
        if engine.drills(*place) and not engine.drills(RULES, NO_PART):
            return PointFact(*place, None, None)
        seen = engine.is_seen(*place)
        latched = view.state != "idle" and (view.state != "active" or KINDS[view.kind].class_ == "alarm")
        return PointFact(*place, view.state if seen or latched else None, view.value if seen else None)

    def _fault_changed(self, rest: str) -> Iterable[Place]:
        """Tell a fault that was saved or deleted; return the points whose state it may have changed."""
        device, point, name = rest.split("/", 2)
        key = (None if device == NO_PART else device, None if point == NO_PART else point, name)
        stands = self._desk.engine.fault_stands(*key)
        if stands != (key in self._faults):
            self._faults.add(key) if stands else self._faults.discard(key)
            self._put(FaultFact(*key, stands))
        if name == OFFLINE:
            return [place for place in self._rules.points if place[0] == device]
        return [(device, point)]

    def _past(self, rows: Sequence[Stored]) -> Iterable[EventFact]:
        """Stored events, with their times in the boot of now; what happened at an unknown time is left out."""
        moment = self._clock.moment()
        for row in rows:
            if self._rules.wants(row.type, row.device, row.point):
                event = json.loads(row.body)
                ago_ns = elapsed_ns(moment_of(event), moment)
                if ago_ns is not None:
                    yield event_fact(event, moment.boottime_ns - ago_ns)

    # --- what is shown

    async def _list(self, params: Params, _peer: Peer) -> JsonValue:
        """One page of the rules, from the number `from` on: a line of the socket has room for so many."""
        moment = self._clock.moment()
        first = max(0, int(str(params.get("from", 0))))

        def time(boottime_ns: int | None) -> JsonValue:
            if boottime_ns is None:
                return None
            ago = timedelta(microseconds=(moment.boottime_ns - boottime_ns) // 1_000)
            return (moment.wall - ago).isoformat(timespec="milliseconds")

        return [
            {
                "id": view.settings.id,
                "name": view.settings.name,
                "kind": view.settings.kind,
                "state": state_word(view),
                "since": time(view.since_ns),
                "acted": time(view.acted_ns),
                "count": view.count,
                "conditions": [
                    {"depth": one.depth, "text": text_json(one.text), "truth": one.truth, "now": one.shown}
                    for one in view.conditions
                ],
            }
            for view in self._rules.views(moment)[first : first + SHOWN]
        ]


def state_word(view: RuleView) -> str:
    """Whether a rule holds, as far as that is known."""
    if view.truth is None:
        return "unknown"
    return "holds" if view.holds else "idle"


def inputs_of(config: Config) -> dict[Place, str]:
    """The input behind each point, by which measures come."""
    return {(device.id, point.id): str(point.input) for device in config.devices for point in device.points}
