"""The loop's side of the journal: its state in memory, appends, and the writer's answers.

Constraints. Everything that may touch a disk happens in the writer thread or in the one reader thread; what lamps
and heartbeats ask is answered from memory (`board.py`). The state in memory changes only when the writer has
committed, in the writer's order. Reads are checked row by row; an altered event never leaves here.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from ulid import ULID

from agent.clock import Clock
from agent.journal.board import Board
from agent.journal.chain import blank
from agent.journal.gate import Gate
from agent.journal.jobs import Append, Call, Done, Job
from agent.journal.opening import Opened
from agent.journal.reading import Sick
from agent.journal.room import lost_events
from agent.journal.store import Store, connect
from agent.journal.types import JournalError, JournalSettings, Progress, Saves, StoreKind, Trouble
from agent.journal.upkeep import OldestTime
from agent.journal.writer import Writer
from agent.model import Event, Head, Lane, Site, Stored
from agent.texts import Text, say

READ_LIMIT: Final = 1_000
"""The most rows of one read, some 5 ms, so that a page of history does not hold up the alarm lane."""
UNTOLD_LIMIT: Final = 100
"""Troubles kept until somebody listens: a start finds few."""
T = TypeVar("T")


class JournalCore:
    """What `Journal` stands on."""

    def __init__(self, opened: Opened, settings: JournalSettings, site: Site, clock: Clock) -> None:
        self._settings, self._site, self._clock = settings, site, clock
        self._loop = asyncio.get_running_loop()
        self._kind: StoreKind = opened.kind
        self._trouble, self._kept_aside = opened.trouble, opened.kept_aside
        self._id, self._board, self._saved = opened.id, opened.board, opened.saved
        self._boots, self._quarantined = opened.boots, opened.quarantined
        self._lock = opened.lock
        self._head = opened.store.head()
        self._receipts = True
        self._receipts_seen = opened.meta.get("receipts") == "seen"
        self._disagrees = False
        self._disk_is_back = False
        self._floor_ns = 0
        self._life = str(ULID())
        self._closed = False
        self._gate = Gate(self._loop)
        self._times = OldestTime()
        self._on_stored: list[Callable[[Sequence[Stored]], None]] = []
        self._on_trouble: list[Callable[[Trouble], None]] = []
        self._untold: list[Trouble] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead = False
        self._failure: JournalError | None = None
        self._reader_pool = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._reader = None if opened.kind == "memory" else connect(settings.path, read_only=True)
        self._writer = Writer(opened, settings, site, clock, self._from_writer, self._writer_is_dead)
        self._decide_receipts()

    # -- what it is --

    @property
    def store(self) -> StoreKind:
        """Where events are kept now."""
        return self._kind

    @property
    def trouble(self) -> Text | None:
        """Why the store is not the file that was there, or what is wrong with its disk; None if all is well."""
        return self._trouble

    @property
    def kept_aside(self) -> Path | None:
        """The sick file that was moved away at this start."""
        return self._kept_aside

    @property
    def id(self) -> str:
        """The ULID of this chain. It changes when a sick disk drives the journal into memory."""
        return self._id

    @property
    def head(self) -> Head:
        """The end of the chain that is durable."""
        return self._head

    @property
    def saved(self) -> Mapping[str, str]:
        """What was given to `append(save=...)`, and is durable."""
        return self._saved

    @property
    def size_bytes(self) -> int:
        """The pages in use, an estimate between two looks; what `max_size` is compared with."""
        return self._writer.room.used

    @property
    def receipts_seen(self) -> bool:
        """Whether this district has ever sent a receipt."""
        return self._receipts_seen

    @property
    def receipts_live(self) -> bool:
        """Whether events stay due until a receipt covers them."""
        return self._receipts and self._receipts_seen

    def progress(self) -> Progress:
        """Say how the writer gets on, for the watchdog."""
        oldest = self._gate.oldest_ns()
        waited_ns = 0 if oldest is None else self._clock.boottime_ns() - oldest
        alive = self._writer.alive() and not self._dead
        return Progress(alive, len(self._gate), waited_ns, self._writer.last_commit_ns)

    def check(self) -> None:
        """Raise the JournalError that whoever met it may have kept to himself; nothing while the journal goes on."""
        if self._failure is not None:
            raise self._failure

    def on_stored(self, callback: Callable[[Sequence[Stored]], None]) -> None:
        """Call back on the loop with every batch that was committed, before its appends return."""
        self._on_stored.append(callback)

    def on_trouble(self, callback: Callable[[Trouble], None]) -> None:
        """Call back on the loop when something goes wrong with the store, or is well again; the first to register also
        hears what was found before.
        """
        self._on_trouble.append(callback)
        untold, self._untold = self._untold, []
        for trouble in untold:
            callback(trouble)

    # -- appending --

    async def append(self, *events: Event, save: Saves | None = None) -> tuple[Stored, ...]:
        """Commit the events and values in one transaction; return when they are durable.

        Events of the event lane alone wait while the writer is behind, and raise JournalFull where there is no room at
        all. Raise JournalError when the journal can't go on, NotJson for data that no JSON can hold. When
        cancelled, they may have been stored.
        """
        blanks = [blank(event, self._site) for event in events]
        urgent = any(event.lane is not Lane.EVENT for event in events)
        future: asyncio.Future[tuple[Stored, ...]] = self._loop.create_future()
        job = Append(future, blanks, save or {}, urgent, self._clock.boottime_ns())
        if self._gate.full(job.goes_first()):
            await self._gate.enter(job.goes_first())
            job.born_ns = self._clock.boottime_ns()
        self._put(job)
        return await future

    def _put(self, job: Job) -> "asyncio.Future[Any]":
        if self._dead or self._closed:
            raise JournalError(say("journal.closed" if self._closed else "journal.writer-died"))
        self._gate.add(job, job.born_ns)
        self._writer.put(job)
        return job.future

    async def _call(
        self,
        run: Callable[[Store], T],
        after: Callable[[T], Any] = lambda result: result,
        *,
        journal: str | None = None,
        stale: object = None,
    ) -> Any:
        """Run something in the writer's next transaction, then `after` on the loop in the order of commits."""
        future = self._loop.create_future()
        return await self._put(Call(future, run, after, journal, self._clock.boottime_ns(), stale))

    # -- from the writer --

    def _from_writer(self, done: Done) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(self._take, done)

    def _writer_is_dead(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._die)

    def _die(self) -> None:
        self._dead = True
        if not self._closed:
            self._failure = JournalError(say("journal.writer-died"))
        for job in self._gate.empty():
            if not job.future.done():
                job.future.set_exception(JournalError(say("journal.writer-died")))

    def _take(self, done: Done) -> None:
        """Bring the state in memory up to a commit, then tell everybody."""
        if done.moved_to is not None:
            self._move(done.moved_to)
        if done.stored:
            for stored in done.stored:
                self._board.add(stored.seq, stored.lane)
            self._head = Head(done.stored[-1].seq, done.stored[-1].hash)
            self._times.appended(done.stored)
        self._board.move(done.evicted, None)
        for key, value in done.saves.items():
            if value is None:
                self._saved.pop(key, None)
            else:
                self._saved[key] = value
        for trouble in done.troubles:
            self._tell(trouble)
        if done.stored:
            for callback in self._on_stored:
                callback(done.stored)
        for job, answer in done.answers:
            self._answer(job, answer)
        self._gate.open()

    def _answer(self, job: Job, answer: Any) -> None:
        self._gate.remove(job)
        result = job.after(answer) if isinstance(job, Call) else answer
        if job.future.done():
            return
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

    def _move(self, journal_id: str) -> None:
        """The store is in memory from here on, with a chain of its own."""
        self._kind, self._id, self._head = "memory", journal_id, Head()
        self._board = Board()
        self._times = OldestTime()
        self._quarantined = set()
        self._receipts_seen = False
        self._decide_receipts()
        reader, self._reader = self._reader, None
        if reader is not None:
            self._reader_pool.submit(reader.close)

    def _tell(self, trouble: Trouble) -> None:
        if trouble.kind in ("memory", "disk-full"):
            self._trouble = trouble.text if trouble.raised else None
        if not self._on_trouble:
            self._untold = [*self._untold, trouble][-UNTOLD_LIMIT:]
        for callback in self._on_trouble:
            callback(trouble)

    # -- reading --

    async def _read(self, read: Callable[[Any], T]) -> T:
        reader = self._reader
        if reader is None:
            result: T = await self._call(lambda store: read(store.connection))
            return result
        try:
            return await self._loop.run_in_executor(self._reader_pool, read, reader)
        except sqlite3.Error as error:
            if self._reader is not reader:  # the store went to memory meanwhile
                return await self._read(read)
            self._failure = JournalError(say("journal.cant-read", path=self._settings.path, error=error))
            raise self._failure from error

    def _sound(self, rows: Iterable[Stored | Sick]) -> list[Stored]:
        sound: list[Stored] = []
        for row in rows:
            if isinstance(row, Stored):
                sound.append(row)
            elif (mended := self._judge(row)) is not None:
                sound.append(mended)
        return sound

    def _judge(self, sick: Sick) -> Stored | None:
        """Mend what can be mended; keep the rest as evidence and never let it out."""
        if sick.mended is not None:
            hash_ = sick.mended.hash
            self._do(self._call(lambda store: store.mend_hash(sick.seq, hash_), journal=self._id))
        elif sick.seq not in self._quarantined:
            self._quarantined.add(sick.seq)
            self._do(self._quarantine(sick))
        return sick.mended

    async def _quarantine(self, sick: Sick) -> None:
        if sick.body is None and await self._call(lambda store: store.in_gap(sick.seq), journal=self._id, stale=True):
            self._quarantined.discard(sick.seq)  # evicted while it was being read
            return
        moment = self._clock.moment()
        found = moment.wall.isoformat(timespec="seconds")
        lost = []
        if self._board.state(sick.seq) is not None:
            lost += lost_events(self._clock, ((sick.seq, sick.expected),), "altered")
        self._tell(
            Trouble("altered", say("journal.altered", seq=sick.seq, expected=sick.expected, computed=sick.computed))
        )
        future: asyncio.Future[tuple[Stored, ...]] = self._loop.create_future()
        blanks = [blank(event, self._site) for event in lost]
        now_ns = moment.boottime_ns
        await self._put(
            Append(
                future,
                blanks,
                {},
                True,
                now_ns,
                lambda store: store.quarantine(sick.seq, found, sick.expected, sick.computed, sick.body),
            )
        )
        self._board.move([sick.seq], None)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """Run something beside, that nobody waits for; a dead journal is told elsewhere."""

        async def quietly() -> None:
            with suppress(JournalError):
                await work

        task = self._loop.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _decide_receipts(self) -> None:
        self._writer.acked_is_delivered = not self.receipts_live
