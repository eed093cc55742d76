"""What is new in a picture: background subtraction that bears weather, light switches and a mast in the wind.

OpenCV's MOG2 at 320 pixels of width, on luma and chroma, and around it what it lacks. The shift of a shaking camera is
found by phase correlation and taken back; the light that comes and goes over large parts (clouds, automatic exposure)
is a field of medians and is taken off; a pixel counts only if it is none of the background's around it; places that are
restless by themselves (leaves, water, flags) are learned; what has no edges of its own is light and no thing.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.skyeye.analysis.geometry import Box
from agent.skyeye.model import Image

WIDTH: Final = 320
"""A person of a twentieth of the picture's height still has 9 rows; 2.5 ms a picture on one core."""
WARM_S: Final = 3.0
"""From the first picture, until the background is known well enough to look for what is new."""
LISTEN_S: Final = 3.0
"""After that, until it is known what is restless by itself, and something may be told."""
SETTLE_S: Final = 1.5
"""Cameras need about a second to set exposure and white balance after a light is switched."""
MEMORY_S: Final = 100.0
"""Of the background. What stands still and is not known is part of it after a tenth of this. OpenCV's own rate is far
higher after the start, when it would swallow a bag within 3 s."""
LIGHT_SHARE: Final = 0.35
"""More of the picture than this is changed by light or by a hand, not by people."""
LIGHT_JUMP: Final = 14.0
"""Levels by which the median of the picture jumps when a light is switched; walking people do not move a median."""
SHIFT_MAX: Final = 0.06
"""Of the width; a larger shift is a turned camera and becomes a new background."""
SHIFT_SURE: Final = 0.08
"""Response of the phase correlation below which there is no telling (a flat or dark picture)."""
LEVEL: Final = 11.0
"""Grey levels that something must differ by: twice what H.264 leaves around edges at a substream's rate."""
CHROMA: Final = 11.0
"""The same for colour, which H.264 keeps at half the resolution: a green bag on grey ground."""
EDGE: Final = 22.0
"""Gradient that a contour must have beyond that of the background."""
BRIGHTER: Final = 1.6
"""More light makes the edges of the ground stronger, too: by as much as this."""
COVERED: Final = 2.0
"""By what factor an edge of the ground must be weaker to be covered, and by EDGE: who stands before a fence hides its
bars, though coat and shadow may be of the greys that are there already. Shade weakens edges by less than this."""
GHOST: Final = 1.3
"""Where the background has edges around a blob and the picture has fewer, something has gone away."""
CONTOUR: Final = 0.35
"""Pixels of new edges by half the circumference: people have over 1, shadows of clouds and pools of light near 0."""
TINTED: Final = 0.5
"""Of something, so much in another colour than the ground's: then it needs no edges. Light hardly changes colours."""
RESTLESS_S: Final = 25.0
RESTLESS: Final = 0.1
"""A place that comes and goes in more of the pictures than this, and is nobody that is followed, is leaves or water."""
AREA_MIN: Final = 0.0008
"""Of the picture: 46 pixels of 320x180, a person of 5 x 10."""
AREA_MAX: Final = 0.5

Plane: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that is not the background. `stir` is the share of it that changed since the picture before."""

    box: Box
    area: float
    stir: float
    ghost: bool = False
    """Not something that came, but the hole where something was."""
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one picture showed."""

    blobs: tuple[Blob, ...]
    settled: bool
    """False while the background is being learned (again): nothing can be said of the picture."""
    picture: Plane
    """Luma and chroma, steadied and evened."""
    background: Plane


