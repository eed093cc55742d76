"""What is told of people, and what is not told of light, noise and a shaking camera, in small drawn scenes. How well
it does on harder ones is measured by bench/analysis.py."""

from datetime import timedelta

import cv2
import numpy as np
import pytest

from agent.skyeye.analysis import Analyst
from agent.skyeye.model import Image
from tests.unit.skyeye.analysis.make import (
    HEIGHT,
    WALL,
    WIDTH,
    Place,
    Where,
    brief,
    camera,
    ground,
    picture,
    play,
    walk,
)

ALL = {"detect": ("motion", "intrusion", "loitering", "crowd", "object-left"), "loiter": 10, "left": 10, "crowd": 3}


@pytest.mark.parametrize(("from_x", "to_x", "direction"), [(0.1, 0.9, "left-to-right"), (0.9, 0.1, "right-to-left")])
def test_a_line_is_crossed_and_which_way(from_x: float, to_x: float, direction: str) -> None:
    who = walk(6, (from_x, 0.8), (to_x, 0.8))
    told = play(Analyst(camera(line=True)), 17, lambda at_s: picture(at_s, who))
    assert [(event.kind, event.active, event.source) for _, event in told] == [("line-crossed", None, "fence")]
    assert told[0][1].topic.endswith(direction)


def test_only_the_direction_that_is_asked_for() -> None:
    settings = camera(line=True)
    one_way = settings.lines[0].model_copy(update={"direction": "right-to-left"})
    settings = settings.model_copy(update={"lines": (one_way,)})
    who = walk(6, (0.1, 0.8), (0.9, 0.8))
    assert play(Analyst(settings), 17, lambda at_s: picture(at_s, who)) == []


def test_who_turns_back_has_not_crossed() -> None:
    there, back = walk(6, (0.1, 0.8), (0.44, 0.8)), walk(9.9, (0.44, 0.8), (0.1, 0.8))
    assert play(Analyst(camera(line=True)), 16, lambda at_s: picture(at_s, there, back)) == []


def test_an_intruder_is_told_once_and_when_he_is_gone() -> None:
    there = walk(6, (0.1, 0.8), (0.99, 0.8))
    told = play(Analyst(camera(zone={})), 25, lambda at_s: picture(at_s, there))
    assert brief(told) == [("intrusion", True), ("intrusion", False)]
    assert 10.4 <= told[0][0] <= 13


def test_who_passes_beside_the_zone_is_nothing() -> None:
    who = walk(6, (0.3, 0.5), (0.3, 1.0), 0.07)
    assert play(Analyst(camera(zone={})), 16, lambda at_s: picture(at_s, who)) == []


def test_staying_is_told_after_its_time() -> None:
    def who(at_s: float) -> tuple[float, float] | None:
        if at_s < 6:
            return None
        return (min(0.7, 0.1 + 0.09 * (at_s - 6)) + 0.004 * np.sin(at_s), 0.8)

    told = play(Analyst(camera(zone={"detect": ("loitering",), "loiter": 10})), 30, lambda at_s: picture(at_s, who))
    assert brief(told)[:1] == [("loitering", True)]
    assert 19.5 <= told[0][0] <= 23


def test_a_crowd_is_so_many_at_the_same_time() -> None:
    people = [walk(6 + 2 * n, (0.05, 0.7 + 0.05 * n), (0.95, 0.7 + 0.05 * n), 0.06) for n in range(3)]
    zone = {"detect": ("crowd",), "crowd": 3}
    assert ("crowd", True) in brief(play(Analyst(camera(zone=zone)), 24, lambda at_s: picture(at_s, *people)))
    zone["crowd"] = 4
    assert play(Analyst(camera(zone=zone)), 24, lambda at_s: picture(at_s, *people)) == []


