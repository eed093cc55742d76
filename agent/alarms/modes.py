"""What holds for many points at once: partitions, the drill, and when each point was tested. The engine's one hook for
the three; pure as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.alarms.drill import DRILL_KEY, Drill
from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch
from agent.alarms.partitions import PARTITION_PREFIX, How, Partitions, Points
from agent.alarms.point import PointWatch
from agent.alarms.selectors import Refusal
from agent.alarms.tested import TESTED_PREFIX, TestBook
from agent.config.arming import PartitionSettings, SelftestSettings
from agent.config.calendar import CalendarSettings
from agent.config.models import Config
from agent.model import JsonValue, Moment
from agent.texts import say

DRILL_KIND: Final = "drill-key"
DRILL_LEFT: Final = "drill-left"
"""The fault of a point that a drill has left active: nobody can press it again, and no detector finds it anew."""
SHOWN: Final = 20
"""How many places a refusal lists."""


@dataclass(frozen=True, slots=True)
class Regime:
    """The settings of all three."""

    partitions: tuple[PartitionSettings, ...] = ()
    calendar: CalendarSettings = field(default_factory=CalendarSettings)
    selftest: SelftestSettings = field(default_factory=SelftestSettings)

    @classmethod
    def of(cls, config: Config) -> "Regime":
        """As configured."""
        return cls(config.partitions, config.calendar, config.selftest)


class Modes:
    """The three, over the points of the engine."""

    def __init__(self, regime: Regime, faults: FaultBook) -> None:
        self.drill = Drill()
        self.tested = TestBook(regime.selftest)
        self._partitions = Partitions(regime.partitions, regime.calendar)
        self._faults = faults
        self._points: Points = {}
        self._settled = False
        self._left: set[str] = set()
        """The places with the fault `drill-left`."""

    def restore(self, key: str, text: str, moment: Moment) -> bool:
        """Take over what was saved under a key; return whether the key is one of ours. Raises BadSave."""
        if key.startswith(PARTITION_PREFIX):
            self._partitions.restore(key, text, moment)
        elif key.startswith(TESTED_PREFIX):
            self.tested.restore(key, text)
        elif key == DRILL_KEY:
            self.drill.restore(text, moment)
        else:
            return False
        return True

    def watch(self, points: Mapping[tuple[str, str], PointWatch]) -> None:
        """Look after these points from now on."""
        self._points = {"/".join(key): point for key, point in points.items()}
        stands = self._faults.stands
        self._left = {place for place, one in self._points.items() if stands(one.device, one.settings.id, DRILL_LEFT)}
        self._assign()

    def reconfigure(self, regime: Regime, batch: Batch) -> None:
        """Take over other settings."""
        self.tested.reconfigure(regime.selftest)
        self._partitions.reconfigure(regime.partitions, regime.calendar, batch, self._faults)
        self._assign()

    def begin(self, batch: Batch) -> None:
        """Before anything else of a batch. A drill whose time was up while the gateway was off is over before the
        first press."""
        self.drill.tick(batch)
        if not self._settled:
            self._settled = True
            self._partitions.settle(batch, self._faults)
            self._assign()

    def follow(self, batch: Batch) -> None:
        """What follows from the inputs that have changed in a batch, and from what has become of a drill's alarms."""
        if batch.turns or batch.drill_over or self._left:
            self._tell_left(batch)
        if not batch.turns:
            return
        self._partitions.follow(self._points, batch.turns, batch, self._faults)
        for turn in batch.turns:
            watch = self._points[turn.place]
            if turn.active and turn.sound:
                self.tested.note(watch, "press", batch, self._faults)
            if watch.kind.name == DRILL_KIND and turn.sound:
                self._drill_key(turn.place, turn.active, batch)
        self._assign()

    def tick(self, batch: Batch) -> None:
        """Time has passed."""
        self.drill.tick(batch)
        self._partitions.tick(self._points, batch, self._faults)
        self.tested.tick(self._points.values(), batch, self._faults)
        self._assign()

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do."""
        times = (self.drill.due_ns, self._partitions.due_ns, self.tested.due_ns)
        return min((time_ns for time_ns in times if time_ns is not None), default=None)

    # --- commands

    def arm(self, batch: Batch, partition: str, *, actor: str | None, how: How, force: bool) -> dict[str, JsonValue]:
        """Arm a partition. Raises Refusal."""
        points, faults = self._points, self._faults
        result = self._partitions.arm(partition, points, batch, faults, actor=actor, how=how, force=force)
        self._assign()
        return result

    def disarm(self, batch: Batch, partition: str, *, actor: str | None, how: How) -> dict[str, JsonValue]:
        """Disarm a partition. Raises Refusal."""
        result = self._partitions.disarm(partition, self._points, batch, self._faults, actor=actor, how=how)
        self._assign()
        return result

    def drill_start(
        self, batch: Batch, *, actor: str | None, length_s: float, scope: tuple[str, ...]
    ) -> dict[str, JsonValue]:
        """Begin a drill. Raises Refusal."""
        devices = {place.partition("/")[0] for place in self._points}
        for place in scope:
            if place not in self._points and place not in devices:
                known = ", ".join(list(self._points)[:SHOWN]) or "-"
                raise Refusal(say("arming.scope-unknown", place=place[:SHOWN], known=known))
        return self.drill.start(batch, actor=actor, how="command", length_s=length_s, scope=scope)

    def drill_stop(self, batch: Batch, *, actor: str | None, real: bool) -> dict[str, JsonValue]:
        """End the drill; `real` raises what was raised in it, and not yet reset, anew as real alarms, also when its
        time was up before. Raises Refusal."""
        left = any(watch.is_of_drill for watch in self._points.values())
        result: dict[str, JsonValue] = {"seconds": None}
        if self.drill.record is not None or not (real and left):
            result = self.drill.stop(batch, actor=actor, how="command")
        raised: list[JsonValue] = []
        if real:
            raised = [place for place, watch in self._points.items() if watch.make_real(batch)]
        return {**result, "real": raised}

    # --- what is shown

    def partition_views(self, moment: Moment) -> list[JsonValue]:
        """Every partition as `status --json` shows it."""
        return self._partitions.views(self._points, moment)

    def drill_view(self, moment: Moment) -> JsonValue:
        """The drill that goes on; None if there is none."""
        record = self.drill.record
        if record is None:
            return None
        return {
            "since": record.begun.wall.isoformat(timespec="seconds"),
            "left_s": self.drill.left_s(moment),
            "actor": record.actor,
            "how": record.how,
            "scope": list(record.scope),
        }

    def tested_view(self, device: str, point: str) -> JsonValue:
        """When a point was last seen to work; None if never."""
        if (record := self.tested.last(device, point)) is None:
            return None
        return {"at": record.at.wall.isoformat(timespec="seconds"), "how": record.how}

    # --- inside

    def _tell_left(self, batch: Batch) -> None:
        """What a drill has left active is a fault until it is released, reset, or real."""
        for place, watch in self._points.items():
            device, point = watch.device, watch.settings.id
            left = watch.is_of_drill and watch.record.value and not batch.drilled(device, point)
            if left == (place in self._left):
                continue
            if left:
                self._left.add(place)
                text = say("arming.drill-left", name=watch.settings.name, kind=watch.kind.text)
                self._faults.raise_(batch, watch.settings.name, device, point, DRILL_LEFT, text)
            else:
                self._left.discard(place)
                self._faults.clear(batch, watch.settings.name, device, point, DRILL_LEFT)

    def _drill_key(self, place: str, active: bool, batch: Batch) -> None:
        actor = f"key:{place}"
        if active and self.drill.record is None:
            self.drill.start(batch, actor=actor, how="key")
        elif not active and self.drill.record is not None:
            self.drill.stop(batch, actor=actor, how="key")

    def _assign(self) -> None:
        """Tell every point what it has to do."""
        duties = self._partitions.duties()
        for place, watch in self._points.items():
            watch.duty, watch.off_since = duties.get(place, ("armed", None))
