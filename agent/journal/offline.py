"""The journal's file without its daemon: read-only, for the command line.

Constraint. A reader must never disturb the writer or the evidence: the file is opened `mode=ro`, nothing is mended,
and what does not fit its hash is told, not hidden. Where the user may not make the files of WAL mode beside it, it
is read as it lies there.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.journal import times
from agent.journal.chain import published
from agent.journal.reading import Sick, Stored, prevhash_of, read_span, read_tail
from agent.journal.store import Store, connect
from agent.model import Head, Moment
from agent.texts import Spoken, Text, say


class Unreadable(Spoken):
    """The file is not there, may not be read, or is no journal."""


@dataclass(slots=True)
class TailReport:
    """The end of a chain, looked at row by row."""

    count: int = 0
    first: int | None = None
    last: int | None = None
    problems: list[Text] = field(default_factory=list)


class Offline:
    """A journal's file, open for reading: `with Offline(path) as journal`. Every method raises Unreadable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise Unreadable(say("cli.journal-missing", path=path))
        try:
            self._connection = open_read_only(path)
            store = Store(self._connection)
            self.head: Head = store.head()
            self._boots: times.Boots = store.boots()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, first: int, last: int, limit: int) -> list[Stored | Sick]:
        """Up to `limit` events of a closed range, in order."""
        try:
            return read_span(self._connection, first, last, limit)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def tail(self, count: int) -> list[Stored | Sick]:
        """The last `count` events, in order."""
        try:
            return read_tail(self._connection, count)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def published(self, stored: Stored, now: Moment) -> bytes:
        """The event as it would go out now."""
        corrected = times.correct(stored, self._boots)
        return published(stored, times.is_late(stored, corrected, now), corrected)

    def facts(self) -> dict[str, object]:
        """Counts for support: what is due and refused, what was removed, who this journal is."""
        try:
            outbox = self._connection.execute(
                "SELECT lane, state, count(*) FROM outbox GROUP BY lane, state"
            ).fetchall()
            gaps = self._connection.execute("SELECT first, last FROM gap ORDER BY first").fetchall()
            meta = Store(self._connection).meta()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        return {"outbox": outbox, "gaps": gaps, "meta": meta}

    def copy(self) -> bytes:
        """The whole database as one file, the write-ahead log included."""
        with connect(None) as memory:
            try:
                self._connection.backup(memory)
            except sqlite3.Error as error:
                raise self._unreadable(error) from None
            return memory.serialize()

    def check_tail(self, count: int) -> TailReport:
        """Check the hashes of the last `count` events and how each is tied to the one before it."""
        report = TailReport()
        report.problems += self._judge(self.tail(count), report)
        return report

    def _judge(self, rows: list[Stored | Sick], report: TailReport) -> Iterator[Text]:
        before: Stored | None = None
        for row in rows:
            report.count += 1
            report.first = row.seq if report.first is None else report.first
            report.last = row.seq
            if isinstance(row, Sick):
                yield say("cli.row-altered", seq=row.seq)
                before = row.mended
                continue
            if before is not None and row.seq == before.seq + 1 and prevhash_of(row) != before.hash:
                yield say("cli.row-untied", seq=row.seq, before=before.seq)
            before = row

    def _unreadable(self, error: sqlite3.Error) -> Unreadable:
        return Unreadable(say("cli.journal-unreadable", path=self._path, error=str(error)))


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open the file without changing anything. Raises sqlite3.Error."""
    connection = connect(path, read_only=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    return connection
