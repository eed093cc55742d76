"""What a camera usually looks like: learnt, kept, and read back."""

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SimClock
from agent.model import JsonValue
from agent.skyeye.quality import BadBaseline, Baseline, Features, Shelf, measure
from agent.skyeye.quality.baseline import LEARNT, Hour, Look, Usual, mode_of
from agent.skyeye.quality.shelf import SAVE_EVERY_S, SAVE_FIRST

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=ZONE)
NIGHT = NOON.replace(hour=22)


def features(level: int = 140, *, colour: int = 30, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    picture = np.clip(rng.normal(level, 25, (270, 480, 3)), 0, 255)
    picture[..., 0] += colour
    if not colour:
        picture[:] = picture.mean(axis=2, keepdims=True)
    return measure(np.clip(picture, 0, 255).astype(np.uint8))


def known() -> Baseline:
    baseline = Baseline()
    for seed in range(LEARNT):
        baseline = baseline.learn(features(seed=seed), NOON, 1.5)
        baseline = baseline.learn(features(60, colour=0, seed=seed), NIGHT, 3.0)
    return baseline


def test_it_is_the_same_after_a_restart() -> None:
    before = known()
    stored = json.loads(json.dumps(before.to_json()))
    restored = Baseline.from_json(stored)
    assert restored.to_json() == before.to_json()
    assert set(restored.looks) == {"day", "grey"}
    assert np.array_equal(restored.looks["day"].structure, before.looks["day"].structure)


def test_one_of_a_version_that_did_not_note_the_light_is_read_and_learns_it() -> None:
    stored = json.loads(json.dumps(known().to_json()))
    for look in stored["looks"].values():
        del look["luma"]
    restored = Baseline.from_json(stored)
    assert restored.looks["day"].luma.mean == 0
    assert restored.looks["day"].count == known().looks["day"].count


def test_modes_are_told_apart() -> None:
    assert mode_of(features(140)) == "day"
    assert mode_of(features(35, colour=40)) == "dim"
    assert mode_of(features(90, colour=0)) == "grey"


def test_it_learns_slowly() -> None:
    usual = Usual(10.0)
    look = Look(100, contrast=usual)
    assert look.learn(features(), None).contrast.mean == pytest.approx(10.0, abs=0.45)


def test_a_new_baseline_takes_the_plain_mean() -> None:
    values = [features(seed=seed).contrast for seed in range(LEARNT)]
    baseline = Baseline()
    for seed in range(LEARNT):
        baseline = baseline.learn(features(seed=seed), NOON)
    assert baseline.looks["day"].contrast.mean == pytest.approx(np.mean(values))


def test_darkness_is_usual_where_it_was_before_and_an_hour_beside() -> None:
    dark = Baseline(hours={20: Hour(50, {"dim": 1.0}, 0.9), 19: Hour(50, {"dim": 1.0}, 0.0)})
    assert [dark.dark_is_usual(NOON.replace(hour=hour)) for hour in (19, 20, 21, 18, 12)] == [
        *(True, True, True),
        True,  # not known yet, and it may be night
        False,
    ]
    lit = Baseline(hours={20: Hour(50, {"dim": 1.0}, 0.0)})
    assert not lit.dark_is_usual(NOON.replace(hour=20))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["version", "looks", "hours", "day", "count", "structure", "bars", "12", "shares", "a"]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_stored_is_a_baseline_or_a_bad_one(stored: object) -> None:
    with suppress(BadBaseline):
        Baseline.from_json(stored)


@given(st.data())
def test_a_damaged_one_is_a_baseline_or_a_bad_one(data: st.DataObject) -> None:
    stored = DAMAGED.to_json()
    look = stored["looks"]["day"]  # type: ignore[index,call-overload]
    assert isinstance(look, dict)
    key = data.draw(st.sampled_from(sorted(look)))
    nan: JsonValue = {"mean": "nan", "stray": 0}
    look[key] = data.draw(st.one_of(st.none(), st.text(max_size=9), st.floats())) if data.draw(st.booleans()) else nan
    with suppress(BadBaseline):
        Baseline.from_json(stored)


DAMAGED = known()


class TestShelf:
    def test_it_keeps_what_was_learnt_across_restarts(self, tmp_path: Path) -> None:
        clock = SimClock(NOON)
        Shelf(tmp_path, clock).put("gate", known(), "")
        shelf = Shelf(tmp_path, clock)
        assert shelf.get("gate").to_json() == known().to_json()
        assert shelf.get("yard").looks == {}

    def test_a_settled_one_is_written_once_an_hour(self, tmp_path: Path) -> None:
        clock, settled = SimClock(NOON), known()
        while sum(look.count for look in settled.looks.values()) <= SAVE_FIRST:
            settled = settled.learn(features(), NOON)
        shelf = Shelf(tmp_path, clock)
        shelf.put("gate", settled)
        assert not shelf.path("gate").exists()
        clock.tick(SAVE_EVERY_S)
        shelf.put("gate", settled)
        assert shelf.path("gate").exists()

    def test_what_is_not_written_yet_is_at_the_end(self, tmp_path: Path) -> None:
        shelf = Shelf(tmp_path, SimClock(NOON))
        settled = Baseline({"day": Look(1000)})
        shelf.put("gate", settled)
        shelf.save_all()
        assert json.loads(shelf.path("gate").read_text())["looks"]["day"]["count"] == 1000

    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"version": 9}', b"\xff\xfe", b"[" * 100_000])
    def test_one_that_cannot_be_read_is_learnt_anew(
        self, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf = Shelf(tmp_path, SimClock(NOON))
        shelf.path("gate").write_bytes(content)
        assert shelf.get("gate").looks == {}
        assert "gate.json" in caplog.text

    def test_presets_are_apart_and_a_camera_is_forgotten_with_all_of_them(self, tmp_path: Path) -> None:
        shelf = Shelf(tmp_path, SimClock(NOON))
        for camera, preset in (("gate", ""), ("gate", "大门"), ("gate-2", "")):
            shelf.put(camera, known(), preset)
        shelf.forget("gate")
        assert shelf.get("gate", "大门").looks == {}
        assert [path.name for path in tmp_path.iterdir()] == ["gate-2.json"]

    def test_a_disk_that_takes_nothing_costs_nothing_but_the_file(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("")
        shelf = Shelf(blocked / "baselines", SimClock(NOON))
        shelf.put("gate", known())
        assert shelf.get("gate").looks
        assert "cannot be written" in caplog.text

    def test_no_name_leaves_the_folder(self, tmp_path: Path) -> None:
        shelf = Shelf(tmp_path, SimClock(NOON))
        assert shelf.path("../../etc/x", "../y").parent == tmp_path
