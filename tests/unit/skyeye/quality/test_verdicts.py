"""Pictures judged: what a person sees at a glance is found, what a camera usually looks like is no fault."""

from dataclasses import replace
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from agent.skyeye.model import Image, Verdict
from agent.skyeye.quality import Baseline, Judged, examine, judge, measure
from agent.skyeye.quality.baseline import HOUR_KNOWN, Hour
from agent.skyeye.quality.features import print_of
from bench.scenes import Light, Scene, SceneName, stamp, through_h264
from bench.spoil import ELECTRIC, SPOILED, VERDICT, Fault, spoil

pytestmark = pytest.mark.xdist_group("verdicts")  # what the scenes look like is learnt once
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=ZONE)
NIGHT = datetime(2026, 11, 24, 23, 0, tzinfo=ZONE)
DAYLIGHT = Light(0.9)
INFRARED = Light(0.8, infrared=True, noise=4.0)
LEARN = 12


@cache
def scene(name: SceneName) -> Scene:
    return Scene(name, 42)


def shot(name: SceneName, light: Light, seed: int, *, people: int = 0) -> Image:
    return scene(name).render(light, np.random.default_rng(seed), people=people)


@cache
def learnt(name: SceneName, night: bool = False) -> Baseline:
    baseline, now = Baseline(), NIGHT if night else NOON
    for seed in range(LEARN):
        light = INFRARED if night else Light(0.75 + 0.03 * seed)
        earlier, picture = through_h264([shot(name, light, 2 * seed + step, people=seed % 3) for step in (0, 1)])
        baseline = after(examine(picture, earlier, baseline, now), baseline, now)
    settled = {hour: replace(one, count=HOUR_KNOWN) for hour, one in baseline.hours.items()}
    return replace(baseline, hours=settled)


def after(judged: Judged, baseline: Baseline, now: datetime) -> Baseline:
    assert judged.clean, bad(judged.verdicts)
    return baseline.learn(judged.features, now, judged.stir)


def bad(verdicts: tuple[Verdict, ...]) -> set[str]:
    return {verdict.fault for verdict in verdicts if verdict.bad}


def spoilt(name: SceneName, fault: Fault, level: int, light: Light) -> tuple[Image, Image]:
    pair = []
    for seed in (101, 102):
        rng = np.random.default_rng(7)
        if fault in ELECTRIC:
            pair.append(spoil(shot(name, light, seed), fault, level, rng))
        else:
            dry = Light(light.level, infrared=light.infrared, noise=0)
            picture = spoil(shot(name, dry, seed), fault, level, rng)
            pair.append(scene(name).grain(picture, light, np.random.default_rng(seed)))
    earlier, picture = through_h264(pair)
    return earlier, picture


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("fault", [fault for fault in SPOILED if fault != "frozen"])
def test_what_is_spoilt_is_found(fault: Fault, night: bool) -> None:
    light, now = (INFRARED, NIGHT) if night else (DAYLIGHT, NOON)
    earlier, picture = spoilt("corridor", fault, 4, light)
    verdicts = judge(picture, earlier, learnt("corridor", night), now)
    assert VERDICT[fault] in bad(verdicts)


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("name", ["yard", "corridor", "gate"])
def test_what_is_undisturbed_is_fine(name: SceneName, night: bool) -> None:
    light, now = (INFRARED, NIGHT) if night else (DAYLIGHT, NOON)
    earlier, picture = through_h264([shot(name, light, 200, people=3), shot(name, light, 201, people=3)])
    verdicts = judge(picture, earlier, learnt(name, night), now)
    assert bad(verdicts) == set()
    assert len(verdicts) >= 9


def test_a_verdict_has_its_measure_its_threshold_and_words_in_both_languages() -> None:
    earlier, picture = spoilt("yard", "blurred", 4, DAYLIGHT)
    (verdict,) = [one for one in judge(picture, earlier, learnt("yard"), NOON) if one.fault == "picture-blurred"]
    assert verdict.bad
    assert verdict.measure > verdict.threshold > 0
    assert f"{verdict.measure:.2f}".rstrip("0") in verdict.text.render("zh-CN")
    assert "focus" in verdict.text.render("en")


def test_a_picture_that_hangs_is_frozen_though_the_clock_in_it_runs() -> None:
    still = shot("corridor", DAYLIGHT, 300)
    earlier, picture = (through_h264([stamp(still, f"2026-11-24 12:00:0{second}")])[0] for second in (0, 4))
    assert "picture-frozen" in bad(judge(picture, earlier, learnt("corridor"), NOON))


