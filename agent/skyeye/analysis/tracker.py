"""Follows things from picture to picture: by place and size, a guess of the speed, and some patience."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import exp, hypot, log
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
LOOK_BACK: Final = 12
"""Places by which it is judged whether something goes."""
CROOKED: Final = 0.12
"""How far its places may lie from an even way, in parts of that way (root of the mean square). People go evenly for a
second or two; insects, leaves and drops that are taken for one do not."""
CHANGE: Final = 1.9
"""By what factor its height may change meanwhile, and its area by the square root of the cube of that."""
SPEED_MAX: Final = 3.5
"""Of its own heights in a second: a child that runs. Moths and drops near the lens are far quicker."""
STRAY_S: Final = 20.0
"""What has come and gone within this time counts as restless air."""
STRAYS: Final = 5.0
"""So many in that time that went nowhere: moths at the infrared lamp, or drops, of which any few in a row may look like
somebody's way: 30 to 60 where one of them is always in sight. People shed some parts of theirs, 3 to 4 where six of
them gather."""
LONG: Final = 8
"""Pictures, of the last LOOK_BACK, in which its foot must be on one even way in restless air: who walks on the ground
goes evenly there, even if only his legs stand out of it and streaks cross him; what flies ends lower or higher from
picture to picture, and hardly any chain of strangers is even for so long."""
LONG_OFF: Final = 0.06
"""How far off that way a foot may be, in parts of the way."""
LONG_CHANGE: Final = 3.0
"""By what factor the height may change meanwhile, and its area by the square of that: a coat may be as grey as the
ground, and legs are half of one; and what flies past adds its own for a picture."""
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
NARROW: Final = 0.5
"""Of that, among moths and drops: else they lead away whom they cross."""
STILL: Final = 0.06
"""Share of a thing that may change by noise while it stands. Standing people stir more, at times."""
STILL_STEP: Final = 0.012
"""Of the picture: how far the box of a thing that stands may wander."""


class Step(NamedTuple):
    """Where the middle of something was, and how large it was."""

    at_ns: int
    place: Point
    foot: Point
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

    def see(self, blob: Blob, now_ns: int, *, restless: bool = False) -> None:
        """It is here; in `restless` air more is asked of what goes."""
        gone_s = max(0.05, (now_ns - self.seen_ns) / 1e9)
        (x, y), (cx, cy) = blob.box.centre, self.box.centre
        share = 0.5 if self.hits > 1 else 1.0
        self.vx += share * ((x - cx) / gone_s - self.vx)
        self.vy += share * ((y - cy) / gone_s - self.vy)
        self.box, self.area, self.ghost, self.hidden = blob.box, blob.area, blob.ghost, False
        self.label = blob.label or self.label
        self.seen_ns = now_ns
        self.hits += 1
        self.path = [*self.path[1 - LOOK_BACK :], Step(now_ns, blob.box.centre, blob.box.foot, blob.box.h, blob.area)]
        self._settle(blob, now_ns)
        if self._goes(now_ns, restless):
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

    def _goes(self, now_ns: int, restless: bool) -> bool:
        """Whether it goes as people do. It may seem a hole, for it hides the edges of a fence; but no hole goes."""
        if self.hits < HITS or now_ns - self.born_ns < AGE_S * 1e9:
            return False
        size = min(self.box.w, self.box.h)
        if _far(self.origin, self.box.centre) < max(REACH_MIN, REACH * size):
            return False
        if restless:
            return self._treads()
        ways = (self.path[-many:] for many in range(HITS, min(len(self.path), LOOK_BACK) + 1))
        return any(self._even(last, [one.place for one in last], CHANGE, CROOKED) for last in ways)

    def _treads(self) -> bool:
        """Whether its foot goes evenly, but for a few pictures in which something crosses it."""
        path = self.path
        for first, start in enumerate(path):
            for end in path[first + LONG - 1 :]:
                net = _far(start.foot, end.foot)
                kept = [one for one in path[first:] if _off(one, start, end) <= LONG_OFF * net]
                if len(kept) >= LONG and self._even(kept, [one.foot for one in kept], LONG_CHANGE, CROOKED, 2.0):
                    return True
        return False

    def _even(
        self, last: Sequence[Step], places: Sequence[Point], change: float, crooked: float, wider: float = 1.5
    ) -> bool:
        """Whether it went evenly lately, at a speed and in a size that people have."""
        size = min(self.box.w, self.box.h)
        heights, areas = [one.height for one in last], [one.area for one in last]
        if max(heights) > change * min(heights) or max(areas) > change**wider * min(areas):
            return False
        net, seconds = _far(places[0], places[-1]), (last[-1].at_ns - last[0].at_ns) / 1e9
        if net > SPEED_MAX * max(heights) * seconds or net < max(STEP_MIN, STEP * size):
            return False
        return _crooked([one.at_ns for one in last], places) <= crooked * net


class Tracker:
    """All that is followed in one picture."""

    def __init__(self, *, sure: bool = False) -> None:
        self._ids = count(1)
        self._sure = sure
        self._strays = 0.0
        self._now_ns = 0
        self.tracks: list[Track] = []

    @property
    def restless(self) -> bool:
        """Whether much comes and goes that is nobody. A detector does not see it."""
        return self._strays > STRAYS and not self._sure

    def clear(self) -> None:
        self.tracks = []  # the air remains what it was

    def follow(self, blobs: Sequence[Blob], now_ns: int) -> list[Track]:
        """Match what is seen with what was followed; return what is followed now, seen or not."""
        free, open_ = dict(enumerate(blobs)), set(range(len(self.tracks)))
        boxes = [track.expected(now_ns) for track in self.tracks]
        pairs = sorted(
            (cost, t, b)
            for t, track in enumerate(self.tracks)
            for b, blob in free.items()
            if (cost := _cost(track, boxes[t], blob, now_ns, narrow=self.restless and track.moved)) is not None
        )
        taken: dict[int, Track] = {}
        for _, t, b in pairs:
            if t in open_ and b in free:
                taken[b] = self.tracks[t]
                self.tracks[t].see(free.pop(b), now_ns, restless=self.restless)
                open_.discard(t)
        for t in open_:
            self._miss(self.tracks[t], boxes[t], blobs, now_ns)
        self._forget(now_ns)
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
        track.path.append(Step(now_ns, blob.box.centre, blob.box.foot, blob.box.h, blob.area))
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

    def _forget(self, now_ns: int) -> None:
        """Follow what is lost no more; what never went anywhere was a stray."""
        self._strays *= exp((self._now_ns - now_ns) / (STRAY_S * 1e9))
        self._now_ns = now_ns
        lost = [track for track in self.tracks if self._lost(track, now_ns)]
        self._strays += sum(not track.moved and track.seen_ns - track.born_ns < STRAY_S * 1e9 for track in lost)
        self.tracks = [track for track in self.tracks if track not in lost]

    def _lost(self, track: Track, now_ns: int) -> bool:
        patience_s = LOST_S if track.moved else 1.2
        return now_ns - track.seen_ns > patience_s * 1e9


def _cost(track: Track, expected: Box, blob: Blob, now_ns: int, *, narrow: bool = False) -> float | None:
    """How unlike they are; None if it cannot be the same. The gate is `narrow` for somebody whose way is known and
    about whom much flies."""
    if track.label and blob.label and track.label != blob.label:
        return None
    away = _far(expected.centre, blob.box.centre)
    size = max(expected.h, expected.w, blob.box.h, blob.box.w)
    waited_s = (now_ns - track.seen_ns) / 1e9
    gate = GATE + 0.5 * size + (0.04 * min(waited_s, LOST_S) if track.moved else 0.0)
    if narrow:
        gate *= NARROW
    if away > gate:
        return None
    ratio = abs(log(max(blob.area, 1e-6) / max(track.area, 1e-6)))
    if ratio > 2.3:
        return None
    return away / gate + 0.4 * ratio - expected.iou(blob.box) - (0.2 if track.moved else 0.0)


def _strayed(a: Box, b: Box) -> float:
    return max(abs(a.x - b.x), abs(a.y - b.y), abs(a.x + a.w - b.x - b.w), abs(a.y + a.h - b.y - b.h)) / 2


def _off(one: Step, start: Step, end: Step) -> float:
    """How far a foot is from where it would be on the even way between two others."""
    part = (one.at_ns - start.at_ns) / (end.at_ns - start.at_ns)
    x, y = (a + part * (b - a) for a, b in zip(start.foot, end.foot, strict=True))
    return _far(one.foot, (x, y))


def _crooked(at_ns: Sequence[int], path: Sequence[Point]) -> float:
    """How far places lie from an even way through them: root of the mean square."""
    times = (np.array(at_ns, np.float64) - at_ns[0]) / 1e9
    places = np.array(path, np.float64)
    steps = np.stack([times, np.ones_like(times)], axis=1)
    way, *_ = np.linalg.lstsq(steps, places, rcond=None)
    return float(np.sqrt(((steps @ way - places) ** 2).sum(axis=1).mean()))


def _far(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])
