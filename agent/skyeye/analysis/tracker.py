"""Follows things from picture to picture: by place and size, a guess of the speed, and some patience."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import hypot, log
from typing import Final, NamedTuple

import numpy as np

from agent.skyeye.analysis.geometry import Box, Point
from agent.skyeye.analysis.motion import Blob

LOST_S: Final = 3.0
"""Behind a pillar or another person; then it is somebody new."""
HIDDEN_S: Final = 20.0
"""Within the blob of a group."""
HITS: Final = 5
"""Pictures until something can be a thing: drops, flashes and broken pictures last one or two."""
AGE_S: Final = 1.2
LOOK_BACK: Final = 8
"""Places by which it is judged whether something goes."""
CROOKED: Final = 0.12
"""How far its places may lie from an even way, in parts of that way (root of the mean square). People go evenly for a
second or two; insects, leaves and drops that are taken for one do not."""
CHANGE: Final = 1.9
"""By what factor its height may change meanwhile, and its area by the square root of the cube of that."""
SPEED_MAX: Final = 3.5
"""Of its own heights in a second: a child that runs. Moths and drops near the lens are far quicker."""
REACH: Final = 1.2
"""Parts of its own size that it must be away from where it was first seen: branches swing, and come back."""
REACH_MIN: Final = 0.035
STEP: Final = 0.5
"""Parts of its own size that something must have gone to be something that goes."""
STEP_MIN: Final = 0.02
"""Of the picture."""
SPLIT: Final = 1.6
"""By what factor at most the area differs of two who part: a bag and its owner are further apart."""
GATE: Final = 0.05
"""Of the picture, and half its own size, is how far something may be from where it was expected."""
STILL: Final = 0.06
"""Share of a thing that may change by noise while it stands. Standing people stir more, at times."""
STILL_STEP: Final = 0.012
"""Of the picture: how far the box of a thing that stands may wander."""


class Step(NamedTuple):
    """Where the middle of something was, and how large it was."""

    at_ns: int
    place: Point
    height: float
    area: float


@dataclass(slots=True, eq=False)
class Track:
    """One thing that is followed."""

    id: int
    box: Box
    born_ns: int
    seen_ns: int
    area: float = 0.0
    label: str | None = None
    ghost: bool = False
    hits: int = 1
    moved: bool = False
    """It has gone somewhere since it came: what tells a person from a leaf."""
    walking_area: float = 0.0
    """How large it was while it went."""
    hidden: bool = False
    """Within the blob of another."""
    vx: float = 0.0
    vy: float = 0.0
    stirred_ns: int = 0
    """When a part of it last moved."""
    still_ns: int | None = None
    """Since when it neither goes nor stirs."""
    rest: Box | None = None
    origin: Point = (0.0, 0.0)
    """Where it was first seen."""
    path: list[Step] = field(default_factory=list)
    """Its last steps."""

    @property
    def foot(self) -> Point:
        return self.box.foot

    def expected(self, now_ns: int) -> Box:
        """Where it should be by now; the guess is trusted for a second."""
        ahead_s = min(1.0, (now_ns - self.seen_ns) / 1e9)
        return self.box.moved(self.vx * ahead_s, self.vy * ahead_s)

    def see(self, blob: Blob, now_ns: int) -> None:
        """It is here."""
        gone_s = max(0.05, (now_ns - self.seen_ns) / 1e9)
        (x, y), (cx, cy) = blob.box.centre, self.box.centre
        share = 0.5 if self.hits > 1 else 1.0
        self.vx += share * ((x - cx) / gone_s - self.vx)
        self.vy += share * ((y - cy) / gone_s - self.vy)
        self.box, self.area, self.ghost, self.hidden = blob.box, blob.area, blob.ghost, False
        self.label = blob.label or self.label
        self.seen_ns = now_ns
        self.hits += 1
        self.path = [*self.path[1 - LOOK_BACK :], Step(now_ns, blob.box.centre, blob.box.h, blob.area)]
        self._settle(blob, now_ns)
        if self._goes(now_ns):
            self.moved = True
            self.walking_area = max(self.walking_area, blob.area)

    def _settle(self, blob: Blob, now_ns: int) -> None:
        if blob.stir > STILL:
            self.stirred_ns = now_ns
        strayed = self.rest is None or _strayed(self.rest, blob.box) > STILL_STEP
        if blob.stir > STILL or strayed:
            self.still_ns, self.rest = None, blob.box
        elif self.still_ns is None:
            self.still_ns = now_ns

    def _goes(self, now_ns: int) -> bool:
        if self.hits < HITS or now_ns - self.born_ns < AGE_S * 1e9 or self.ghost:
            return False
        size = min(self.box.w, self.box.h)
        if _far(self.origin, self.box.centre) < max(REACH_MIN, REACH * size):
            return False
        for many in range(HITS, min(len(self.path), LOOK_BACK) + 1):
            last = self.path[-many:]
            heights, areas = [one.height for one in last], [one.area for one in last]
            if max(heights) > CHANGE * min(heights) or max(areas) > CHANGE**1.5 * min(areas):
                return False
            net = _far(last[0].place, last[-1].place)
            quick = net > SPEED_MAX * max(heights) * (last[-1].at_ns - last[0].at_ns) / 1e9
            if not quick and net >= max(STEP_MIN, STEP * size) and _crooked(last) <= CROOKED * net:
                return True
        return False


class Tracker:
    """All that is followed in one picture."""

    def __init__(self, *, sure: bool = False) -> None:
        self._ids = count(1)
        self._sure = sure
        self.tracks: list[Track] = []

    def clear(self) -> None:
        self.tracks = []

    def follow(self, blobs: Sequence[Blob], now_ns: int) -> list[Track]:
        """Match what is seen with what was followed; return what is followed now, seen or not."""
        free, open_ = dict(enumerate(blobs)), set(range(len(self.tracks)))
        boxes = [track.expected(now_ns) for track in self.tracks]
        pairs = sorted(
            (cost, t, b)
            for t, track in enumerate(self.tracks)
            for b, blob in free.items()
            if (cost := _cost(track, boxes[t], blob, now_ns)) is not None
        )
        taken: dict[int, Track] = {}
        for _, t, b in pairs:
            if t in open_ and b in free:
                taken[b] = self.tracks[t]
                self.tracks[t].see(free.pop(b), now_ns)
                open_.discard(t)
        for t in open_:
            self._miss(self.tracks[t], boxes[t], blobs, now_ns)
        self.tracks = [track for track in self.tracks if not self._lost(track, now_ns)]
        for blob in free.values():
            self.tracks.append(self._new(blob, now_ns))
        if self._sure:
            for track in self.tracks:
                track.moved = track.moved or track.hits >= HITS
        return self.tracks

    def _new(self, blob: Blob, now_ns: int) -> Track:
        track = Track(next(self._ids), blob.box, now_ns, now_ns, blob.area, blob.label, blob.ghost)
        track.stirred_ns, track.rest = now_ns, blob.box
        track.walking_area = blob.area
        track.moved = not blob.ghost and any(self._parted(one, blob, now_ns) for one in self.tracks)
        track.origin = blob.box.centre
        track.path.append(Step(now_ns, blob.box.centre, blob.box.h, blob.area))
        return track

    def _parted(self, one: Track, blob: Blob, now_ns: int) -> bool:
        """Whether a new blob is somebody who was taken for a part of `one`: people who pass each other and part."""
        alike = blob.area <= SPLIT * one.area and one.area <= SPLIT * blob.area
        recent = now_ns - one.seen_ns <= 1e9
        return one.moved and recent and alike and one.box.gap(blob.box) <= 0.25 * blob.box.h

    def _miss(self, track: Track, expected: Box, blobs: Sequence[Blob], now_ns: int) -> None:
        """It is not seen by itself: perhaps it is within a group, and goes with it."""
        over = [blob for blob in blobs if blob.box.overlap(expected) > 0.5 * expected.area]
        since_s = (now_ns - (track.path[-1].at_ns if track.path else track.born_ns)) / 1e9
        if track.moved and over and since_s < HIDDEN_S:
            track.hidden = True
            track.box, track.seen_ns = expected, now_ns
            track.vx, track.vy = track.vx * 0.7, track.vy * 0.7

    def _lost(self, track: Track, now_ns: int) -> bool:
        patience_s = LOST_S if track.moved else 1.2
        return now_ns - track.seen_ns > patience_s * 1e9


def _cost(track: Track, expected: Box, blob: Blob, now_ns: int) -> float | None:
    """How unlike they are; None if it cannot be the same."""
    if track.label and blob.label and track.label != blob.label:
        return None
    away = _far(expected.centre, blob.box.centre)
    size = max(expected.h, expected.w, blob.box.h, blob.box.w)
    waited_s = (now_ns - track.seen_ns) / 1e9
    gate = GATE + 0.5 * size + (0.04 * min(waited_s, LOST_S) if track.moved else 0.0)
    if away > gate:
        return None
    ratio = abs(log(max(blob.area, 1e-6) / max(track.area, 1e-6)))
    if ratio > 2.3:
        return None
    return away / gate + 0.4 * ratio - expected.iou(blob.box) - (0.2 if track.moved else 0.0)


def _strayed(a: Box, b: Box) -> float:
    return max(abs(a.x - b.x), abs(a.y - b.y), abs(a.x + a.w - b.x - b.w), abs(a.y + a.h - b.y - b.h)) / 2


def _crooked(path: Sequence[Step]) -> float:
    """How far places lie from an even way through them: root of the mean square."""
    times = np.array([one.at_ns - path[0].at_ns for one in path], np.float64) / 1e9
    places = np.array([one.place for one in path], np.float64)
    steps = np.stack([times, np.ones_like(times)], axis=1)
    way, *_ = np.linalg.lstsq(steps, places, rcond=None)
    return float(np.sqrt(((steps @ way - places) ** 2).sum(axis=1).mean()))


def _far(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])
