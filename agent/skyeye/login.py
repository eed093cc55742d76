"""Keeps us from locking an account: cameras count refused logins, and stop listening for a while after some.

Everything that carries the password is a try, from its sending until the camera's answer: a request of ONVIF, the
opening of a stream, a long poll. Refusals and tries in flight together are never more than two, so that however much
begins at once, and whenever the password is changed, no more than two wrong ones reach the camera in a row. Not counted
is what FFmpeg sends in a stream that is open already: its keepalives and its goodbye.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from agent.camera import Door, LoginGate, LoginRefused
from agent.clock import NS_PER_S, Clock
from agent.texts import Text, say

TRIES: Final = 2
"""Refusals in a row before the gate closes. Cameras lock an account after 3 to 10 (FACTS 5); somebody who types the
password by hand at the same time needs some of these too."""
ANSWER_S: Final = 5.0
"""A camera that refuses a login does so at once: one that was sent earlier, and then cut off, was none."""
COOL_OFF_S: Final = 1800.0
"""Hikvision and Dahua keep an account locked for 30 minutes at most by default, and count anew after that."""


@dataclass(slots=True)
class _Row:
    """Refusals in a row at one door. Turns count what happens at the gate: its order matters, not its time."""

    since: int
    last: int = 0
    last_ns: int = 0
    count: int = 0


class _Try:
    """See agent.camera.LoginTry."""

    def __init__(self, gate: "Gate", door: Door, turn: int, began_ns: int) -> None:
        self._gate = gate
        self.door = door
        self.turn = turn
        self.began_ns = began_ns
        self.open = True

    def refused(self) -> None:
        if self.open:
            self._gate.settle(self, accepted=False)

    def accepted(self) -> None:
        if self.open:
            self._gate.settle(self, accepted=True)

    def abandoned(self) -> None:
        if self.open:
            self._gate.abandon(self)


class NoLogin:
    """A try where nobody counts."""

    def refused(self) -> None:
        """Nobody counts."""

    def accepted(self) -> None:
        """Nobody counts."""

    def abandoned(self) -> None:
        """Nobody counts."""


class Gate(LoginGate):
    """One camera's gate. It opens by itself for one try after the cool-off; a refusal then closes it again.

    A camera may have accounts of their own for ONVIF and for its streams. A refusal at one door closes the other one as
    well, unless the camera has accepted the same login there since: then it is not the password that is wrong."""

    def __init__(self, clock: Clock, *, tries: int = TRIES, closed: Text | None = None) -> None:
        self._clock = clock
        self._tries = tries
        self._closed_text = closed
        self._turn = 0
        self._rows: dict[Door, _Row] = {}
        self._accepted: dict[Door, int] = {}
        """The turn in which the last accepted try began."""
        self._flying = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def closed_for_s(self) -> float:
        """How long it stays closed at the worse door; 0 when both are open."""
        return max(self._closed_for_s(door) for door in ("http", "rtsp"))

    def check(self, door: Door) -> None:
        """Raise LoginRefused while the gate is closed."""
        if (left_s := self._closed_for_s(door)) > 0:
            tries = sum(row.count for row in self._counted(door))
            text = self._closed_text or say("camera.gate-closed", tries=tries, minutes=math.ceil(left_s / 60))
            raise LoginRefused(text)

    @asynccontextmanager
    async def trying(self, door: Door) -> AsyncIterator[_Try]:
        """Hold one of the tries, waiting for one that is not yet answered if there is none left."""
        self.check(door)
        while self._spent(door) + self._flying >= self._tries:
            await self._settled()
            self.check(door)
        self._turn += 1
        self._flying += 1
        attempt = _Try(self, door, self._turn, self._clock.boottime_ns())
        try:
            yield attempt
        except asyncio.CancelledError:
            attempt.abandoned()
            raise
        finally:
            self._over(attempt)

    def settle(self, attempt: _Try, *, accepted: bool) -> None:
        """The camera has answered a try."""
        row = self._rows.get(attempt.door)
        if not accepted:
            self._turn += 1
            row = self._rows.setdefault(attempt.door, _Row(self._turn))
            row.last, row.last_ns, row.count = self._turn, self._clock.boottime_ns(), row.count + 1
        else:
            self._accepted[attempt.door] = max(attempt.turn, self._accepted.get(attempt.door, 0))
            if row is not None and attempt.turn > row.last:  # an older one may have gone before the password changed
                del self._rows[attempt.door]
        self._over(attempt)

    def abandon(self, attempt: _Try) -> None:
        """Nobody will hear the answer to a try."""
        fresh = self._clock.boottime_ns() - attempt.began_ns < ANSWER_S * NS_PER_S
        if fresh and (self._counted(attempt.door) or attempt.door not in self._accepted):
            self.settle(attempt, accepted=False)
        else:
            self._over(attempt)

    def _counted(self, door: Door) -> list[_Row]:
        """The refusals that count at a door."""
        return [row for other, row in self._rows.items() if other == door or row.since > self._accepted.get(door, 0)]

    def _spent(self, door: Door) -> int:
        rows = self._counted(door)
        count = sum(row.count for row in rows)
        return count if self._left_s(rows) > 0 else min(count, self._tries - 1)

    def _closed_for_s(self, door: Door) -> float:
        rows = self._counted(door)
        return self._left_s(rows) if sum(row.count for row in rows) >= self._tries else 0.0

    def _left_s(self, rows: list[_Row]) -> float:
        last_ns = max((row.last_ns for row in rows), default=None)
        if last_ns is None:
            return 0.0
        return max(0.0, COOL_OFF_S - (self._clock.boottime_ns() - last_ns) / NS_PER_S)

    async def _settled(self) -> None:
        """Wait until a try is answered or given up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _over(self, attempt: _Try) -> None:
        if not attempt.open:
            return
        attempt.open = False
        self._flying -= 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
