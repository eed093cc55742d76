"""Twelve ways to spoil a picture, each at five levels, before the encoder; level 3 and above must be found: what one
who knows the camera sees at a glance. What each level is stands in the tables below.
"""

from typing import Final, Literal, get_args

import cv2
import numpy as np

from bench.scenes import HEIGHT, WIDTH, Image, clip

Fault = Literal[
    "black", "white", "frozen", "blurred", "covered", "covered-part", "cast", "snow", "stripes", "moved", "fog", "bands"
]
SPOILED: Final[tuple[Fault, ...]] = get_args(Fault)
LEVELS: Final = (1, 2, 3, 4, 5)
MUST_FIND: Final = 3
"""What a person who knows the camera sees at a glance."""
VERDICT: Final[dict[Fault, str]] = {
    "covered-part": "picture-covered",
    "fog": "picture-contrast",
    "bands": "picture-stripes",
} | {name: f"picture-{name}" for name in SPOILED if name not in ("covered-part", "fog", "bands")}  # type: ignore[assignment]
ALSO: Final[dict[Fault, frozenset[str]]] = {
    "covered": frozenset({"picture-black"}),
}
"""Verdicts that are right as well: a lens cap lets no light in."""
VEIL: Final = frozenset({"picture-contrast", "picture-blurred", "picture-cast"})
"""No mistake where a coloured veil is still seen through (levels 1 and 2), but not counted as found either."""
ELECTRIC: Final = frozenset({"cast", "snow", "stripes", "bands"})
"""Comes after the sensor; the others come before it, so that its noise lies over them."""

BLACK: Final = (0.20, 0.10, 0.06, 0.03, 0.0)
WHITE: Final = (1.6, 2.5, 4.0, 6.0, 10.0)
BLUR: Final = (1.0, 1.8, 3.0, 5.0, 9.0)
"""Sigma in points of 960 (of a 1080p picture: twice as much)."""
COVER_SOFT: Final = (10, 16, 24, 40, 60)
PART: Final = (0.12, 0.25, 0.40, 0.55, 0.75)
CAST: Final = (0.08, 0.16, 0.28, 0.42, 0.6)
SNOW: Final = (0.015, 0.04, 0.10, 0.25, 0.6)
"""Share of pixels that are noise."""
STRIPES: Final = (4.0, 8.0, 16.0, 30.0, 60.0)
MOVED: Final = (0.012, 0.03, 0.06, 0.15, 0.5)
"""Of the width."""
FOG: Final = (0.7, 0.5, 0.35, 0.22, 0.12)
"""What is left of the contrast."""
BANDS: Final = (6.0, 12.0, 22.0, 38.0, 60.0)


def spoil(picture: Image, fault: Fault, level: int, rng: np.random.Generator) -> Image:
    """Spoil one picture of the sensor. (Frozen is made where the pictures of one inspection are put together.)"""
    at = level - 1
    if fault == "black":
        return clip(picture.astype(np.float32) * BLACK[at])
    if fault == "white":
        return clip(picture.astype(np.float32) * WHITE[at] + 14 * level)
    if fault == "blurred":
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR[at]), np.uint8)
    if fault in ("covered", "covered-part"):
        return cover(picture, 1.0 if fault == "covered" else PART[at], COVER_SOFT[at], fault == "covered", level, rng)
    if fault == "cast":
        tint = np.zeros(3, np.float32)
        tint[int(rng.integers(3))] = CAST[at]
        return clip(picture.astype(np.float32) * (1 + tint - tint[::-1] * 0.5 - tint.mean()))
    if fault == "snow":
        return snow(picture, SNOW[at], rng)
    if fault == "stripes":
        period, phase = rng.uniform(6, 26), rng.uniform(0, 6)
        wave = np.sign(np.sin(np.arange(HEIGHT) * 2 * np.pi / period + phase)) * STRIPES[at] / 2
        return clip(picture.astype(np.float32) + wave[:, None, None])
    if fault == "moved":
        return moved(picture, MOVED[at], rng)
    if fault == "fog":
        veil = float(picture.mean()) * 0.6 + 60
        return clip(picture.astype(np.float32) * FOG[at] + veil * (1 - FOG[at]))
    if fault == "bands":
        period, phase = rng.uniform(50, 110), rng.uniform(0, 6)
        wave = np.sin(np.arange(HEIGHT) * 2 * np.pi / period + phase) * BANDS[at] / 2
        return clip(picture.astype(np.float32) + wave[:, None, None])
    return picture


def cover(picture: Image, share: float, soft: int, full: bool, level: int, rng: np.random.Generator) -> Image:
    """Something close to the lens: out of focus, of one colour, with a soft rim. A full cover of a low level lets the
    scene shine through, as a plastic bag does."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    if full:
        mask[:] = (0.55, 0.75, 0.9, 0.97, 1.0)[level - 1]
    elif rng.random() < 0.5:
        mask[:, : int(WIDTH * share)] = 1
    else:
        mask[HEIGHT - int(HEIGHT * share) :] = 1
    if not full:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 12), np.float32)
        if rng.random() < 0.5:
            mask = np.ascontiguousarray(mask[:, ::-1])
    cloth = np.full((HEIGHT, WIDTH, 3), rng.uniform(25, 170, 3), np.float32)
    folds = cv2.resize(rng.standard_normal((6, 10)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    cloth += 10 * folds[..., None]
    if float(np.abs(picture[..., 0].astype(int) - picture[..., 2]).mean()) < 2:
        cloth[:] = cloth.mean(axis=2, keepdims=True)
    behind = cv2.GaussianBlur(picture, (0, 0), soft / 8).astype(np.float32) if full else picture.astype(np.float32)
    return clip(behind * (1 - mask[..., None]) + cloth * mask[..., None])


def snow(picture: Image, share: float, rng: np.random.Generator) -> Image:
    """Noise of an analogue line: specks of two pixels, drawn out along the lines."""
    hit = (rng.random((HEIGHT // 2, WIDTH // 2)) < share).astype(np.uint8)
    mask = cv2.resize(hit, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)[..., None]
    value = rng.integers(0, 256, (HEIGHT // 2, WIDTH // 2)).astype(np.uint8)
    grey = cv2.resize(value, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)[..., None]
    return np.asarray(np.where(mask > 0, grey, picture), np.uint8)


def moved(picture: Image, share: float, rng: np.random.Generator) -> Image:
    """Another view: pushed aside and a little turned. What comes in is the mirrored rest, as a wall goes on."""
    angle = float(rng.uniform(-3, 3)) * min(1.0, share / 0.06)
    direction = rng.uniform(0, 2 * np.pi)
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), angle, 1.0)
    matrix[0, 2] += np.cos(direction) * share * WIDTH
    matrix[1, 2] += np.sin(direction) * share * WIDTH * 0.7
    return np.asarray(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)
