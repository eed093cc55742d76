"""Alarms that the broker has and the district has not confirmed: when to call a receipt overdue. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.clock import NS_PER_S

LIMIT: Final = 1000
"""Alarms watched one by one. Beyond that (a flood) the rest is sent again with the other lanes."""


@dataclass(slots=True)
class _Wait:
    since_ns: int
    due_ns: int
    tries: int = 0


@dataclass(slots=True)
class Awaiting:
    """The alarms without receipt. Times are of the boot clock."""

    timeout_s: float
    cap_s: float
    _waits: dict[int, _Wait] = field(default_factory=dict)

    def acked(self, seq: int, now_ns: int) -> None:
        """The broker has acknowledged an alarm, for the first time or again."""
        if wait := self._waits.get(seq):
            wait.tries += 1
            delay_s = min(self.cap_s, self.timeout_s * 2.0 ** min(wait.tries, 20))
            wait.due_ns = now_ns + round(delay_s * NS_PER_S)
        elif len(self._waits) < LIMIT:
            self._waits[seq] = _Wait(now_ns, now_ns + round(self.timeout_s * NS_PER_S))

    def prune(self, held: Callable[[int], bool]) -> None:
        """Forget what the district holds now."""
        for seq in [seq for seq in self._waits if held(seq)]:
            del self._waits[seq]

    def overdue(self, now_ns: int) -> list[int]:
        """Alarms that must be sent again now; each is named once until it is acknowledged again."""
        found = [seq for seq, wait in self._waits.items() if wait.due_ns <= now_ns]
        for seq in found:
            self._waits[seq].due_ns = now_ns + round(self.cap_s * NS_PER_S)
        return found

    def is_overdue(self, seq: int, now_ns: int) -> bool:
        """Whether an alarm's receipt has been missing for longer than its first deadline."""
        wait = self._waits.get(seq)
        return wait is not None and now_ns - wait.since_ns >= self.timeout_s * NS_PER_S

    def clear(self) -> None:
        """Forget all: another journal has begun, or receipts are off."""
        self._waits.clear()
