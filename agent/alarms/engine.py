"""The alarm engine: samples, commands and time go in; events, saved state and wanted outputs come out.

Pure: no task, no I/O, no clock of its own. Whoever runs it
- commits an `Outcome`'s events and saves in one transaction, in the order of the calls, then calls `stored`,
- calls `tick` when `next_due_ns` has come, and `heard` at least every second or so while a device lives,
- applies `outputs` after each of these, and again at `next_change_ns`.
It may be stopped between any two calls and continued with `restore`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.alarms.escalation import Escalation, Plans, told_data
from agent.alarms.faults import FaultBook
from agent.alarms.lamp import Delivery, LampMeans, LampMode, Output, OutputPlan, Overrides, plan_outputs
from agent.alarms.leftovers import LeftOvers
from agent.alarms.modes import Modes, Regime
from agent.alarms.outcome import Batch, FaultView, Outcome, PointView, Press, Turn
from agent.alarms.point import PointWatch
from agent.alarms.selectors import Refusal, Selector, parse_selector
from agent.alarms.state import (
    FAULT_PREFIX,
    NOTICE_PREFIX,
    POINT_PREFIX,
    BadSave,
    FaultRecord,
    NoticeRecord,
    PointRecord,
    load_fault,
    load_notice,
    load_point,
)
from agent.alarms.strays import Strays, StrayView
from agent.alarms.supervision import OFFLINE, DeviceWatch
from agent.config.models import DeviceSettings, PointSettings
from agent.driver import Input, Sample
from agent.kinds import KINDS, LOWEST_PRIORITY, UNASSIGNED, Kind
from agent.model import JsonValue, Lane, Moment, Stored
from agent.texts import Language, Text, say

__all__ = [
    "Alarms",
    "Delivery",
    "FaultView",
    "Outcome",
    "OutputPlan",
    "PointView",
    "Press",
    "Refusal",
    "Regime",
    "StrayView",
    "Turn",
]

Key = tuple[str, str]
"""A device's id and the id of one of its points."""
SHOWN_CHARS: Final = 60
"""How much of a name a refusal repeats; a command may be large."""
REMEMBERED_INPUTS: Final = 1_024
"""Inputs of a device whose last look is kept for a change of configuration; a radio receiver may name any number."""
SHOWN_POINTS: Final = 20
"""How many points a refusal lists: enough for a school's buttons, short enough for a line."""


NO_REGIME: Final = Regime()
"""No partitions, and nothing that must be tested."""


