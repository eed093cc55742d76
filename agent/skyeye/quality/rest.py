"""Since when a picture has not changed at large: what finds a frozen picture behind an encoder that codes it anew.

An encoder with a rate to keep gives the same picture another quantiser each time, and what comes out differs by coding
noise, which is as large as what the same encoder leaves of a living sensor's noise (0.3 to 1.7 grey levels against 0.7
to 3, from x264 at 250 to 1000 kbit/s: neither the pictures of some seconds nor the sizes of packets tell them apart).
But means over blocks are kept by every quantiser to some 1.5 grey levels, while a day brings daylight, lamps and people
to nearly every camera. So this takes a day, and no night is long enough to be taken for it.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.clock import NS_PER_S
from agent.skyeye.quality.features import PRINT_HEIGHT, PRINT_WIDTH, Print

BLOCK: Final = 15
CHANGED: Final = 2.0
"""Grey levels by which a block's mean has changed; coding noise stays below 1.6 in nine of ten blocks."""
CHANGED_SHARE: Final = 0.1
"""Of the blocks: a clock that the camera writes is in fewer."""
REST_S: Final = 24 * 3600.0
"""A room without people and windows rests for a weekend: after a day it must also be less lively than it was."""
LONG_REST_S: Final = 72 * 3600.0
"""After three days it is told in any case: somebody should look whether it lives."""
LIVELY: Final = 0.75
"""Of the usual difference of two pictures: a living sensor never falls below it, as its noise is always the same; a
frozen picture does whenever the encoder takes the same quantiser twice."""

Means = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """A picture at large, and since when it is the same."""

    means: Means
    since_ns: int
    now_ns: int
    usual: float = 0.0
    """How much two pictures of one inspection differed before; 0 where nobody knows."""
    least: float = float("inf")
    """By how little they have differed since."""

    @property
    def seconds(self) -> float:
        """How long it has been the same."""
        return (self.now_ns - self.since_ns) / NS_PER_S

    @property
    def limit_s(self) -> float:
        """How long it may be."""
        return REST_S if self.least < LIVELY * self.usual else LONG_REST_S

    def then(self, print_: Print, now_ns: int, stir: float | None, usual: float) -> "Rest":
        """The next picture; `stir` is its difference from the one before in the stream, `usual` the usual one."""
        means = means_of(print_)
        if float((np.abs(means - self.means) > CHANGED).mean()) > CHANGED_SHARE:
            return Rest(means, now_ns, now_ns, usual)
        least = self.least if stir is None else min(self.least, stir)
        return replace(self, now_ns=now_ns, least=least)


def rest_of(print_: Print, now_ns: int, usual: float) -> Rest:
    """Begin with a first picture."""
    return Rest(means_of(print_), now_ns, now_ns, usual)


def means_of(print_: Print) -> Means:
    """The means of all blocks."""
    blocks = print_.reshape(PRINT_HEIGHT // BLOCK, BLOCK, PRINT_WIDTH // BLOCK, BLOCK)
    return np.asarray(blocks.astype(np.float32).mean(axis=(1, 3)), np.float32)
