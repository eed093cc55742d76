"""Measured values become curves: a value for every `every`, sent in batches. No evidence: unchained, bounded, counted.

Within one step the last value counts; a step without any is null. A batch goes out when `batch` is over, or when the
unit of its values changes.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agent.clock import NS_PER_S, Clock
from agent.config.models import DeviceSettings, TelemetrySettings
from agent.driver import Input
from agent.runtime.devices import Measure

LONGEST_GAP: Final = 10
"""Steps without a value after which a batch ends: a sensor that is away makes no row of nulls."""
US_PER_S: Final = 1_000_000


@dataclass(slots=True)
class Curve:
    """The batch of one point that is being filled. `step` numbers steps of the boot clock."""

    unit: str
    step: int
    values: list[float | None] = field(default_factory=list)

    def put(self, step: int, value: float) -> bool:
        """Put a value where it belongs; False if it is too far from the last for this batch."""
        place = step - self.step
        if not 0 <= place < len(self.values) + LONGEST_GAP:
            return False
        self.values += [None] * (place + 1 - len(self.values))
        self.values[place] = value
        return True


class Curves:
    """Collects the measures of all points."""

    def __init__(
        self,
        settings: Callable[[], TelemetrySettings],
        devices: Callable[[], Iterable[DeviceSettings]],
        clock: Clock,
        publish: Callable[[str, bytes], None],
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._clock = clock
        self._publish = publish
        self._curves: dict[tuple[str, str], Curve] = {}
        self._points: dict[tuple[str, Input], tuple[str, ...]] = {}
        self._every_s = settings().every_s
        self.reload()

    def reload(self) -> None:
        """Take over a changed configuration; what was collected goes out as it was."""
        self.flush()
        self._every_s = self._settings().every_s
        found: dict[tuple[str, Input], list[str]] = {}
        for device in self._devices():
            for point in device.points:
                found.setdefault((device.id, point.input), []).append(point.id)
        self._points = {key: tuple(ids) for key, ids in found.items()}

    def take(self, measure: Measure) -> None:
        """Take one value. Never waits."""
        step = measure.seen_ns // self._step_ns
        for point in self._points.get((measure.device, measure.input), ()):
            key = measure.device, point
            curve = self._curves.get(key)
            if curve is None or curve.unit != measure.unit or not curve.put(step, measure.value):
                if curve:
                    self._send(key, curve)
                self._curves[key] = Curve(measure.unit, step, [measure.value])
            elif len(curve.values) * self._every_s >= self._settings().batch_s:
                self._send(key, self._curves.pop(key))

    def flush(self) -> None:
        """Send what was collected so far."""
        curves, self._curves = self._curves, {}
        for key, curve in curves.items():
            self._send(key, curve)

    async def run(self) -> None:
        """Send the batches of sensors that fell silent, until cancelled."""
        while True:
            await self._clock.sleep(self._settings().batch_s)
            oldest = self._clock.boottime_ns() // self._step_ns - round(2 * self._settings().batch_s / self._every_s)
            for key in [key for key, curve in self._curves.items() if curve.step < oldest]:
                self._send(key, self._curves.pop(key))

    @property
    def _step_ns(self) -> int:
        return round(self._every_s * NS_PER_S)

    def _send(self, key: tuple[str, str], curve: Curve) -> None:
        device, point = key
        message = {
            "t0": self._wall(curve.step * self._step_ns).isoformat(timespec="milliseconds"),
            "dt_s": self._every_s,
            "values": curve.values,
            "unit": curve.unit,
        }
        self._publish(f"telemetry/{device}/{point}", json.dumps(message, separators=(",", ":")).encode())

    def _wall(self, boottime_ns: int) -> datetime:
        """The wall time of a boot clock time, by how the two stand now."""
        moment = self._clock.moment()
        return moment.wall - timedelta(microseconds=(moment.boottime_ns - boottime_ns) * US_PER_S // NS_PER_S)
