"""Reading events back, each checked against its hash.

Constraints. Many rows come as one value of one statement: SQLite's Python binding gives the interpreter away at
every row, and a busy event loop takes 5 ms to give it back. Canonical JSON holds no raw newline, so lines frame the
rows. What does not fit its frame or its hash is read once more by itself and judged: `Sick`, with the evidence.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.journal.chain import hash_of, stored_from
from agent.journal.types import Refused
from agent.model import Lane, Stored

__all__ = ["Sick", "Stored", "prevhash_of", "read_outbox", "read_refused", "read_seqs", "read_span", "read_tail"]


@dataclass(frozen=True, slots=True)
class Sick:
    """An event that is not as it was written. `mended`: only the hash column was hit; this is the whole event."""

    seq: int
    expected: str
    computed: str
    body: bytes | None
    mended: Stored | None = None


def read_seqs(connection: sqlite3.Connection, seqs: list[int]) -> list[Stored | Sick]:
    """Read these events, in order; one that is not there at all is sick too."""
    if not seqs:
        return []
    return _read(
        connection,
        "seq IN (SELECT value FROM json_each(?))",
        (json.dumps(seqs),),
        sorted(seqs),
    )


def read_span(connection: sqlite3.Connection, first: int, last: int, limit: int) -> list[Stored | Sick]:
    """Read up to `limit` events of a closed range, in order."""
    try:
        found = connection.execute(
            "SELECT json_group_array(seq) FROM (SELECT seq FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?)",
            (first, last, limit),
        ).fetchone()[0]
        seqs = json.loads(found)
    except sqlite3.DatabaseError:  # a page that can't be walked: ask for each one
        seqs = list(range(first, min(last, first + limit - 1) + 1))
    return read_seqs(connection, seqs)


def read_tail(connection: sqlite3.Connection, count: int) -> list[Stored | Sick]:
    """Read the last `count` events, in order."""
    found = connection.execute(
        "SELECT json_group_array(seq) FROM (SELECT seq FROM event ORDER BY seq DESC LIMIT ?)", (count,)
    ).fetchone()[0]
    return read_seqs(connection, json.loads(found))


def read_refused(connection: sqlite3.Connection, limit: int) -> list[Refused]:
    """The oldest refused rows."""
    rows = connection.execute(
        "SELECT seq, lane, code, reason FROM outbox WHERE state = 'refused' ORDER BY seq LIMIT ?", (limit,)
    ).fetchall()
    lanes = {lane.value: lane for lane in Lane}
    return [Refused(seq, lanes.get(lane, Lane.FAULT), code, reason or "") for seq, lane, code, reason in rows]


def read_outbox(connection: sqlite3.Connection) -> Iterator[tuple[int, str, str]]:
    """Every undelivered row, in order."""
    return iter(connection.execute("SELECT seq, lane, state FROM outbox ORDER BY seq"))


def _read(
    connection: sqlite3.Connection, where: str, args: tuple[object, ...], seqs: Iterable[int]
) -> list[Stored | Sick]:
    try:
        lines: bytes | None = connection.execute(
            "SELECT CAST(group_concat(seq || ' ' || hash || ' ' || body, char(10)) AS BLOB)"  # noqa: S608  # ours
            f" FROM (SELECT seq, hash, body FROM event WHERE {where} ORDER BY seq)",
            args,
        ).fetchone()[0]
    except sqlite3.DatabaseError:
        lines = None
    good: dict[int, Stored] = {}
    for line in (lines or b"").split(b"\n"):
        seq, _, rest = line.partition(b" ")
        hash_, _, body = rest.partition(b" ")
        if (computed := hash_of(body)).encode() == hash_:
            stored = stored_from(body, computed)
            if str(stored.seq).encode() == seq:
                good[stored.seq] = stored
    return [good[seq] if seq in good else _read_one(connection, seq) for seq in seqs]


def _read_one(connection: sqlite3.Connection, seq: int) -> Stored | Sick:
    """Read one suspect by itself, and judge it by the event after it, which repeats its hash."""
    row = _raw(connection, seq)
    if row is None:
        return Sick(seq, _prevhash_after(connection, seq) or "", "", None)
    hash_, body = row
    expected, computed = hash_.decode("ascii", "replace"), hash_of(body)
    if computed != expected and computed != _prevhash_after(connection, seq):
        return Sick(seq, expected, computed, body)
    try:
        stored = stored_from(body, computed)
    except (ValueError, KeyError, TypeError):
        return Sick(seq, expected, computed, body)
    if stored.seq != seq:
        return Sick(seq, expected, computed, body)
    return stored if computed == expected else Sick(seq, expected, computed, body, mended=stored)


def _raw(connection: sqlite3.Connection, seq: int) -> tuple[bytes, bytes] | None:
    try:
        row: tuple[bytes, bytes] | None = connection.execute(
            "SELECT CAST(ifnull(hash, '') AS BLOB), CAST(ifnull(body, '') AS BLOB) FROM event WHERE seq = ?", (seq,)
        ).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row


def prevhash_of(stored: Stored) -> str:
    """The hash that an event says its predecessor has."""
    return str(json.loads(stored.body)["prevhash"])


def _prevhash_after(connection: sqlite3.Connection, seq: int) -> str | None:
    """What the next event says that the hash of `seq` is, if that event can be read and believed."""
    row = _raw(connection, seq + 1)
    if row is None or hash_of(row[1]).encode() != row[0]:
        return None
    prevhash = json.loads(row[1]).get("prevhash")
    return prevhash if isinstance(prevhash, str) else None