class Motion:
    """The background of one camera."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._model = cv2.createBackgroundSubtractorMOG2(round(MEMORY_S * fps), 20.0, False)
        self._size: tuple[int, int] | None = None
        self._warm_ns = self._listen_ns = 0
        self._before: Plane | None = None
        self._seen: Plane | None = None
        self._median = 0.0
        self._restless: NDArray[np.float32] = np.zeros((1, 1), np.float32)
        self._window: NDArray[np.float32] = np.zeros((1, 1), np.float32)
        self._flooded = 0

    def look(self, image: Image, now_ns: int, known: tuple[Box, ...]) -> Sight:
        """Take the next picture. `known` is what is followed: it is not learned as background."""
        picture = self._shrink(image, now_ns)
        if self._switched(picture[..., 0]) and self._before is not None:
            self._again(picture, now_ns)
        if self._before is None or now_ns < self._warm_ns:
            return self._learn(picture)
        background = np.asarray(self._model.getBackgroundImage(), np.uint8)
        picture = _evened(self._steadied(picture, background), background)
        mask = self._masked(known)
        learned = np.where(mask[..., None] > 0, background, picture) if known else picture
        raw = np.asarray(self._model.apply(learned, learningRate=1 / (MEMORY_S * self._fps)), np.uint8) | mask
        light, tint = _differs(picture, background)
        edges = _Edges.of(picture, background)
        raw &= light | tint | edges.covered
        self._flooded = self._flooded + 1 if cv2.countNonZero(raw) > LIGHT_SHARE * raw.size else 0
        if self._flooded >= 2:  # one picture may be broken
            self._again(picture, now_ns)
            return self._learn(picture)
        grey = picture[..., 0]
        listening = now_ns < self._listen_ns
        blobs = () if self._flooded else self._blobs(raw, grey, edges, mask, tint, listening)
        self._before = grey
        return Sight(blobs, not (self._flooded or listening), picture, background)

    def _shrink(self, image: Image, now_ns: int) -> Plane:
        """The picture at the size of the analysis, as luma and chroma."""
        height, width = image.shape[:2]
        size = WIDTH, max(16, round(WIDTH * height / width))
        if size != self._size:
            self._size, self._before, self._seen = size, None, None
            self._warm_ns = now_ns + round(WARM_S * 1e9)
            self._listen_ns = self._warm_ns + round(LISTEN_S * 1e9)
            self._restless = np.zeros((size[1], size[0]), np.float32)
            self._window = np.asarray(cv2.createHanningWindow((size[0] // 2, size[1] // 2), cv2.CV_32F), np.float32)
        small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb), np.uint8)

    def _switched(self, grey: Plane) -> bool:
        before, self._median = self._median, float(np.median(grey[::4, ::4]))
        return abs(self._median - before) > LIGHT_JUMP

    def _again(self, picture: Plane, now_ns: int) -> None:
        """Begin anew: the light has changed, or the camera looks elsewhere."""
        self._warm_ns = max(self._warm_ns, now_ns + round(SETTLE_S * 1e9))
        self._flooded = 0
        self._model.apply(picture, learningRate=1.0)

    def _learn(self, picture: Plane) -> Sight:
        first, self._before = self._before is None, picture[..., 0]
        self._model.apply(picture, learningRate=1.0 if first else 0.25)
        background = np.asarray(self._model.getBackgroundImage(), np.uint8)
        return Sight((), False, picture, background)

    def _steadied(self, picture: Plane, background: Plane) -> Plane:
        """Take back the shift of a shaking camera."""
        height, width = picture.shape[:2]
        grey, ground = picture[..., 0], background[..., 0]
        half = width // 2, height // 2
        a, b = (cv2.resize(one, half, interpolation=cv2.INTER_AREA).astype(np.float32) for one in (ground, grey))
        (dx, dy), response = cv2.phaseCorrelate(a, b, self._window)
        dx, dy = 2 * dx, 2 * dy
        if response < SHIFT_SURE or max(abs(dx), abs(dy)) < 0.25 or max(abs(dx), abs(dy)) > SHIFT_MAX * width:
            return picture
        matrix = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        moved = np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
        better = cv2.norm(moved[..., 0], ground, cv2.NORM_L1) < 0.97 * cv2.norm(grey, ground, cv2.NORM_L1)
        return moved if better else picture

    def _masked(self, known: tuple[Box, ...]) -> Plane:
        assert self._size
        width, height = self._size
        mask: Plane = np.zeros((height, width), np.uint8)
        for box in known:
            left, top = int(box.x * width) - 3, int(box.y * height) - 3
            right, low = int((box.x + box.w) * width) + 4, int((box.y + box.h) * height) + 4
            mask[max(0, top) : max(0, low), max(0, left) : max(0, right)] = 255
        return mask

    def _blobs(
        self, raw: Plane, grey: Plane, edges: "_Edges", mask: Plane, tint: Plane, listening: bool
    ) -> tuple[Blob, ...]:
        assert self._before is not None
        seen = np.asarray(cv2.morphologyEx(raw, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
        rate = 1 / ((2 * LISTEN_S if listening else RESTLESS_S) * self._fps)
        flips = (seen ^ self._seen) & ~mask if self._seen is not None else np.zeros_like(seen)
        self._seen = seen.copy()
        cv2.accumulateWeighted(flips.astype(np.float32) / 255, self._restless, rate)
        restless = cv2.dilate((self._restless > RESTLESS).astype(np.uint8), np.ones((5, 5), np.uint8))
        seen[(restless > 0) & (mask == 0)] = 0
        seen = np.asarray(cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8)), np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
        if count <= 1:
            return ()
        stirred = cv2.absdiff(grey, self._before) > LEVEL
        blobs = []
        for index in range(1, count):
            x, y, w, h, pixels = (int(one) for one in stats[index])
            if not AREA_MIN <= pixels / seen.size <= AREA_MAX or h < 6 or w < 3:
                continue
            part = np.s_[max(0, y - 1) : y + h + 1, max(0, x - 1) : x + w + 1]
            own = (labels[part] == index).astype(np.uint8)
            rim = cv2.morphologyEx(own, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
            coloured = (tint[part] & (own * 255)).sum() > TINTED * 255 * pixels
            changed = (edges.come[part] & rim) | ((edges.covered[part] & own) > 0)
            if changed.sum() < CONTOUR * (w + h) and not coloured:
                continue
            stir = float((stirred[part] & (own > 0)).sum() / pixels)
            ghost = bool(edges.gone[part][rim].mean() > GHOST * edges.fresh[part][rim].mean())
            height, width = seen.shape
            box = Box(x / width, y / height, w / width, h / height)
            blobs.append(Blob(box, pixels / seen.size, stir, ghost))
        return tuple(blobs)


def _evened(picture: Plane, background: Plane) -> Plane:
    """Take off what the light has changed over parts that are larger than any thing, and what white balance has."""
    height, width = picture.shape[:2]
    small = (width // 4, height // 4)
    g, b = (cv2.resize(one, small, interpolation=cv2.INTER_AREA).astype(np.int16) for one in (picture, background))
    half = np.clip((g[..., 0] - b[..., 0]) // 2 + 128, 0, 255).astype(np.uint8)
    field = cv2.medianBlur(half, 31)
    field = cv2.resize(cv2.blur(field, (9, 9)), (width, height), interpolation=cv2.INTER_LINEAR)
    out = picture.astype(np.int16)
    out[..., 0] -= (field.astype(np.int16) - 128) * 2
    out[..., 1:] -= np.median(g[..., 1:] - b[..., 1:], axis=(0, 1)).astype(np.int16)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _differs(picture: Plane, background: Plane) -> tuple[Plane, Plane]:
    """Where a pixel is beyond all of the background around it, in light and in colour: a shift of a pixel, or ringing,
    is not."""
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(background, kernel), cv2.dilate(background, kernel)
    beyond = cv2.max(cv2.subtract(low, picture), cv2.subtract(picture, high))
    noise = float(np.mean(cv2.absdiff(picture[::3, ::3, 0], background[::3, ::3, 0])))
    more = min(20.0, 2.0 * max(0.0, noise - 2.0))
    light = cv2.threshold(beyond[..., 0], LEVEL + more, 255, cv2.THRESH_BINARY)[1]
    tint = cv2.threshold(cv2.max(beyond[..., 1], beyond[..., 2]), CHROMA + more, 255, cv2.THRESH_BINARY)[1]
    return np.asarray(light, np.uint8), np.asarray(tint, np.uint8)


@dataclass(frozen=True, slots=True)
class _Edges:
    """The edges of the picture and of its background, and what became of them."""

    fresh: NDArray[np.float32]
    gone: NDArray[np.float32]
    come: NDArray[np.bool_]
    """Where one is new."""
    covered: Plane
    """Where one of the ground is not seen any more, nor a pixel beside."""

    @classmethod
    def of(cls, picture: Plane, background: Plane) -> "_Edges":
        fresh, gone = _edges(picture[..., 0]), _edges(background[..., 0])
        near = cv2.dilate(fresh, np.ones((3, 3), np.uint8))
        covered = (gone > COVERED * near + EDGE).astype(np.uint8) * 255
        return cls(fresh, gone, fresh > BRIGHTER * gone + EDGE, covered)


def _edges(plane: Plane) -> NDArray[np.float32]:
    """The strength of edges, of those that H.264 makes by itself as little as can be."""
    smooth = cv2.GaussianBlur(plane, (3, 3), 0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, dy, ksize=3, scale=0.5) for dx, dy in ((1, 0), (0, 1)))
    return np.asarray(cv2.max(np.abs(across), np.abs(down)), np.float32)
