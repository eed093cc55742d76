"""Runs the engine against a simulated clock and a simulated journal, as the runtime does: each outcome is committed in
order, `stored` follows the commit, `tick` comes exactly when it is due."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from agent.alarms.engine import NO_REGIME, Alarms, Delivery, Outcome, Regime
from agent.alarms.outcome import Batch
from agent.clock import NS_PER_S, SimClock
from agent.config.models import DeviceSettings, PointSettings
from agent.driver import Driver, Link, Sample
from agent.model import ClockQuality, Event, JsonValue, Stored

START = datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=8)))


class SilentDriver(Driver):
    """A driver that is never run: the engine only carries it along."""

    name = "silent"
    unit: int = 1

    async def run(self, link: Link) -> None:
        raise NotImplementedError


def device(points: Sequence[Mapping[str, Any]], *, id: str = "hall", unit: int = 1, **settings: Any) -> DeviceSettings:
    """A device, named `hall` and never offline unless said otherwise. A point's `name` is its id by default."""
    made = [PointSettings(**{"name": point["id"], "debounce_s": 0.0, **point}) for point in points]
    values = {"name": "门厅模块", "driver": "silent", "offline_after_s": 86_400.0, **settings}
    return DeviceSettings(id=id, points=tuple(made), settings=SilentDriver(unit=unit), **values)


