"""What goes out a second time: what the district has not confirmed, and what it asks for with `replay`."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from agent.clock import NS_PER_S, Clock
from agent.journal import Journal
from agent.model import Command, JsonValue, Lane, Stored
from agent.texts import Spoken, say
from agent.uplink.awaiting import Awaiting
from agent.uplink.lanes import LaneQueue, SeqSet
from agent.uplink.limits import Limits

LOOK_S: Final = 0.02
"""How often a queue that drains is looked at before the next page is read."""
ASKED_LIMIT: Final = 256
"""Alarms that plans want published again at once; beyond this the others wait for a receipt like the rest."""


class Interrupted(Spoken):
    """There is no connection, or it ended on the way."""


class Resender:
    """Publishes again, through the lanes' `again`, what a broker had and no receipt covers: everything at the start
    of a connection and after a long silence, an alarm after `receipt_timeout`."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        limits: Limits,
        lanes: Mapping[Lane, LaneQueue],
        sent: SeqSet,
        wake: Callable[[], None],
        receipt_timeout_s: float,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._lanes = lanes
        self._sent = sent
        self._wake = wake
        self.awaiting = Awaiting(receipt_timeout_s, limits.resend_cap_s)
        self.receipts = True
        """Whether this district is meant to send receipts."""
        self.on_overdue: Callable[[], bool] = lambda: False
        """An alarm has no receipt; the answer is whether another broker is going to be tried."""
        self._wanted = asyncio.Event()
        self._pause_s = limits.resend_others_s
        self._at_ns = 0
        self._asked: dict[int, None] = {}

    @property
    def expects_receipts(self) -> bool:
        """Whether an event stays due until a receipt covers it."""
        return self.receipts and self._journal.receipts_seen

    def begin(self) -> None:
        """A connection begins: the last broker may have forgotten what it had acknowledged."""
        self._pause_s = self._limits.resend_others_s
        self._plan()
        self._wanted.set()

    def ask(self, seq: int, *, now: bool) -> None:
        """Publish an alarm again, whoever has it already; now, or when the next connection begins."""
        if len(self._asked) < ASKED_LIMIT:
            self._asked[seq] = None
        if now:
            self._wanted.set()

    def acked(self, seq: int) -> None:
        """The broker has an alarm."""
        if self.expects_receipts:
            self.awaiting.acked(seq, self._clock.boottime_ns())

    def receipt_taken(self, covered: int) -> None:
        """The journal has taken a receipt."""
        if covered:
            self._pause_s = self._limits.resend_others_s
            self._plan()
        self._prune()

    async def look(self) -> bool:
        """Look for overdue receipts; return whether an alarm has become overdue. Raises JournalError."""
        if not self.expects_receipts:
            self.awaiting.clear()
            return False
        self._prune()
        now_ns = self._clock.boottime_ns()
        overdue = self.awaiting.overdue(now_ns)
        if overdue and not self.on_overdue():
            for seq in overdue:
                self._lanes[Lane.ALARM].again.extend(await self._journal.rows(seq, seq, 1))
        if now_ns >= self._at_ns:
            self._pause_s = min(self._limits.resend_cap_s, self._pause_s * 2)
            self._plan()
            self._sent.clear()
            self._wanted.set()
        return bool(overdue)

    async def run(self) -> None:
        """Feed the lanes until cancelled. Raises JournalError."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._feed_asked()
            if not self.expects_receipts:
                continue
            for lane in self._lanes.values():
                await self._feed(lane)

    async def _feed(self, lane: LaneQueue) -> None:
        after = 0
        while rows := await self._journal.unreceipted(lane.lane, self._limits.page, after):
            after = rows[-1].seq
            lane.again.extend(row for row in rows if row.seq not in self._sent)
            self._wake()
            while lane.again:
                await self._clock.sleep(LOOK_S)

    async def _feed_asked(self) -> None:
        asked, self._asked = list(self._asked), {}
        for seq in asked:
            self._lanes[Lane.ALARM].again.extend(await self._journal.rows(seq, seq, 1))
        if asked:
            self._wake()

    def _plan(self) -> None:
        self._at_ns = self._clock.boottime_ns() + round(self._pause_s * NS_PER_S)

    def _prune(self) -> None:
        self.awaiting.prune(lambda seq: self._journal.delivery(seq) == "received")


class Replayer:
    """The verb `replay`: a range again, as it was, paced, behind everything else."""

    def __init__(
        self, journal: Journal, clock: Clock, limits: Limits, connected: Callable[[], bool], wake: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._connected = connected
        self._wake = wake
        self._lock = asyncio.Lock()
        self.rows: deque[Stored] = deque()
        """What the pump takes when nothing else waits."""

    async def command(self, command: Command) -> Mapping[str, JsonValue]:
        """`{"from": a, "to": b}`, both included. Raises Interrupted, JournalError."""
        first, last = command.args.get("from"), command.args.get("to")
        head = self._journal.head.seq
        if type(first) is not int or type(last) is not int or not 1 <= first <= last:
            raise Interrupted(say("uplink.replay-range", got=f"{first!r}..{last!r}", head=head))
        last = min(last, head)
        async with self._lock:
            sent, at = await self._replay(first, last)
        return {"from": first, "to": last, "sent": sent, "next": at + 1 if at < last else None}

    async def _replay(self, first: int, last: int) -> tuple[int, int]:
        """Return how many went out, and the last `seq` that did."""
        sent, at = 0, first - 1
        while at < last and sent < self._limits.replay_rows:
            count = min(self._limits.page, self._limits.replay_rows - sent)
            rows = await self._journal.rows(at + 1, last, count)
            if not rows:
                return sent, last
            self._check()
            self.rows.extend(rows)
            self._wake()
            await self._clock.sleep(len(rows) / self._limits.replay_per_s)
            while self.rows:
                await self._clock.sleep(LOOK_S)
                self._check()
            sent, at = sent + len(rows), rows[-1].seq
        return sent, at

    def _check(self) -> None:
        if not self._connected():
            raise Interrupted(say("uplink.not-connected"))
