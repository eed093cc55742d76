"""What a picture is, in numbers: taken once per picture, cheap, and without memory. Judging is another's business."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.skyeye.model import Image
from agent.skyeye.quality.structure import Field, Grid, field_of

WIDTH: Final = 480
HEIGHT: Final = 270
"""The size at which is judged: 3 ms to scale down to, and every fault that a person sees is still there."""
PRINT_WIDTH: Final = 240
PRINT_HEIGHT: Final = 135
DARK: Final = 26
"""Below a tenth of full scale a pixel counts as dark (FACTS 6)."""
BRIGHT: Final = 240
"""Above it a pixel tells nothing any more; encoders with studio range end at 235-255."""
TILE: Final = 54
TILES_LEAST: Final = 6
"""Of 40: with edges in fewer tiles nothing is said of sharpness."""
STRONG: Final = TILE * TILE * 8 // 100
QUIET: Final = TILE * TILE * 30 // 100
"""In each tile the points that count as edge, and as nothing but noise."""
EDGE_LEAST: Final = 1.2
"""Coarse gradient, in grey levels per pixel, that the edges must have for their width to be measured."""
IMPULSE: Final = 24
"""A pixel that differs so much from the median of its neighbours is a speck."""
STRIPS: Final = 8
"""A stripe runs through the whole picture: it is in all of so many strips, a thing is in some."""
WITHOUT: Final = 2
"""Strips that may be without it: burnt out, or black."""
GREY: Final = 3.0
"""Mean distance from grey in Lab below which a picture has no colour: infrared at night."""
FINE_SIGMA: Final = 0.7
COARSE_SIGMA: Final = 2.0

SCENE: Final = (16, 9)
STRIPE_FIRST: Final = 4
"""Cycles over the picture below which a wave is the scene's own light."""
STRIPE_BINS: Final = 100

