"""What goes wrong with pictures, in five levels each; for the demo, tests and benches. Pure."""

from typing import Final

import cv2
import numpy as np

from agent.demo.camera.pictures import Image
from agent.demo.camera.spec import PictureMode

LEVELS: Final = 5
BLUR_SIGMA: Final = (1.5, 2.5, 4.0, 7.0, 12.0)
"""Of a picture 360 high; larger ones are blurred in proportion."""
SNOW_SHARE: Final = (0.10, 0.20, 0.35, 0.55, 0.80)
COVER_SHARE: Final = (0.35, 0.50, 0.70, 0.90, 1.00)
MOVE_SHARE: Final = (0.08, 0.15, 0.25, 0.40, 0.60)
CONTRAST: Final = (0.50, 0.35, 0.22, 0.12, 0.06)
REFERENCE_HEIGHT: Final = 360


def degrade(image: Image, mode: PictureMode, level: int = 4, seed: int = 0) -> Image:
    """Spoil a picture. `seed` differs from picture to picture where the damage moves. `frozen` is not of one picture:
    whoever makes the film repeats one."""
    strength = level - 1
    height, width = image.shape[:2]
    random = np.random.default_rng(seed)
    if mode in ("black", "white"):
        base = np.full_like(image, 4 if mode == "black" else 251)
        return blend(base, image, (0.10, 0.06, 0.04, 0.02, 0.0)[strength])
    if mode == "dark":
        return scaled(image, (0.45, 0.32, 0.22, 0.14, 0.08)[strength], 0)
    if mode == "bright":
        return scaled(image, (1.4, 1.8, 2.4, 3.2, 4.5)[strength], (20, 40, 60, 90, 120)[strength])
    if mode == "low-contrast":
        return scaled(image, CONTRAST[strength], 128 * (1 - CONTRAST[strength]))
    if mode == "blurred":
        sigma = BLUR_SIGMA[strength] * height / REFERENCE_HEIGHT
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if mode == "cast":
        gains = 1 + (np.array([0.9, -0.5, -0.6]) * (0.3, 0.5, 0.7, 0.9, 1.1)[strength])
        return np.asarray(np.clip(image * np.maximum(gains, 0.05), 0, 255), np.uint8)
    if mode == "snow":
        spots = random.random((height, width)) < SNOW_SHARE[strength]
        noisy = image.copy()
        noisy[spots] = random.integers(0, 256, (int(spots.sum()), 1), dtype=np.uint8)
        return noisy
    if mode == "stripes":
        return striped(image, strength, random)
    if mode == "covered":
        return covered(image, COVER_SHARE[strength])
    if mode == "moved":
        return shifted(image, MOVE_SHARE[strength])
    return image


def scaled(image: Image, gain: float, offset: float) -> Image:
    return np.asarray(cv2.convertScaleAbs(image, alpha=gain, beta=offset), np.uint8)


def blend(base: Image, image: Image, share: float) -> Image:
    return np.asarray(cv2.addWeighted(base, 1 - share, image, share, 0), np.uint8)


def striped(image: Image, strength: int, random: np.random.Generator) -> Image:
    """Rolling bars, as of a bad cable or supply."""
    height = image.shape[0]
    rows = np.arange(height) / height
    cycles = 6 + 2 * strength
    wave = np.sin(2 * np.pi * (cycles * rows + random.random())) * (25, 45, 65, 90, 120)[strength]
    return np.asarray(np.clip(image + wave[:, None, None], 0, 255), np.uint8)


def covered(image: Image, share: float) -> Image:
    """A cloth or a hand before the lens, from the right: dim, brownish, without detail."""
    spoiled = image.copy()
    height, width = image.shape[:2]
    edge = int(width * (1 - share))
    tone = np.linspace(34, 52, height)[:, None, None] * np.array([0.8, 0.95, 1.1])
    spoiled[:, edge:] = np.clip(tone, 0, 255).astype(np.uint8)
    return spoiled


def shifted(image: Image, share: float) -> Image:
    """The camera has been turned: part of the scene has left, and something else is seen instead."""
    width = image.shape[1]
    step = int(width * share)
    moved = np.empty_like(image)
    moved[:, : width - step] = image[:, step:]
    moved[:, width - step :] = image[:, :step][:, ::-1]
    return np.asarray(
        cv2.warpAffine(
            moved,
            cv2.getRotationMatrix2D((width / 2, 0), 40 * share, 1.0),
            (width, image.shape[0]),
            borderMode=cv2.BORDER_REFLECT,
        ),
        np.uint8,
    )