class Alarms:
    """Every point, device and fault of one gateway."""

    def __init__(
        self,
        devices: Sequence[DeviceSettings],
        *,
        ack_timeout_s: float,
        lamp_means: LampMeans,
        language: Language,
        regime: Regime = NO_REGIME,
        plans: Plans | None = None,
    ) -> None:
        self.escalation = Escalation(plans or Plans(), ack_timeout_s)
        self._lamp_means: LampMeans = lamp_means
        self._language: Language = language
        self._settings = tuple(devices)
        self._devices: dict[str, DeviceWatch] = {}
        self._points: dict[Key, PointWatch] = {}
        self._inputs: dict[str, dict[Input, list[PointWatch]]] = {}
        self._last: dict[str, dict[Input, Sample]] = {}
        self._faults = FaultBook()
        self.modes = Modes(regime, self._faults)
        """Partitions, the drill, and what was tested; what changes them goes through `perform`."""
        self._overrides = Overrides()
        self._known_outputs: frozenset[Output] | None = None
        self._unsaved: set[Key] = set()
        self._carried: Batch | None = None
        """What a command that was refused had before it: it must not be refused with it."""
        self._left_over = LeftOvers()
        self._started = False
        self.on_press: Callable[[Press], None] = lambda _press: None
        """Called with every press that counts, at once: before its event is committed."""
        self.on_turn: Callable[[Turn], None] = lambda _turn: None
        """Called with every change of an input that counts, presses and releases, as early."""
        self.on_stray: Callable[[StrayView], None] = lambda _stray: None
        """Called whenever a device speaks of an active input that no point has."""
        self._strays: dict[str, Strays] = {}
        self.pending: list[NoticeRecord] = []
        """What the second paths had not brought over when an earlier run stopped."""

    # --- start, restart, change of configuration

    def restore(self, saved: Mapping[str, str], moment: Moment) -> tuple[Text, ...]:
        """Continue where an earlier run stopped, from what its outcomes saved; keys of others are left alone. Return
        a text for each value that could not be read and was dropped. Alarms of points that are no longer configured
        are told with the next outcome. To be called once, first."""
        self._start(moment)
        problems: list[Text] = []
        for key, text in saved.items():
            try:
                if key.startswith(POINT_PREFIX):
                    self._restore_point(load_point(key, text), moment)
                elif key.startswith(FAULT_PREFIX):
                    self._restore_fault(load_fault(key, text))
                elif key.startswith(NOTICE_PREFIX):
                    self.pending.append(load_notice(key, text))
                else:
                    self.modes.restore(key, text, moment)
            except BadSave as error:
                self._left_over.unreadable(key)
                problems.append(say("alarms.bad-save", key=key, problem=str(error)))
        self.modes.watch(self._points)
        return tuple(problems)

    def reconfigure(
        self,
        devices: Sequence[DeviceSettings],
        moment: Moment,
        *,
        ack_timeout_s: float | None = None,
        lamp_means: LampMeans | None = None,
        regime: Regime | None = None,
        plans: Plans | None = None,
    ) -> Outcome:
        """Take over a changed configuration. What stays (same device, point and kind) keeps its state. What goes
        ends: its alarm with a `reset` by the actor "configuration", its faults with their `cleared`. A point that is
        new, or on another input, starts from what that input showed last."""
        batch = self._batch(moment)
        self.escalation.ack_timeout_s = ack_timeout_s or self.escalation.ack_timeout_s
        self.escalation.plans = plans or self.escalation.plans
        self._lamp_means = lamp_means or self._lamp_means
        old_points, old_devices = self._points, self._devices
        self._settings = tuple(devices)
        self._build(moment)
        self._strays.clear()
        for known in devices:  # judged anew: there may be points for them now
            self._faults.clear(batch, known.name, known.id, None, UNASSIGNED)
        self._keep_devices(old_devices, batch)
        for key, point in old_points.items():
            stays = self._points.get(key)
            if stays is None or stays.kind != point.kind:
                point.remove(batch, self._faults)
            else:
                point.reconfigure(stays.settings, moment)
                self._place(key, point)
        self.modes.watch(self._points)
        if regime is not None:
            self.modes.reconfigure(regime, batch)
        for (device, _), point in self._points.items():
            if not point.has_looked:
                for last in self._last_of(device, point.settings.input):
                    point.look(replace(last, seen_ns=batch.now_ns, previous_ns=None), batch, self._faults)
        return self._finish(batch)

    # --- what devices say

    def samples(self, device: str, samples: Sequence[Sample], moment: Moment) -> Outcome:
        """A device has looked at its inputs. Inputs that no point has are ignored."""
        batch = self._batch(moment)
        if watch := self._devices.get(device):
            watch.heard(batch, self._faults)
        inputs = self._inputs.get(device, {})
        last = self._last.setdefault(device, {})
        touched: dict[Key, PointWatch] = {}
        for sample in samples:
            if sample.hold_s is None and (sample.input in last or len(last) < REMEMBERED_INPUTS):
                last[sample.input] = replace(sample, press=False) if sample.press else sample
            watching = [point for name in (sample.input, *sample.also) for point in inputs.get(name, ())]
            for point in watching:
                point.look(sample, batch, self._faults)
                touched[device, point.settings.id] = point
            if watch and not watching:
                self._stray(watch, sample, batch)
        for point in touched.values():  # the time that has passed since the look counts as well
            if (due_ns := point.due_ns) is not None and due_ns <= batch.now_ns:
                point.tick(batch, self._faults)
        return self._finish(batch)

    def heard(self, device: str, moment: Moment) -> Outcome:
        """A device answers, and has told every change that it saw before."""
        batch = self._batch(moment)
        if watch := self._devices.get(device):
            watch.heard(batch, self._faults)
            for points in self._inputs[device].values():
                for point in points:
                    point.looked(batch, self._faults)
        return self._finish(batch)

    def failed(self, device: str, text: Text, moment: Moment, *, down: bool = True) -> None:
        """A device's driver gave up, or (`down` False) could not read it; the text is told if silence follows until
        `offline_after`."""
        self._start(moment)
        if watch := self._devices.get(device):
            watch.failed(text, moment.boottime_ns if down else None)

    # --- time

    def tick(self, moment: Moment) -> Outcome:
        """Do what is due: debouncing, escalation, silent devices, stuck inputs."""
        batch = self._batch(moment)
        for watch in self._watches():
            if (due_ns := watch.due_ns) is not None and due_ns <= batch.now_ns:
                watch.tick(batch, self._faults)
        self.modes.tick(batch)
        return self._finish(batch)

    def next_due_ns(self) -> int | None:
        """The boot clock when `tick` has something to do; None if never. May be in the past."""
        if self._left_over or self._carried:
            return 0
        times = [watch.due_ns for watch in self._watches()]
        return min((due_ns for due_ns in (*times, self.modes.due_ns) if due_ns is not None), default=None)

    # --- commands

    def ack(self, selector: Mapping[str, JsonValue], actor: str | None, moment: Moment) -> Outcome:
        """Acknowledge an alarm by one of its events (raised, repeated, escalated) or by its point. An alarm that is
        acknowledged already stays so without another event (`result["already"]`). Raises Refusal."""
        point = self._select(parse_selector(selector))
        return self.perform(lambda batch: point.ack(actor, batch), moment)

    def reset(self, selector: Mapping[str, JsonValue], actor: str | None, moment: Moment) -> Outcome:
        """End an alarm whose input is released. Raises Refusal."""
        point = self._select(parse_selector(selector))
        return self.perform(lambda batch: point.reset(actor, batch), moment)

    def escalate(self, device: str, point: str, moment: Moment) -> Outcome:
        """Escalate an alarm at once, if somebody is still waited for. Raises Refusal for an unknown point."""
        watch = self._select(Selector(None, (device, point)))
        batch = self._batch(moment)
        watch.hurry(batch)
        return self._finish(batch)

    def override(self, device: str, output: int, value: bool, until_ns: int) -> None:
        """Hold an output by hand until then, whatever the alarms want of it."""
        self._overrides.hold((device, output), value, until_ns)

    def perform(self, action: Callable[[Batch], Mapping[str, JsonValue]], moment: Moment) -> Outcome:
        """Do what one of `modes`' methods does to a batch. Raises Refusal, and has then done nothing; what was to be
        told and saved in any case comes with the next outcome."""
        batch = self._batch(moment)
        try:
            result = action(batch)
        except Refusal:
            self._carried = batch
            raise
        return self._finish(batch, result)

    def set_drill(self, drill: bool) -> None:
        """Mark the events from now on as those of a drill, or no longer, whatever window there is."""
        self.modes.drill.whole = drill

    def test_passed(self, device: str, point: str, latency_ms: int, moment: Moment) -> Outcome:
        """Record that a point passed its walk test. Raises Refusal for an unknown point."""
        watch = self._select(Selector(None, (device, point)))
        batch = self._batch(moment)
        kind, name = watch.kind, watch.settings.name
        text = say("alarms.test-passed", name=name, kind=kind.text, latency_ms=latency_ms)
        type_, drill = "campus.test.passed", self.modes.drill.holds(device, point)
        more: dict[str, JsonValue] = {"value": True, "latency_ms": latency_ms}
        batch.event(type_, Lane.EVENT, device, point, kind, name, text, drill, **more)
        self.modes.tested.note(watch, "test", batch, self._faults)
        return self._finish(batch)

    def notified(
        self,
        record: NoticeRecord,
        moment: Moment,
        text: Text,
        *,
        ok: bool,
        final: bool,
        tries: int,
        by: str | None = None,
    ) -> Outcome:
        """A second path has brought a notice over (`ok`), could not this time, or has given it up (`final`)."""
        batch = self._batch(moment)
        notice = record.notice
        kind = KINDS.get(notice.kind) or Kind(notice.kind, "alarm", LOWEST_PRIORITY)
        more = told_data(record, ok=ok, final=final, tries=tries, by=by)
        event_id = batch.event(
            "campus.alarm.notified", Lane.ALARM, notice.device, notice.point, kind, notice.name, text, False, **more
        )
        if ok or final:
            batch.save[record.key] = None
        if notice.what == "alarm" and (point := self._points.get((notice.device, notice.point))):
            point.notified(notice.alarm, record.path, event_id, batch, ok=ok)
        return self._finish(batch)

    # --- faults that others tell

    def raise_fault(self, device: str | None, point: str | None, fault: str, text: Text, moment: Moment) -> Outcome:
        """Raise a fault of a point, of a device (`point` None) or of the agent (both None). Telling it again while it
        stands does nothing."""
        batch = self._batch(moment)
        self._faults.raise_(batch, self._name(device, point), device, point, fault, text)
        return self._finish(batch)

    def clear_fault(self, device: str | None, point: str | None, fault: str, moment: Moment) -> Outcome:
        """Clear a fault; one that does not stand is left alone."""
        batch = self._batch(moment)
        self._faults.clear(batch, self._name(device, point), device, point, fault)
        return self._finish(batch)

    def fault_stands(self, device: str | None, point: str | None, fault: str) -> bool:
        """Whether a fault stands."""
        return self._faults.stands(device, point, fault)

    # --- what is shown

    def stored(self, stored: Sequence[Stored]) -> None:
        """These events are committed, in this order; only then may a lamp show them. After a restart the journal's
        tail may be told again: a place in the chain is saved only with the next outcome, and may be missing."""
        for one in stored:
            if one.device is None or one.point is None:
                continue
            point = self._points.get((one.device, one.point))
            if point and point.stored(one):
                self._unsaved.add((one.device, one.point))

    def outputs(self, boottime_ns: int, delivery: Callable[[int], Delivery]) -> OutputPlan:
        """Say what every output should be that a lamp or siren hangs on, or that is held by hand. `delivery` tells of
        a raised event's `seq` how it fares on its way to the district."""
        values: dict[Output, bool] = dict.fromkeys(self._outputs(), False)
        lamps: list[tuple[Output, LampMode]] = []
        for point in self._points.values():
            if not point.shows_alarm:
                continue
            if lamp := point.lamp:
                seq = point.undelivered_seq
                fares: Delivery = "due" if seq is None else delivery(seq)
                lamps.append((lamp, point.lamp_mode(fares, self._lamp_means)))
            if (siren := point.siren) and point.sounding:
                values[siren] = True
        return plan_outputs(values, lamps, self._overrides, boottime_ns)

    def views(self) -> tuple[PointView, ...]:
        """Every point as it is now, in the order of the configuration."""
        point_faults = self._faults.of_points()
        offline = {name: self._faults.since(name, None, OFFLINE) for name in self._devices}
        return tuple(
            point.view(point_faults.get(key) or offline.get(point.device)) for key, point in self._points.items()
        )

    def view(self, device: str, point: str) -> PointView | None:
        """One point as it is now; None if there is none."""
        if (watch := self._points.get((device, point))) is None:
            return None
        since = self._faults.of_point(device, point) or self._faults.since(device, None, OFFLINE)
        return watch.view(since)

    def is_seen(self, device: str, point: str) -> bool:
        """Whether what a point's input shows is known: it was looked at since the start, and its device is heard."""
        watch = self._points.get((device, point))
        return watch is not None and watch.has_looked and not self._faults.stands(device, None, OFFLINE)

    def drills(self, device: str, point: str) -> bool:
        """Whether what a point shows now is of a drill: it is covered by one, or has an alarm of one."""
        watch = self._points.get((device, point))
        alarm = watch.record.alarm if watch else None
        return self.modes.drill.covers(device, point) or (alarm is not None and alarm.drill)

    def faults(self) -> tuple[FaultView, ...]:
        """The faults that stand, oldest first."""
        return self._faults.views()

    # --- inside

    def _stray(self, watch: DeviceWatch, sample: Sample, batch: Batch) -> None:
        settings = watch.settings
        strays = self._strays.setdefault(settings.id, Strays())
        if view := strays.look(settings.id, settings.name, sample, batch, self._faults):
            self.on_stray(view)

    def _last_of(self, device: str, input: Input) -> list[Sample]:
        """What the inputs showed last that a point on `input` watches."""
        known = self._last.get(device, {})
        if exact := known.get(input):
            return [exact]
        return [last for last in known.values() if input in last.also]

    def _start(self, moment: Moment) -> None:
        if not self._started:
            self._started = True
            self._build(moment)

    def _build(self, moment: Moment) -> None:
        """Make watches for the configuration, all idle."""
        since = moment.wall.isoformat(timespec="milliseconds")
        self._devices = {device.id: DeviceWatch(device, moment.boottime_ns) for device in self._settings}
        self._inputs = {device.id: {} for device in self._settings}
        self._points = {}
        self._known_outputs = None
        for device in self._settings:
            for settings in device.points:
                self._place((device.id, settings.id), self._watch(device.id, settings, since))
        self.modes.watch(self._points)

    def _watch(self, device: str, settings: PointSettings, since: str) -> PointWatch:
        return PointWatch(device, settings, self.escalation, since)

    def _place(self, key: Key, point: PointWatch) -> None:
        self._points[key] = point
        watching = self._inputs[key[0]].setdefault(point.settings.input, [])
        watching[:] = [*(other for other in watching if other.settings.id != key[1]), point]

    def _keep_devices(self, old: Mapping[str, DeviceWatch], batch: Batch) -> None:
        """Carry devices over into a new configuration; what other hardware showed last says nothing."""
        for name, watch in old.items():
            now = self._devices.get(name)
            if now is None:
                self._faults.clear_device(batch, watch.settings.name, name)
            if now is None or now.hardware != watch.hardware:
                self._last.pop(name, None)
            if now is not None:
                watch.settings = now.settings
                self._devices[name] = watch
        self._overrides.forget(old.keys() - self._devices.keys())

    def _outputs(self) -> frozenset[Output]:
        """Every output that a lamp or a siren hangs on; found once per configuration."""
        if self._known_outputs is None:
            wired = (output for point in self._points.values() for output in (point.lamp, point.siren))
            self._known_outputs = frozenset(output for output in wired if output is not None)
        return self._known_outputs

    def _restore_point(self, record: PointRecord, moment: Moment) -> None:
        point = self._points.get((record.device, record.point))
        if point and point.kind.name == record.kind:
            point.restore(record, moment)
        else:
            self._left_over.orphan(record)

    def _restore_fault(self, record: FaultRecord) -> None:
        self._faults.restore(record)
        if record.device is None:
            return
        device = self._devices.get(record.device)
        if device is None or (record.point is not None and (record.device, record.point) not in self._points):
            self._left_over.lost(record.device, record.point)
        elif record.fault == OFFLINE:
            device.offline = True

    def _batch(self, moment: Moment) -> Batch:
        self._start(moment)
        batch = Batch(moment, self._language, drilled=self.modes.drill.covers)
        if carried := self._carried:
            self._carried = None
            batch.inherit(carried)
        self._left_over.end(batch, self._faults)
        for key in self._unsaved:
            batch.keep(self._points[key].record)
        self._unsaved.clear()
        self.modes.begin(batch)
        return batch

    def _watches(self) -> Iterator[DeviceWatch | PointWatch]:
        yield from self._devices.values()
        yield from self._points.values()

    def _name(self, device: str | None, point: str | None) -> Text | str:
        """Whose fault it is, for people."""
        if device is None:
            return say("alarms.agent")
        if point is not None:
            watch = self._points.get((device, point))
            return watch.settings.name if watch else point
        return self._devices[device].settings.name if device in self._devices else device

    def _select(self, selector: Selector) -> PointWatch:
        """Find the point that is meant. Raises Refusal."""
        if selector.event is not None:
            found = next((point for point in self._points.values() if point.has(selector.event)), None)
            if found is None:
                raise Refusal(say("alarms.unknown-event", event=selector.event[:SHOWN_CHARS]))
            if selector.point not in {None, (found.device, found.settings.id)}:
                actual, named = f"{found.device}/{found.settings.id}", "/".join(selector.point or ())[:SHOWN_CHARS]
                raise Refusal(say("alarms.other-point", event=selector.event, actual=actual, named=named))
            return found
        assert selector.point is not None, "a selector names an event or a point"
        if point := self._points.get(selector.point):
            return point
        device, name = (part[:SHOWN_CHARS] for part in selector.point)
        known = ", ".join("/".join(key) for key in list(self._points)[:SHOWN_POINTS]) or "-"
        raise Refusal(say("alarms.unknown-point", device=device, point=name, known=known))

    def _finish(self, batch: Batch, result: Mapping[str, JsonValue] | None = None) -> Outcome:
        self.modes.follow(batch)
        for press in batch.presses:
            self.on_press(press)
        for turn in batch.turns:
            self.on_turn(turn)
        return batch.outcome(result)
