"""What rules are judged by, and how far a thing can be known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from agent.config.calendar import CalendarSettings
from agent.model import JsonValue, Moment, PointState

Truth: TypeAlias = bool | None
"""None: not known, as of an input that nobody has looked at yet. What is not known changes nothing."""
Place: TypeAlias = tuple[str, str]
"""A device and one of its points, or inputs."""
OFFLINE: Final = "offline"
"""The fault of a device that is not heard: what it measured last says nothing now."""


@dataclass(frozen=True, slots=True)
class PointFact:
    """A point as it is now: its state as it is published, and what its input shows; None where it is not known."""

    device: str
    point: str
    state: PointState | None
    value: bool | None


@dataclass(frozen=True, slots=True)
class FaultFact:
    """A fault was raised or cleared."""

    device: str | None
    point: str | None
    fault: str
    stands: bool


@dataclass(frozen=True, slots=True)
class MeasureFact:
    """A measured value. `input` is a text here, whatever the driver counts by."""

    device: str
    input: str
    value: float


@dataclass(frozen=True, slots=True)
class EventFact:
    """An event of the journal. `at_ns` is when it happened, by the boot clock of now."""

    seq: int
    type: str
    at_ns: int
    kind: str | None = None
    device: str | None = None
    point: str | None = None
    drill: bool = False
    detail: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DrillFact:
    """A drill began or ended: what was counted before counts no more."""

    drill: bool


Fact: TypeAlias = PointFact | FaultFact | MeasureFact | EventFact | DrillFact


@dataclass(frozen=True, slots=True)
class Now:
    """When something is judged. `wall` is None as long as the clock is not set: nobody knows what day it is."""

    ns: int
    wall: datetime | None
    calendar: CalendarSettings

    @classmethod
    def of(cls, moment: Moment, calendar: CalendarSettings) -> "Now":
        return cls(moment.boottime_ns, moment.wall if moment.clock == "synced" else None, calendar)


def event_fact(event: Mapping[str, Any], at_ns: int) -> EventFact:
    """An event of the journal, in its published form or before that. Raises LookupError, TypeError, ValueError."""
    data = event["data"]
    detail = data.get("detail")
    return EventFact(
        int(event["seq"]),
        str(event["type"]),
        at_ns,
        data.get("kind"),
        data.get("device"),
        data.get("point"),
        event["drill"] is True,
        detail if isinstance(detail, dict) else {},
    )


def moment_of(event: Mapping[str, Any]) -> Moment:
    """When it happened, by its true time if that was found out later. Raises LookupError, TypeError, ValueError."""
    data = event["data"]
    corrected = event.get("correctedtime")
    wall = datetime.fromisoformat(corrected or event["time"])
    if wall.tzinfo is None:
        raise ValueError(event["time"])
    return Moment(wall, int(data["boottime_ns"]), str(data["bootid"]), "synced" if corrected else event["clock"])
