"""Keeps us from locking an account: cameras count refused logins, and stop listening for a while after some."""

import math
from typing import Final

from agent.camera import LoginGate, LoginRefused
from agent.clock import NS_PER_S, Clock
from agent.texts import say

TRIES: Final = 2
"""Refusals in a row before the gate closes. Cameras lock an account after 3 to 10 (FACTS 5); somebody who types the
password by hand at the same time needs some of these too."""
COOL_OFF_S: Final = 1800.0
"""Hikvision and Dahua keep an account locked for 30 minutes at most by default, and count anew after that."""


class Gate(LoginGate):
    """One camera's gate. It opens by itself for one try after the cool-off; a refusal then closes it again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refusals = 0
        self._closed_until_ns: int | None = None

    @property
    def closed_for_s(self) -> float:
        """How long it stays closed; 0 when it is open."""
        if self._closed_until_ns is None:
            return 0.0
        return max(0.0, (self._closed_until_ns - self._clock.boottime_ns()) / NS_PER_S)

    def check(self) -> None:
        """Raise LoginRefused while the gate is closed."""
        if (left_s := self.closed_for_s) > 0:
            raise LoginRefused(say("camera.gate-closed", tries=self._refusals, minutes=math.ceil(left_s / 60)))

    def refused(self) -> None:
        """Count a refusal."""
        self._refusals += 1
        if self._refusals >= TRIES:
            self._closed_until_ns = self._clock.boottime_ns() + round(COOL_OFF_S * NS_PER_S)

    def accepted(self) -> None:
        """Forget what was refused before."""
        self._refusals = 0
        self._closed_until_ns = None