def test_a_picture_that_is_that_of_the_last_inspection_is_frozen() -> None:
    picture = through_h264([shot("corridor", DAYLIGHT, 301)])[0]
    assert "picture-frozen" in bad(judge(picture, None, learnt("corridor"), NOON, print_of(picture)))


def test_an_empty_corridor_at_night_is_not_frozen() -> None:
    earlier, picture = through_h264([shot("corridor", INFRARED, seed) for seed in (302, 303)])
    assert bad(judge(picture, earlier, learnt("corridor", night=True), NIGHT)) == set()


def test_a_stream_that_moves_is_not_frozen_though_it_was_alike_before() -> None:
    earlier, picture = through_h264([shot("corridor", DAYLIGHT, seed) for seed in (304, 305)])
    assert bad(judge(picture, earlier, learnt("corridor"), NOON, print_of(picture))) == set()


def test_a_dark_yard_is_black_by_day_and_no_fault_by_night() -> None:
    picture = through_h264([shot("yard", Light(0.004, lamps=False, noise=0.8), 306)])[0]
    assert "picture-black" in bad(judge(picture, None, learnt("yard"), NOON))
    verdicts = judge(picture, None, learnt("yard"), NIGHT)
    assert bad(verdicts) == set()
    assert verdicts[0].text.key == "quality.black-night"


def test_a_camera_that_sees_by_night_is_black_when_it_does_not() -> None:
    picture = through_h264([shot("yard", Light(0.004, lamps=False, noise=0.8), 307)])[0]
    third_night = learnt("yard", night=True)
    assert "picture-black" in bad(judge(picture, None, third_night, NIGHT))
    first_night = replace(third_night, hours={NIGHT.hour: Hour(HOUR_KNOWN - 1, {"grey": 1.0})})
    assert bad(judge(picture, None, first_night, NIGHT)) == set()


def test_an_empty_white_wall_is_not_low_contrast_if_it_always_looked_so() -> None:
    baseline = Baseline()
    for seed in range(LEARN + 1):
        rng = np.random.default_rng(seed)
        wall = np.clip(205 + rng.normal(0, 1.5, (540, 960, 3)), 0, 255).astype(np.uint8)
        judged = examine(wall, None, baseline, NOON)
        baseline = after(judged, baseline, NOON)
    assert {one.fault for one in judged.verdicts} >= {"picture-contrast", "picture-white"}


def test_what_nobody_knows_yet_is_not_judged() -> None:
    picture = through_h264([shot("gate", DAYLIGHT, 308)])[0]
    judged = examine(picture, None, Baseline(), NOON)
    assert judged.learning
    assert not {"picture-moved", "picture-covered", "picture-blurred"} & {one.fault for one in judged.verdicts}


def test_a_cloth_by_day_is_a_cover_though_the_camera_goes_grey() -> None:
    """In the dark under a cloth a camera switches its infrared light on: the grey mode, which it has never been in."""
    cloth = np.full((540, 960, 3), 120, np.uint8)
    cloth = scene("corridor").grain(cloth, INFRARED, np.random.default_rng(1))
    assert "picture-covered" in bad(judge(cloth, None, learnt("corridor"), NOON))


def test_a_camera_that_moves_may_look_elsewhere() -> None:
    earlier, picture = spoilt("corridor", "moved", 5, DAYLIGHT)
    judged = examine(picture, earlier, learnt("corridor"), NOON, moves=True)
    assert not {"picture-moved", "picture-covered"} & {one.fault for one in judged.verdicts}


@pytest.mark.parametrize("size", [(1, 1), (2, 4000), (90, 160), (1080, 1920)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_pictures_of_any_size_are_measured(size: tuple[int, int], value: int) -> None:
    picture = np.full((*size, 3), value, np.uint8)
    features = measure(picture)
    assert np.isfinite([features.luma, features.contrast, features.cast, features.specks]).all()
    assert examine(picture, picture, Baseline().learn(features, NOON), NOON).verdicts


def test_a_dim_room_is_not_covered_though_its_edges_drown_in_noise() -> None:
    """A corridor on a weekend morning, before anybody has switched the lights on."""
    dim = Light(0.13, lamps=False, noise=3.5)
    earlier, picture = through_h264([shot("corridor", dim, seed) for seed in (401, 402)])
    assert not {"picture-covered", "picture-moved"} & bad(judge(picture, earlier, learnt("corridor"), NOON))


def test_a_person_close_to_the_camera_is_no_stripe() -> None:
    earlier, picture = through_h264([shot("corridor", Light(0.96), seed, people=1) for seed in (14, 15)])
    assert bad(judge(picture, earlier, learnt("corridor"), NOON)) == set()
