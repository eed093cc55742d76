"""The faults that stand: raised once, cleared once, remembered over a restart, whoever tells them."""

from typing import Final

from agent.alarms.outcome import Batch, FaultView
from agent.alarms.state import FaultRecord, SavedText, dump, fault_key
from agent.kinds import FAULTS
from agent.model import Lane
from agent.texts import Language, Text, say

LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")


def fault_title(fault: str) -> Text | str:
    """The name of a fault for people; of one that the table does not have, the name as it is."""
    return FAULTS[fault].text if fault in FAULTS else fault


class FaultBook:
    """Every fault that stands now, by (device, point, fault). `name` is whose fault it is, for people."""

    def __init__(self) -> None:
        self._standing: dict[str, FaultRecord] = {}
        self._of_points: dict[tuple[str, str], dict[str, str]] = {}
        """Since when each fault of a point stands, oldest first: asked of many points at every event."""

    def restore(self, record: FaultRecord) -> None:
        """Take over a fault that stood when the agent stopped."""
        self._standing[record.key] = record
        if record.device is not None and record.point is not None:
            self._of_points.setdefault((record.device, record.point), {})[record.fault] = record.since

    def raise_(
        self, batch: Batch, name: Text | str, device: str | None, point: str | None, fault: str, text: Text
    ) -> None:
        """Tell a fault; nothing happens if it stands already."""
        if fault_key(device, point, fault) in self._standing:
            return
        event_id = batch.event(
            "campus.fault.raised",
            Lane.FAULT,
            device,
            point,
            fault,
            spoken(name, batch.language),
            text,
            fault=fault,
            value=True,
        )
        texts: dict[str, str] = {language: text.render(language) for language in LANGUAGES}
        record = FaultRecord(device, point, fault, event_id, batch.since, texts)
        self.restore(record)
        batch.save[record.key] = dump(record)

    def clear(
        self,
        batch: Batch,
        name: Text | str,
        device: str | None,
        point: str | None,
        fault: str,
        key: str = "alarms.cleared",
    ) -> None:
        """Tell that a fault is over; nothing happens if it does not stand. `key` names the sentence."""
        record = self._standing.pop(fault_key(device, point, fault), None)
        if record is None:
            return
        self._forget(record)
        batch.event(
            "campus.fault.cleared",
            Lane.FAULT,
            device,
            point,
            fault,
            spoken(name, batch.language),
            say(key, name=name, fault=fault_title(fault)),
            fault=fault,
            value=False,
            event=record.id,
        )
        batch.save[record.key] = None

    def clear_device(self, batch: Batch, name: Text | str, device: str) -> None:
        """A device is no longer configured: its own faults end, and that is told."""
        self._end(batch, name, device, None)

    def clear_point(self, batch: Batch, name: Text | str, device: str, point: str) -> None:
        """A point is no longer configured: its faults end, and that is told."""
        self._end(batch, name, device, point)

    def _end(self, batch: Batch, name: Text | str, device: str, point: str | None) -> None:
        for record in tuple(self._standing.values()):
            if (record.device, record.point) == (device, point):
                self.clear(batch, name, device, point, record.fault, "alarms.fault-removed")

    def stands(self, device: str | None, point: str | None, fault: str) -> bool:
        """Whether a fault stands."""
        return fault_key(device, point, fault) in self._standing

    def of_points(self) -> dict[tuple[str, str], str]:
        """Points that have a fault of their own, with the time since when they do."""
        return {key: next(iter(faults.values())) for key, faults in self._of_points.items()}

    def of_point(self, device: str, point: str) -> str | None:
        """Since when a point has a fault of its own; None if it has none."""
        return next(iter(self._of_points.get((device, point), {}).values()), None)

    def _forget(self, record: FaultRecord) -> None:
        if record.device is not None and record.point is not None:
            faults = self._of_points[record.device, record.point]
            del faults[record.fault]
            if not faults:
                del self._of_points[record.device, record.point]

    def since(self, device: str | None, point: str | None, fault: str) -> str | None:
        """When a fault was raised; None if it does not stand."""
        record = self._standing.get(fault_key(device, point, fault))
        return record.since if record else None

    def views(self) -> tuple[FaultView, ...]:
        """The faults, oldest first."""
        return tuple(
            FaultView(record.device, record.point, record.fault, SavedText(record.key, {**record.text}), record.since)
            for record in self._standing.values()
        )


def spoken(name: Text | str, language: Language) -> str:
    """A name as it stands in an event."""
    return name.render(language) if isinstance(name, Text) else name
