"""What became of one press, step by step, by the boot clock. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.demo.lamp import LampWatch

STEPS: Final = ("raised", "stored", "district", "acknowledged", "lamp")
"""Seen by the daemon; committed (as soon as that can be told from outside: it tells so on its control socket); arrived
at the district by way of the broker; acknowledged by the district, and this known there, too; lamp steady on the
wire."""
NS_PER_MS: Final = 1_000_000
PRESSES: Final = frozenset({"campus.alarm.raised", "campus.alarm.repeated"})
ACKNOWLEDGED: Final = "campus.alarm.acknowledged"


@dataclass
class Trail:
    """One press and the times of the steps that followed it."""

    pressed_ns: int
    times: dict[str, int] = field(default_factory=dict)
    event_id: str | None = None

    def note(self, step: str, event: Mapping[str, Any], at_ns: int) -> None:
        """Take an event of this button that was seen at `step`; the first time counts."""
        seen_ns = int(event["data"]["boottime_ns"])
        if seen_ns < self.pressed_ns:
            return
        if event["type"] in PRESSES and step in {"stored", "district"}:
            self.event_id = event["id"]
            self.times.setdefault("raised", seen_ns)
            self.times["stored"] = min(at_ns, self.times.get("stored", at_ns))  # what has arrived had been stored
            if step == "district":
                self.times.setdefault(step, at_ns)
        elif event["type"] == ACKNOWLEDGED and step == "acknowledged":
            self.times.setdefault(step, at_ns)

    def look(self, lamp: LampWatch, now_ns: int) -> None:
        """Note when the lamp became steady, once the alarm is acknowledged and it is."""
        acked_ns = self.times.get("acknowledged")
        if acked_ns is not None and "lamp" not in self.times and lamp.mode(now_ns) == "steady":
            self.times["lamp"] = max(acked_ns, lamp.changed_ns)

    def ms(self, step: str) -> float | None:
        """Milliseconds from the press to a step; None if it has not come."""
        at_ns = self.times.get(step)
        return None if at_ns is None else (at_ns - self.pressed_ns) / NS_PER_MS
