"""Which camera is inspected when. Pure: it is told the time, and says what to begin.

Every camera has a time at which it is due; the earliest goes first, so that none starves. The cameras are spread over
the round from the start on. Asked-for cameras go before all; suspicious ones come back soon; sick ones, which cost the
longest waits, come back later and never hold more than half of the places.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.clock import NS_PER_S

FOLLOW_S: Final = 20.0
"""What is suspected is looked at again after so long: long enough for a person to walk on."""
FOLLOWS_MAX: Final = 4
"""Follow-ups running; a camera that never settles goes back to its round."""
JITTER: Final = 0.05
"""Of the interval: cameras that fell into step come out of it again."""
UNKNOWN_KBPS: Final = 4000.0
"""A main stream at 1080p; what it really is, is known after the first look."""
SICK_AFTER: Final = 3
SICK_MOST: Final = 4.0
"""A camera that stays away is inspected at most so many rounds apart: after a power cut all are back within 20 min."""
FIRST_WITHIN_S: Final = 60.0
"""A camera that is new while we run is seen within so long."""


@dataclass(slots=True)
class Turn:
    """One camera's place in the round."""

    due_ns: int
    kbps: float = UNKNOWN_KBPS
    sick: int = 0
    """Inspections running that found it unreachable."""
    follows: int = 0
    asked: int | None = None
    """Its number among those that were asked for."""
    soon: bool = False
    """Somebody wants it again after the inspection that runs."""


@dataclass(slots=True)
class Plan:
    """The round. Times are of the boot clock."""

    every_s: float
    places: int
    budget_kbps: float
    rng: random.Random = field(default_factory=random.Random)
    turns: dict[str, Turn] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    """Camera: when it was begun."""
    _asked: int = 0

    def know(self, cameras: Iterable[str], now_ns: int) -> None:
        """Take the cameras as they are configured now; new ones are spread over the round."""
        wanted = list(dict.fromkeys(cameras))
        for gone in self.turns.keys() - set(wanted):
            del self.turns[gone]
        fresh = [camera for camera in wanted if camera not in self.turns]
        within_s = min(self.every_s, FIRST_WITHIN_S) if self.turns else self.every_s
        for number, camera in enumerate(fresh):
            wait_s = within_s * (number + self.rng.random()) / len(fresh)
            self.turns[camera] = Turn(now_ns + round(wait_s * NS_PER_S))

    def ask(self, camera: str) -> bool:
        """Inspect it next; False if there is none such. One that is being inspected is not begun twice."""
        if (turn := self.turns.get(camera)) is None:
            return False
        if camera not in self.running and turn.asked is None:
            self._asked += 1
            turn.asked = self._asked
        return True

    def soon(self, camera: str, now_ns: int, seconds: float = 0.0) -> None:
        """Inspect it again within `seconds`, if its turn is not earlier."""
        if (turn := self.turns.get(camera)) is None:
            return
        if camera in self.running:
            turn.soon = True
        else:
            turn.due_ns = min(turn.due_ns, now_ns + round(seconds * NS_PER_S))

    def begin(self, now_ns: int) -> list[str]:
        """The cameras to begin now, as places and bandwidth allow. They are running from here on."""
        started = []
        for camera in self._waiting(now_ns):
            turn = self.turns[camera]
            if len(self.running) >= self.places:
                break
            if turn.sick >= SICK_AFTER and turn.asked is None and self._sick_running() >= max(1, self.places // 2):
                continue
            if self.running and self._used_kbps() + turn.kbps > self.budget_kbps:
                break  # those behind it would only make it wait longer
            self.running[camera] = now_ns
            turn.asked = None
            started.append(camera)
        return started

    def done(self, camera: str, now_ns: int, *, sick: bool, unsettled: bool, kbps: float | None = None) -> None:
        """An inspection has ended; settle when the next one is due."""
        began_ns = self.running.pop(camera, now_ns)
        if (turn := self.turns.get(camera)) is None:
            return
        if kbps:
            turn.kbps = kbps
        turn.sick = turn.sick + 1 if sick else 0
        stretch = min(SICK_MOST, 2.0 ** max(0, turn.sick - SICK_AFTER + 1)) if turn.sick >= SICK_AFTER else 1.0
        wait_s = self.every_s * stretch * self.rng.uniform(1 - JITTER, 1 + JITTER)
        turn.due_ns = max(now_ns, began_ns + round(wait_s * NS_PER_S))
        turn.follows = turn.follows + 1 if unsettled else 0
        follow_s = min(FOLLOW_S, self.every_s)
        if (unsettled and turn.follows <= FOLLOWS_MAX) or turn.soon:
            turn.due_ns = min(turn.due_ns, now_ns + round(follow_s * NS_PER_S))
        turn.soon = False

    def _waiting(self, now_ns: int) -> list[str]:
        def order(item: tuple[str, Turn]) -> tuple[int, int]:
            turn = item[1]
            return (0, turn.asked) if turn.asked is not None else (1, turn.due_ns)

        due: Mapping[str, Turn] = {
            camera: turn
            for camera, turn in self.turns.items()
            if camera not in self.running and (turn.asked is not None or turn.due_ns <= now_ns)
        }
        return [camera for camera, _ in sorted(due.items(), key=order)]

    def _sick_running(self) -> int:
        return sum(self.turns[camera].sick >= SICK_AFTER for camera in self.running if camera in self.turns)

    def _used_kbps(self) -> float:
        return sum(self.turns[camera].kbps if camera in self.turns else UNKNOWN_KBPS for camera in self.running)
