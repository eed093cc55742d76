"""The one thread that writes: what waits goes into one transaction, the chain is made there, in order.

Constraints. Durable before answered: a future is set after COMMIT with `synchronous=FULL`. Alarms and faults are
taken first, so an alarm waits for at most one transaction of others (`BATCH_ROWS`) and one chunk of upkeep. The
loop hears of a whole batch by one call. Errors that mean a full disk are mended with the ballast; any other write
error ends the file (after a failed fsync nobody knows what the disk holds): the chain begins anew in memory, and
what was in hand goes in there.
"""

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from agent.clock import Clock
from agent.journal.ballast import Ballast
from agent.journal.chain import Blank, blank, hash_of
from agent.journal.checkpoint import Checkpointer, checkpoint
from agent.journal.jobs import Append, Call, Chore, Done, Job
from agent.journal.opening import Opened, code, memory_store
from agent.journal.room import FREE_PAGES_BYTES, Freed, Room, lost_events, never_taken_event
from agent.journal.store import ROWS_PER_STATEMENT, NewRow, Store
from agent.journal.types import JournalFull, JournalSettings, Trouble
from agent.model import Head, Site, Stored
from agent.texts import say

BATCH_ROWS: Final = 512
"""Some 15 ms: what an alarm may have to wait for."""
TRIES_ON_FULL: Final = 3
MEMORY_BYTES: Final = 64 << 20
"""What a journal in memory may grow to before its event lane is evicted: a gateway has 1 GB or less."""
CALM_SHARE: Final = 0.9
"""Eviction counts as over when the event lane is this far below its limit."""
BATCHES_BETWEEN_CHORES: Final = 8
"""Upkeep goes on under load, but slowly."""
CHORE_LOG_BYTES: Final = 64 << 10
"""What a chunk of upkeep adds to the log, by experience."""
COMMANDS_SAVED_FROM_FILE: Final = 1_000


