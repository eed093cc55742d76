"""Opening the journal: the best store that can be had, and a loud word if it is not the file.

The file if it is sound; a fresh file with the sick one kept aside as `<journal>.sick-<time>`; memory where no file
can be written. Two agents on one file is an error, never a fallback: the lock is flock(2) on `<journal>.lock`.

Constraints. Starting must not wait for a large file: the outbox and the last `TAIL_ROWS` events are read and
checked, no more (SQLite's own integrity check is slow and blind to most flips); each other row is checked when it
is read. Whether the file can be written is found out by writing to it.
"""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ulid import ULID

from agent.journal import reading, receipts, schema
from agent.journal.ballast import Ballast
from agent.journal.board import Board
from agent.journal.store import Store, connect
from agent.journal.types import JournalLocked, StoreKind
from agent.model import ZERO_HASH, Moment
from agent.texts import Text, say

TAIL_ROWS: Final = 500
"""How many events are checked at the start: about 10 ms."""
MIGRATE_TIMEOUT_S: Final = 120.0
"""A step rewrites no events; minutes are for a slow card, and systemd's start limit is no shorter."""
PROBE_BYTES: Final = 256 << 10
"""A disk that takes this much again is worth a restart."""

_CANT_WRITE: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_NOLFS,
    }
)
_MAY_BE_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""A full disk also shows as an I/O error, where SQLite can't make its log or its shared-memory file."""


@dataclass(slots=True)
class Opened:
    """An open journal: its store, and what was found in it."""

    store: Store
    kind: StoreKind
    id: str
    board: Board
    saved: dict[str, str]
    meta: dict[str, str]
    boots: dict[str, tuple[int, int]]
    sick: list[reading.Sick]
    quarantined: set[int]
    clearing: list[receipts.Span] = field(default_factory=list)
    trouble: Text | None = None
    kept_aside: Path | None = None
    disk_full: bool = False
    lock: int | None = None


class SickFile(Exception):
    """The file is there and can be reached, but is no journal that we can go on with."""

    def __init__(self, why: Text) -> None:
        super().__init__(why)
        self.why = why


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error, SQLITE_ERROR where the binding gives none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def open_journal(path: Path, moment: Moment) -> Opened:
    """Open the best store for `path`; blocking. Raise JournalLocked and nothing else that a disk can cause."""
    kept_aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
    except OSError as error:
        return _memory(path, moment, say("journal.why-os", error=error.strerror or str(error)))
    ballast = Ballast(path)
    trouble: Text | None = None
    kind: StoreKind = "file"
    opened: Opened | None = None
    disk_full = False
    try:
        try:
            try:
                opened, disk_full = _with_ballast(ballast, lambda: open_file(path, moment))
            except SickFile as sick:
                kept_aside = set_aside(path, moment)
                kind, trouble = "fresh", say("journal.kept-aside", path=path, aside=kept_aside, why=sick.why)
                opened, disk_full = _with_ballast(ballast, lambda: open_file(path, moment))
        except (sqlite3.Error, SickFile) as error:
            why = error.why if isinstance(error, SickFile) else say("journal.why-sqlite", error=error)
            opened = _memory(path, moment, why)
            opened.kept_aside = kept_aside
        except OSError as error:
            opened = _memory(path, moment, say("journal.why-os", error=error.strerror or str(error)))
        else:
            opened.kind, opened.kept_aside, opened.disk_full = kind, kept_aside, disk_full
            opened.trouble = say("journal.disk-full", path=path) if disk_full and not trouble else trouble
    finally:
        if opened is None:
            os.close(lock)
    opened.lock = lock
    return opened


def open_file(path: Path, moment: Moment) -> Opened:
    """Open or make the file; raise SickFile, sqlite3.Error (it can't be reached or written), OSError."""
    try:
        return _open_file(path, moment)
    except sqlite3.Error as error:
        if _is_sick(error):
            raise SickFile(say("journal.why-sqlite", error=error)) from error
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:  # readable, but not what we ever wrote
        raise SickFile(say("journal.why-content", error=error)) from error


def _open_file(path: Path, moment: Moment) -> Opened:
    if path.is_file() and path.stat().st_size > 0:
        _bring_up_to_date(path)
    connection = connect(path)
    try:
        store = Store(connection)
        store.prepare()
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            store.create(new_id(moment), moment.wall.isoformat(timespec="seconds"))
        opened = _read_in(store)
        store.begin()
        store.set_meta({"opened": moment.wall.isoformat(timespec="seconds")})
        store.commit()
    except BaseException:  # raised again; the file must not stay open
        connection.close()
        raise
    return opened


def memory_store(moment: Moment) -> tuple[Store, str]:
    """Make an empty journal in memory; return it with its id."""
    store = Store(connect(None))
    journal_id = new_id(moment)
    store.create(journal_id, moment.wall.isoformat(timespec="seconds"))
    return store, journal_id


def new_id(moment: Moment) -> str:
    """Make the id of a journal's life."""
    return str(ULID.from_datetime(moment.wall))


