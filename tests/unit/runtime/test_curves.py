"""Measured values as curves: steps, gaps, batches."""

import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from agent.clock import NS_PER_S, SimClock
from agent.config.models import DeviceSettings, TelemetrySettings
from agent.runtime.curves import Curves
from agent.runtime.devices import Measure
from tests.unit.alarms.scenario import device

START = datetime(2026, 11, 27, 8, tzinfo=timezone(timedelta(hours=8)))


class Sensor:
    """Curves of one device `hall` with the points `gas` and `high`, both on the input `gas`."""

    def __init__(self, *, every: str = "10s", batch: str = "60s") -> None:
        self.clock = SimClock(START, bootid="boot-1")
        self.settings = TelemetrySettings.model_validate({"every": every, "batch": batch})
        points = [{"id": "gas", "kind": "gas", "input": "gas"}, {"id": "high", "kind": "gas", "input": "gas"}]
        self.devices: list[DeviceSettings] = [device(points)]
        self.sent: list[tuple[str, Any]] = []
        self.curves = Curves(lambda: self.settings, lambda: self.devices, self.clock, self._publish)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.sent.append((topic, json.loads(payload)))

    def measure(self, value: float, after_s: float = 10.0, unit: str = "%LEL", input: str = "gas") -> None:
        self.clock.tick(after_s)
        self.curves.take(Measure("hall", input, value, unit, self.clock.boottime_ns()))

    def batches(self, point: str = "gas") -> list[Any]:
        return [message for topic, message in self.sent if topic == f"telemetry/hall/{point}"]


def test_a_batch_has_a_value_for_every_step_and_the_time_of_its_first() -> None:
    sensor = Sensor()
    for value in range(6):
        sensor.measure(float(value))
    (batch,) = sensor.batches()
    assert batch["values"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert (batch["dt_s"], batch["unit"]) == (10.0, "%LEL")
    begun = datetime.fromisoformat(batch["t0"])
    age_s = (sensor.clock.wall() - begun).total_seconds()
    assert 50 <= age_s < 60
    assert sensor.batches("high") == [batch]


def test_within_a_step_the_last_value_counts() -> None:
    sensor = Sensor()
    for value in range(600):
        sensor.measure(float(value), 0.1)
    sensor.curves.flush()
    values = sensor.batches()[0]["values"]
    assert len(values) <= 7
    assert all(later - earlier == 100 for earlier, later in pairwise(values[1:-1]))


def test_a_step_without_a_value_is_null_and_a_long_gap_ends_the_batch() -> None:
    sensor = Sensor()
    sensor.measure(1.0)
    sensor.measure(2.0, 30.0)
    sensor.measure(3.0, 3600.0)
    sensor.curves.flush()
    assert [batch["values"] for batch in sensor.batches()] == [[1.0, None, None, 2.0], [3.0]]


def test_another_unit_begins_another_batch() -> None:
    sensor = Sensor()
    sensor.measure(1.0)
    sensor.measure(20.0, unit="ppm")
    sensor.curves.flush()
    assert [(batch["values"], batch["unit"]) for batch in sensor.batches()] == [([1.0], "%LEL"), ([20.0], "ppm")]


def test_an_input_that_no_point_has_makes_no_curve() -> None:
    sensor = Sensor()
    sensor.measure(1.0, input="humidity")
    sensor.curves.flush()
    assert sensor.sent == []


def test_a_changed_configuration_keeps_what_was_collected() -> None:
    sensor = Sensor()
    sensor.measure(1.0)
    sensor.settings = TelemetrySettings.model_validate({"every": "1s", "batch": "2s"})
    sensor.curves.reload()
    sensor.measure(2.0, 1.0)
    sensor.measure(3.0, 1.0)
    assert [(batch["values"], batch["dt_s"]) for batch in sensor.batches()] == [([1.0], 10.0), ([2.0, 3.0], 1.0)]


def test_a_clock_that_is_set_moves_no_steps() -> None:
    sensor = Sensor()
    sensor.measure(1.0)
    before_ns = sensor.clock.boottime_ns()
    sensor.measure(2.0)
    assert sensor.clock.boottime_ns() - before_ns == 10 * NS_PER_S
    sensor.curves.flush()
    assert sensor.batches()[0]["values"] == [1.0, 2.0]
