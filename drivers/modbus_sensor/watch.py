"""When a measured value is an alarm: thresholds with hysteresis and delay, rate of rise, warm-up. Pure."""

from collections import deque
from typing import Final

from agent.driver import NS_PER_S, Sample, SampleStatus
from drivers.modbus_sensor.channel import SAYS_NOTHING, Channel

RISE_WINDOW_NS: Final = 60 * NS_PER_S
"""`rise_per_minute` looks back so far. A value that rises faster reaches the limit sooner, and alarms then."""
RISE_STEPS: Final = 60
"""Looks that are kept for it, one a second: enough for a slope, few enough for 32 channels."""
RISE_STEP_NS: Final = RISE_WINDOW_NS // RISE_STEPS


class Watch:
    """One channel of one sensor. `look` returns the sample if there is something to tell."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.measure: float | None = None
        self._active = False
        self._status: SampleStatus = "ok"
        self._told = False
        self._since_ns: int | None = None
        """Since when the limit is passed the other way than `_active` says."""
        self._looked_ns: int | None = None
        self._past: deque[tuple[int, float]] = deque(maxlen=RISE_STEPS)

    def look(self, raw: bytes, seen_ns: int, *, warm: bool) -> Sample | None:
        """Take the bytes of its registers. While the sensor warms up its values are shown, and nothing is told: neither
        an alarm, nor that one is over."""
        if self.channel.codes:
            active, status = self.channel.state(raw)
            self.measure = None
        else:
            self.measure = self.channel.value(raw)
            status = "ok" if self.measure is not None else "invalid"
            active = self.measure is not None and self._past_limit(self.measure, seen_ns)
        if not warm:
            self._past.clear()  # a rise was that of its own warmth
            return None
        # What says nothing ends no alarm, begins none, and does not begin the delay anew.
        active = self._active if status in SAYS_NOTHING else self._settled(active, seen_ns)
        if not self._told and status == "ok" and self._since_ns is not None:
            return None  # an alarm may have stood before a restart: what waits out the delay does not say it is over
        previous_ns, self._looked_ns = self._looked_ns, seen_ns
        if self._told and active == self._active and status == self._status:
            return None
        changed = self._told and active != self._active
        self._told, self._active, self._status = True, active, status
        return Sample(
            self.channel.id,
            active,
            seen_ns,
            previous_ns if changed else None,
            status,
            measure=self.measure,
            unit=self.channel.unit,
        )

    def _past_limit(self, value: float, seen_ns: int) -> bool:
        channel = self.channel
        back = channel.hysteresis if self._active or self._since_ns is not None else 0.0
        above = channel.alarm_above is not None and value > channel.alarm_above - back
        below = channel.alarm_below is not None and value < channel.alarm_below + back
        return above or below or self._rises(value, seen_ns)

    def _rises(self, value: float, seen_ns: int) -> bool:
        limit = self.channel.rise_per_minute
        if limit is None:
            return False
        while self._past and seen_ns - self._past[0][0] > RISE_WINDOW_NS:
            self._past.popleft()
        lowest = min((old for _, old in self._past), default=value)
        if not self._past or seen_ns - self._past[-1][0] >= RISE_STEP_NS:
            self._past.append((seen_ns, value))
        return value - lowest >= limit

    def _settled(self, active: bool, seen_ns: int) -> bool:
        """The alarm as it counts: only the beginning is delayed, its end is not."""
        if not active or self._active:
            self._since_ns = None
            return active
        if self._since_ns is None:
            self._since_ns = seen_ns
        if seen_ns - self._since_ns < self.channel.delay_s * NS_PER_S:
            return False
        self._since_ns = None
        return True
