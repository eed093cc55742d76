"""How many are counted as a crowd, from what is followed alone."""

from dataclasses import replace

import pytest

from agent.camera import CameraEvent
from agent.skyeye.analysis.geometry import Box
from agent.skyeye.analysis.rules import Scene, ZoneRule
from agent.skyeye.analysis.tracker import Track
from tests.unit.skyeye.analysis.make import WALL, camera

SECOND = 1_000_000_000
NOW = 100 * SECOND


def person(
    id_: int, x: float, *, y: float = 0.5, h: float = 0.3, moved: bool = True, hidden: bool = False, ghost: bool = False
) -> Track:
    """Somebody who is followed; `y` is the upper edge of what is seen of him."""
    box = Box(x, y, 0.05, h)
    return Track(id_, box, NOW - 20 * SECOND, NOW, hits=60, moved=moved, hidden=hidden, ghost=ghost)


def told(*tracks: Track, crowd: int = 4) -> bool:
    """Whether they are a crowd, once they have been there for long enough."""
    rule = ZoneRule(camera(zone={"detect": ("crowd",), "crowd": crowd}).zones[0])
    events: list[CameraEvent] = []
    for second in range(4):
        now_ns = NOW + second * SECOND
        rule.take(Scene(now_ns, [replace(one, seen_ns=now_ns) for one in tracks], ()), WALL, events.append)
    return [event.active for event in events] == [True]


TWO = (person(1, 0.55), person(2, 0.65))


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        ((person(3, 0.75), person(4, 0.85)), True),
        ((person(3, 0.75), person(4, 0.85, moved=False)), True),
        ((person(3, 0.75, moved=False), person(4, 0.85, moved=False)), True),
        ((person(3, 0.75), person(4, 0.85, hidden=True)), True),
        ((person(3, 0.75), person(4, 0.85, moved=False, ghost=True)), False),
        ((person(3, 0.75), person(4, 0.85, y=0.7, h=0.1, moved=False)), False),
        ((person(3, 0.75), person(4, 0.1)), False),
    ],
    ids=["went", "stands", "two stand", "hidden", "hole", "bag", "outside"],
)
def test_who_counts(others: tuple[Track, ...], wanted: bool) -> None:
    assert told(*TWO, *others) is wanted


def test_a_head_and_its_legs_are_one() -> None:
    head, legs = person(3, 0.75, y=0.4, h=0.16), person(4, 0.75, y=0.62, h=0.18)
    assert not told(*TWO, head, legs)
    assert told(*TWO, head, legs, crowd=3)


def test_who_is_hidden_may_be_the_one_who_stands_there() -> None:
    assert not told(*TWO, person(3, 0.75, hidden=True), person(4, 0.85, moved=False))


def test_where_nobody_went_nobody_is_a_crowd() -> None:
    standing = [person(number, 0.5 + number / 20, moved=False) for number in range(1, 9)]
    assert not told(*standing)
