"""When was each point last seen to work: by a walk test, or by a press? Pure.

Kept for every point that alarms, for the indicators; what must be tested within some days, and was not, gets the fault
`test-overdue`. A point that was never tested has its time from when the agent first knew it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Final, Literal

from pydantic import TypeAdapter

from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch
from agent.alarms.point import PointWatch
from agent.alarms.state import BadSave, Stamp, read
from agent.clock import NS_PER_S, elapsed_ns
from agent.config.arming import SelftestSettings
from agent.config.rulebook import RULES
from agent.model import Moment
from agent.texts import say

TESTED_PREFIX: Final = "tested/"
OVERDUE: Final = "test-overdue"
"""The name of the fault."""
LOOK_NS: Final = 600 * NS_PER_S
"""The clock may be set at any time; for days, ten minutes are exact."""
DAY_S: Final = 86_400
How = Literal["test", "press", "new"]
"""new: it was never tested, and is known since then."""


@dataclass(frozen=True, slots=True)
class TestedRecord:
    """One point's last proof."""

    device: str
    point: str
    how: How
    at: Stamp
    v: Literal[1] = 1

    @property
    def key(self) -> str:
        return f"{TESTED_PREFIX}{self.device}/{self.point}"


class TestBook:
    """The last proof of every point."""

    __test__ = False
    """It is no test case, whatever pytest makes of its name."""

    def __init__(self, settings: SelftestSettings) -> None:
        self.settings = settings
        self._records: dict[str, TestedRecord] = {}
        self._due_ns: int | None = 0

    def restore(self, key: str, text: str) -> None:
        """Take over what was saved. Raises BadSave."""
        record = read(_records(), text)
        if record.key != key:
            raise BadSave("another point's")
        self._records[key] = record

    def reconfigure(self, settings: SelftestSettings) -> None:
        """Take over other settings."""
        self.settings = settings
        self._due_ns = 0

    def last(self, device: str, point: str) -> TestedRecord | None:
        """The last proof of a point; None if there was none."""
        record = self._records.get(f"{TESTED_PREFIX}{device}/{point}")
        return record if record and record.how != "new" else None

    def note(self, point: PointWatch, how: How, batch: Batch, faults: FaultBook) -> None:
        """A point has worked."""
        if point.kind.class_ != "alarm":
            return
        self._keep(TestedRecord(point.device, point.settings.id, how, Stamp.of(batch.moment)), batch)
        faults.clear(batch, point.settings.name, point.device, point.settings.id, OVERDUE)
        if self.settings.tested_every_s is not None:
            self._due_ns = batch.now_ns  # its time counts anew

    @property
    def due_ns(self) -> int | None:
        """When `tick` has something to do."""
        return self._due_ns

    def tick(self, points: Iterable[PointWatch], batch: Batch, faults: FaultBook) -> None:
        """Judge every point; forget those that are gone."""
        if self._due_ns is None or batch.now_ns < self._due_ns:
            return
        watched = {f"{TESTED_PREFIX}{point.device}/{point.settings.id}": point for point in points}
        for key in self._records.keys() - watched.keys():
            del self._records[key]
            batch.save[key] = None
        ahead_ns = [LOOK_NS]
        for key, point in watched.items():
            if self._judged(point):
                ahead_ns.append(self._judge(key, point, batch, faults))
            else:
                faults.clear(batch, point.settings.name, point.device, point.settings.id, OVERDUE)
        every_s = self.settings.tested_every_s
        self._due_ns = None if every_s is None else batch.now_ns + min(ahead for ahead in ahead_ns if ahead > 0)

    def _judged(self, point: PointWatch) -> bool:
        if self.settings.tested_every_s is None or point.kind.class_ != "alarm" or point.device == RULES:
            return False
        return point.kind.button or self.settings.tested == "alarms"

    def _judge(self, key: str, point: PointWatch, batch: Batch, faults: FaultBook) -> int:
        """Raise or clear the fault; return how long until that may change."""
        assert self.settings.tested_every_s is not None, "only what is judged"
        record = self._records.get(key) or TestedRecord(point.device, point.settings.id, "new", Stamp.of(batch.moment))
        record = replace(record, at=corrected(record.at, batch.moment))
        if record != self._records.get(key):
            self._keep(record, batch)
        every_ns = round(self.settings.tested_every_s * NS_PER_S)
        left_ns = every_ns - (age_ns(record.at, batch.moment) or 0)
        name, device, id_ = point.settings.name, point.device, point.settings.id
        if left_ns > 0:
            faults.clear(batch, name, device, id_, OVERDUE)
            return left_ns
        since = record.at.wall.isoformat(sep=" ", timespec="minutes")
        told = "arming.never-tested" if record.how == "new" else "arming.test-overdue"
        days = f"{self.settings.tested_every_s / DAY_S:.3g}"
        faults.raise_(batch, name, device, id_, OVERDUE, say(told, name=name, days=days, since=since))
        return LOOK_NS

    def _keep(self, record: TestedRecord, batch: Batch) -> None:
        self._records[record.key] = record
        batch.save[record.key] = _records().dump_json(record).decode()


def corrected(at: Stamp, now: Moment) -> Stamp:
    """A time that was taken before the clock was set, with the wall time that it truly had."""
    if at.clock == "synced" or now.clock != "synced" or at.bootid != now.bootid:
        return at
    ago = timedelta(microseconds=(now.boottime_ns - at.boottime_ns) // 1_000)
    return replace(at, wall=now.wall - ago, clock="synced")


def age_ns(at: Stamp, now: Moment) -> int | None:
    """How long ago that was; None where nobody can tell."""
    passed_ns = elapsed_ns(at, now)
    if passed_ns is None and now.clock == "synced" and at.wall <= now.wall:
        return (now.wall - at.wall) // timedelta(microseconds=1) * 1_000  # before a power cut, by a clock that was off
    return passed_ns


@cache
def _records() -> TypeAdapter[TestedRecord]:
    """Built when first needed: it takes a few milliseconds."""
    return TypeAdapter(TestedRecord)
