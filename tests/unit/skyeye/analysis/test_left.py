"""What stands is told from the ground by its edges, of light and of colour."""

import numpy as np
import pytest

from agent.skyeye.analysis.geometry import Box
from agent.skyeye.analysis.left import LeftThings
from agent.skyeye.analysis.motion import Plane, Sight
from agent.skyeye.analysis.tracker import Track

SECOND = 1_000_000_000
NOW = 100 * SECOND


def floor() -> Plane:
    """Tiles: luma and chroma."""
    picture = np.full((180, 320, 3), 128, np.uint8)
    picture[::6, :, 0] = picture[:, ::6, 0] = 90
    return picture


@pytest.mark.parametrize("plane", [1, 2])
def test_a_bag_as_bright_as_the_floor_stands_out_by_its_colour(plane: int) -> None:
    picture = floor()
    picture[100:120, 200:218, plane] = 200
    thing = Track(1, Box(200 / 320, 100 / 180, 18 / 320, 20 / 180), NOW - 10 * SECOND, NOW, still_ns=NOW - 8 * SECOND)
    assert len(LeftThings().look(Sight((), True, picture, floor()), [thing], NOW)) == 1


def test_the_floor_itself_in_a_shade_is_no_thing() -> None:
    picture = floor()
    picture[95:125, 195:223, 0] = picture[95:125, 195:223, 0] * 0.7
    thing = Track(1, Box(200 / 320, 100 / 180, 18 / 320, 20 / 180), NOW - 10 * SECOND, NOW, still_ns=NOW - 8 * SECOND)
    assert LeftThings().look(Sight((), True, picture, floor()), [thing], NOW) == []
