"""Drills (演练): a window of time in which everything works, and nothing rings at the police. Pure.

What happens in it carries `drill: true`, all of it or what lies in its `scope`; it ends by itself. An alarm belongs to
the drill in which it was raised, whatever follows; who presses again after the drill raises a real one in its place.
A walk test is a small drill of the points that are walked to.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from pydantic import TypeAdapter

from agent.alarms.outcome import Batch
from agent.alarms.selectors import Refusal
from agent.alarms.state import BadSave, Stamp, read
from agent.clock import NS_PER_S, elapsed_ns
from agent.kinds import Kind
from agent.model import JsonValue, Lane, Moment
from agent.texts import Text, say

DRILL_KEY: Final = "drill"
"""Where it is saved."""
DEFAULT_S: Final = 30 * 60.0
"""An evacuation takes ten minutes, and the talk about it as long again."""
LONGEST_S: Final = 4 * 3600.0
"""Half a school day: whoever forgets to end one leaves the school without police for so long."""
TIME_UP: Final = "timer"
"""The actor of an end by itself."""
KIND: Final = Kind("drill", "status", 2)
How = Literal["command", "key"]


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """A drill that goes on. `scope` names devices and points; empty means all."""

    actor: str | None
    how: How
    begun: Stamp
    length_s: float
    scope: tuple[str, ...] = ()
    v: Literal[1] = 1


class Drill:
    """The drill of now, if there is one, and the points of walk tests."""

    def __init__(self) -> None:
        self.record: DrillRecord | None = None
        self.whole = False
        """Everything is a drill, without a window."""
        self.walked: dict[str, int] = {}
        """How many walk tests each point is in, as "device/point"."""
        self._due_ns: int | None = None

    def covers(self, device: str | None, point: str | None) -> bool:
        """Whether what happens there now belongs to the drill, or to a walk test."""
        return f"{device}/{point}" in self.walked or self.holds(device, point)

    def holds(self, device: str | None, point: str | None) -> bool:
        """As `covers`, whoever walks: that a point has passed its test is no drill."""
        if self.record is None or self.whole:
            return self.whole
        scope = self.record.scope
        return not scope or device in scope or f"{device}/{point}" in scope

    @property
    def due_ns(self) -> int | None:
        """When it ends by itself."""
        return self._due_ns

    def left_s(self, moment: Moment) -> int | None:
        """Whole seconds to its end; None if there is none."""
        return None if self._due_ns is None else max(0, (self._due_ns - moment.boottime_ns) // NS_PER_S)

    def restore(self, text: str, moment: Moment) -> None:
        """Go on after a restart; where nobody can tell how long that took, the drill is over: the way to the police
        must not stay shut. Raises BadSave."""
        record = read(_records(), text)
        if not 0 < record.length_s <= LONGEST_S:
            raise BadSave("length_s: out of range")
        self.record = record
        known = elapsed_ns(record.begun, moment) is not None
        self._due_ns = record.begun.due_ns(moment, record.length_s) if known else moment.boottime_ns

    def start(
        self, batch: Batch, *, actor: str | None, how: How, length_s: float = DEFAULT_S, scope: tuple[str, ...] = ()
    ) -> dict[str, JsonValue]:
        """Begin. Raises Refusal while another goes on."""
        if self.record is not None:
            left = -(-(self.left_s(batch.moment) or 0) // 60)
            raise Refusal(say("arming.drill-already", minutes=left, actor=self.record.actor or "-"))
        record = self.record = DrillRecord(actor, how, Stamp.of(batch.moment), length_s, scope)
        self._due_ns = record.begun.due_ns(batch.moment, length_s)
        batch.save[DRILL_KEY] = _records().dump_json(record).decode()
        text = say("arming.drill-started", actor=actor or "-", minutes=f"{length_s / 60:g}")
        self._tell("started", batch, text, actor, how, seconds=round(length_s), scope=list(scope))
        return {"seconds": round(length_s), "scope": list(scope)}

    def stop(self, batch: Batch, *, actor: str | None, how: How | Literal["time"]) -> dict[str, JsonValue]:
        """End it. Raises Refusal when there is none."""
        if self.record is None:
            raise Refusal(say("arming.no-drill"))
        passed_ns = elapsed_ns(self.record.begun, batch.moment)
        took_s = None if passed_ns is None else passed_ns // NS_PER_S
        key = "arming.drill-time-up" if how == "time" else "arming.drill-stopped"
        self._tell("stopped", batch, say(key, actor=actor or "-"), actor, how, seconds=took_s)
        self.record = self._due_ns = None
        batch.drill_over = True
        batch.save[DRILL_KEY] = None
        return {"seconds": took_s}

    def tick(self, batch: Batch) -> None:
        """Time has passed."""
        if self._due_ns is not None and batch.now_ns >= self._due_ns:
            self.stop(batch, actor=TIME_UP, how="time")

    def walk(self, places: Collection[str]) -> None:
        """A walk test of these points begins."""
        for place in places:
            self.walked[place] = self.walked.get(place, 0) + 1

    def walk_over(self, places: Collection[str]) -> None:
        """It is over."""
        for place in places:
            self.walked[place] -= 1
            if not self.walked[place]:
                del self.walked[place]

    def _tell(self, what: str, batch: Batch, text: Text, actor: str | None, how: str, **data: JsonValue) -> None:
        name = say("arming.drill").render(batch.language)
        type_ = f"campus.drill.{what}"
        batch.event(type_, Lane.EVENT, None, None, KIND, name, text, True, actor=actor, how=how, **data)


@cache
def _records() -> TypeAdapter[DrillRecord]:
    """Built when first needed: it takes a few milliseconds."""
    return TypeAdapter(DrillRecord)