Print = NDArray[np.uint8]
Bars = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One picture in numbers. Grey levels are of 0 to 255."""

    luma: float
    dark: float
    """Share of pixels that are dark."""
    bright: float
    """Share of pixels that are burnt out."""
    contrast: float
    """Grey levels between the 5th and the 95th percentile, over the mean: dimming leaves it, fog does not."""
    chroma: float
    """Mean distance from grey, in Lab."""
    a: float
    b: float
    """The median colour, in Lab, from neutral: what a part of the picture shows does not turn it."""
    cast: float
    """Length of that over the spread of colours (the ratio of the literature)."""
    blur_px: float | None
    """Width of the edges, as the sigma of a blur; None where there are no edges."""
    specks: float
    """Share of pixels that stand out of their neighbours."""
    bars: Bars
    """What runs through the whole picture: amplitudes by frequency, down its height and then along its width."""
    scene: Grid
    """Light and dark of the picture at a glance, over its mean."""
    busy: Grid
    """Mean slope in each cell of the structure."""
    noise: float
    structure: Field
    print: Print
    """Single pixels of the whole picture, not averaged: for telling a still picture from a frozen one."""

    @property
    def grey(self) -> bool:
        """Whether the camera has switched to its night mode, without colours."""
        return self.chroma < GREY


def measure(image: Image) -> Features:
    """Take the numbers of one picture of any size."""
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
    histogram = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    low, high = (int(np.searchsorted(histogram, share)) for share in (0.05, 0.95))
    luma = float(grey.mean())
    lab = cv2.resize(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), (120, 68), interpolation=cv2.INTER_AREA)
    a, b = lab[..., 1].astype(np.float32) - 128, lab[..., 2].astype(np.float32) - 128
    mid_a, mid_b = float(np.median(a)), float(np.median(b))
    spread = float(np.hypot(a - mid_a, b - mid_b).mean())
    plain = grey.astype(np.float32)
    noise = noise_of(plain)
    structure, busy = field_of(grey, noise)
    scene = cv2.resize(plain, SCENE, interpolation=cv2.INTER_AREA)
    return Features(
        luma=luma,
        dark=float(histogram[DARK - 1]),
        bright=float(1 - histogram[BRIGHT - 1]),
        contrast=(high - low) / (luma + 10),
        chroma=float(np.hypot(a, b).mean()),
        a=mid_a,
        b=mid_b,
        cast=float(np.hypot(mid_a, mid_b)) / max(spread, 1.0),
        blur_px=edge_width(plain),
        specks=specks_of(grey),
        bars=bars_of(plain),
        noise=noise,
        scene=np.asarray(scene / (luma + 1), np.float32),
        busy=busy,
        structure=structure,
        print=print_of(image),
    )


def print_of(image: Image) -> Print:
    """Single pixels, so that the sensor's noise stays in."""
    picked = cv2.resize(image, (PRINT_WIDTH, PRINT_HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(picked, cv2.COLOR_BGR2GRAY), np.uint8)


def noise_of(plain: NDArray[np.float32]) -> float:
    """Sigma of the noise, by the difference of two Laplacians (Immerkaer 1996), in the quiet half of the picture."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(plain, -1, kernel))
    return float(np.median(response)) / 0.6745 / 6


def edge_width(plain: NDArray[np.float32]) -> float | None:
    """How wide the strongest edges are, in the median of the tiles: letters that the camera writes into a corner stay
    sharp. The gradient of an edge under a blur s is proportional to 1/sqrt(sigma² + s²), so two filters of known
    sigma give s whatever the contrast; what noise adds is taken off where nothing is."""
    fine, coarse = _tiles(_slope(plain, FINE_SIGMA)), _tiles(_slope(plain, COARSE_SIGMA))
    order = np.argpartition(coarse, (QUIET, coarse.shape[1] - STRONG), axis=1)
    quiet, strong = order[:, :QUIET], order[:, -STRONG:]

    def power(slopes: NDArray[np.float32], which: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.asarray((np.take_along_axis(slopes, which, axis=1) ** 2).mean(axis=1), np.float32)

    coarse_edge = power(coarse, strong) - power(coarse, quiet)
    fine_edge = power(fine, strong) - power(fine, quiet)
    sharp = coarse_edge >= EDGE_LEAST**2
    if int(sharp.sum()) < TILES_LEAST:
        return None
    ratio = np.maximum(1.02, fine_edge[sharp] / coarse_edge[sharp])
    widths = np.sqrt(np.maximum(0.0, (COARSE_SIGMA**2 - ratio * FINE_SIGMA**2) / (ratio - 1)))
    return float(np.median(widths))


def _tiles(plain: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = HEIGHT // TILE, WIDTH // TILE
    cut = plain[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3).reshape(rows * columns, -1))


def _slope(plain: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(plain, (0, 0), sigma)
    return np.asarray(cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(soft, cv2.CV_32F, 0, 1) / 8))


def specks_of(grey: NDArray[np.uint8]) -> float:
    """Share of pixels that stand out of their neighbours."""
    return float((cv2.absdiff(grey, cv2.medianBlur(grey, 3)) > IMPULSE).mean())


def bars_of(plain: NDArray[np.float32]) -> Bars:
    """Amplitudes of what runs through the whole picture, down its height and then along its width. They are the same
    wherever a fence stands in the picture."""
    return np.concatenate([_bars(plain), _bars(np.ascontiguousarray(plain.T))])


def _bars(plain: NDArray[np.float32]) -> Bars:
    """By strips: a wave that runs through the picture is in all of them, at one phase; what two strips have not got is
    none, nor what they have elsewhere."""
    strips = np.stack([strip.mean(axis=1) for strip in np.array_split(plain, STRIPS, axis=1)])
    window = np.hanning(strips.shape[1]).astype(np.float32)
    waves = np.fft.rfft((strips - strips.mean(axis=1, keepdims=True)) * window, axis=1) * (2 / window.sum())
    waves = waves[:, STRIPE_FIRST : STRIPE_FIRST + STRIPE_BINS]
    common = np.median(waves.real, axis=0) + 1j * np.median(waves.imag, axis=0)
    along = (waves * np.conj(common / np.maximum(np.abs(common), 1e-6))).real
    return np.asarray(np.clip(np.partition(along, WITHOUT, axis=0)[WITHOUT], 0, None), np.float32)
