"""The SQL of the journal, on one connection: what the writer thread does to a file or to memory.

Constraints. Few, large statements: each call into SQLite hands the interpreter to the event loop and waits to get
it back (5 ms when the loop is busy), so rows go in with one statement per 64, marks with one per batch over
`json_each`, and a single event is one statement that commits by itself. Nothing here retries, logs or decides;
errors are sqlite3's.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.journal import schema
from agent.journal.types import Saves
from agent.model import ZERO_HASH, Head

ROWS_PER_STATEMENT: Final = 64
BUSY_TIMEOUT_MS: Final = 2_000
"""A technician's sqlite-utils may hold the write lock for a moment; an alarm waits no longer than this for it."""
PAGE_CACHE_KIB: Final = 1_024
WAL_KEEP_BYTES: Final = 8 << 20
"""A log that grew in a burst is cut back to this at the next checkpoint."""

NewRow = tuple[int, bytes, str]
"""`(seq, body, hash)`."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Rows taken out of `event`: in order of `seq`, with their hashes."""

    rows: tuple[tuple[int, str], ...]

    def runs(self) -> list[tuple[int, int, str]]:
        """Closed ranges without holes: `(first, last, hash of the last)`."""
        runs: list[tuple[int, int, str]] = []
        for seq, hash_ in self.rows:
            if runs and runs[-1][1] == seq - 1:
                runs[-1] = (runs[-1][0], seq, hash_)
            else:
                runs.append((seq, seq, hash_))
        return runs


