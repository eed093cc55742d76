"""Zones, lines and boxes."""

import pytest

from agent.skyeye.analysis.geometry import Box, crosses, inside, side

L_SHAPE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.3, 0.3), (0.3, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("place", "wanted"),
    [((0.1, 0.9), True), ((0.9, 0.1), True), ((0.9, 0.9), False), ((0.31, 0.31), False), ((1.1, 0.1), False)],
)
def test_a_zone_need_not_be_convex(place: tuple[float, float], wanted: bool) -> None:
    assert inside(place, L_SHAPE) is wanted


def test_left_and_right_are_those_of_who_walks_from_start_to_end() -> None:
    up = ((0.5, 1.0), (0.5, 0.0))  # away from the camera
    assert side((0.2, 0.5), *up) == pytest.approx(-0.3)
    assert side((0.9, 0.5), *up) == pytest.approx(0.4)
    assert side((0.2, 0.5), *reversed(up)) == pytest.approx(0.3)
    assert side((0.2, 0.5), (0.5, 0.5), (0.5, 0.5)) == 0


def test_a_way_crosses_only_between_the_ends_of_a_line() -> None:
    line = ((0.5, 0.2), (0.5, 0.6))
    assert crosses((0.4, 0.4), (0.6, 0.4), *line)
    assert crosses((0.6, 0.4), (0.4, 0.4), *line)
    assert not crosses((0.4, 0.8), (0.6, 0.8), *line)
    assert not crosses((0.4, 0.4), (0.45, 0.4), *line)


def test_boxes() -> None:
    one, other = Box(0, 0, 0.4, 0.4), Box(0.2, 0.2, 0.4, 0.4)
    assert one.iou(other) == pytest.approx(0.04 / 0.28)
    assert one.iou(Box(0.5, 0.5, 0.1, 0.1)) == 0
    assert one.gap(Box(0.5, 0.1, 0.1, 0.1)) == pytest.approx(0.1)
    assert one.gap(other) == 0
    assert one.around(other) == Box(0, 0, pytest.approx(0.6), pytest.approx(0.6))  # type: ignore[arg-type]
    assert one.foot == (0.2, 0.4)
    assert one.moved(0.1, 0.2) == Box(0.1, 0.2, 0.4, 0.4)