def set_aside(path: Path, moment: Moment) -> Path:
    """Move a sick file away with its log, under a name that SQLite can open it by; raise OSError."""
    stamp = moment.wall.strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.sick-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.sick-{stamp}-{number}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    return aside


def disk_works(path: Path, saved: dict[str, str]) -> bool:
    """Tell whether a restart would get its file: write beside it, and into it what is to be remembered. Blocking."""
    probe = path.with_name(path.name + ".probe")
    try:
        file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, PROBE_BYTES)
            os.fsync(file)
        finally:
            os.close(file)
            probe.unlink(missing_ok=True)
        if path.is_file() and path.stat().st_size > 0:
            _save_into(path, saved)
    except (OSError, SickFile):
        return False
    except sqlite3.Error as error:
        return _is_sick(error)  # a restart sets it aside
    return True


def _save_into(path: Path, saved: dict[str, str]) -> None:
    connection = connect(path)
    try:
        store = Store(connection)
        store.prepare()
        store.begin()
        gone = dict.fromkeys(store.saved().keys() - saved.keys())
        store.save({**gone, **saved})
        store.set_meta({"probed": "1"})
        store.commit()
    finally:
        connection.close()


def _is_sick(error: sqlite3.Error) -> bool:
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return extended == sqlite3.SQLITE_IOERR_SHORT_READ or code(error) not in _CANT_WRITE


def _with_ballast(ballast: Ballast, open_it: Callable[[], Opened]) -> tuple[Opened, bool]:
    """Open; on a full disk once more without the ballast. Also tell whether the disk was full."""
    try:
        return open_it(), False
    except sqlite3.Error as error:
        if code(error) not in _MAY_BE_FULL or not ballast.drop():
            raise
    return open_it(), True


def _lock(path: Path) -> int:
    """Take the lock, or raise JournalLocked; raise OSError where even reading the lock file is impossible."""
    name = path.with_name(path.name + ".lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError:
        lock = os.open(name, os.O_RDONLY | os.O_CLOEXEC)  # made before the disk became full or read-only
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise JournalLocked(say("journal.locked", path=path, lock=name)) from error
    return lock


def _memory(path: Path, moment: Moment, why: Text) -> Opened:
    store, journal_id = memory_store(moment)
    trouble = say("journal.memory", path=path, why=why)
    return Opened(store, "memory", journal_id, Board(), {}, store.meta(), {}, [], set(), trouble=trouble)


def _bring_up_to_date(path: Path) -> None:
    """Check whose file it is, and migrate an older one in a process of its own; raise SickFile, sqlite3.Error."""
    connection = connect(path)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()
    if tables == 0 and version == 0:
        return
    if application != schema.APPLICATION_ID:
        raise SickFile(say("journal.why-foreign", expected=f"{schema.APPLICATION_ID:#x}", got=f"{application:#x}"))
    if version > schema.VERSION:
        raise SickFile(say("journal.why-newer", ours=schema.VERSION, got=version))
    if version < schema.VERSION:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "agent.journal.migrate", str(path)],
                capture_output=True,
                timeout=MIGRATE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SickFile(say("journal.why-migration", got=version, ours=schema.VERSION, error=error)) from error
        if done.returncode:
            error_text = done.stderr.decode("utf-8", "replace").strip()[-400:]
            raise SickFile(say("journal.why-migration", got=version, ours=schema.VERSION, error=error_text))


def _read_in(store: Store) -> Opened:
    """Read what is kept in memory, and check the tail; raise sqlite3.Error, SickFile."""
    meta = store.meta()
    if "journal" not in meta:
        raise SickFile(say("journal.why-no-id"))
    head = store.head()
    board = Board()
    board.load(reading.read_outbox(store.connection), head.seq)
    tail = reading.read_tail(store.connection, TAIL_ROWS)
    quarantined = {seq for (seq,) in store.connection.execute("SELECT seq FROM quarantine")}
    _check_links(store, [row for row in tail if not isinstance(row, reading.Sick)])
    clearing = receipts.pending(meta)
    sick = [row for row in tail if isinstance(row, reading.Sick) and row.seq not in quarantined]
    for first, last in clearing:
        board.clear(first, last)
    return Opened(
        store, "file", meta["journal"], board, store.saved(), meta, store.boots(), sick, quarantined, clearing
    )


def _check_links(store: Store, tail: list[reading.Stored]) -> None:
    """The last events must follow each other; raise SickFile. A row that is missing is told by its hash in a gap."""
    previous = None
    for row in tail:
        prevhash = reading.prevhash_of(row)
        if row.seq == 1 and prevhash != ZERO_HASH:
            raise SickFile(say("journal.why-link", seq=row.seq, expected=ZERO_HASH, got=prevhash))
        if previous is not None and previous.seq == row.seq - 1 and previous.hash != prevhash:
            raise SickFile(say("journal.why-link", seq=row.seq, expected=previous.hash, got=prevhash))
        previous = row
