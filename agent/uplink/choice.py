"""Which broker next, and when: the first that works, jittered, without a stampede and without a fight. Pure."""

from dataclasses import dataclass, field
from random import Random

from agent.clock import NS_PER_S
from agent.uplink.limits import Limits


@dataclass(slots=True)
class _Standing:
    """What we know of one broker."""

    failures: int = 0
    not_before_ns: int = 0
    stubborn: bool = False
    """It refuses us; an alarm does not change its mind, so it is waited out."""
    early_losses: int = 0
    contested: bool = False
    """Somebody else has our id there: each connect throws the other out."""


@dataclass(slots=True)
class Choice:
    """Brokers by their place in the configuration. Times are of the boot clock."""

    count: int
    limits: Limits
    random: Random = field(default_factory=Random)
    _standings: list[_Standing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._standings = [_Standing() for _ in range(self.count)]

    def pick(self, now_ns: int) -> int | None:
        """The first broker in order whose waiting time is over."""
        for index, standing in enumerate(self._standings):
            if standing.not_before_ns <= now_ns:
                return index
        return None

    def wait_s(self, now_ns: int) -> float:
        """How long until `pick` finds one."""
        first_ns = min(standing.not_before_ns for standing in self._standings)
        return max(0.0, (first_ns - now_ns) / NS_PER_S)

    def failed(self, index: int, now_ns: int, *, refused: bool = False) -> None:
        """A connect failed. `refused`: the broker does not want us, which is worth the longest wait at once."""
        standing = self._standings[index]
        standing.failures += 1
        standing.stubborn = refused
        cap_s = self.limits.retry_cap_s
        low_s, high_s = (0.9 * cap_s, 1.1 * cap_s) if refused else (0.0, self._ceiling_s(standing))
        wait_s = self.random.uniform(low_s, high_s)
        standing.not_before_ns = now_ns + round(wait_s * NS_PER_S)

    def ended(
        self, index: int, lasted_s: float, now_ns: int, *, takeover: bool = False, unexplained: bool = False
    ) -> bool:
        """A connection ended. Return whether it is taken for a takeover: told by the broker, or guessed from the third
        that ended `unexplained` right after its beginning."""
        standing = self._standings[index]
        standing.stubborn = False
        if lasted_s >= self.limits.healthy_s:
            standing.failures = 0
        early = unexplained and lasted_s < self.limits.early_loss_s
        standing.early_losses = standing.early_losses + 1 if early else 0
        takeover = takeover or standing.early_losses >= self.limits.early_losses
        cap_s = self.limits.takeover_s
        low_s, high_s = (0.5 * cap_s, cap_s) if takeover else (0.0, self._ceiling_s(standing))
        standing.failures += not takeover
        standing.contested = takeover
        wait_s = self.random.uniform(low_s, high_s)
        standing.not_before_ns = now_ns + round(wait_s * NS_PER_S)
        return takeover

    def ended_by_refusal(self, index: int, now_ns: int) -> None:
        """The broker closed the connection because it refused a message, which is set aside by now."""
        wait_s = self.random.uniform(0, self.limits.after_refusal_s)
        self._standings[index].not_before_ns = now_ns + round(wait_s * NS_PER_S)

    def left(self, index: int, now_ns: int, *, wait_s: float = 0.0) -> None:
        """We left a good connection, for another broker or for new settings; it may be taken again after `wait_s`."""
        standing = self._standings[index]
        standing.failures = standing.early_losses = 0
        standing.not_before_ns = now_ns + round(wait_s * NS_PER_S)

    def answered(self, index: int) -> None:
        """A probe has found a broker in order."""
        self._standings[index] = _Standing()

    def hurry(self, now_ns: int) -> None:
        """An alarm is due: do not wait long, except where waiting is the remedy."""
        for standing in self._standings:
            if not standing.stubborn:
                ceiling_s = self.limits.takeover_alarm_s if standing.contested else self.limits.retry_alarm_s
                floor_s = ceiling_s / 2 if standing.contested else 0.0
                soon_ns = now_ns + round(self.random.uniform(floor_s, ceiling_s) * NS_PER_S)
                standing.not_before_ns = min(standing.not_before_ns, soon_ns)

    def _ceiling_s(self, standing: _Standing) -> float:
        return min(self.limits.retry_cap_s, self.limits.retry_first_s * 2.0 ** min(standing.failures, 20))