class Site:
    """An engine with all that surrounds it. `events` collects every committed event; `held` outcomes wait."""

    def __init__(
        self,
        *devices: DeviceSettings,
        ack_timeout_s: float = 15.0,
        lamp_means: str = "acknowledged",
        language: str = "zh-CN",
        regime: Regime = NO_REGIME,
        start: datetime = START,
        quality: ClockQuality = "synced",
    ) -> None:
        self.clock = SimClock(start, bootid="boot-1", quality=quality)
        self.devices = devices
        self.settings: dict[str, Any] = {
            "ack_timeout_s": ack_timeout_s,
            "lamp_means": lamp_means,
            "language": language,
            "regime": regime,
        }
        self.saved: dict[str, str] = {}
        self.events: list[Event] = []
        self.problems: list[str] = []
        self.hold = False
        self.held: list[Outcome] = []
        self.fares: Delivery = "due"
        self.engine = self._engine()

    def _engine(self) -> Alarms:
        engine = Alarms(self.devices, **self.settings)
        self.problems = [str(text) for text in engine.restore(self.saved, self.clock.moment())]
        return engine

    def take(self, outcome: Outcome) -> list[Event]:
        """Commit an outcome now, or when `release` is called; return its events."""
        self.held.append(outcome)
        if not self.hold:
            self.release()
        return list(outcome.events)

    def release(self) -> None:
        """Commit what was held."""
        self.hold = False
        held, self.held = self.held, []
        for outcome in held:
            for key, value in outcome.save.items():
                if value is None:
                    self.saved.pop(key, None)
                else:
                    self.saved[key] = value
            stored = []
            for event in outcome.events:
                self.events.append(event)
                stored.append(stored_as(event, len(self.events)))
            self.engine.stored(stored)

    def go(self, seconds: float) -> list[Event]:
        """Let time pass, and tick whenever something is due; return the events."""
        end_ns = self.clock.boottime_ns() + round(seconds * NS_PER_S)
        events: list[Event] = []
        while (due_ns := self.engine.next_due_ns()) is not None and due_ns <= end_ns:
            self.clock.tick(max(0, due_ns - self.clock.boottime_ns()) / NS_PER_S)
            before_ns = due_ns
            events += self.take(self.engine.tick(self.clock.moment()))
            assert self.engine.next_due_ns() != before_ns, "a tick must do what was due"
        self.clock.tick((end_ns - self.clock.boottime_ns()) / NS_PER_S)
        return events

    def look(
        self, input: int, value: float, *, previous_s_ago: float | None = None, device: str = "hall", **more: Any
    ) -> list[Event]:
        """One sample, seen now."""
        now_ns = self.clock.boottime_ns()
        previous_ns = None if previous_s_ago is None else now_ns - round(previous_s_ago * NS_PER_S)
        sample = Sample(input, value, now_ns, previous_ns, **more)
        return self.take(self.engine.samples(device, (sample,), self.clock.moment()))

    def ack(self, actor: str | None = "李老师", **selector: str) -> Outcome:
        outcome = self.engine.ack(selector, actor, self.clock.moment())
        self.take(outcome)
        return outcome

    def reset(self, actor: str | None = "李老师", **selector: str) -> Outcome:
        outcome = self.engine.reset(selector, actor, self.clock.moment())
        self.take(outcome)
        return outcome

    def arm(self, partition: str, *, force: bool = False, actor: str | None = "李老师") -> Outcome:
        modes = self.engine.modes
        return self.perform(lambda batch: modes.arm(batch, partition, actor=actor, how="command", force=force))

    def disarm(self, partition: str, actor: str | None = "李老师") -> Outcome:
        modes = self.engine.modes
        return self.perform(lambda batch: modes.disarm(batch, partition, actor=actor, how="command"))

    def drill_start(self, *, minutes: float = 30.0, scope: tuple[str, ...] = (), actor: str | None = "校长") -> Outcome:
        modes, length_s = self.engine.modes, minutes * 60
        return self.perform(lambda batch: modes.drill_start(batch, actor=actor, length_s=length_s, scope=scope))

    def drill_stop(self, *, real: bool = False, actor: str | None = "校长") -> Outcome:
        modes = self.engine.modes
        return self.perform(lambda batch: modes.drill_stop(batch, actor=actor, real=real))

    def perform(self, action: Callable[[Batch], Mapping[str, JsonValue]]) -> Outcome:
        outcome = self.engine.perform(action, self.clock.moment())
        self.take(outcome)
        return outcome

    def partition(self, id: str) -> dict[str, Any]:
        """One partition as `status --json` shows it."""
        views: list[Any] = self.engine.modes.partition_views(self.clock.moment())
        return next(view for view in views if view["id"] == id)

    def restart(
        self, *, down_s: float = 1.0, boot: str | None = None, devices: Sequence[DeviceSettings] | None = None
    ) -> None:
        """End the process, losing what is not committed, and start another; `boot` names a new boot."""
        self.clock.tick(down_s)
        if boot is not None:
            self.clock = SimClock(self.clock.wall(), bootid=boot, quality=self.clock.quality())
        self.held = []
        self.devices = tuple(devices) if devices is not None else self.devices
        self.engine = self._engine()
        self.engine.stored([stored_as(event, seq) for seq, event in enumerate(self.events, 1)])

    def lamp(self, output: int, device: str = "hall") -> str:
        """What somebody sees who watches an output for a second."""
        watched = watch(lambda at_ns: self.engine.outputs(at_ns, lambda _seq: self.fares).values[device, output])
        return watched(self.clock.boottime_ns())

    def state(self, point: str, device: str = "hall") -> str:
        return next(v.state for v in self.engine.views() if (v.device, v.point) == (device, point))

    def told(self) -> list[str]:
        """The types of all events so far, with their points."""
        return [short(event) for event in self.events]


def short(event: Event) -> str:
    """`alarm.raised panic`; of a fault, which one: `fault.raised panic stuck`."""
    parts = [event.type.removeprefix("campus."), event.point or event.device or "-", event.data.get("fault")]
    return " ".join(str(part) for part in parts if part)


def watch(value_at: Callable[[int], bool]) -> Callable[[int], str]:
    """Make an observer that tells off, on, 1Hz and 4Hz apart."""
    step_ns = NS_PER_S // 16

    def observe(start_ns: int) -> str:
        values = [value_at(start_ns + step * step_ns) for step in range(17)]
        changes = sum(a != b for a, b in pairwise(values))
        return {0: "on" if values[0] else "off", 2: "1Hz", 8: "4Hz"}.get(changes, f"{changes} changes")

    return observe


def stored_as(event: Event, seq: int) -> Stored:
    """The event as the journal would hold it."""
    moment = event.moment
    return Stored(
        seq,
        event.id,
        event.type,
        event.lane,
        event.device,
        event.point,
        b"{}",
        "0" * 64,
        moment.boottime_ns,
        moment.bootid,
        moment.clock,
    )
