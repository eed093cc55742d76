"""The words of the agent as frozen values. No I/O here, and nothing of the agent but `texts` below it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from ulid import ULID

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
ClockQuality = Literal["synced", "unsynced"]
PointState = Literal["idle", "active", "acknowledged", "fault", "disarmed"]

NO_PART: Final = "_"
"""Stands in a topic where an event has no device or no point (DESIGN 6)."""
ZERO_HASH: Final = "0" * 64
"""`prevhash` of the first event."""


class Lane(StrEnum):
    """What goes first. All three are chained; alarms and faults are never evicted."""

    ALARM = "alarm"
    FAULT = "fault"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened, by both clocks. `wall` is aware of its zone."""

    wall: datetime
    boottime_ns: int
    bootid: str
    clock: ClockQuality


@dataclass(frozen=True, slots=True)
class Site:
    """Where: the first parts of every topic and of every event's source."""

    district: str
    school: str

    @property
    def root(self) -> str:
        """The topic root of this school."""
        return f"campus/v1/{self.district}/{self.school}"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, before the journal gives it a place in the chain. `data` holds what goes beside the
    standard members `device`, `point`, `bootid` and `boottime_ns` of the published `data` (`kind`, `name`, ...)."""

    id: str
    type: str
    lane: Lane
    moment: Moment
    device: str | None = None
    point: str | None = None
    drill: bool = False
    data: Mapping[str, JsonValue] = field(default_factory=dict)


def new_event(
    type_: str,
    lane: Lane,
    moment: Moment,
    *,
    device: str | None = None,
    point: str | None = None,
    drill: bool = False,
    **data: JsonValue,
) -> Event:
    """Make an event with an id of its own, a ULID of the moment's wall time."""
    return Event(str(ULID.from_datetime(moment.wall)), type_, lane, moment, device, point, drill, data)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last `seq` and its hash."""

    seq: int = 0
    hash: str = ZERO_HASH


@dataclass(frozen=True, slots=True)
class Stored:
    """One event in the journal. `body` is the canonical JSON (RFC 8785, UTF-8) of the CloudEvent without `hash`,
    `late` and `correctedtime`; `hash` is its SHA-256 in lower-case hex."""

    seq: int
    id: str
    type: str
    lane: Lane
    device: str | None
    point: str | None
    body: bytes
    hash: str
    boottime_ns: int
    bootid: str
    clock: ClockQuality


@dataclass(frozen=True, slots=True)
class Command:
    """A wish of the district or of the command line (DESIGN 6), already parsed and not yet carried out."""

    id: str
    verb: str
    args: Mapping[str, JsonValue]
    actor: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command."""

    id: str
    ok: bool
    result: Mapping[str, JsonValue] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The district holds 1..`seq`, whose last event has `hash`, and the closed ranges `also` beyond."""

    seq: int
    hash: str
    also: tuple[tuple[int, int], ...] = ()
