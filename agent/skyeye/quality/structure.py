"""Where the edges of a picture run: what tells a moved or covered view from another light.

A field has for each point the direction of the edge there, as a vector of the double angle (so that dark-to-light
and light-to-dark are the same edge), and of a length from 0 (nothing) to 1 (an edge well above the noise). Light
changes lengths a little and directions hardly.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FIELD_WIDTH: Final = 160
FIELD_HEIGHT: Final = 90
COLUMNS: Final = 10
ROWS: Final = 6
CELL: Final = (FIELD_HEIGHT // ROWS, FIELD_WIDTH // COLUMNS)
STABLE: Final = 0.35
"""Length from which a point of the reference counts as an edge that is always there."""
TEXTURED: Final = 0.06
"""Share of such points that a cell needs to be judged."""
LOST: Final = 0.35
"""Agreement below which a cell does not show any more what it showed; shadows and people leave more."""
FLAT: Final = 0.5
"""A lost cell with less than this part of its usual slopes is covered: what is close to the lens is out of focus."""
SLOPE_LEAST: Final = 0.7
NOISE_FACTOR: Final = 1.1
"""The field is taken at a third of the size and smoothed: there a slope of noise is this part of the noise's sigma."""
DIMMED: Final = 0.6
"""Part of the usual light below which edges may be lost for want of light."""
DROWNED: Final = 1.0
"""Mean slope of a cell, in slopes of the noise, below which nothing can be expected of it."""
NOTHING: Final = 1.6
"""Mean slope, in slopes of the noise, below which a cell shows nothing."""
SHIFT_LEAST: Final = 4
"""Points, of 160: a view that moved by less than 2.5 % of its width still shows what it should."""

Field = NDArray[np.int8]
"""90 x 160 x 2."""
Floats = NDArray[np.float32]
Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a picture's edges compare with those of the reference."""

    textured: int
    """Cells that could be compared, of 60."""
    agreement: float
    """1: the same edges, 0: none of them."""
    covered: float
    """Share of the textured cells that have lost their edges and got no others."""
    foreign: float
    """Share of the textured cells that show other edges."""
    shift: float
    """Points of 160 by which the view seems to have moved; 0 if it has not, or it cannot be told."""
    shift_agreement: float
    """The agreement at that shift."""


def field_of(grey: NDArray[np.uint8], noise: float) -> tuple[Field, Grid]:
    """The edges of a grey picture, whose noise (at that size) is known, and the mean slope of each cell."""
    small = cv2.resize(grey, (FIELD_WIDTH, FIELD_HEIGHT), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.8)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(soft, cv2.CV_32F, 0, 1) / 8
    power = dx * dx + dy * dy
    floor = max(SLOPE_LEAST, NOISE_FACTOR * noise) ** 2
    weight = power / ((power + floor) * np.maximum(power, 1e-6))
    vectors = np.stack([(dx * dx - dy * dy) * weight, 2 * dx * dy * weight], axis=-1)
    busy = cells(np.sqrt(power)) / np.float32(CELL[0] * CELL[1])
    return np.asarray(np.rint(vectors * 127), np.int8), np.asarray(busy, np.float32)


def lengths(field: Field | Floats) -> Floats:
    """The length at each point."""
    plain = field.astype(np.float32)
    return np.asarray(np.hypot(plain[..., 0], plain[..., 1]) / 127, np.float32)


def cells(values: Floats) -> Floats:
    """Sums over the cells."""
    return np.asarray(values.reshape(ROWS, CELL[0], COLUMNS, CELL[1]).sum(axis=(1, 3)), np.float32)


def compare(
    reference: Field, field: Field, usually_busy: Grid, busy: Grid, *, dimmed: float = 1.0, noise: float = 0.0
) -> Likeness:
    """Compare a picture with the reference. In a light that is `dimmed` to a part of the usual one slopes are less
    steep by as much; a cell whose slopes would drown in the noise then is not compared."""
    dimmed = min(1.0, dimmed)
    expected = usually_busy * np.float32(dimmed)
    known = np.asarray(reference.astype(np.float32) / 127, np.float32)
    now = np.asarray(field.astype(np.float32) / 127, np.float32)
    known_length = lengths(reference)
    stable = known_length > STABLE
    textured = cells(stable.astype(np.float32)) > TEXTURED * CELL[0] * CELL[1]
    flat = FLAT * expected
    if dimmed < DIMMED:
        floor = np.float32(max(SLOPE_LEAST, NOISE_FACTOR * noise))
        textured &= expected > DROWNED * floor
        flat = np.maximum(flat, NOTHING * floor)
    count = int(textured.sum())
    if not count:
        return Likeness(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    same = np.where(stable, (known * now).sum(axis=-1), 0)
    full = np.where(stable, known_length**2, 0)
    part = cells(same)[textured] / np.maximum(cells(full)[textured], 1e-6)
    lost = part < LOST
    agreement = float(same.sum() / max(float(full.sum()), 1e-6))
    shift, shifted = _shift(np.asarray(known * stable[..., None], np.float32), now, float(full.sum()))
    covered = float((lost & (busy < flat)[textured]).sum()) / count
    return Likeness(count, agreement, covered, float(lost.sum()) / count - covered, shift, shifted)


def _shift(known: Floats, now: Floats, full: float) -> tuple[float, float]:
    """Find where the reference lies in the picture, by correlating both in the frequency domain. What moved out of the
    picture is missing, so that the agreement found is a lower bound."""
    height, width = FIELD_HEIGHT * 2, FIELD_WIDTH * 2
    total = np.zeros((height, width), np.float32)
    for channel in (0, 1):
        padded = [np.zeros((height, width), np.float32) for _ in (0, 1)]
        for target, source in zip(padded, (known, now), strict=True):
            target[:FIELD_HEIGHT, :FIELD_WIDTH] = source[..., channel]
        spectra = [cv2.dft(one) for one in padded]
        total += cv2.dft(cv2.mulSpectrums(spectra[1], spectra[0], 0, conjB=True), flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
    reach = (FIELD_HEIGHT // 2, FIELD_WIDTH // 2)
    total = np.roll(total, reach, axis=(0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    y, x = np.unravel_index(int(np.argmax(total)), total.shape)
    return float(np.hypot(y - reach[0], x - reach[1])), float(total[y, x]) / max(full, 1e-6)
