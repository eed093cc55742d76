"""What the engine answers with, and the collector that it fills on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.alarms.state import NoticeRecord, PointRecord, dump
from agent.kinds import FAULTS, Kind
from agent.model import Event, JsonValue, Lane, Moment, PointState, new_event
from agent.texts import Language, Text

UNKNOWN_FAULT_PRIORITY: Final = 3
"""Of a fault that the table does not have: it is told all the same."""
Drilled = Callable[[str | None, str | None], bool]
"""Whether what happens now to a device and a point of it belongs to a drill."""


@dataclass(frozen=True, slots=True)
class Press:
    """A press that counted, for the walk test. `latency_ms` is the longest time from the press to the moment when it
    counted; the look before (`previous_ns`) is where that time starts, if the driver knows it."""

    device: str
    point: str
    seen_ns: int
    previous_ns: int | None
    latency_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """An input has changed for certain. `sound`: its line is well, so that it says what it means."""

    device: str
    point: str
    active: bool
    sound: bool

    @property
    def place(self) -> str:
        """As configuration names it."""
        return f"{self.device}/{self.point}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from one call: events for the chain, and what to save in the same transaction (None deletes).
    `presses` are those that counted; `result` is what a command's reply may tell. `notices` are for the second paths,
    and `again` the `seq` of events to publish on the next broker, both after the commit."""

    events: tuple[Event, ...] = ()
    save: Mapping[str, str | None] = field(default_factory=dict)
    presses: tuple[Press, ...] = ()
    result: Mapping[str, JsonValue] = field(default_factory=dict)
    notices: tuple[NoticeRecord, ...] = ()
    again: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.events or self.save)


@dataclass(frozen=True, slots=True)
class PointView:
    """One point as `state/{device}/{point}` tells it (DESIGN 6). `since` is ISO 8601 with offset; `seq` is the
    point's last event, 0 if it had none; `value` is true while the input is active. What is `silent` must not be
    shown on site; what is `testable` belongs in a walk test;
    `escalated` is what nobody has acknowledged in time, and the console is to show as such."""

    device: str
    point: str
    name: str
    kind: str
    state: PointState
    value: bool
    since: str
    seq: int
    silent: bool
    testable: bool
    escalated: bool = False


@dataclass(frozen=True, slots=True)
class FaultView:
    """A fault that stands now."""

    device: str | None
    point: str | None
    fault: str
    text: Text
    since: str


class Batch:
    """Collects the events and saves of one call, all at one moment."""

    __slots__ = (
        *("_records", "again", "drill_over", "drilled", "events", "language", "moment", "notices", "now_ns", "presses"),
        *("save", "since", "turns"),
    )

    def __init__(self, moment: Moment, language: Language, *, drilled: Drilled) -> None:
        self.moment = moment
        self.now_ns = moment.boottime_ns
        self.since = moment.wall.isoformat(timespec="milliseconds")
        self.language = language
        self.drilled = drilled
        self.drill_over = False
        """A drill has ended in it."""
        self.events: list[Event] = []
        self.save: dict[str, str | None] = {}
        self.presses: list[Press] = []
        self.turns: list[Turn] = []
        self.notices: list[NoticeRecord] = []
        self.again: list[int] = []
        self._records: dict[str, PointRecord] = {}

    def keep(self, record: PointRecord) -> None:
        """Save a point as it is; the last word of the batch counts."""
        self._records[record.key] = record

    def drop(self, record: PointRecord) -> None:
        """Forget what is saved of a point."""
        self._records.pop(record.key, None)
        self.save[record.key] = None

    def notify(self, record: NoticeRecord) -> None:
        """Hand a notice to a second path."""
        self.notices.append(record)
        self.save[record.key] = dump(record)

    def event(
        self,
        type_: str,
        lane: Lane,
        device: str | None,
        point: str | None,
        kind: Kind | str,
        name: str,
        text: Text,
        drill: bool | None = None,
        /,
        **data: JsonValue,
    ) -> str:
        """Add an event; return its id. `kind` gives `data.kind` and `data.priority`; `drill` is what the drill of now
        makes of it, unless it belongs to an alarm, which knows that itself."""
        if isinstance(kind, str):
            kind = FAULTS.get(kind) or Kind(kind, "fault", UNKNOWN_FAULT_PRIORITY)
        event = new_event(
            type_,
            lane,
            self.moment,
            device=device,
            point=point,
            drill=self.drilled(device, point) if drill is None else drill,
            kind=kind.name,
            name=name,
            priority=kind.priority,
            text=text.render(self.language),
            **data,
        )
        self.events.append(event)
        return event.id

    def inherit(self, other: "Batch") -> None:
        """Take over what another one has told and saved, before anything else."""
        self.drill_over |= other.drill_over
        self.events += other.events
        self.save |= other.save
        self._records |= other._records

    def outcome(self, result: Mapping[str, JsonValue] | None = None) -> Outcome:
        """Close the collection."""
        for key, record in self._records.items():
            self.save[key] = dump(record)
        return Outcome(
            tuple(self.events),
            self.save,
            tuple(self.presses),
            result or {},
            tuple(self.notices),
            tuple(self.again),
        )
