"""What a restart found saved and could not place: alarms of points that are gone or of another kind now, faults of what
is no longer configured, values that cannot be read. It ends with the next outcome, and that is told."""

from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch
from agent.alarms.point import CONFIGURATION
from agent.alarms.state import PointRecord
from agent.kinds import KINDS, LOWEST_PRIORITY, Kind
from agent.model import JsonValue, Lane
from agent.texts import say


class LeftOvers:
    """Collects them, and ends them."""

    def __init__(self) -> None:
        self._orphans: list[PointRecord] = []
        self._unreadable: list[str] = []
        self._lost: set[tuple[str, str | None]] = set()

    def __bool__(self) -> bool:
        return bool(self._orphans or self._unreadable or self._lost)

    def orphan(self, record: PointRecord) -> None:
        """A point that is no longer there, or another one now."""
        self._orphans.append(record)
        self._lost.add((record.device, record.point))

    def lost(self, device: str, point: str | None) -> None:
        """A device or a point whose faults nobody will clear."""
        self._lost.add((device, point))

    def unreadable(self, key: str) -> None:
        """A value that could not be read."""
        self._unreadable.append(key)

    def end(self, batch: Batch, faults: FaultBook) -> None:
        """End them all."""
        for key in self._unreadable:
            batch.save[key] = None
        for record in self._orphans:
            end_orphan(batch, record)
        for device, point in self._lost:
            if point is None:
                faults.clear_device(batch, device, device)
            else:
                faults.clear_point(batch, point, device, point)
        self._unreadable.clear()
        self._orphans.clear()
        self._lost.clear()


def end_orphan(batch: Batch, record: PointRecord) -> None:
    """What was not reset of a saved point ends, and that is told."""
    if record.alarm:
        kind = KINDS.get(record.kind) or Kind(record.kind, "alarm", LOWEST_PRIORITY)
        name = kind.text if record.kind in KINDS else record.kind
        text = say("alarms.removed", name=record.point, kind=name)
        more: dict[str, JsonValue] = {"value": record.value, "event": record.alarm.id, "actor": CONFIGURATION}
        device, point, drill = record.device, record.point, record.alarm.drill
        batch.event("campus.alarm.reset", Lane.ALARM, device, point, kind, point, text, drill, **more)
    batch.drop(record)
