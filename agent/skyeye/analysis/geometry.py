"""Boxes, zones and lines. Places are parts of the picture's width and height, from its upper left corner."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal, TypeAlias

Point: TypeAlias = tuple[float, float]
Direction = Literal["left-to-right", "right-to-left"]


@dataclass(frozen=True, slots=True)
class Box:
    """Upper left corner, width and height."""

    x: float
    y: float
    w: float
    h: float

    @property
    def area(self) -> float:
        return self.w * self.h

    @property
    def centre(self) -> Point:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def foot(self) -> Point:
        """Where what stands in the box touches the ground."""
        return self.x + self.w / 2, self.y + self.h

    def overlap(self, other: "Box") -> float:
        """The area that both share."""
        wide = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        high = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return wide * high if wide > 0 and high > 0 else 0.0

    def iou(self, other: "Box") -> float:
        """Shared area by common area: 1 for the same box."""
        shared = self.overlap(other)
        return shared / (self.area + other.area - shared) if shared else 0.0

    def gap(self, other: "Box") -> float:
        """How far apart they are, along the axis where they are furthest; 0 if they touch."""
        wide = max(self.x, other.x) - min(self.x + self.w, other.x + other.w)
        high = max(self.y, other.y) - min(self.y + self.h, other.y + other.h)
        return max(wide, high, 0.0)

    def around(self, other: "Box") -> "Box":
        """The box around both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right, low = max(self.x + self.w, other.x + other.w), max(self.y + self.h, other.y + other.h)
        return Box(x, y, right - x, low - y)

    def moved(self, dx: float, dy: float) -> "Box":
        return Box(self.x + dx, self.y + dy, self.w, self.h)


def inside(place: Point, polygon: Sequence[Point]) -> bool:
    """Whether a place is in a polygon, by counting the edges to its right; such a polygon need not be convex."""
    x, y = place
    odd = False
    for (ax, ay), (bx, by) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
            odd = not odd
    return odd


def side(place: Point, start: Point, end: Point) -> float:
    """How far a place is from the line through `start` and `end`: positive on the right hand of who walks from start
    to end in the picture (whose y runs downward), negative on the left."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    if length == 0:
        return 0.0
    return (dx * (place[1] - start[1]) - dy * (place[0] - start[0])) / length


def crosses(before: Point, after: Point, start: Point, end: Point) -> bool:
    """Whether the way from `before` to `after` meets the line between its two ends."""
    a, b = side(before, start, end), side(after, start, end)
    c, d = side(start, before, after), side(end, before, after)
    return a * b < 0 and c * d <= 0
