"""The pure parts of the demo: what a lamp shows, what became of a press, the generated configuration."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config.calendar import CalendarSettings, WindowSettings
from agent.config.load import load
from agent.demo import devices
from agent.demo.eyes import EYES
from agent.demo.lamp import LampSeen, LampWatch
from agent.demo.settings import BUTTONS, PASSWORD_FILE, Ports, toml
from agent.demo.trail import Trail
from agent.model import ClockQuality, Moment
from agent.texts import Language
from drivers.osdp.cards import card_number

MS = 1_000_000
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def watch(*gaps_ms: int) -> tuple[LampWatch, int]:
    """A lamp that changed after each gap, and the time of the last change."""
    lamp, now_ns = LampWatch(), 10_000 * MS
    for gap_ms in gaps_ms:
        now_ns += gap_ms * MS
        lamp.saw(not lamp.lit, now_ns)
    return lamp, now_ns


@pytest.mark.parametrize(
    ("gaps_ms", "later_ms", "mode"),
    [
        ((), 0, "off"),
        ((1000,), 10, "turning"),
        ((1000,), 800, "steady"),
        ((1000, 500, 500), 10, "slow"),
        ((1000, 500, 500), 800, "steady"),
        ((1000, 500, 500, 500), 800, "off"),
        ((1000, 125, 125, 125), 10, "fast"),
        ((1000, 500, 125), 10, "turning"),
    ],
)
def test_a_lamp_is_told_by_its_rhythm(gaps_ms: tuple[int, ...], later_ms: int, mode: LampSeen) -> None:
    lamp, now_ns = watch(*gaps_ms)
    assert lamp.mode(now_ns + later_ms * MS) == mode


def test_a_repeated_value_is_no_change() -> None:
    lamp = LampWatch()
    lamp.saw(True, 5)
    lamp.saw(True, 9)
    assert lamp.changed_ns == 5
    assert lamp.lit_since(0) == 5
    assert lamp.lit_since(6) is None


def event(type_: str, seen_ns: int) -> dict[str, Any]:
    return {"id": f"{type_}-{seen_ns}", "type": type_, "data": {"boottime_ns": seen_ns}}


def test_a_trail_counts_from_its_press_and_passes_over_what_was_before() -> None:
    trail = Trail(100 * MS)
    trail.note("district", event("campus.alarm.raised", 50 * MS), 101 * MS)
    assert trail.times == {}
    trail.note("stored", event("campus.alarm.raised", 110 * MS), 112 * MS)
    trail.note("district", event("campus.alarm.raised", 110 * MS), 115 * MS)
    trail.note("district", event("campus.alarm.raised", 110 * MS), 900 * MS)
    trail.note("acknowledged", event("campus.alarm.acknowledged", 140 * MS), 150 * MS)
    assert [trail.ms(step) for step in ("raised", "stored", "district", "acknowledged", "lamp")] == [
        10,
        12,
        15,
        50,
        None,
    ]


def test_what_has_arrived_had_been_stored() -> None:
    trail = Trail(0)
    trail.note("district", event("campus.alarm.raised", 1 * MS), 4 * MS)
    trail.note("stored", event("campus.alarm.raised", 1 * MS), 5 * MS)
    assert trail.ms("stored") == 4


def test_the_lamp_is_steady_from_its_last_change_or_the_acknowledgement() -> None:
    trail = Trail(0)
    lamp = LampWatch()
    lamp.saw(True, 20 * MS)
    trail.look(lamp, 2000 * MS)
    assert trail.ms("lamp") is None
    trail.note("acknowledged", event("campus.alarm.acknowledged", 900 * MS), 1000 * MS)
    trail.look(lamp, 2000 * MS)
    assert trail.ms("lamp") == 1000


@pytest.mark.parametrize(("language", "clock"), [("zh-CN", "synced"), ("en", "unsynced")])
def test_the_generated_configuration_is_valid_without_a_warning(
    tmp_path: Path, language: Language, clock: ClockQuality
) -> None:
    ttys = tuple(str(tmp_path / button.device) for button in BUTTONS)
    path = tmp_path / "agent.toml"
    listeners = devices.Listeners(9999, 9998)
    ports = Ports(1883, 8080, {eye.id: 8000 + number for number, eye in enumerate(EYES)}, listeners)
    for name, secret in {PASSWORD_FILE: "pw", **devices.keys()}.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(secret)
    (tmp_path / devices.CARDS).write_text(devices.card_list(language))
    path.write_text(toml(tmp_path, ports, ttys, Moment(NOW, 0, "boot", clock), language), encoding="utf-8")
    config = load(path)
    assert [problem.text.render(language) for problem in config.warnings] == []
    kinds = {(device.id, point.id): point.kind for device in config.devices for point in device.points}
    assert [camera.id for camera in config.cameras] == [eye.id for eye in EYES]
    assert kinds["guardroom", "panic"] == kinds["office", "panic"] == "panic"
    assert kinds["reception", "duress"] == "duress"
    assert kinds[devices.GAS] == "gas"
    assert kinds[devices.FAN] == "fan-stopped"
    assert kinds[devices.FENCE] == "perimeter"


@pytest.mark.parametrize("hour", range(24))
def test_it_is_always_outside_of_class_hours(hour: int) -> None:
    now = datetime(2026, 11, 23, hour, 30, tzinfo=UTC)
    calendar = CalendarSettings.model_validate({"lessons": [devices.lessons(now)]})
    window = WindowSettings.model_validate({"during": ["outside-lessons"]})
    assert calendar.holds(window, now)
    assert calendar.holds(window, now + timedelta(minutes=29))


def test_the_card_is_the_one_of_the_list() -> None:
    assert card_number(devices.CARD_DATA, devices.CARD_BITS) == devices.CARD_NUMBER