def arrives(start_s: float, from_x: float, x: float) -> Where:
    """Somebody who walks to his place and stands there, breathing."""
    there = walk(start_s, (from_x, 0.8), (x, 0.8))

    def where(at_s: float) -> Place:
        if at_s < start_s:
            return None
        return there(at_s) or (x + 0.004 * np.sin(at_s + 9 * x), 0.8)

    return where


@pytest.mark.parametrize(("all_", "told"), [(True, [("crowd", True)]), (False, [])])
def test_who_steps_in_from_the_edge_and_stands_is_one_of_the_crowd(all_: bool, told: list[object]) -> None:
    went = [arrives(6, 0.02, 0.6), arrives(10, 0.02, 0.75)]
    steps = [arrives(22, 0.99, 0.92)] if all_ else []
    settings = camera(zone={"detect": ("crowd",), "crowd": 3})
    assert brief(play(Analyst(settings), 34, lambda at_s: picture(at_s, *went, *steps))) == told


def fence() -> Image:
    """Bars as bright as a coat may be, before dark ground."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[40:150, ::7] = image[40:150, 1::7] = 190
    return image


def before_fence(at_s: float, where: Where, coat: int = 0, trousers: int = 0) -> Image:
    """Somebody who walks before the fence, in two greys."""
    image = fence()
    if place := where(at_s):
        x, y = int(place[0] * WIDTH), int(place[1] * HEIGHT)
        cv2.rectangle(image, (x - 7, y - 55), (x + 7, y - 20), (coat, coat, coat), -1)
        cv2.rectangle(image, (x - 5, y - 20), (x + 5, y), (trousers, trousers, trousers), -1)
    noise = np.random.default_rng(round(at_s * 100)).normal(0, 1.5, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


@pytest.mark.parametrize(("coat", "trousers"), [(66, 66), (66, 40), (120, 66)])
def test_who_hides_the_bars_of_a_fence_is_seen_though_he_wears_its_greys(coat: int, trousers: int) -> None:
    who = walk(8, (0.1, 0.75), (0.95, 0.75))
    told = play(Analyst(camera(line=True)), 20, lambda at_s: before_fence(at_s, who, coat, trousers))
    assert [event.topic.rpartition("/")[2] for _, event in told] == ["left-to-right"]


def test_a_cloud_over_a_fence_hides_nothing() -> None:
    def draw(at_s: float) -> Image:
        shade = 1 - 0.4 / (1 + np.exp(-10 * (np.linspace(0, 1, WIDTH) - (at_s % 20) / 10 + 0.5)))
        return np.asarray(before_fence(at_s, lambda _: None) * shade[None, :, None], np.uint8)

    assert play(Analyst(camera(zone=ALL, line=True)), 60, draw) == []


def left(at_s: float) -> tuple[float, float] | None:
    return (0.75, 0.8) if 13 < at_s < 50 else None


def test_a_thing_left_behind_is_told_also_when_the_light_changes_and_ends_when_it_is_taken() -> None:
    come, go = walk(6, (0.1, 0.8), (0.71, 0.8)), walk(14, (0.71, 0.8), (0.02, 0.8))

    def draw(at_s: float) -> Image:
        image = picture(at_s, come, go, bags=[left(at_s)])
        return np.asarray(image * 0.6, np.uint8) if at_s > 26 else image

    told = play(Analyst(camera(zone={"detect": ("object-left",), "left": 20})), 60, draw)
    assert brief(told)[:1] == [("object-left", True)]
    assert 30 < told[0][0] < 42
    assert brief(told)[-1:] == [("object-left", False)]
    assert 50 < told[-1][0] < 57


def test_who_stays_with_his_bag_has_not_left_it() -> None:
    def who(at_s: float) -> tuple[float, float] | None:
        if at_s < 6:
            return None
        return (min(0.71, 0.1 + 0.09 * (at_s - 6)) + 0.006 * np.sin(at_s), 0.8)

    zone = {"detect": ("object-left",), "left": 10}
    draw = lambda at_s: picture(at_s, who, bags=[left(at_s)])  # noqa: E731
    assert play(Analyst(camera(zone=zone)), 40, draw) == []


def quiet(at_s: float) -> Image:
    return picture(at_s)


def switched(at_s: float) -> Image:
    return np.asarray(np.clip(picture(at_s) * (1.0 if int(at_s / 10) % 2 else 0.5), 0, 255), np.uint8)


def shaken(at_s: float) -> Image:
    dx, dy = np.random.default_rng(round(at_s * 10)).normal(0, 1.5, 2)
    matrix = np.array([[1, 0, dx], [0, 1, dy]])
    return np.asarray(cv2.warpAffine(picture(at_s), matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)


def clouded(at_s: float) -> Image:
    shade = 1 - 0.3 / (1 + np.exp(-10 * (np.linspace(0, 1, WIDTH) - (at_s % 20) / 10 + 0.5)))
    return np.asarray(picture(at_s) * shade[None, :, None], np.uint8)


def flashes(at_s: float) -> Image:
    """Drops near the lens: bright, large, at another place each time."""
    image = picture(at_s)
    rng = np.random.default_rng(round(at_s * 100))
    x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
    cv2.line(image, (int(x), int(y)), (int(x) + 8, int(y) + 40), (220, 220, 220), 4)
    return image


@pytest.mark.parametrize("draw", [quiet, switched, shaken, clouded, flashes])
def test_nobody_is_told_of_where_nobody_is(draw: object) -> None:
    assert callable(draw)
    assert play(Analyst(camera(zone=ALL, line=True)), 60, draw) == []


def with_moths(image: Image, at_s: float) -> Image:
    """Streaks near the lens, somewhere else in each picture."""
    rng = np.random.default_rng(round(at_s * 300))
    for _ in range(3):
        x, y = int(rng.integers(20, WIDTH - 20)), int(rng.integers(20, HEIGHT - 20))
        dx, dy = (int(v) for v in rng.integers(-18, 19, 2))
        cv2.line(image, (x, y), (x + dx, y + dy), (250, 250, 250), int(rng.integers(4, 9)))
    return image


def test_moths_are_nobody() -> None:
    settings = camera(line=True, zone=ALL)
    assert play(Analyst(settings), 60, lambda at_s: with_moths(picture(at_s), at_s)) == []


def test_who_walks_among_moths_is_told() -> None:
    who = walk(16, (0.1, 0.8), (0.95, 0.8), 0.07)
    told = play(Analyst(camera(line=True)), 30, lambda at_s: with_moths(picture(at_s, who), at_s))
    assert [(event.kind, event.topic.rpartition("/")[2]) for _, event in told] == [("line-crossed", "left-to-right")]


def test_a_broken_picture_or_two_is_nothing() -> None:
    def draw(at_s: float) -> Image:
        return ground(int(at_s * 3)) if at_s % 10 > 9.4 else picture(at_s)

    assert play(Analyst(camera(zone=ALL, line=True)), 40, draw) == []


def test_out_of_its_hours_a_zone_sees_nothing_and_ends_what_it_saw() -> None:
    who = walk(6, (0.4, 0.8), (0.99, 0.8), 0.03)
    analyst = Analyst(camera(zone={"times": ("08:00-12:30",)}))
    begins = WALL + timedelta(minutes=29, seconds=44)  # the hours end 16 s later
    told = play(analyst, 24, lambda at_s: picture(at_s, who), wall=begins)
    assert brief(told) == [("intrusion", True), ("intrusion", False)]
    assert told[1][0] == pytest.approx(16, abs=0.5)


def test_pictures_of_another_size_or_from_the_past_are_borne() -> None:
    analyst = Analyst(camera(zone=ALL))
    assert play(analyst, 8, quiet) == []
    assert analyst.frame(quiet(1), 10**9, WALL) == ()
    wide = np.zeros((90, 400, 3), np.uint8)
    assert play(analyst, 16, lambda _: wide, start_s=8) == []
