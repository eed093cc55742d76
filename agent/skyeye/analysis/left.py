"""Things left behind: new, still, not a hole, and nobody beside them any more.

Once something stands still it is known by its edges, as they were before it and with it. So light may change, and
people may walk past, without it being taken for gone or for new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.skyeye.analysis.geometry import Box
from agent.skyeye.analysis.motion import Plane, Sight
from agent.skyeye.analysis.tracker import HITS, Track

STILL_S: Final = 4.0
"""Nobody stands so still; a thing put down does."""
AREA_MAX: Final = 0.04
"""Of the picture: a parked car near the camera is not what is looked for."""
PART: Final = 0.6
"""Of what walked in: the bag is taken for its owner now and then, when they part; who came whole is a person."""
NEAR: Final = 1.0
"""Parts of a person's height: who is nearer still has the thing."""
ALONE_S: Final = 4.0
"""For how long nobody must have been near, once: passers-by do not make it theirs."""
STAYS_S: Final = 4.0
"""Who is near for so long does not pass by: it may be the owner, who was not seen for a moment."""
AWAKE_S: Final = 30.0
"""Whoever waits stirs within this time; what does not is no owner, but perhaps another thing, or a door left open."""
STIR_S: Final = 5.0
GONE_S: Final = 2.0
HELD_S: Final = 1800.0
"""After this it belongs to the scene."""
NEW: Final = 0.85
"""Correlation with the edges of the ground above which there is nothing."""
ALIKE: Final = 0.25
"""Correlation with its own edges below which it is gone, whatever is there now."""
ITEMS_MAX: Final = 8


@dataclass(slots=True, eq=False)
class Item:
    """One thing that stands where nothing was."""

    box: Box
    since_ns: int
    with_it: NDArray[np.float32]
    """The edges of its place, with it and without."""
    without: NDArray[np.float32]
    labels: frozenset[str]
    alone_ns: int | None = None
    """Since when nobody is near."""
    near_ns: int | None = None
    """Since when somebody is."""
    owned: bool = True
    missing_ns: int | None = None


class LeftThings:
    """The things that stand in one picture."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def look(self, sight: Sight, tracks: Sequence[Track], now_ns: int) -> list[Item]:
        """Take the next picture; return what stands, owned or not."""
        people = [track for track in tracks if _lives(track, now_ns)]
        for item in self.items:
            self._check(item, sight, people, now_ns)
        self.items = [item for item in self.items if not self._over(item, now_ns)]
        for track in tracks:
            if self._stands(track, now_ns) and not any(item.box.overlap(track.box) for item in self.items):
                self._add(track, sight)
        return self.items

    def _stands(self, track: Track, now_ns: int) -> bool:
        return (
            track.still_ns is not None
            and now_ns - track.still_ns >= STILL_S * 1e9
            and not (track.ghost or track.hidden)
            and (not track.moved or track.area < PART * track.walking_area)
            and track.area <= AREA_MAX
            and track.seen_ns == now_ns
            and len(self.items) < ITEMS_MAX
        )

    def _add(self, track: Track, sight: Sight) -> None:
        assert track.still_ns is not None
        now, before = _patch(sight.picture, track.box), _patch(sight.background, track.box)
        if now.shape == before.shape and _alike(now, before) < NEW:
            labels = frozenset({track.label} if track.label else ())
            self.items.append(Item(track.box, track.still_ns, now, before, labels))

    def _check(self, item: Item, sight: Sight, people: Sequence[Track], now_ns: int) -> None:
        others = [one for one in people if one.box.iou(item.box) < 0.3]
        near = [one for one in others if one.box.gap(item.box) <= NEAR * max(one.box.h, item.box.h)]
        if near:
            item.alone_ns, item.near_ns = None, item.near_ns or now_ns
            item.owned = item.owned or now_ns - item.near_ns >= STAYS_S * 1e9
        elif item.alone_ns is None:
            item.alone_ns, item.near_ns = now_ns, None
        elif now_ns - item.alone_ns >= ALONE_S * 1e9:
            item.owned = False
        if any(one.box.overlap(item.box) for one in others):
            return  # somebody is in the way
        patch = _patch(sight.picture, item.box)
        there = patch.shape == item.with_it.shape and _alike(patch, item.with_it) > max(
            ALIKE, _alike(patch, item.without)
        )
        if there:
            item.missing_ns = None
        elif item.missing_ns is None:
            item.missing_ns = now_ns

    def _over(self, item: Item, now_ns: int) -> bool:
        gone = item.missing_ns is not None and now_ns - item.missing_ns >= GONE_S * 1e9
        return gone or now_ns - item.since_ns >= HELD_S * 1e9


def _lives(track: Track, now_ns: int) -> bool:
    """Whether it may be somebody: also one who was not seen to come, as long as he stirs."""
    still_s = (now_ns - track.stirred_ns) / 1e9
    return not track.ghost and track.hits >= HITS and still_s < (AWAKE_S if track.moved else STIR_S)


def _patch(plane: Plane, box: Box) -> NDArray[np.float32]:
    """The edges of a place and a little around it, of light and of colour: a bag may be as bright as the ground."""
    height, width = plane.shape[:2]
    left, top = max(0, int(box.x * width) - 3), max(0, int(box.y * height) - 3)
    right, low = min(width, int((box.x + box.w) * width) + 4), min(height, int((box.y + box.h) * height) + 4)
    part = cv2.GaussianBlur(plane[top:low, left:right], (3, 3), 0)
    across, down = (cv2.Sobel(part, cv2.CV_32F, dx, dy, ksize=3) for dx, dy in ((1, 0), (0, 1)))
    return np.stack([np.asarray(across, np.float32), np.asarray(down, np.float32)])


def _alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation of two patches of edges: 1 for the same, whatever the contrast."""
    both = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / both if both > 0 else 0.0
