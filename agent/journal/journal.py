"""The journal as the loop sees it: append and wait for durability, ask what is due, mark what happened to it.

Constraints. Everything that may touch a disk happens in the writer thread or in the one reader thread; what lamps
and heartbeats ask is answered from memory (`board.py`). The state in memory changes only when the writer has
committed, in the writer's order. Reads are checked row by row; an altered event never leaves here.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from agent.clock import NS_PER_S, Clock
from agent.journal import opening, reading, receipts, times, upkeep
from agent.journal.ballast import Ballast
from agent.journal.chain import blank, published
from agent.journal.core import READ_LIMIT, JournalCore
from agent.journal.floor import FLOOR_EVERY_S, write_floor
from agent.journal.jobs import Append
from agent.journal.store import Store
from agent.journal.types import Claim, Delivery, JournalSettings, ReceiptOutcome, Refused, Trouble
from agent.model import Command, Event, Lane, Moment, Receipt, Reply, Site, Stored
from agent.texts import Text, say

CLOSE_TIMEOUT_S: Final = 10.0
"""A last commit and the checkpoint on a slow card."""


class Journal(JournalCore):
    """One journal; made by `Journal.open`. All methods run on the loop that opened it."""

    @classmethod
    async def open(cls, settings: JournalSettings, site: Site, clock: Clock) -> "Journal":
        """Open the best store that can be had; raise JournalLocked."""
        opened = await asyncio.to_thread(opening.open_journal, settings.path, clock.moment())
        journal = cls(opened, settings, site, clock)
        if opened.clearing:
            journal._writer.put(upkeep.clearing(opened.clearing))
        journal._writer.start()
        for sick in opened.sick:
            journal._judge(sick)
        return journal

    # -- the outbox --

    async def due(self, lane: Lane, after_seq: int = 0, limit: int = 100) -> list[Stored]:
        """The first events of a lane above `after_seq` that no broker has acknowledged, in order."""
        return await self._undelivered(lane, "due", after_seq, limit)

    async def unreceipted(self, lane: Lane, limit: int = 100, after_seq: int = 0) -> list[Stored]:
        """The first events of a lane that a broker has, and no receipt covers."""
        return await self._undelivered(lane, "acked", after_seq, limit)

    async def _undelivered(self, lane: Lane, state: Any, after_seq: int, limit: int) -> list[Stored]:
        seqs = self._board.list(lane, state, after_seq, min(limit, READ_LIMIT))
        if not seqs:
            return []
        journal = self._id
        rows = await self._read(lambda connection: reading.read_seqs(connection, seqs))
        if journal != self._id:  # another chain began meanwhile, in which these numbers mean other events, or none
            return []
        return [row for row in self._sound(rows) if self._board.state(row.seq) == state]

    async def mark_acked(self, seqs: Iterable[int], journal: str | None = None) -> None:
        """The broker has taken these (PUBACK). `journal`: the id under which they were sent, if it may have changed."""
        wanted = list(seqs)
        delivered = not self._receipts

        def run(store: Store) -> bool:
            store.mark_acked(wanted, delivered=delivered)
            self._writer.room.changed()
            return True

        def after(ran: bool) -> None:
            if ran:
                self._board.move(wanted, None if delivered else "acked", only="due")

        await self._call(run, after, journal=journal or self._id, stale=False)

    async def mark_refused(self, seq: int, code: int | None, reason: str, journal: str | None = None) -> None:
        """The broker refused this one, or it can't be sent: it waits aside until `retry`."""

        def run(store: Store) -> bool:
            store.mark_refused(seq, code, reason)
            return True

        def after(ran: bool) -> None:
            if ran:
                self._board.move([seq], "refused")

        await self._call(run, after, journal=journal or self._id, stale=False)

    async def retry(self, seqs: Iterable[int] | None = None) -> int:
        """Make refused events due again, all of them for None; return how many."""
        board = self._board
        wanted = (
            [seq for lane in Lane for seq in board.list(lane, "refused", 0, len(board))] if seqs is None else list(seqs)
        )

        def after(ran: bool) -> int:
            return self._board.move(wanted, "due", only="refused") if ran else 0

        def run(store: Store) -> bool:
            store.retry(wanted)
            return True

        return int(await self._call(run, after, journal=self._id, stale=False))

    async def refused(self, limit: int = 100) -> list[Refused]:
        """The oldest refused events, with the broker's reason."""
        return await self._read(lambda connection: reading.read_refused(connection, min(limit, READ_LIMIT)))

    def refused_count(self) -> int:
        """How many events are refused."""
        return sum(self._board.count(lane, "refused") for lane in Lane)

    def due_counts(self) -> dict[Lane, int]:
        """How many events of each lane the district still has to get."""
        states = self._due_states()
        return {lane: sum(self._board.count(lane, state) for state in states) for lane in Lane}

    def delivery(self, seq: int) -> Delivery:
        """What has become of an event. `received` means a receipt, or a PUBACK where no district sends receipts:
        then `acked`.
        """
        state = self._board.state(seq)
        if state is not None:
            return state
        if seq > self._head.seq:
            return "due"
        return "received" if self.receipts_live else "acked"

    def oldest_due(self) -> str | None:
        """When the oldest event that is still due happened. Behind a backlog it may lag by one read."""
        firsts = [self._board.first(lane, self._due_states()) for lane in Lane]
        seq = min((first for first in firsts if first is not None), default=None)
        if seq is None:
            return None
        if self._times.wants(seq):
            self._do(self._find_time(seq))
        return self._times.time(seq)

    async def _find_time(self, seq: int) -> None:
        journal = self._id
        rows = await self._read(lambda connection: reading.read_seqs(connection, [seq]))
        if journal != self._id:
            return
        self._times.found(seq, next((times.time_text(row) for row in self._sound(rows)), None))

    def _due_states(self) -> tuple[Any, ...]:
        return ("due", "acked") if self.receipts_live else ("due",)

    # -- receipts --

    def set_receipts(self, wanted: bool) -> None:
        """`uplink.receipts` of the configuration. Without receipts, what a broker has is delivered."""
        self._receipts = wanted
        self._decide_receipts()
        if not wanted:
            for lane in Lane:
                self._board.move(self._board.list(lane, "acked", 0, len(self._board)), None)
            self._writer.put(upkeep.drop_acked)

    async def take_receipt(self, receipt: Receipt, journal: str | None = None) -> ReceiptOutcome:
        """The district holds these: clear them if its hash is ours. `journal`: which chain the district speaks of."""
        if journal is not None and journal != self._id:
            return ReceiptOutcome(0, note=say("journal.other-journal", expected=self._id, got=journal))
        if problem := receipts.out_of_range(receipt, self._head):
            return self._disagree(problem)
        ranges = [span for span in receipts.spans(receipt) if self._board.any_in(*span)]

        def run(store: Store) -> receipts.Verdict:
            return receipts.apply(store, receipt, ranges)

        def after(verdict: receipts.Verdict | None) -> ReceiptOutcome:
            if verdict is None:
                return ReceiptOutcome(0)
            if verdict.disagrees is not None:
                return self._disagree(verdict.disagrees)
            if verdict.note is not None:
                return ReceiptOutcome(0, note=verdict.note)
            self._receipts_seen = True
            self._decide_receipts()
            self._writer.room.changed()
            if self._disagrees:
                self._disagrees = False
                self._tell(Trouble("disagrees", say("journal.agrees-again"), raised=False))
            if verdict.more:
                self._writer.put(upkeep.clearing(verdict.more))
            return ReceiptOutcome(sum(self._board.clear(*span) for span in ranges))

        outcome: ReceiptOutcome = await self._call(run, after, journal=self._id)
        return outcome

    def _disagree(self, why: Text) -> ReceiptOutcome:
        if not self._disagrees:
            self._disagrees = True
            self._tell(Trouble("disagrees", why))
        return ReceiptOutcome(0, disagrees=why)

    # -- reading --

    async def rows(self, first: int, last: int, limit: int = READ_LIMIT) -> list[Stored]:
        """Up to `limit` (at most 1,000) sound events of the closed range, in order."""
        count = min(limit, READ_LIMIT)
        first, last = max(first, 1), min(last, self._head.seq)
        if first > last:
            return []
        return self._sound(await self._read(lambda connection: reading.read_span(connection, first, last, count)))

    async def tail(self, count: int) -> list[Stored]:
        """The last `count` (at most 1,000) events, in order."""
        count = min(count, READ_LIMIT)
        return self._sound(await self._read(lambda connection: reading.read_tail(connection, count)))

    # -- commands --

    async def claim_command(self, command: Command, *events: Event, reply: Reply | None = None) -> Claim:
        """Take a command, durably, before it runs. Whoever gets `new` runs it; it is given once, also across
        restarts. The events that tell of it are in the same transaction, of a known one they are left out; so is
        `reply` of a command that will not run.
        """
        taken = upkeep.utc_text(self._clock.wall())

        def claim(store: Store) -> Claim | None:
            found = store.claim(command.id, command.verb, taken, self._life)
            if found is None:
                if reply is not None:
                    store.finish(command.id, _reply_text(reply))
                return None
            life, text = found
            if text is not None:
                return Claim("known", _reply_from(text))
            return Claim("known", interrupted=life != self._life)

        answer = await self._append_after(claim, events)
        return answer if isinstance(answer, Claim) else Claim("new")

    async def finish_command(self, id_: str, reply: Reply, *events: Event) -> bool:
        """Keep the reply of a command that was claimed, and the events that tell how it went, in one transaction. The
        reply is given again to whoever delivers the command again. False, and nothing done, if it had one.
        """
        text = _reply_text(reply)
        answer = await self._append_after(lambda store: None if store.finish(id_, text) else False, events)
        return answer is not False

    async def unfinished_commands(self, limit: int = 100) -> list[tuple[str, str]]:
        """The commands that an earlier run of the agent took and never answered: `(id, verb)`, oldest first."""
        found: list[tuple[str, str]] = await self._call(lambda store: store.unfinished(self._life, limit))
        return found

    async def _append_after(self, first: Callable[[Store], Any], events: Sequence[Event]) -> Any:
        blanks = [blank(event, self._site) for event in events]
        future = self._loop.create_future()
        return await self._put(Append(future, blanks, {}, False, self._clock.boottime_ns(), first=first))

    # -- time --

    async def note_sync(self, offset: timedelta, moment: Moment | None = None) -> None:
        """The clock was set at `moment` (now), by `offset` forward: earlier events of this boot can be corrected."""
        at = moment or self._clock.moment()
        offset_ms = round(offset / timedelta(milliseconds=1))
        noted = at.wall.isoformat(timespec="seconds")
        self._boots.setdefault(at.bootid, (offset_ms, at.boottime_ns))
        await self._call(lambda store: store.note_boot(at.bootid, offset_ms, at.boottime_ns, noted))

    def correct(self, stored: Stored) -> str | None:
        """The true time of an event that was recorded before its boot's first sync, None for all others."""
        return times.correct(stored, self._boots)

    def published(self, stored: Stored) -> bytes:
        """The event as it goes out now, with `late`, `correctedtime` and `hash`."""
        corrected = self.correct(stored)
        return published(stored, times.is_late(stored, corrected, self._clock.moment()), corrected)

    # -- upkeep --

    async def maintain(self) -> None:
        """Prune, forget, rebuild, remember the time: every minute or so. Short; the work goes on in chunks."""
        path, moment = self._settings.path, self._clock.moment()
        if moment.boottime_ns - self._floor_ns >= FLOOR_EVERY_S * NS_PER_S or not self._floor_ns:
            self._floor_ns = moment.boottime_ns
            await self._blocking(write_floor, path, moment)
        if self._kind == "memory":
            back = await self._blocking(opening.disk_works, path, dict(self._saved))
            if back and not self._disk_is_back:
                self._tell(Trouble("memory", say("journal.file-back", path=path)))
            self._disk_is_back = back
        else:
            self._writer.put(self._writer.tidy(await self._blocking(Ballast(path).build)))
        writer = self._writer
        writer.room.changed()
        if moment.clock == "synced":
            before = moment.wall - timedelta(seconds=self._settings.keep_s)
            writer.put(lambda _: writer.room.prune_old(before, acked_is_delivered=writer.acked_is_delivered))
        writer.put(upkeep.forget_commands(moment))
        self._board.trim()

    def disk_is_back(self) -> bool:
        """In memory: tell whether a restart would have its file again (found out by `maintain`)."""
        return self._disk_is_back

    async def close(self) -> None:
        """Finish what waits, remember the time, let go of the file. Nothing may be asked afterwards."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reader is not None:  # before the writer, whose end then folds the log into the file
            await self._blocking(self._reader.close)
        self._writer.stop()
        await asyncio.to_thread(self._writer.join, CLOSE_TIMEOUT_S)
        await self._blocking(write_floor, self._settings.path, self._clock.moment())
        self._reader_pool.shutdown(wait=False)
        self._die()
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    async def _blocking(self, function: Any, *args: Any) -> Any:
        return await self._loop.run_in_executor(self._reader_pool, function, *args)


def _reply_text(reply: Reply) -> str:
    return json.dumps({"ok": reply.ok, "result": dict(reply.result), "reason": reply.reason, "id": reply.id})


def _reply_from(text: str) -> Reply:
    reply = json.loads(text)
    return Reply(reply["id"], reply["ok"], reply["result"], reply["reason"])
