"""What is wrong with the uplink, as faults: each told once, when it begins, changes, or ends."""

from collections.abc import Callable
from typing import Literal

from agent.clock import NS_PER_S
from agent.journal import Journal
from agent.model import Lane
from agent.texts import Text, say
from agent.uplink.lanes import REPEATED

FaultName = Literal["broker", "refused", "receipts", "delivery"]
Problem = Literal["rights", "refused", "takeover", "subscription", "offline"]


class Troubles:
    """`broker` has several causes, of which the first that still stands is told."""

    def __init__(self) -> None:
        self.on_fault: Callable[[str, Text | None], None] = lambda _name, _text: None
        self._problems: dict[Problem, Text] = {}
        self._told: dict[FaultName, Text | None] = {}
        self._oldest_alarm = (0, 0)

    @property
    def problem(self) -> Text | None:
        """What stands between us and the broker."""
        return next(iter(self._problems.values()), None)

    def note(self, problem: Problem, text: Text) -> None:
        """Something is wrong with the broker, or still is."""
        self._problems[problem] = text
        self.tell("broker", self.problem)

    def mended(self, problem: Problem) -> None:
        """It is not any more."""
        self._problems.pop(problem, None)
        self.tell("broker", self.problem)

    def connected(self) -> None:
        """A broker took us: all is well, but for missing rights, on which the answer to the next status decides."""
        self._problems = {name: text for name, text in self._problems.items() if name == "rights"}
        self.tell("broker", self.problem)

    def tell(self, name: FaultName, text: Text | None) -> None:
        """Tell a fault unless it was told so; the very first word may end what an earlier run of the agent left."""
        if name not in self._told or self._told[name] != text:
            self._told[name] = text
            self.on_fault(name, text)

    async def look_for_undelivered(self, journal: Journal, now_ns: int, limit_s: float, *, receipts: bool) -> None:
        """An alarm that has been the oldest one due for `limit_s` is a fault. Raises JournalError."""
        rows = await journal.due(Lane.ALARM, 0, 1)
        if not rows and receipts:
            rows = await journal.unreceipted(Lane.ALARM, 1)
        if not rows or rows[0].type == REPEATED:  # repeats are held back on purpose
            self._oldest_alarm = (0, 0)
            self.tell("delivery", None)
            return
        seq, since_ns = self._oldest_alarm
        if seq != rows[0].seq:
            self._oldest_alarm = seq, since_ns = (rows[0].seq, now_ns)
        waited_s = (now_ns - since_ns) / NS_PER_S
        if waited_s >= limit_s:
            self.tell("delivery", say("uplink.undelivered", seq=seq, seconds=round(limit_s)))
