"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field
from typing import Final

from agent.clock import NS_PER_S

FIRST_CEILING_S: Final = 1.0
"""The first wait lies between nothing and this: most failures are one lost reply."""
SHORTEST_S: Final = 0.1
"""Full jitter may draw nothing at all; a tenth of a second keeps a failing device from spinning."""
HEALTHY_S: Final = 120.0
"""After so long without a failure the next one is a first one again."""


@dataclass(slots=True)
class Backoff:
    """Exponential, with jitter (uniform over the upper `spread` of the ceiling; full by default), up to `cap_s`."""

    cap_s: float
    rng: random.Random = field(default_factory=random.Random)
    spread: float = 1.0
    """How much of the ceiling is left to chance: all of it, or less where the wait itself is meant."""
    _failures: int = 0
    _started_ns: int = 0

    def started(self, boottime_ns: int) -> None:
        """A try begins."""
        self._started_ns = boottime_ns

    def failed(self, boottime_ns: int) -> float:
        """The try has failed; return the seconds to wait."""
        if boottime_ns - self._started_ns >= HEALTHY_S * NS_PER_S:
            self._failures = 0
        ceiling_s = min(self.cap_s, FIRST_CEILING_S * 2 ** min(self._failures, 30))
        self._failures += 1
        return max(SHORTEST_S, self.rng.uniform(ceiling_s * (1 - self.spread), ceiling_s))
