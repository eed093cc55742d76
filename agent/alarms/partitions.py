"""Partitions: points that are armed and disarmed together, by schedule, key, and command. Pure.

    disarmed --arm--> (exit delay) --> armed --entry point--> (entry delay) --> its alarm
        ^-----------------------------disarm, at any time------------------------'

- A disarmed point is watched as always (value, faults), and raises no alarm. An alarm that stands stays
  until its reset.
- Arming is refused while a point is active, to whoever can read that; a schedule and a key leave such points out and
  say so by the fault `bypassed`. A point that was left out is armed as soon as it is released.
- During the exit delay the `entry` points are off, and the others armed. Later an entry point starts the entry delay.
- The last word counts: what people did stays until the schedule changes next.
- Whatever is uncertain is armed: a partition without a saved state, and a schedule while the clock is not set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

from pydantic import AwareDatetime, TypeAdapter

from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch, Turn
from agent.alarms.point import Duty, PointWatch
from agent.alarms.selectors import Refusal
from agent.alarms.state import BadSave, Stamp, read
from agent.clock import NS_PER_S
from agent.config.arming import PartitionSettings
from agent.config.calendar import CalendarSettings, WindowSettings
from agent.kinds import KINDS
from agent.model import JsonValue, Lane, Moment
from agent.texts import Text, say

PARTITION_PREFIX: Final = "partition/"
BYPASSED: Final = "bypassed"
"""The fault of a point that was active when its partition was armed all the same."""
LOOK_NS: Final = 30 * NS_PER_S
"""The wall clock may be set at any time; a schedule follows within this."""
SHOWN_CHARS: Final = 60
"""How much of a name a refusal repeats."""
CONFIGURATION: Final = "configuration"
SCHEDULE: Final = "schedule"
How = Literal["schedule", "key", "command", "configuration"]
State = Literal["disarmed", "exit", "armed", "entry"]
Points = Mapping[str, PointWatch]
"""Every point by its place, "device/point"."""


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """A partition's state. `scheduled` is what its schedule wanted last, `due` when that may change; `exit_at` and
    `entry_at` are when the delays began."""

    partition: str
    armed: bool
    since: str
    actor: str | None
    how: How
    bypassed: tuple[str, ...] = ()
    exit_at: Stamp | None = None
    entry_at: Stamp | None = None
    entry_by: str | None = None
    scheduled: bool | None = None
    due: AwareDatetime | None = None
    v: Literal[1] = 1

    @property
    def key(self) -> str:
        return f"{PARTITION_PREFIX}{self.partition}"

    @property
    def state(self) -> State:
        """In one word."""
        if not self.armed:
            return "disarmed"
        return "exit" if self.exit_at else "entry" if self.entry_at else "armed"


class Partitions:
    """Every partition of one gateway."""

    def __init__(self, settings: Sequence[PartitionSettings], calendar: CalendarSettings) -> None:
        self._settings = {one.id: one for one in settings}
        self._calendar = calendar
        self._records: dict[str, PartitionRecord] = {}
        self._timers: dict[str, int] = {}
        """When each partition's delay ends."""
        self._look_ns: int | None = 0

    # --- start, restart, change of configuration

    def restore(self, key: str, text: str, moment: Moment) -> None:
        """Take over what was saved. Raises BadSave."""
        record = read(_records(), text)
        if record.key != key:
            raise BadSave("another partition's")
        self._records[record.partition] = record
        if record.partition in self._settings:
            self._set_timer(record, moment)

    def reconfigure(
        self, settings: Sequence[PartitionSettings], calendar: CalendarSettings, batch: Batch, faults: FaultBook
    ) -> None:
        """Take over other settings. What stays keeps its state; the points of what goes are armed."""
        self._settings = {one.id: one for one in settings}
        self._calendar = calendar
        self._timers = {}
        for record in self._records.values():
            if record.partition in self._settings:
                self._set_timer(record, batch.moment)
        self.settle(batch, faults)

    def settle(self, batch: Batch, faults: FaultBook) -> None:
        """Make the state of partitions that are new, and end what was saved of those that are gone."""
        for id_ in self._records.keys() - self._settings.keys():
            record = self._records.pop(id_)
            batch.save[record.key] = None
            for place in record.bypassed:
                self._clear(place, place, batch, faults)
        for settings in self._settings.values():
            if settings.id not in self._records:
                self._begin(settings, batch)
                for place in settings.points:  # of a state that could not be read
                    self._clear(place, place, batch, faults)
        self._look_ns = batch.now_ns

    def _begin(self, settings: PartitionSettings, batch: Batch) -> None:
        """A partition that nothing is known of is armed, unless its schedule says with certainty that it is not."""
        wanted = self._wanted(settings, batch.moment)
        armed = wanted is not False or batch.moment.clock != "synced"
        how: How = "configuration" if wanted is None else "schedule"
        record = PartitionRecord(settings.id, armed, batch.since, how, how)
        self._keep(self._planned(record, settings, batch.moment) if armed is wanted else record, batch)
        self._tell(settings, record, batch)

    # --- what people and devices do

    def arm(
        self, id_: str, points: Points, batch: Batch, faults: FaultBook, *, actor: str | None, how: How, force: bool
    ) -> dict[str, JsonValue]:
        """Arm a partition; return what the reply tells. Raises Refusal while a point is active, unless forced."""
        settings, record = self._find(id_)
        if record.armed:
            return self._result(record, already=True)
        delayed = bool(settings.entry) and settings.exit_delay_s > 0 and how != "schedule"
        exempt = settings.entry if delayed else ()
        still = tuple(p for p in settings.points if p in points and points[p].record.value and p not in exempt)
        if still and not force:
            names = ", ".join(f"{points[place].settings.name} ({place})" for place in still)
            raise Refusal(say("arming.open", name=settings.name, points=names, partition=settings.id))
        exit_at = Stamp.of(batch.moment) if delayed else None
        since, kept = batch.since, record
        record = PartitionRecord(
            settings.id, True, since, actor, how, still, exit_at, scheduled=kept.scheduled, due=kept.due
        )
        self._keep(record, batch)
        self._set_timer(record, batch.moment)
        self._tell(settings, record, batch)
        for place in still:
            text = say("arming.bypassed", name=points[place].settings.name, partition=settings.name)
            watch = points[place]
            faults.raise_(batch, watch.settings.name, watch.device, watch.settings.id, BYPASSED, text)
        return self._result(record)

    def disarm(
        self, id_: str, points: Points, batch: Batch, faults: FaultBook, *, actor: str | None, how: How
    ) -> dict[str, JsonValue]:
        """Disarm a partition; return what the reply tells. Raises Refusal when there is none of that name."""
        settings, record = self._find(id_)
        if not record.armed:
            return self._result(record, already=True)
        for place in record.bypassed:
            self._clear(place, points[place].settings.name if place in points else place, batch, faults)
        kept = record
        record = PartitionRecord(settings.id, False, batch.since, actor, how, scheduled=kept.scheduled, due=kept.due)
        self._keep(record, batch)
        self._timers.pop(settings.id, None)
        self._tell(settings, record, batch, entry=kept.entry_by)
        return self._result(record)

    def follow(self, points: Points, turns: Sequence[Turn], batch: Batch, faults: FaultBook) -> None:
        """Inputs have changed: keys are turned, points that were left out are released, somebody comes in."""
        for turn in turns:
            for settings in self._settings.values():
                if turn.place == settings.key and turn.sound:
                    self._turned(settings, turn, points, batch, faults)
                record = self._records[settings.id]
                if turn.place in record.bypassed and not turn.active:
                    left = tuple(place for place in record.bypassed if place != turn.place)
                    self._keep(replace(record, bypassed=left), batch)
                    self._clear(turn.place, points[turn.place].settings.name, batch, faults)
                elif turn.active and self._duty(settings, record, turn.place) == "delayed":
                    self._enter(settings, turn.place, points, batch)

    def _turned(self, settings: PartitionSettings, turn: Turn, points: Points, batch: Batch, faults: FaultBook) -> None:
        """Nobody can tell a key no: it arms what can be armed."""
        armed = self._records[settings.id].armed
        if settings.key_mode == "momentary" and not turn.active:
            return
        wanted = not armed if settings.key_mode == "momentary" else turn.active
        actor = f"key:{turn.place}"
        if wanted:
            self.arm(settings.id, points, batch, faults, actor=actor, how="key", force=True)
        else:
            self.disarm(settings.id, points, batch, faults, actor=actor, how="key")

    def _enter(self, settings: PartitionSettings, place: str, points: Points, batch: Batch) -> None:
        """The entry delay begins, if it does not run already."""
        record, watch = self._records[settings.id], points[place]
        if record.entry_at is not None or watch.record.alarm is not None:
            return
        record = replace(record, entry_at=Stamp.of(batch.moment), entry_by=place)
        self._keep(record, batch)
        self._set_timer(record, batch.moment)
        text = say("arming.entry", name=watch.settings.name, seconds=f"{settings.entry_delay_s:g}")
        event = "campus.access.entry"
        name, seconds = watch.settings.name, round(settings.entry_delay_s)
        told: dict[str, JsonValue] = {"partition": settings.id, "seconds": seconds}
        batch.event(event, Lane.EVENT, watch.device, watch.settings.id, watch.kind, name, text, **told)

    # --- time

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do."""
        times = [*self._timers.values(), *([] if self._look_ns is None else [self._look_ns])]
        return min(times, default=None)

    def tick(self, points: Points, batch: Batch, faults: FaultBook) -> None:
        """Delays end, schedules change."""
        for id_, due_ns in tuple(self._timers.items()):
            if batch.now_ns >= due_ns:
                self._delay_over(self._settings[id_], points, batch)
        if self._look_ns is not None and batch.now_ns >= self._look_ns:
            self._look_ns = None
            for settings in self._settings.values():
                self._follow_schedule(settings, points, batch, faults)

    def _delay_over(self, settings: PartitionSettings, points: Points, batch: Batch) -> None:
        del self._timers[settings.id]
        record = self._records[settings.id]
        place = record.entry_by
        self._keep(replace(record, exit_at=None, entry_at=None, entry_by=None), batch)
        if record.exit_at is None:
            if place and (entered := points.get(place)):
                entered.raise_held(batch)
            return
        for place in settings.entry:  # somebody stayed, or the door stands open
            watch = points.get(place)
            if watch and watch.record.value:
                if self._duty(settings, self._records[settings.id], place) == "delayed":
                    self._enter(settings, place, points, batch)
                else:
                    watch.raise_held(batch)

    def _follow_schedule(self, settings: PartitionSettings, points: Points, batch: Batch, faults: FaultBook) -> None:
        """Do what the schedule wants since it changed last; a clock that is not set never disarms."""
        record, moment = self._records[settings.id], batch.moment
        wanted = self._wanted(settings, moment)
        if wanted is None:
            if record.scheduled is not None:
                self._keep(replace(record, scheduled=None, due=None), batch)
            return
        held = not wanted and moment.clock != "synced"
        if self._changed(settings, record, wanted, moment) and not held:
            if wanted:
                self.arm(settings.id, points, batch, faults, actor=SCHEDULE, how="schedule", force=True)
            else:
                self.disarm(settings.id, points, batch, faults, actor=SCHEDULE, how="schedule")
            record = self._records[settings.id]
        planned = self._planned(record, settings, moment)
        if not held and planned != record:
            self._keep(planned, batch)
        assert planned.due is not None, "a schedule has a next change"
        ahead_ns = round((planned.due - moment.wall).total_seconds() * NS_PER_S)
        look_ns = batch.now_ns + min(LOOK_NS, max(ahead_ns, NS_PER_S))
        self._look_ns = look_ns if self._look_ns is None else min(self._look_ns, look_ns)

    def _changed(self, settings: PartitionSettings, record: PartitionRecord, wanted: bool, moment: Moment) -> bool:
        """Whether the schedule has changed since it was followed last, perhaps there and back."""
        if record.scheduled is not wanted:
            return True
        if record.due is None or moment.wall < record.due or settings.armed is None:
            return False
        return self._calendar.holds(settings.armed, record.due.astimezone(moment.wall.tzinfo)) is not wanted

    def _wanted(self, settings: PartitionSettings, moment: Moment) -> bool | None:
        """What the schedule says; None where there is none."""
        return None if settings.armed is None else self._calendar.holds(settings.armed, moment.wall)

    def _planned(self, record: PartitionRecord, settings: PartitionSettings, moment: Moment) -> PartitionRecord:
        """The record with what the schedule says now."""
        window = settings.armed or WindowSettings()
        wanted = self._calendar.holds(window, moment.wall)
        if record.scheduled is wanted and record.due is not None and moment.wall < record.due:
            return record
        return replace(record, scheduled=wanted, due=self._calendar.next_change(window, moment.wall))

    # --- what follows for points, and what is shown

    def duties(self) -> dict[str, tuple[Duty, str]]:
        """What each point of a partition has to do, and since when its partition is in its state."""
        found: dict[str, tuple[Duty, str]] = {}
        for settings in self._settings.values():
            if record := self._records.get(settings.id):
                for place in settings.points:
                    found[place] = self._duty(settings, record, place), record.since
        return found

    def _duty(self, settings: PartitionSettings, record: PartitionRecord, place: str) -> Duty:
        if place not in settings.points:
            return "armed"
        is_entry = place in settings.entry
        if not record.armed or place in record.bypassed or (is_entry and record.exit_at is not None):
            return "off"
        return "delayed" if is_entry and settings.entry_delay_s > 0 else "armed"

    def views(self, points: Points, moment: Moment) -> list[JsonValue]:
        """Every partition as `status --json` shows it."""
        return [self._view(settings, points, moment) for settings in self._settings.values()]

    def _view(self, settings: PartitionSettings, points: Points, moment: Moment) -> JsonValue:
        record = self._records.get(settings.id)
        if record is None:
            return {"id": settings.id, "name": settings.name, "state": "armed", "points": list(settings.points)}
        timer_ns = self._timers.get(settings.id)
        return {
            "id": settings.id,
            "name": settings.name,
            "state": record.state,
            "since": record.since,
            "actor": record.actor,
            "how": record.how,
            "delay_s": None if timer_ns is None else max(0, (timer_ns - moment.boottime_ns) // NS_PER_S),
            "bypassed": list(record.bypassed),
            "open": [place for place in settings.points if place in points and points[place].record.value],
            "scheduled": record.scheduled,
            "next_change": record.due.isoformat(timespec="seconds") if record.due and settings.armed else None,
            "points": list(settings.points),
        }

    # --- inside

    def _find(self, id_: str) -> tuple[PartitionSettings, PartitionRecord]:
        if settings := self._settings.get(id_):
            return settings, self._records[id_]
        known = ", ".join(self._settings) or "-"
        raise Refusal(say("arming.unknown", partition=id_[:SHOWN_CHARS], known=known))

    def _keep(self, record: PartitionRecord, batch: Batch) -> None:
        self._records[record.partition] = record
        batch.save[record.key] = _records().dump_json(record).decode()

    def _set_timer(self, record: PartitionRecord, moment: Moment) -> None:
        """The delay that runs, if one does; where nobody can tell how long it ran, it counts anew."""
        settings = self._settings[record.partition]
        began = record.exit_at or record.entry_at
        delay_s = settings.exit_delay_s if record.exit_at else settings.entry_delay_s
        if began:
            self._timers[record.partition] = began.due_ns(moment, delay_s)
        else:
            self._timers.pop(record.partition, None)

    def _clear(self, place: str, name: str, batch: Batch, faults: FaultBook) -> None:
        device, _, point = place.partition("/")
        faults.clear(batch, name, device, point, BYPASSED)

    def _tell(
        self, settings: PartitionSettings, record: PartitionRecord, batch: Batch, *, entry: str | None = None
    ) -> None:
        """Who armed or disarmed, in the chain."""
        what = "armed" if record.armed else "disarmed"
        text: Text = say(f"arming.{what}-by-{record.how}", name=settings.name, actor=record.actor or "-")
        more: dict[str, JsonValue] = {"bypassed": list(record.bypassed)} if record.bypassed else {}
        if record.exit_at:
            more["exit_s"] = round(settings.exit_delay_s)
        if entry:
            more["entry"] = entry
        told: dict[str, JsonValue] = {"partition": settings.id, "actor": record.actor, "how": record.how, **more}
        kind = KINDS["armed"]
        batch.event(f"campus.access.{what}", Lane.EVENT, None, None, kind, settings.name, text, **told)

    def _result(self, record: PartitionRecord, *, already: bool = False) -> dict[str, JsonValue]:
        bypassed: list[JsonValue] = list(record.bypassed)
        return {"partition": record.partition, "state": record.state, "bypassed": bypassed, "already": already}


@cache
def _records() -> TypeAdapter[PartitionRecord]:
    """Built when first needed: it takes a few milliseconds."""
    return TypeAdapter(PartitionRecord)
