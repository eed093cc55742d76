"""One point: from what its input shows to what became of its alarm.

    idle --press--> active --ack--> acknowledged
      ^               |                  |
      '-- release (not latched), or reset (latched, input released) --'

A press while active is `repeated` and leaves the state as it is. An alarm that nobody acknowledged in time is
`escalated`, once or step by step as its plan says (agent.alarms.escalation). Points of class fault raise and clear a
fault instead, points of class status tell both edges; neither has anything to acknowledge.
"""

from dataclasses import replace
from typing import Final, Literal

from agent.alarms.causes import Causes
from agent.alarms.debounce import Debouncer, Edge
from agent.alarms.display import Display
from agent.alarms.escalation import Escalation, Place, actions, deeds, tell_paths
from agent.alarms.faults import FaultBook
from agent.alarms.lamp import Delivery, LampMeans, LampMode, Output
from agent.alarms.outcome import Batch, PointView, Press, Turn
from agent.alarms.selectors import Refusal
from agent.alarms.state import Alarm, PointRecord, Stamp
from agent.alarms.words import FAULT_TEXTS, STATUS_FAULTS, STATUS_TEXTS, STUCK, beside
from agent.clock import NS_PER_S
from agent.config.models import PointSettings
from agent.driver import NoticeWhat, Sample, SampleStatus
from agent.kinds import KINDS
from agent.model import JsonValue, Lane, Moment, PointState, Stored
from agent.texts import Text, say

Duty = Literal["armed", "delayed", "off"]
"""Of a point of a partition: it alarms; it alarms unless its partition is disarmed in time; it does not alarm."""
NS_PER_MS: Final = 1_000_000
SENSED: Final = frozenset({"raised", "repeated", "restored"})
"""The events that a look at the input causes; the others follow a person or the time."""
BLIND: Final[frozenset[SampleStatus]] = frozenset(["open", "short", "tamper", "invalid"])
"""An input that says this of itself may not see what it watches."""
CONFIGURATION: Final = "configuration"
"""The actor of a reset that nobody asked for: the point is gone."""
DRILL: Final = "drill"
"""The actor of a reset in whose place a real alarm comes."""


