"""Whether a viewer gets the next fragment: a slow one goes on at the next keyframe, or is cut if that is no help."""

from dataclasses import dataclass
from typing import Final, Literal

from agent.clock import NS_PER_S

Turn = Literal["send", "skip", "cut"]

HIGH_BYTES: Final = 4 << 20
"""What may wait for one viewer: some seconds of a good 1080p stream, and more than one 4K keyframe."""
LOW_BYTES: Final = 256 << 10
"""Below this a viewer has caught up."""
CUT_S: Final = 15.0
"""Longer than a bad moment of a Wi-Fi link; a browser tab that sleeps asks again when it wakes up."""


@dataclass(slots=True)
class Pace:
    """The judgement on one viewer."""

    high_bytes: int = HIGH_BYTES
    low_bytes: int = LOW_BYTES
    cut_s: float = CUT_S
    _slow_since_ns: int | None = None

    def turn(self, waiting_bytes: int, *, keyframe: bool, now_ns: int) -> Turn:
        """Judge the next fragment of a viewer for whom so much is waiting."""
        if self._slow_since_ns is None:
            if waiting_bytes <= self.high_bytes:
                return "send"
            self._slow_since_ns = now_ns
            return "skip"
        if waiting_bytes > self.low_bytes:
            return "cut" if now_ns - self._slow_since_ns > self.cut_s * NS_PER_S else "skip"
        if not keyframe:
            return "skip"
        self._slow_since_ns = None
        return "send"
