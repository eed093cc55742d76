"""The pure parts of the demo: what a lamp shows, what became of a press, the generated configuration."""

from pathlib import Path
from typing import Any

import pytest

from agent.config.load import load
from agent.demo.eyes import EYES
from agent.demo.lamp import LampSeen, LampWatch
from agent.demo.settings import BUTTONS, PASSWORD_FILE, Ports, toml
from agent.demo.trail import Trail
from agent.texts import Language

MS = 1_000_000


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


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_generated_configuration_is_valid_without_a_warning(tmp_path: Path, language: Language) -> None:
    ttys = tuple(str(tmp_path / button.device) for button in BUTTONS)
    path = tmp_path / "agent.toml"
    ports = Ports(1883, 8080, {eye.id: 8000 + number for number, eye in enumerate(EYES)})
    (tmp_path / PASSWORD_FILE).write_text("pw")
    path.write_text(toml(tmp_path, ports, ttys, language), encoding="utf-8")
    config = load(path)
    assert [problem.text.render(language) for problem in config.warnings] == []
    kinds = {device.id: device.points[0].kind for device in config.devices}
    assert [camera.id for camera in config.cameras] == [eye.id for eye in EYES]
    assert kinds == {"guardroom": "panic", "office": "panic", "reception": "duress"}