def connect(path: Path | None, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a file, or memory for None; raise sqlite3.Error. The connection may be handed to another thread."""
    name = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(
        name, uri=path is not None, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1_000
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        connection.execute("PRAGMA cell_size_check = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class Store:
    """One journal on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._execute = connection.execute

    def prepare(self) -> None:
        """Set what lasts as long as the connection. WAL stays in the file; raise sqlite3.Error."""
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = FULL")
        self._execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoint.py
        self._execute(f"PRAGMA journal_size_limit = {WAL_KEEP_BYTES}")

    def create(self, journal_id: str, made: str) -> None:
        """Make the schema in an empty database, as the journal `journal_id`."""
        self.begin()
        for statement in (*schema.MIGRATIONS_TABLE, *(s for version in schema.VERSIONS for s in version)):
            self._execute(statement)
        for version in range(1, schema.VERSION + 1):
            self._execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
                (schema.MIGRATION_SET, schema.step_name(version), made),
            )
        self._execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        self._execute(f"PRAGMA user_version = {schema.VERSION}")
        self.set_meta({"journal": journal_id, "made": made})
        self.commit()

    def begin(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._execute("COMMIT")

    def rollback(self) -> None:
        """Undo; a transaction that SQLite has already undone is fine."""
        if self.connection.in_transaction:
            self._execute("ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    # -- reading what the writer must know --

    def head(self) -> Head:
        """The end of the chain, also when its last rows were removed."""
        rows = self._execute(
            "SELECT seq, hash FROM (SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1)"
            " UNION ALL SELECT last, hash FROM (SELECT last, hash FROM gap ORDER BY first DESC LIMIT 1)"
        ).fetchall()
        seq, hash_ = max(rows, default=(0, ZERO_HASH))
        return Head(seq, hash_)

    def hashes(self, seq: int) -> tuple[str, ...]:
        """What may be said to be the hash of `seq`: its row's, and that of the range it was removed with."""
        rows = self._execute(
            "SELECT hash FROM event WHERE seq = ?1 UNION ALL SELECT hash FROM gap WHERE last = ?1", (seq,)
        ).fetchall()
        return tuple(hash_ for (hash_,) in rows)

    def body(self, seq: int) -> bytes | None:
        """The stored bytes of one event, unchecked."""
        row = self._execute("SELECT CAST(body AS BLOB) FROM event WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else row[0]

    def in_gap(self, seq: int) -> bool:
        """Tell whether an event was removed on purpose."""
        query = "SELECT count(*) FROM gap WHERE ? BETWEEN first AND last"
        return bool(self._execute(query, (seq,)).fetchone()[0])

    def meta(self) -> dict[str, str]:
        return dict(self._execute("SELECT key, value FROM meta").fetchall())

    def saved(self) -> dict[str, str]:
        return dict(self._execute("SELECT key, value FROM saved").fetchall())

    def boots(self) -> dict[str, tuple[int, int]]:
        """Return `{bootid: (offset_ms, boottime_ns of the sync)}`."""
        rows = self._execute("SELECT bootid, offset_ms, boottime_ns FROM boot").fetchall()
        return {bootid: (offset_ms, boottime_ns) for bootid, offset_ms, boottime_ns in rows}

    def used_bytes(self) -> int:
        """The pages in use; free ones in the file are room."""
        (pages, free, size) = self._execute(
            "SELECT page_count, freelist_count, page_size"
            " FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        ).fetchone()
        return int((pages - free) * size)

    # -- the chain and what goes with it --

    def insert(self, rows: Sequence[NewRow]) -> None:
        """Add events; the trigger makes them due."""
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[start : start + ROWS_PER_STATEMENT]
            values = ",".join(["(?,CAST(? AS TEXT),?)"] * len(part))
            self._execute(
                f"INSERT INTO event (seq, body, hash) VALUES {values}",  # noqa: S608  # only placeholders
                [value for row in part for value in row],
            )

    def save(self, saves: Saves) -> None:
        """Remember values, forget those that are None."""
        kept = {key: value for key, value in saves.items() if value is not None}
        if kept:
            self._execute(
                "INSERT INTO saved (key, value) SELECT key, value FROM json_each(?) WHERE true"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (json.dumps(kept),),
            )
        if len(kept) < len(saves):
            gone = [key for key, value in saves.items() if value is None]
            self._execute("DELETE FROM saved WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(gone),))

    def set_meta(self, values: Mapping[str, str]) -> None:
        self._execute(
            "INSERT INTO meta (key, value) SELECT key, value FROM json_each(?) WHERE true"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (json.dumps(dict(values)),),
        )

    def note_boot(self, bootid: str, offset_ms: int, boottime_ns: int, noted: str) -> None:
        """Keep the first offset found in a boot."""
        self._execute(
            "INSERT OR IGNORE INTO boot (bootid, offset_ms, boottime_ns, noted) VALUES (?, ?, ?, ?)",
            (bootid, offset_ms, boottime_ns, noted),
        )

    # -- the outbox --

    def mark_acked(self, seqs: Iterable[int], *, delivered: bool) -> None:
        """The broker has them; `delivered`: and that is all that is asked for."""
        seqs_json = json.dumps(list(seqs))
        if delivered:
            self._execute(
                "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) AND state != 'refused'", (seqs_json,)
            )
        else:
            self._execute(
                "UPDATE outbox SET state = 'acked' WHERE seq IN (SELECT value FROM json_each(?)) AND state = 'due'",
                (seqs_json,),
            )

    def mark_refused(self, seq: int, code: int | None, reason: str) -> None:
        self._execute(
            "UPDATE outbox SET state = 'refused', code = ?, reason = ? WHERE seq = ?",
            (code, reason, seq),
        )

    def retry(self, seqs: Iterable[int]) -> None:
        """Make refused rows due again."""
        self._execute(
            "UPDATE outbox SET state = 'due', code = NULL, reason = NULL"
            " WHERE state = 'refused' AND seq IN (SELECT value FROM json_each(?))",
            (json.dumps(list(seqs)),),
        )

    def clear(self, first: int, last: int, limit: int) -> int:
        """Take up to `limit` rows of a closed range out of the outbox; return how many there were."""
        return self._execute(
            "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?)",
            (first, last, limit),
        ).rowcount

    def drop_acked(self, limit: int) -> int:
        """Take up to `limit` rows that a broker has out of the outbox."""
        return self._execute(
            "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE state = 'acked' LIMIT ?)", (limit,)
        ).rowcount

    # -- taking rows out --

    def delivered(self, after: int, limit: int, *, acked_is_delivered: bool) -> list[tuple[int, str, str | None]]:
        """The oldest delivered events above `after`: `(seq, hash, time)`."""
        kept = "outbox.state != 'acked'" if acked_is_delivered else "true"
        return self._execute(
            "SELECT event.seq, event.hash, event.time FROM event"  # noqa: S608  # ours
            f" LEFT JOIN outbox ON outbox.seq = event.seq AND {kept}"
            " WHERE event.seq > ? AND outbox.seq IS NULL ORDER BY event.seq LIMIT ?",
            (after, limit),
        ).fetchall()

    def oldest_events(self, after: int, limit: int) -> list[tuple[int, str]]:
        """The oldest undelivered rows of the event lane above `after`: what may be evicted."""
        return self._execute(
            "SELECT seq, hash FROM outbox JOIN event USING (seq)"
            " WHERE outbox.lane = 'event' AND seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        ).fetchall()

    def remove(self, removed: Removed) -> None:
        """Take events out for good, and note the gaps that they leave, joined with the gaps beside them."""
        seqs = json.dumps([seq for seq, _ in removed.rows])
        self._execute("DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))", (seqs,))
        self._execute("DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))", (seqs,))
        for first, last, hash_ in removed.runs():
            self._note_gap(first, last, hash_)

    def _note_gap(self, first: int, last: int, hash_: str) -> None:
        before = self._execute(
            "SELECT first, last FROM gap WHERE first < ? ORDER BY first DESC LIMIT 1", (first,)
        ).fetchone()
        after = self._execute("SELECT last, hash FROM gap WHERE first = ?", (last + 1,)).fetchone()
        if after is not None:
            self._execute("DELETE FROM gap WHERE first = ?", (last + 1,))
            last, hash_ = after
        if before is not None and before[1] == first - 1:
            first = before[0]
        self._execute("INSERT OR REPLACE INTO gap (first, last, hash) VALUES (?, ?, ?)", (first, last, hash_))

    def quarantine(self, seq: int, found: str, expected: str, computed: str, body: bytes | None) -> bool:
        """Keep an altered row as evidence, out of the outbox; return False if it was known."""
        added = self._execute(
            "INSERT OR IGNORE INTO quarantine (seq, found, expected, computed, body) VALUES (?, ?, ?, ?, ?)",
            (seq, found, expected, computed, body),
        ).rowcount
        self._execute("DELETE FROM outbox WHERE seq = ?", (seq,))
        return added == 1

    def mend_hash(self, seq: int, hash_: str) -> None:
        """Put back a hash that its own body and the next event agree upon."""
        self._execute("UPDATE event SET hash = ? WHERE seq = ?", (hash_, seq))

    # -- commands --

    def claim(self, id_: str, verb: str, taken: str, life: str) -> tuple[str, str | None] | None:
        """Take a command; return None if it is new, else `(life that took it, its reply)`."""
        row: tuple[str, str | None] | None = self._execute(
            "SELECT life, reply FROM command WHERE id = ?", (id_,)
        ).fetchone()
        if row is None:
            self._execute("INSERT INTO command (id, verb, taken, life) VALUES (?, ?, ?, ?)", (id_, verb, taken, life))
        return row

    def finish(self, id_: str, reply: str) -> bool:
        """Keep a reply; False if there is one."""
        if self._execute("SELECT 1 FROM command WHERE id = ? AND reply IS NOT NULL", (id_,)).fetchone():
            return False
        self._execute("UPDATE command SET reply = ? WHERE id = ?", (reply, id_))
        return True

    def unfinished(self, life: str, limit: int) -> list[tuple[str, str]]:
        """The oldest commands that another life took and did not answer: `(id, verb)`."""
        return self._execute(
            "SELECT id, verb FROM command WHERE reply IS NULL AND life != ? ORDER BY rowid LIMIT ?", (life, limit)
        ).fetchall()

    def forget_commands(self, before: str | None, keep_rows: int, limit: int) -> int:
        """Drop commands taken before a time, and the oldest beyond `keep_rows`; at most `limit` of them."""
        return self._execute(
            "DELETE FROM command WHERE rowid IN (SELECT rowid FROM command WHERE taken < ?1"
            " OR rowid <= (SELECT max(rowid) FROM command) - ?2 ORDER BY rowid LIMIT ?3)",
            (before or "", keep_rows, limit),
        ).rowcount
