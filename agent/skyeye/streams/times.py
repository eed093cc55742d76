"""Timestamps made to run forward. Cameras repeat them, send them backward and jump by hours (FACTS 5)."""

from typing import Final

from agent.clock import NS_PER_S

LARGEST_STEP_S: Final = 10.0
"""A packet that claims to be later than this after the one before it has jumped; the watch for silence is no longer."""
LARGEST_LEAD_S: Final = 2.0
"""A picture is shown at most so long after it is decoded: 16 reordered frames (H.264 A.3.1) at 8 a second."""
SOFT_STEP_S: Final = 0.001
"""What lies between two packets whose times give no other."""


class Forward:
    """Repairs the times of one stream, also across its reconnections. Where they do not run forward, the time that has
    passed between the arrivals takes their place."""

    __slots__ = ("_arrived_ns", "_last", "_lead", "_out", "_per_s", "_soft", "_step", "bad")

    def __init__(self, time_base: tuple[int, int]) -> None:
        self.bad = 0
        """Times that were missing, repeated, backward or jumped."""
        self._out = -1
        self._last: int | None = None
        self._arrived_ns = 0
        self._base(time_base)

    def _base(self, time_base: tuple[int, int]) -> None:
        num, den = time_base
        self._per_s = den / num if num > 0 and den > 0 else 90_000.0
        self._step = max(1, int(LARGEST_STEP_S * self._per_s))
        self._lead = int(LARGEST_LEAD_S * self._per_s)
        self._soft = max(1, int(SOFT_STEP_S * self._per_s))

    def restart(self) -> None:
        """The stream comes anew: its clock may be another one, and that is no fault of it."""
        self._last = None

    def repair(self, pts: int | None, dts: int | None, arrived_ns: int) -> tuple[int, int]:
        """Give a packet its presentation and decoding times, in the same units."""
        raw = dts if dts is not None else pts
        last, self._last = self._last, raw if raw is not None else self._last
        step = raw - last if raw is not None and last is not None else 0
        if 0 < step <= self._step:
            out = self._out + step
        else:
            out = self._out + max(self._soft, min(self._step, self._elapsed(arrived_ns)))
            if self._out < 0:
                out = 0
            elif dts is None and pts is not None and last is not None and 0 <= -step <= self._lead:
                self._last = last  # reordered pictures without decoding times: the later one stays the measure
            elif last is not None:
                self.bad += 1
        self._out, self._arrived_ns = out, arrived_ns
        lead = pts - dts if pts is not None and dts is not None else 0
        return out + (lead if 0 <= lead <= self._lead else 0), out

    def _elapsed(self, arrived_ns: int) -> int:
        return int((arrived_ns - self._arrived_ns) * self._per_s / NS_PER_S)
