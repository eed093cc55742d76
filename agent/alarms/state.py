"""What of the alarms outlives a restart, as frozen values and as the JSON that the journal keeps beside its events.

Each value carries its version `v`. Members that a newer version may have added are ignored, so that going back one
version loses no alarm.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, Self, TypeVar

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from agent.clock import NS_PER_S, elapsed_ns
from agent.driver import Notice
from agent.model import NO_PART, ClockQuality, Moment
from agent.texts import Language, Text

REPEATS_KEPT: Final = 32
"""Ids of repeats by which an alarm may still be acknowledged. The district acknowledges the raised event or the last
one that it saw; older ones are in the journal."""
PROBLEM_CHARS: Final = 120
"""How much of a reading problem is told: enough to see which member it was."""

T = TypeVar("T")
_Saved = TypeVar("_Saved", "PointRecord", "FaultRecord", "NoticeRecord")


class BadSave(ValueError):
    """A saved value that cannot be read."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A `Moment` that can be saved."""

    wall: AwareDatetime
    boottime_ns: int
    bootid: str
    clock: ClockQuality

    @classmethod
    def of(cls, moment: Moment) -> Self:
        return cls(moment.wall, moment.boottime_ns, moment.bootid, moment.clock)

    def due_ns(self, now: Moment, after_s: float) -> int:
        """The boot clock when `after_s` will have passed since here; counted anew where nobody can tell."""
        return now.boottime_ns + round(after_s * NS_PER_S) - (elapsed_ns(self, now) or 0)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, from its raise to its reset or end. `count` counts the presses; `seq` is the raised event's place
    in the chain as soon as it is known. `escalated` is the last escalation event; `plan` and `step` say which plan it
    has and how many of its steps are done, `siren` and `console` whether one of them was that. Of the second paths,
    `told` were asked to tell it, `reached` have brought it over, and for `failed` the last try did not. One
    that was raised in a `drill` stays one of it, whenever that ends; a real one is real also while a drill goes on."""

    id: str
    at: Stamp
    count: int = 1
    acknowledged: bool = False
    escalated: str | None = None
    repeats: tuple[str, ...] = ()
    seq: int | None = None
    plan: str = ""
    step: int = 0
    siren: bool = False
    console: bool = False
    drill: bool = False
    told: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def escalate(self, event_id: str, step: int, *, siren: bool, console: bool, told: tuple[str, ...]) -> Self:
        """A step is done. The event before stays one by which the alarm may be acknowledged."""
        earlier = (*self.repeats, self.escalated)[-REPEATS_KEPT:] if self.escalated else self.repeats
        return replace(
            self,
            escalated=event_id,
            repeats=tuple(one for one in earlier if one),
            step=step,
            siren=self.siren or siren,
            console=self.console or console,
            told=tuple(dict.fromkeys((*self.told, *told))),
        )

    def notified(self, path: str, *, ok: bool) -> Self:
        """A path has brought it over, or could not."""
        reached = tuple(dict.fromkeys((*self.reached, path))) if ok else self.reached
        failed = tuple(dict.fromkeys((*self.failed, path)))
        if ok:
            failed = tuple(one for one in self.failed if one != path)
        return replace(self, reached=reached, failed=failed)

    def repeated(self, event_id: str) -> Self:
        return replace(self, count=self.count + 1, repeats=(*self.repeats, event_id)[-REPEATS_KEPT:])

    def has(self, event_id: str) -> bool:
        """Whether an acknowledgement of this event means this alarm."""
        return event_id == self.id or event_id == self.escalated or event_id in self.repeats


@dataclass(frozen=True, slots=True)
class PointRecord:
    """One point: what counts as its input's value (`value`, true = active, since `active_at`), its alarm if there is
    one, when its state last changed (ISO 8601 with offset), and its last event's `seq`. An input that tells no release
    falls back `hold_s` after it became active."""

    device: str
    point: str
    kind: str
    since: str
    value: bool = False
    active_at: Stamp | None = None
    alarm: Alarm | None = None
    seq: int = 0
    hold_s: float | None = None
    v: Literal[1] = 1

    @property
    def key(self) -> str:
        return f"{POINT_PREFIX}{self.device}/{self.point}"


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault that stands. `id` is its raised event; `text` is rendered in every language when it was raised, since
    what it was made of is gone after a restart."""

    device: str | None
    point: str | None
    fault: str
    id: str
    since: str
    text: Mapping[str, str]
    v: Literal[1] = 1

    @property
    def key(self) -> str:
        return fault_key(self.device, self.point, self.fault)


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """What a second path is still to bring over."""

    path: str
    notice: Notice
    v: Literal[1] = 1

    @property
    def key(self) -> str:
        return f"{NOTICE_PREFIX}{self.path}/{self.notice.id}"


POINT_PREFIX: Final = "alarm/"
NOTICE_PREFIX: Final = "notice/"
FAULT_PREFIX: Final = "fault/"


def fault_key(device: str | None, point: str | None, fault: str) -> str:
    """Where a fault is saved."""
    return f"{FAULT_PREFIX}{device or NO_PART}/{point or NO_PART}/{fault}"


class SavedText(Text):
    """A text that was rendered before: `args` are its renderings by language."""

    def render(self, language: Language) -> str:
        return str(self.args.get(language) or next(iter(self.args.values()), self.key))


def dump(record: PointRecord | FaultRecord | NoticeRecord) -> str:
    """Return the JSON to save."""
    if isinstance(record, NoticeRecord):
        return _notices().dump_json(record).decode()
    if isinstance(record, PointRecord):
        return _points().dump_json(record).decode()
    return _faults().dump_json(record).decode()


def load_point(key: str, text: str) -> PointRecord:
    """Read what is saved of a point under a key. Raises BadSave and nothing else."""
    return _checked(key, read(_points(), text))


def load_fault(key: str, text: str) -> FaultRecord:
    """Read what is saved of a fault under a key. Raises BadSave and nothing else."""
    return _checked(key, read(_faults(), text))


def load_notice(key: str, text: str) -> NoticeRecord:
    """Read what is saved of a notice under a key. Raises BadSave and nothing else."""
    return _checked(key, read(_notices(), text))


def read(adapter: TypeAdapter[T], text: str) -> T:
    """Read a saved value. Raises BadSave and nothing else."""
    try:
        # By json and not by pydantic's own parser, which has other limits (depth, surrogates) and other errors.
        return adapter.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "-"
        raise BadSave(f"{where}: {first['msg']}"[:PROBLEM_CHARS]) from None
    except (ValueError, RecursionError) as error:
        raise BadSave(str(error)[:PROBLEM_CHARS]) from None


def _checked(key: str, record: _Saved) -> _Saved:
    if record.key != key:
        raise BadSave(f"expected the state of {key}, got that of {record.key}"[:PROBLEM_CHARS])
    return record


@cache
def _points() -> TypeAdapter[PointRecord]:
    """Built when first needed: it takes a few milliseconds."""
    return TypeAdapter(PointRecord)


@cache
def _faults() -> TypeAdapter[FaultRecord]:
    return TypeAdapter(FaultRecord)


@cache
def _notices() -> TypeAdapter[NoticeRecord]:
    return TypeAdapter(NoticeRecord)
