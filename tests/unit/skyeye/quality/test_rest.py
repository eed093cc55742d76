"""A picture that does not change at large: frozen behind an encoder that codes it anew each time, or only a night."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from agent.skyeye.model import Image
from agent.skyeye.quality import Baseline, Judged, Rest, examine
from agent.skyeye.quality.features import PRINT_HEIGHT, PRINT_WIDTH, Print
from agent.skyeye.quality.rest import LONG_REST_S, REST_S, rest_of
from bench.scenes import Light, Scene, stamp, through_h264

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
LIGHT = Light(0.9)
HOUR_NS = 3600 * 10**9


def print_of_noise(seed: int, level: float = 100.0, noise: float = 3.0) -> Print:
    values = np.random.default_rng(seed).normal(level, noise, (PRINT_HEIGHT, PRINT_WIDTH))
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def test_noise_is_no_change_and_light_is_one() -> None:
    rest = rest_of(print_of_noise(1), 0, 1.0).then(print_of_noise(2), 5, 0.9, 1.0)
    assert (rest.since_ns, rest.now_ns) == (0, 5)
    lighter = rest.then(print_of_noise(3, level=104), 9, 0.9, 1.0)
    assert (lighter.since_ns, lighter.least) == (9, float("inf"))


def test_a_clock_in_the_corner_is_no_change() -> None:
    with_clock = print_of_noise(2)
    with_clock[:15, :100] = 255
    assert rest_of(print_of_noise(1), 0, 1.0).then(with_clock, 5, None, 1.0).since_ns == 0


@pytest.mark.parametrize(("stir", "limit_s"), [(0.5, REST_S), (0.9, LONG_REST_S), (None, LONG_REST_S)])
def test_a_picture_that_is_as_lively_as_ever_may_rest_longer(stir: float | None, limit_s: float) -> None:
    assert rest_of(print_of_noise(1), 0, 1.0).then(print_of_noise(2), 5, stir, 1.0).limit_s == limit_s


def inspected(pictures: list[Image], hours: float) -> Judged:
    """What is said of the last picture when the first one was seen so many hours ago."""
    first = examine(pictures[0], pictures[1], Baseline(), NOW)
    rest: Rest = replace(first.rest, usual=2.0)
    now_ns = round(hours * HOUR_NS)
    return examine(pictures[1], pictures[2], Baseline(), NOW, first.features.print, rest=rest, now_ns=now_ns)


def frozen(judged: Judged) -> list[str]:
    return [one.text.key for one in judged.verdicts if one.bad and one.fault == "picture-frozen"]


def test_a_frozen_picture_with_another_quantiser_each_time_is_told_after_a_day() -> None:
    scene, rng = Scene("corridor", 42), np.random.default_rng(1)
    still = scene.render(LIGHT, rng)
    pictures = [
        through_h264([stamp(still, f"12:00:0{number}")], quantiser)[0] for number, quantiser in enumerate((25, 29, 26))
    ]
    assert frozen(inspected(pictures, 23)) == []
    assert frozen(inspected(pictures, 25)) == ["quality.frozen-rest"]


def test_a_picture_in_which_the_light_changes_is_alive_however_little_it_stirs() -> None:
    scene, rng = Scene("corridor", 42), np.random.default_rng(1)
    still = scene.render(LIGHT, rng)
    darker = np.asarray(still * 0.95, np.uint8)
    pictures = [through_h264([one], quantiser)[0] for one, quantiser in ((still, 25), (darker, 29), (darker, 26))]
    assert frozen(inspected(pictures, 100)) == []