class Writer:
    """Owns the store from `start` to the end of `close`. Other threads put jobs, and read the plain attributes."""

    def __init__(
        self,
        opened: Opened,
        settings: JournalSettings,
        site: Site,
        clock: Clock,
        deliver: Callable[[Done], None],
        on_death: Callable[[], None],
    ) -> None:
        self.store = opened.store
        self.journal_id = opened.id
        self.head = opened.store.head()
        self.in_memory = opened.kind == "memory"
        self.disk_full = opened.disk_full
        self.last_commit_ns = clock.boottime_ns()
        self.acked_is_delivered = True
        self.room = Room(opened.store, _quota(settings, self.in_memory))
        self._saved = dict(opened.saved)
        self._settings, self._site, self._clock = settings, site, clock
        self._deliver, self._on_death = deliver, on_death
        self._ballast = Ballast(settings.path)
        self._inbox: queue.SimpleQueue[Job | Chore | None] = queue.SimpleQueue()
        self._urgent: deque[Job] = deque()
        self._waiting: deque[Job] = deque()
        self._chores: deque[Chore] = deque()
        self._batches_since_chore = 0
        self._never_taken = 0
        self._evicting = False
        self._closing = False
        self._checkpointer = None if self.in_memory else Checkpointer(settings.path)
        self._thread = threading.Thread(target=self._main, name="journal-writer", daemon=True)

    def start(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.start()
        self._thread.start()

    def put(self, job: Job | Chore) -> None:
        self._inbox.put(job)

    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to finish what waits, and to close the store."""
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if it has not come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- the thread --

    def _main(self) -> None:
        finished = False
        try:
            while not (self._closing and not self._urgent and not self._waiting):
                self._take_in()
                if batch := self._next_batch():
                    self._write(batch)
                    self._batches_since_chore += 1
                if self._chores and (not batch or self._batches_since_chore >= BATCHES_BETWEEN_CHORES):
                    self._do_chore()
            if self._checkpointer is not None:
                self._checkpointer.stop(wait=True)
            with suppress(sqlite3.Error):
                self.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.store.close()
            finished = True
        finally:
            if not finished:
                self._on_death()

    def _take_in(self) -> None:
        idle = not (self._urgent or self._waiting or self._chores or self._closing)
        try:
            while True:
                job = self._inbox.get(block=idle)
                idle = False
                if job is None:
                    self._closing = True
                elif isinstance(job, Append):
                    (self._urgent if job.goes_first() else self._waiting).append(job)
                elif isinstance(job, Call):
                    self._waiting.append(job)
                else:
                    self._chores.append(job)
        except queue.Empty:
            pass

    def _next_batch(self) -> list[Job]:
        batch: list[Job] = []
        rows = 0
        for waiting in (self._urgent, self._waiting):
            while waiting and rows < BATCH_ROWS:
                job = waiting.popleft()
                rows += max(1, len(job.blanks)) if isinstance(job, Append) else 1
                batch.append(job)
        return batch

    def _write(self, batch: list[Job]) -> None:
        done = Done()
        for attempt in range(TRIES_ON_FULL + 1):
            try:
                self._transact(batch, done)
                break
            except sqlite3.Error as error:
                done = self._mend(error, done, attempt)
        self.last_commit_ns = self._clock.boottime_ns()
        self._deliver(done)
        self._fold_log(sum(len(stored.body) for stored in done.stored))

    def _fold_log(self, body_bytes: int) -> None:
        if self._checkpointer is not None and self._checkpointer.wrote(body_bytes):
            with suppress(sqlite3.Error):  # the next commit meets the same disk, and says so
                checkpoint(self.store.connection)

    def _mend(self, error: sqlite3.Error, done: Done, attempt: int) -> Done:
        """After a failed transaction: make room on a full disk, or go over to memory. Raise if that is where we are."""
        fresh = Done(done.moved_to, troubles=[t for t in done.troubles if t.kind in ("memory", "disk-full")])
        with suppress(sqlite3.Error):
            self.store.rollback()
        if self.in_memory:
            raise error
        if code(error) == sqlite3.SQLITE_FULL and attempt < TRIES_ON_FULL - 1:
            self._relieve(fresh)
        else:
            self._fall_back(error, fresh)
        return fresh

    def _transact(self, batch: list[Job], done: Done) -> None:
        job = batch[0]
        plain = len(batch) == 1 and isinstance(job, Append) and not job.save and job.also is None and job.first is None
        appends = [job for job in batch if isinstance(job, Append)]
        wants_room = any(not job.urgent for job in appends) and (self.disk_full or self.room.is_short())
        lost: list[Blank] = []
        refuse = False
        single = plain and not wants_room and not self._never_taken and len(appends[0].blanks) <= ROWS_PER_STATEMENT
        if not single:
            self.store.begin()
            lost, refuse = self._make_room(done) if wants_room else ([], False)
            if refuse:
                refused = [job for job in appends if job.may_be_refused()]
                done.answers += [(job, JournalFull(say("journal.full", path=self._settings.path))) for job in refused]
                appends = [job for job in appends if not job.may_be_refused()]
            elif self._never_taken and any(not job.urgent for job in appends):
                lost.append(blank(never_taken_event(self._clock, self._never_taken), self._site))
        rows, head = self._chain(lost, self._admit(appends, refuse, done), done)
        self.store.insert(rows)
        for job in appends:
            done.saves.update(job.save)
            if job.also is not None:
                job.also(self.store)
        if done.saves:
            self.store.save(done.saves)
        for call in batch:
            if isinstance(call, Call):
                mine = call.journal is None or call.journal == self.journal_id
                done.answers.append((call, call.run(self.store) if mine else call.stale))
        if not single:
            self.store.commit()
        self._committed(rows, head, done)

    def _committed(self, rows: list[NewRow], head: Head, done: Done) -> None:
        self.head = head
        for key, value in done.saves.items():
            if value is None:
                self._saved.pop(key, None)
            else:
                self._saved[key] = value
        self.room.wrote(len(rows), sum(len(body) for _, body, _ in rows))
        refused = done.untaken
        for job, answer in done.answers:
            if isinstance(job, Append) and isinstance(answer, JournalFull):
                refused += len(job.blanks)
        if refused:
            if not self._never_taken:
                done.troubles.append(Trouble("refused-events", say("journal.full", path=self._settings.path)))
            self._never_taken += refused
        elif self._never_taken and any(stored.type == "campus.lost" for stored in done.stored):
            self._never_taken = 0
            done.troubles.append(Trouble("refused-events", say("journal.room-again"), raised=False))
        if done.evicted:
            self.room.look()
            if not self._evicting:
                text = say("journal.evicting", path=self._settings.path, limit=self._settings.max_size_bytes)
                done.troubles.append(Trouble("evicted", text))
            self._evicting = True

    def _admit(self, appends: list[Append], refuse: bool, done: Done) -> list[tuple[Append, Sequence[Blank]]]:
        """Say which events come in: `first` of a job may answer without them, and they are not what must find room."""
        admitted: list[tuple[Append, Sequence[Blank]]] = []
        for job in appends:
            answer = None if job.first is None else job.first(self.store)
            if answer is not None:
                done.answers.append((job, answer))
            elif job.first is not None and refuse and not job.urgent:
                done.untaken += len(job.blanks)
                admitted.append((job, ()))
            else:
                admitted.append((job, job.blanks))
        return admitted

    def _chain(
        self, lost: list[Blank], appends: Sequence[tuple[Append, Sequence[Blank]]], done: Done
    ) -> tuple[list[NewRow], Head]:
        """Give every event its place, and its hash."""
        journal = self.journal_id.encode()
        seq, hash_ = self.head.seq, self.head.hash
        rows: list[NewRow] = []
        done.stored = []

        def link(one: Blank) -> Stored:
            nonlocal seq, hash_
            seq += 1
            body = one.fill(journal, hash_.encode(), seq)
            hash_ = hash_of(body)
            rows.append((seq, body, hash_))
            event, moment = one.event, one.event.moment
            stored = Stored(
                seq, event.id, event.type, event.lane, event.device, event.point, body, hash_,
                moment.boottime_ns, moment.bootid, moment.clock,
            )  # fmt: skip
            done.stored.append(stored)
            return stored

        for one in lost:
            link(one)
        for job, blanks in appends:
            done.answers.append((job, tuple([link(one) for one in blanks])))
        return rows, Head(seq, hash_)

    # -- room --

    def _make_room(self, done: Done) -> tuple[list[Blank], bool]:
        """In front of an append of the event lane; return the loss records to chain, and whether it must be refused."""
        if self.disk_full:
            free = self.store.connection.execute(
                "SELECT freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size()"
            ).fetchone()[0]
            if free >= FREE_PAGES_BYTES and not self.room.is_short():
                return [], False
            freed = self.room.free_chunk(acked_is_delivered=self.acked_is_delivered, evict=False)
            return [], not freed.rows
        freed = self.room.make(acked_is_delivered=self.acked_is_delivered)
        return self._record_evicted(freed, "quota", done), self.room.used >= self.room.event_limit and not freed.rows

    def _record_evicted(self, freed: Freed, reason: str, done: Done) -> list[Blank]:
        if not freed.evicted:
            return []
        done.evicted += [seq for seq, _ in freed.evicted]
        return [blank(event, self._site) for event in lost_events(self._clock, freed.evicted, reason)]

    def _relieve(self, done: Done) -> None:
        """The disk is full: give up the ballast, use the log again from its start, and prune."""
        if not self.disk_full:
            self.disk_full = True
            done.troubles.append(Trouble("disk-full", say("journal.disk-full", path=self._settings.path)))
        self._ballast.drop()
        with suppress(sqlite3.Error):
            checkpoint(self.store.connection)
        try:
            self.store.begin()
            self.room.free_chunk(acked_is_delivered=self.acked_is_delivered, evict=False)
            self.store.commit()
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self.store.rollback()
        with suppress(sqlite3.Error):
            checkpoint(self.store.connection)

    def tidy(self, ballast_is_there: bool) -> Chore:
        """Make the chore that ends the states `disk-full` and `evicted` when they are over."""

        def chore(_store: Store) -> bool:
            done = Done()
            if ballast_is_there and self.disk_full:
                self.disk_full = False
                done.troubles.append(Trouble("disk-full", say("journal.disk-again"), raised=False))
            if self._evicting and self.room.look() < self.room.event_limit * CALM_SHARE:
                self._evicting = False
                done.troubles.append(Trouble("evicted", say("journal.room-again"), raised=False))
            if done.troubles:
                self._deliver(done)
            return False

        return chore

    # -- memory --

    def _fall_back(self, error: sqlite3.Error, done: Done) -> None:
        """Begin a new chain in memory; take along what is remembered and, if they can be read, the commands."""
        why = say("journal.why-sqlite", error=error)
        commands: list[tuple[Any, ...]] = []
        with suppress(sqlite3.Error):
            commands = self.store.connection.execute(
                "SELECT id, verb, taken, life, reply FROM command ORDER BY rowid DESC LIMIT ?",
                (COMMANDS_SAVED_FROM_FILE,),
            ).fetchall()
        if self._checkpointer is not None:
            self._checkpointer.stop(wait=False)
            self._checkpointer = None
        with suppress(sqlite3.Error):
            self.store.close()
        store, self.journal_id = memory_store(self._clock.moment())
        store.save(self._saved)
        store.connection.executemany("INSERT INTO command VALUES (?, ?, ?, ?, ?)", commands[::-1])
        self.store, self.head, self.in_memory, self.disk_full = store, Head(), True, False
        self.room = Room(store, _quota(self._settings, True))
        self._chores.clear()
        text = say("journal.memory", path=self._settings.path, why=why)
        done.moved_to = self.journal_id
        done.troubles.append(Trouble("memory", text))

    def _do_chore(self) -> None:
        self._batches_since_chore = 0
        chore = self._chores.popleft()
        done = Done()
        try:
            self.store.begin()
            more = chore(self.store)
            self.store.commit()
            self._fold_log(CHORE_LOG_BYTES)
        except sqlite3.Error as error:
            done = self._mend(error, done, 0)
            more = False
        if done.moved_to or done.troubles:
            self._deliver(done)
        if more:
            self._chores.append(chore)


def _quota(settings: JournalSettings, in_memory: bool) -> int:
    return min(settings.max_size_bytes, MEMORY_BYTES) if in_memory else settings.max_size_bytes
