"""How much of something may come in a while: a token bucket."""

from dataclasses import dataclass, field

from agent.clock import NS_PER_S


@dataclass(slots=True)
class Bucket:
    """`burst` at once, then `per_s`. Starts full. The caller brings the time."""

    burst: float
    per_s: float
    _level: float = field(init=False)
    _at_ns: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._level = self.burst

    def take(self, now_ns: int, count: float = 1.0) -> bool:
        """Take `count` if it is there."""
        self._fill(now_ns)
        if self._level < count:
            return False
        self._level -= count
        return True

    def ready(self, now_ns: int) -> bool:
        """Whether one could be taken."""
        self._fill(now_ns)
        return self._level >= 1.0

    def owe(self, now_ns: int, count: float = 1.0) -> float:
        """Take `count` in any case; return the seconds to wait before it would have been there."""
        self._fill(now_ns)
        self._level -= count
        return max(0.0, -self._level / self.per_s)

    def wait_s(self, now_ns: int, count: float = 1.0) -> float:
        """The seconds that `owe` would return; takes nothing."""
        self._fill(now_ns)
        return max(0.0, (count - self._level) / self.per_s)

    def full(self, now_ns: int) -> bool:
        """Whether nothing was taken lately."""
        self._fill(now_ns)
        return self._level >= self.burst

    def _fill(self, now_ns: int) -> None:
        if self._at_ns is not None:
            self._level = min(self.burst, self._level + (now_ns - self._at_ns) / NS_PER_S * self.per_s)
        self._at_ns = now_ns