class PointWatch:
    """The engine's view of one point. Methods add what follows to a `Batch`."""

    def __init__(self, device: str, settings: PointSettings, escalation: Escalation, since: str) -> None:
        self.device = device
        self.settings = settings
        self.kind = KINDS[settings.kind]
        self.record = PointRecord(device, settings.id, settings.kind, since)
        self.duty: Duty = "armed"
        self.off_since: str | None = None
        """Since when it is off."""
        self._escalation = escalation
        self._debounce = self._debouncer()
        self._causes = Causes()
        self._status: SampleStatus = "ok"
        self._beside: dict[str, JsonValue] = {}
        """What the device said with its last look, for the event: `detail`, `measure`, `unit`."""
        self._escalate_ns: int | None = None
        self._stuck_ns: int | None = None
        self._display = Display()

    # --- what comes in

    def look(self, sample: Sample, batch: Batch, faults: FaultBook) -> None:
        """Take one look at the input."""
        shown = bool(sample.value) != (self.settings.contact == "nc")
        if shown and sample.hold_s is None:
            sample = replace(sample, hold_s=self.settings.release_after_s)
        active = self._causes.look(sample, shown)
        self._status = sample.status
        self._beside = beside(sample, batch.language)
        self._status_faults(batch, faults)
        if sample.status in BLIND and not active and not self.has_looked:
            return  # it does not know whether what stood before a restart is over
        edges = self._debounce.look(active, sample.seen_ns, sample.previous_ns)
        if sample.press and shown and not any(edge.active for edge in edges):
            edges += self._debounce.again(sample.seen_ns)
        self._edges(edges, batch, faults)
        self._keep_hold(sample.hold_s, batch)

    def looked(self, batch: Batch, faults: FaultBook) -> None:
        """The device was heard, and had nothing new to tell of this input."""
        self._edges(self._debounce.looked(batch.now_ns), batch, faults)

    def tick(self, batch: Batch, faults: FaultBook) -> None:
        """Time has passed."""
        if self._causes.lapse(batch.now_ns):
            self._beside = {}
            self._edges(self._debounce.look(False, batch.now_ns, None), batch, faults)
        self._edges(self._debounce.tick(batch.now_ns), batch, faults)
        while self._escalate_ns is not None and batch.now_ns >= self._escalate_ns:
            self._escalate(batch)
        if self._stuck_ns is not None and batch.now_ns >= self._stuck_ns:
            self._stuck_ns = None
            self._set_fault(STUCK, True, batch, faults)

    @property
    def has_looked(self) -> bool:
        """Whether the input was looked at since the start, or since it was configured."""
        return self._debounce.has_looked

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do."""
        due_ns = self._debounce.due_ns
        for time_ns in (self._escalate_ns, self._stuck_ns, self._causes.due_ns):
            if time_ns is not None and (due_ns is None or time_ns < due_ns):
                due_ns = time_ns
        return due_ns

    def has(self, event_id: str) -> bool:
        """Whether an event belongs to the alarm of now."""
        return self.record.alarm is not None and self.record.alarm.has(event_id)

    def ack(self, actor: str | None, batch: Batch) -> dict[str, JsonValue]:
        """Acknowledge the alarm; return what the reply tells. Once more is harmless. Raises Refusal."""
        alarm = self._alarm_or_refuse("alarms.nothing-to-ack")
        already = alarm.acknowledged
        if not already:
            self._escalate_ns = None
            alarm = replace(alarm, acknowledged=True)
            key = "alarms.acknowledged-by" if actor else "alarms.acknowledged"
            text = self._text(key, actor=actor)
            event_id = self._tell("acknowledged", batch, text, alarm=alarm, actor=actor)
            self._change(batch, event_id, alarm=alarm, since=batch.since)
            self._tell_paths(batch, alarm.told, "acknowledged", event_id, alarm, text)
        return self._result(alarm, "acknowledged", already=already)

    def reset(self, actor: str | None, batch: Batch) -> dict[str, JsonValue]:
        """End the alarm; return what the reply tells. Raises Refusal while the input is active."""
        alarm = self._alarm_or_refuse("alarms.nothing-to-reset")
        if self.record.value:
            raise Refusal(self._where("alarms.still-active"))
        key = "alarms.reset-by" if actor else "alarms.reset"
        text = self._text(key, actor=actor)
        event_id = self._tell("reset", batch, text, alarm=alarm, actor=actor)
        self._end(batch, event_id, alarm, text)
        return self._result(alarm, "idle")

    def hurry(self, batch: Batch) -> None:
        """Escalate now, if somebody is still waited for."""
        if self._escalate_ns is not None:
            self._escalate(batch, at_once=True)

    def raise_held(self, batch: Batch) -> None:
        """Nobody has disarmed in time: what came in during the delay is an alarm, though it may be over by now."""
        if self.record.alarm is None and self.kind.class_ == "alarm" and (self.record.value or self.kind.latch):
            self._raise(batch, self._text("alarms.raised-late"))
            batch.keep(self.record)

    @property
    def is_of_drill(self) -> bool:
        """Whether it has an alarm of a drill."""
        return self.record.alarm is not None and self.record.alarm.drill

    def make_real(self, batch: Batch) -> bool:
        """Raise an alarm of a drill anew, as a real one; return whether there was one."""
        if not self.is_of_drill:
            return False
        self._leave_drill(batch)
        self._raise(batch, self._text("alarms.raised-real"))
        return True

    def stored(self, stored: Stored) -> bool:
        """An event of this point is committed: now it may be shown. Return whether the record is to be saved again,
        with the place in the chain that it has only now."""
        self._display.stored(stored)
        if stored.seq == self.record.seq:
            return False
        alarm = self.record.alarm
        if alarm and alarm.id == stored.id:
            alarm = replace(alarm, seq=stored.seq)
        self.record = replace(self.record, alarm=alarm, seq=stored.seq)
        return True

    # --- restarts and changes of configuration

    def restore(self, record: PointRecord, moment: Moment) -> None:
        """Continue from what was saved, which is committed by being there."""
        self.record = record
        self._debounce = self._debouncer()
        self._hold_on(moment)
        self._display.restore(record.alarm)
        self._arm(moment)

    def notified(self, alarm_id: str, path: str, event_id: str, batch: Batch, *, ok: bool) -> None:
        """A second path has told what became of its notice of an alarm."""
        alarm = self.record.alarm
        if alarm and alarm.id == alarm_id:
            self._change(batch, event_id, alarm=alarm.notified(path, ok=ok), since=self.record.since)

    def reconfigure(self, settings: PointSettings, moment: Moment) -> None:
        """Take over other settings of the same point and kind. What the input shows is judged afresh if it is
        another input, or read in another way."""
        reread = ("input", "contact", "debounce_s")
        again = any(getattr(settings, name) != getattr(self.settings, name) for name in reread)
        self.settings = settings
        if again:
            self._debounce = self._debouncer()
            self._causes = Causes()
            self._hold_on(moment)
        self._arm(moment)

    def remove(self, batch: Batch, faults: FaultBook) -> None:
        """The point is gone: its alarm and its faults end, and that is told."""
        if alarm := self.record.alarm:
            text = self._text("alarms.removed")
            event_id = self._tell("reset", batch, text, alarm=alarm, actor=CONFIGURATION)
            self._tell_paths(batch, alarm.told, "ended", event_id, alarm, text)
        faults.clear_point(batch, self.settings.name, self.device, self.settings.id)
        batch.drop(self.record)

    # --- what is shown

    @property
    def lamp(self) -> Output | None:
        """The output that shows this point's alarm, if it may show at all."""
        return self._output(self.settings.lamp)

    @property
    def siren(self) -> Output | None:
        """The output that sounds on escalation, if it may sound at all."""
        return self._output(self.settings.siren)

    @property
    def shows_alarm(self) -> bool:
        """Whether there is a committed alarm to show."""
        return self._display.stands

    def lamp_mode(self, delivery: Delivery, means: LampMeans) -> LampMode:
        """What the lamp shows, given how the raised event fares."""
        return self._display.mode(delivery, self.settings.lamp_means or means)

    @property
    def undelivered_seq(self) -> int | None:
        """The event whose delivery the lamp depends on."""
        return self._display.undelivered_seq

    @property
    def sounding(self) -> bool:
        """Whether the siren sounds."""
        return self._display.sounding

    def view(self, fault_since: str | None) -> PointView:
        """The point as it is now; a fault shows where no alarm does."""
        record, alarm = self.record, self.record.alarm
        since = record.since
        state: PointState
        if alarm:
            state = "acknowledged" if alarm.acknowledged else "active"
        elif fault_since is not None:
            state, since = "fault", fault_since
        elif self.duty == "off":
            state, since = "disarmed", self.off_since or since
        else:
            state = "active" if record.value else "idle"
        settings, kind = self.settings, self.kind
        return PointView(
            self.device,
            settings.id,
            settings.name,
            kind.name,
            state,
            record.value,
            since,
            record.seq,
            kind.silent,
            kind.button,
            alarm is not None and alarm.console and not alarm.acknowledged,
        )

    # --- inside

    def _output(self, output: int | None) -> Output | None:
        """Only alarms show, and not the silent ones."""
        visible = output is not None and self.kind.class_ == "alarm" and not self.kind.silent
        return (self.device, output) if output is not None and visible else None

    def _debouncer(self) -> Debouncer:
        return Debouncer(round(self.settings.debounce_s * NS_PER_S), stable=self.record.value)

    def _edges(self, edges: tuple[Edge, ...], batch: Batch, faults: FaultBook) -> None:
        for edge in edges:
            since_ns = edge.seen_ns if edge.previous_ns is None else edge.previous_ns
            latency_ms = max(0, batch.now_ns - since_ns) // NS_PER_MS
            active_at = Stamp.of(batch.moment) if edge.active else None
            self.record = replace(self.record, value=edge.active, active_at=active_at)
            self._stuck_ns = self._stuck_due_ns(batch.moment)
            if self.kind.class_ == "alarm":
                self._press(batch, latency_ms) if edge.active else self._release(batch)
            elif self.kind.class_ == "status":
                self._told(edge.active, batch)
            self._own_faults(batch, faults)
            batch.keep(self.record)
            batch.turns.append(Turn(self.device, self.settings.id, edge.active, self._status == "ok"))
            if edge.active:
                press = Press(self.device, self.settings.id, edge.seen_ns, edge.previous_ns, latency_ms)
                batch.presses.append(press)

    def _hold_on(self, moment: Moment) -> None:
        """Continue from the record with an input that falls back by itself."""
        record = self.record
        if record.value and record.active_at and record.hold_s is not None:
            self._causes.hold(self.settings.input, record.active_at.due_ns(moment, record.hold_s))

    def _keep_hold(self, hold_s: float | None, batch: Batch) -> None:
        """Remember across a restart whether the input falls back by itself, or has and is only debounced."""
        hold_s = hold_s if self._causes.falls_back else None
        if hold_s != self.record.hold_s:
            self.record = replace(self.record, hold_s=hold_s)
            batch.keep(self.record)

    def _press(self, batch: Batch, latency_ms: int) -> None:
        alarm = self.record.alarm
        if self.duty == "off" or (self.duty == "delayed" and alarm is None):
            return
        if alarm and alarm.drill and not batch.drilled(self.device, self.settings.id):
            self._leave_drill(batch)  # it is over: whoever presses now means it
        if alarm := self.record.alarm:
            again = alarm.count + 1
            text = self._text("alarms.repeated", count=again)
            event_id = self._tell("repeated", batch, text, alarm=alarm, count=again, latency_ms=latency_ms)
            self.record = replace(self.record, alarm=alarm.repeated(event_id))
            return
        self._raise(batch, self._text("alarms.raised"), latency_ms)

    def _raise(self, batch: Batch, text: Text, latency_ms: int | None = None) -> None:
        event_id = self._tell("raised", batch, text, latency_ms=latency_ms)
        drill = batch.drilled(self.device, self.settings.id)
        plan = self._escalation.plans.choose(self.kind.name, self.device, self.settings.id, batch.moment)
        alarm = Alarm(event_id, Stamp.of(batch.moment), plan=plan.id if plan else "", drill=drill)
        self._change(batch, event_id, alarm=alarm, since=batch.since)
        self._escalate_ns = self._escalation.due_ns(alarm, batch.moment)

    def _leave_drill(self, batch: Batch) -> None:
        """End the alarm of a drill, for a real one in its place."""
        assert self.record.alarm is not None, "asked only of an alarm"
        text = self._text("alarms.drill-over")
        event_id = self._tell("reset", batch, text, alarm=self.record.alarm, actor=DRILL)
        self._end(batch, event_id, self.record.alarm, text)

    def _release(self, batch: Batch) -> None:
        alarm = self.record.alarm
        if alarm is None:
            return
        text = self._text("alarms.restored")
        event_id = self._tell("restored", batch, text, alarm=alarm)
        if not self.kind.latch:
            self._end(batch, event_id, alarm, text)

    def _escalate(self, batch: Batch, *, at_once: bool = False) -> None:
        """Do the next step of the alarm's plan."""
        self._escalate_ns = None
        alarm = self.record.alarm
        if alarm is None:
            return
        plan = self._escalation.plan_of(alarm)
        step, number = plan.steps[alarm.step], alarm.step + 1
        if self._escalation.is_enough(plan, alarm):
            self.record = replace(self.record, alarm=replace(alarm, step=len(plan.steps)))
            batch.keep(self.record)
            return
        text = self._text("alarms.escalated", seconds=f"{step.after_s:g}")
        if at_once:
            text = self._text("alarms.escalated-at-once")
        more: dict[str, JsonValue] = {}
        if plan.id:
            done = deeds(step, withheld=alarm.drill)
            key = "alarms.escalated-step-at-once" if at_once else "alarms.escalated-step"
            text = self._text(key, seconds=f"{step.after_s:g}", step=number, deeds=done)
            more = {"plan": plan.id, "step": number, "steps": len(plan.steps), "actions": [*actions(step)]}
            more |= {"withheld": [*step.paths]} if alarm.drill and step.paths else {}
        event_id = self._tell("escalated", batch, text, alarm=alarm, **more)
        told = self._tell_paths(batch, step.paths, "alarm", event_id, alarm, self._text("alarms.raised"))
        alarm = alarm.escalate(event_id, number, siren=step.siren, console=step.console, told=told)
        self._change(batch, event_id, alarm=alarm, since=self.record.since)
        if step.broker and alarm.seq is not None:
            batch.again.append(alarm.seq)
        self._escalate_ns = self._escalation.due_ns(alarm, batch.moment)

    def _tell_paths(
        self, batch: Batch, paths: tuple[str, ...], what: NoticeWhat, event_id: str, alarm: Alarm, text: Text
    ) -> tuple[str, ...]:
        place = Place(self.device, self.settings.id, self.settings.name, self.kind)
        return tell_paths(batch, self._escalation.plans, paths, what, event_id, alarm, place, text)

    def _end(self, batch: Batch, event_id: str, alarm: Alarm, text: Text) -> None:
        self._escalate_ns = None
        self._change(batch, event_id, alarm=None, since=batch.since)
        self._tell_paths(batch, alarm.told, "ended", event_id, alarm, text)

    def _told(self, active: bool, batch: Batch) -> None:
        assert self.kind.events is not None, "a status kind has events"
        type_ = self.kind.events[0 if active else 1]
        self.record = replace(self.record, since=batch.since)
        if type_ is None:
            return
        text = self._text(STATUS_TEXTS[type_])
        settings = self.settings
        more: dict[str, JsonValue] = {"value": active, **self._beside}
        batch.event(type_, Lane.EVENT, self.device, settings.id, self.kind, settings.name, text, **more)

    def _own_faults(self, batch: Batch, faults: FaultBook) -> None:
        """A fault point's own fault follows its value, and nothing is stuck that is released. Asked at every look, so
        that it also mends what a restart found half saved."""
        if not self.record.value:
            self._set_fault(STUCK, False, batch, faults)
        if self.kind.class_ == "fault":
            stands = self.record.value or STATUS_FAULTS.get(self._status) == self.kind.name
            self._set_fault(self.kind.name, stands, batch, faults)

    def _status_faults(self, batch: Batch, faults: FaultBook) -> None:
        """What the input says of itself; a point in fault still alarms."""
        for status, fault in STATUS_FAULTS.items():
            if fault != self.kind.name:
                self._set_fault(fault, status == self._status, batch, faults)
        self._own_faults(batch, faults)

    def _set_fault(self, fault: str, stands: bool, batch: Batch, faults: FaultBook) -> None:
        name, point = self.settings.name, self.settings.id
        if stands == faults.stands(self.device, point, fault):
            return
        if not stands:
            faults.clear(batch, name, self.device, point, fault)
            if self.record.alarm is None:
                self.record = replace(self.record, since=batch.since)
                batch.keep(self.record)
            return
        seconds = f"{self.settings.stuck_after_s:g}"
        text = self._text(FAULT_TEXTS.get(fault, "alarms.fault"), fault=self.kind.text, seconds=seconds)
        faults.raise_(batch, name, self.device, point, fault, text)

    def _tell(self, what: str, batch: Batch, text: Text, *, alarm: Alarm | None = None, **data: JsonValue) -> str:
        """Add a `campus.alarm.*` event; one that follows a raised event names it."""
        more: dict[str, JsonValue] = {"value": self.record.value}
        if what in SENSED:
            more |= self._beside
        drill: bool | None = None
        if alarm:
            more["event"] = alarm.id
        drill = alarm.drill if alarm else None
        more |= {name: member for name, member in data.items() if member is not None}
        settings = self.settings
        device, id_, name = self.device, settings.id, settings.name
        type_ = f"campus.alarm.{what}"
        return batch.event(type_, Lane.ALARM, device, id_, self.kind, name, text, drill, **more)

    def _change(self, batch: Batch, event_id: str, *, alarm: Alarm | None, since: str) -> None:
        """Take the alarm's new state: saved with the event, and shown when that is committed."""
        self.record = replace(self.record, alarm=alarm, since=since)
        self._display.change(event_id, alarm)
        batch.keep(self.record)

    def _arm(self, moment: Moment) -> None:
        """Set the timers from the record; where nobody can tell how long it was, the time counts anew."""
        self._escalate_ns = self._escalation.due_ns(self.record.alarm, moment)
        self._stuck_ns = self._stuck_due_ns(moment)

    def _stuck_due_ns(self, moment: Moment) -> int | None:
        """When the input counts as stuck. Only what latches can be: it is tripped and let go, while water on the
        floor lasts as long as it lasts."""
        active_at = self.record.active_at
        if active_at is None or not self.record.value or not self.kind.latch:
            return None
        return active_at.due_ns(moment, self.settings.stuck_after_s)

    def _alarm_or_refuse(self, key: str) -> Alarm:
        if self.record.alarm is None:
            raise Refusal(self._where(key))
        return self.record.alarm

    def _result(self, alarm: Alarm, state: PointState, **more: JsonValue) -> dict[str, JsonValue]:
        return {"device": self.device, "point": self.settings.id, "event": alarm.id, "state": state, **more}

    def _where(self, key: str) -> Text:
        return say(key, name=self.settings.name, device=self.device, point=self.settings.id)

    def _text(self, key: str, **more: object) -> Text:
        return say(key, name=self.settings.name, kind=self.kind.text, **more)
