"""What a point can be, and what can be wrong: one table that gives class, latch, priority and default texts.

`KINDS` holds what configuration may write as `kind = "..."`; `FAULTS` holds the names of faults, of which the
agent raises most by itself. A few are in both: a tamper contact may be a point of its own, or a state that a
supervised input tells. Nothing here but the vocabulary: what an alarm does is the business of `agent.alarms`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from agent.model import Lane
from agent.texts import Text, say

KindClass = Literal["alarm", "fault", "status"]
"""alarm: raised, acknowledged, escalated, reset. fault: raised and cleared. status: told, and nothing follows."""
LOWEST_PRIORITY: Final = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. `priority` counts from 1 (a person in danger) to 5 (good to know)."""

    name: str
    class_: KindClass
    priority: int
    latch: bool = False
    """Stays active after its release until somebody resets it."""
    can_disarm: bool = False
    """May be switched off for a time. Never where a life may depend on it."""
    silent: bool = False
    """Shows nothing on site: no lamp, no siren, no banner."""
    button: bool = False
    """Pressed by a person: a walk test goes from one to the next."""
    events: tuple[str, str | None] | None = None
    """The types of the two events of a status kind, at its start and at its end; None: its end is not told."""

    @property
    def lane(self) -> Lane:
        """The lane that its events travel in."""
        return _LANES[self.class_]

    @property
    def text(self) -> Text:
        """Its name for people: `kind.text.render("zh-CN")`."""
        return say(f"kinds.{self.name}")


_LANES: Final[Mapping[KindClass, Lane]] = {"alarm": Lane.ALARM, "fault": Lane.FAULT, "status": Lane.EVENT}


def _table(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


# Buttons, beams and detectors are tripped for a second and must be looked at by a person, so they latch. A wet
# floor or a hot room ends when it ends. GB 50394 5.2 (secondary source): a panic input is never disarmed, latches,
# and is reset by hand only. A fire or gas input is armed round the clock as well.
KINDS: Final = _table(
    Kind("panic", "alarm", 1, latch=True, button=True),
    Kind("duress", "alarm", 1, latch=True, silent=True, button=True),
    Kind("fire", "alarm", 1, latch=True),
    Kind("gas", "alarm", 1, latch=True),
    Kind("medical", "alarm", 1, latch=True, button=True),
    Kind("smoke", "alarm", 2, latch=True),
    Kind("perimeter", "alarm", 2, latch=True, can_disarm=True),
    Kind("intrusion", "alarm", 2, latch=True, can_disarm=True),
    Kind("door-forced", "alarm", 2, latch=True, can_disarm=True),
    Kind("chemical-store", "alarm", 2, latch=True, can_disarm=True),
    Kind("door-held", "alarm", 3, can_disarm=True),
    Kind("water-leak", "alarm", 3),
    Kind("temperature", "alarm", 3),
    Kind("fan-stopped", "fault", 3),
    Kind("tamper", "fault", 2),
    Kind("fence-voltage", "fault", 2),
    Kind("supervision-lost", "fault", 2),
    Kind("panel-trouble", "fault", 3),
    Kind("mains-lost", "fault", 3),
    Kind("battery-low", "fault", 4),
    # A bare door contact cannot tell a forced door from an opened one, so it reports and does not alarm.
    Kind("door", "status", 5, can_disarm=True, events=("campus.access.opened", "campus.access.closed")),
    Kind("door-granted", "status", 5, events=("campus.access.granted", None)),
    Kind("door-denied", "status", 4, events=("campus.access.denied", None)),
    Kind("guard-tour", "status", 5, events=("campus.access.tour", None)),
    Kind("armed", "status", 5, events=("campus.access.armed", "campus.access.disarmed")),
    Kind("arm-key", "status", 5, events=("campus.input.on", "campus.input.off")),
    Kind("drill-key", "status", 4, events=("campus.input.on", "campus.input.off")),
    Kind("panel-test", "status", 5, events=("campus.test.panel", None)),
    Kind("input", "status", 5, can_disarm=True, events=("campus.input.on", "campus.input.off")),
)
"""Every kind that a point may have, by name."""

UNASSIGNED: Final = "unassigned"
"""The fault of a device that speaks of an input that no point has."""

FAULTS: Final = _table(
    *(kind for kind in KINDS.values() if kind.class_ == "fault"),
    Kind("offline", "fault", 2),
    Kind("unassigned", "fault", 2),
    Kind("measure", "fault", 3),
    Kind("path", "fault", 2),
    Kind("test-overdue", "fault", 4),
    Kind("bypassed", "fault", 3),
    Kind("drill-left", "fault", 2),
    Kind("selftest", "fault", 2),
    Kind("line-open", "fault", 2),
    Kind("line-short", "fault", 2),
    Kind("stuck", "fault", 3),
    Kind("output", "fault", 3),
    Kind("driver", "fault", 2),
    Kind("bus", "fault", 2),
    Kind("storage", "fault", 1),
    Kind("disk-full", "fault", 2),
    Kind("altered", "fault", 1),
    Kind("evicted", "fault", 3),
    Kind("no-room", "fault", 3),
    Kind("delivery", "fault", 1),
    Kind("broker", "fault", 2),
    Kind("refused", "fault", 2),
    Kind("receipts", "fault", 2),
    Kind("clock", "fault", 3),
    Kind("configuration", "fault", 3),
    # of cameras; picture-* are verdicts of the inspection
    Kind("login", "fault", 2),
    Kind("camera-reply", "fault", 3),
    Kind("stream", "fault", 2),
    Kind("stream-rate", "fault", 4),
    Kind("stream-format", "fault", 4),
    Kind("camera-clock", "fault", 3),
    Kind("recordings", "fault", 3),
    Kind("signal-lost", "fault", 2),
    Kind("picture-black", "fault", 3),
    Kind("picture-white", "fault", 3),
    Kind("picture-frozen", "fault", 3),
    Kind("picture-blurred", "fault", 3),
    Kind("picture-covered", "fault", 2),
    Kind("picture-cast", "fault", 4),
    Kind("picture-snow", "fault", 3),
    Kind("picture-stripes", "fault", 4),
    Kind("picture-moved", "fault", 3),
    Kind("picture-contrast", "fault", 4),
    Kind("evidence", "fault", 3),
    Kind("eye", "fault", 2),
    Kind("console", "fault", 4),
)
"""Every name of a fault. Those that are no kind are raised by the agent itself."""
