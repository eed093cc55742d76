"""Checking a chain, wherever it was stored: here, at a district, in an export.

Constraints. A district stores events in the order they came: lanes overtake each other and QoS 1 repeats, so order
and repetition are no problem. Memory is bounded by 32 bytes per event: the events of a chain are kept as runs of
hashes, which grow together as gaps are filled. Input is anybody's file: what can't be read is told with its line,
and never raised.

What is checked, per chain (member `journal`): that each event fits its `hash`; that its `prevhash` is the hash of
`seq - 1`; that no `seq` is missing, except in the ranges that a sound `campus.lost` of the same chain names; that
no `seq` exists twice with different content. What can't be checked from inside is the end: compare the head with
the last heartbeat.
"""

import json
import sqlite3
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from agent.journal.chain import MAX_SAFE, OUTSIDE_THE_HASH, NotJson, canonical_json, hash_of
from agent.journal.store import connect
from agent.model import ZERO_HASH, Head
from agent.texts import Spoken, Text, say

PROBLEMS_KEPT: Final = 1_000
"""More are only counted: a wrong file would have one per line."""
SHOWN: Final = 60
HASH_BYTES: Final = 32
_SQLITE_MAGIC: Final = b"SQLite format 3\0"


class UnreadableChain(Spoken):
    """The file to check can't be opened at all."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain: its id, the events seen (without repetitions), where it begins and ends."""

    journal: str
    first: int
    head: Head
    events: int
    missing: int
    """Events missing and explained."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `problems` are at most `PROBLEMS_KEPT` of `problem_count`; `notes` are no problems."""

    chains: tuple[ChainReport, ...]
    events: int
    duplicates: int
    problems: tuple[Text, ...]
    problem_count: int
    notes: tuple[Text, ...]

    @property
    def ok(self) -> bool:
        """Tell whether everything that can be checked is as it should be."""
        return self.problem_count == 0


def verify(lines: Iterable[bytes | str | Mapping[str, Any]]) -> Report:
    """Check events, published or stored, in any order: raw JSON or parsed objects. A line may hold a JSON array."""
    check = _Check()
    for number, line in enumerate(lines, 1):
        for event in check.parse(number, line):
            check.event(number, event)
    return check.report()


def verify_path(path: Path | str) -> Report:
    """Check a file of JSON lines, a JSON array, or a journal's database; `-` is standard input. Raise
    UnreadableChain.
    """
    if str(path) == "-":
        return verify(_lines(sys.stdin.buffer))
    try:
        with Path(path).open("rb") as file:
            magic = file.read(len(_SQLITE_MAGIC))
            if magic != _SQLITE_MAGIC:
                file.seek(0)
                return verify(_lines(file))
    except OSError as error:
        raise UnreadableChain(say("journal.cant-read", path=path, error=error.strerror)) from error
    return verify_database(Path(path))


def verify_database(path: Path) -> Report:
    """Check a journal's file without writing to it, in use or not; raise UnreadableChain."""
    check = _Check()
    try:
        connection = _open_read_only(path, check)
    except sqlite3.Error as error:
        raise UnreadableChain(say("journal.cant-read", path=path, error=error)) from error
    try:
        journal = connection.execute("SELECT value FROM meta WHERE key = 'journal'").fetchone()[0]
        for first, last, hash_ in connection.execute("SELECT first, last, hash FROM gap ORDER BY first"):
            check.removed(journal, first, last, hash_)
        rows = connection.execute("SELECT seq, CAST(hash AS BLOB), CAST(body AS BLOB) FROM event ORDER BY seq")
        for seq, hash_, body in rows:
            check.row(journal, seq, hash_, body)
    except (sqlite3.Error, TypeError) as error:
        if not check.events:
            raise UnreadableChain(say("journal.not-a-journal", path=path, error=error)) from error
        check.problem(say("journal.cant-read", path=path, error=error))
    finally:
        connection.close()
    return check.report()


def _open_read_only(path: Path, check: "_Check") -> sqlite3.Connection:
    connection = connect(path, read_only=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:  # no right to make the files of WAL mode beside it: read it as it lies there
        connection.close()
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            check.notes.append(say("journal.check-no-wal", path=path))
    return connection


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines that hold something; a file that is one array over several lines comes as one piece."""
    head = b""
    for line in file:
        if line.strip():
            head = line
            break
    if head.lstrip().startswith(b"["):
        yield head + file.read()
    elif head:
        yield head
        yield from (line for line in file if line.strip())


@dataclass(slots=True)
class _Run:
    """Events that follow each other without a gap: the hashes of `first`, `first + 1`, ..."""

    first: int
    prevhash: str
    hashes: bytearray

    @property
    def last(self) -> int:
        return self.first + len(self.hashes) // HASH_BYTES - 1

    def hash_at(self, seq: int) -> str:
        start = (seq - self.first) * HASH_BYTES
        return self.hashes[start : start + HASH_BYTES].hex()


@dataclass(slots=True)
class _Chain:
    runs: list[_Run] = field(default_factory=list)
    explained: list[tuple[int, int, str]] = field(default_factory=list)
    events: int = 0


class _Check:
    """The state of one check."""

    def __init__(self) -> None:
        self.chains: dict[str, _Chain] = {}
        self.events = 0
        self.duplicates = 0
        self.without_hash = 0
        self.problems: list[Text] = []
        self.problem_count = 0
        self.notes: list[Text] = []

    def problem(self, text: Text) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(text)

    def parse(self, number: int, line: bytes | str | Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Read one line into its events; tell what is none."""
        if isinstance(line, Mapping):
            return [line]
        try:
            parsed = json.loads(line, object_pairs_hook=_no_doubles, parse_int=_number, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            self._unreadable(number, line)
            return []
        found = parsed if isinstance(parsed, list) else [parsed]
        for one in found:
            if not isinstance(one, dict):
                self._unreadable(number, json.dumps(one))
        return [one for one in found if isinstance(one, dict)]

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        """Check one event by itself, and put it into its chain."""
        seq, prevhash, given = event.get("seq"), event.get("prevhash"), event.get("hash")
        known = isinstance(event.get("id"), str) and type(seq) is int and seq >= 1
        if not known or type(seq) is not int or not isinstance(prevhash, str) or not _is_hash(prevhash):
            self._unreadable(number, json.dumps(event, ensure_ascii=False, default=str))
            return
        try:
            inside = {key: value for key, value in event.items() if key not in OUTSIDE_THE_HASH}
            computed = hash_of(canonical_json(inside))
        except NotJson:
            self._unreadable(number, json.dumps(event, ensure_ascii=False, default=str))
            return
        self.without_hash += given is None
        self._place(event, seq, prevhash, computed if given is None else given, computed)

    def row(self, journal: str, seq: int, hash_: bytes, body: bytes) -> None:
        """Check one row of a database: its hash is over the stored bytes."""
        given, computed = hash_.decode("ascii", "replace"), hash_of(body)
        try:
            event = json.loads(body)
            prevhash = event["prevhash"]
        except (ValueError, KeyError, TypeError):
            event, prevhash = {}, ""
        self._place({"journal": journal, **event}, seq, prevhash, given, computed)
        if given == computed and event.get("seq") != seq:
            self.problem(say("journal.check-altered", seq=seq, expected=f"seq {seq}", got=f"seq {event.get('seq')}"))

    def removed(self, journal: str, first: int, last: int, hash_: str) -> None:
        """The database says that it removed a range."""
        self.chains.setdefault(journal, _Chain()).explained.append((first, last, hash_))
        self.notes.append(say("journal.check-removed", first=first, last=last))

    def _place(self, event: Mapping[str, Any], seq: int, prevhash: str, given: Any, computed: str) -> None:
        self.events += 1
        sound = given == computed
        if not sound:
            self.problem(say("journal.check-altered", seq=seq, expected=given, got=computed))
        journal = event.get("journal")
        chain = self.chains.setdefault(journal if isinstance(journal, str) else "", _Chain())
        hash_ = given if _is_hash(given) else computed
        if not self._insert(chain, seq, prevhash, hash_, sound):
            return
        chain.events += 1
        if sound and event.get("type") == "campus.lost":
            self._lost(chain, event.get("data"))

    def _lost(self, chain: _Chain, data: Any) -> None:
        if not isinstance(data, Mapping):
            return
        first, last, hash_ = data.get("from"), data.get("to"), data.get("hash")
        if type(first) is int and type(last) is int and first <= last and isinstance(hash_, str):
            chain.explained.append((first, last, hash_))
            values = {"first": first, "last": last, "count": data.get("count"), "reason": data.get("reason")}
            self.notes.append(say("journal.check-lost", **values))

    def _insert(self, chain: _Chain, seq: int, prevhash: str, hash_: str, sound: bool) -> bool:
        """Put an event into the runs; return False for one that is there already."""
        runs = chain.runs
        place = bisect_right(runs, seq, key=lambda run: run.first)
        before = runs[place - 1] if place else None
        if before is not None and seq <= before.last:
            if before.hash_at(seq) == hash_:
                self.duplicates += 1
            else:
                self.problem(say("journal.check-twice", seq=seq, expected=before.hash_at(seq), got=hash_))
            return False
        if before is not None and seq == before.last + 1:
            if sound:
                self._link(seq, before.hash_at(seq - 1), prevhash)
            before.hashes += bytes.fromhex(hash_)
        else:
            before = _Run(seq, prevhash if sound else "", bytearray.fromhex(hash_))
            runs.insert(place, before)
            place += 1
        if place < len(runs) and runs[place].first == seq + 1:
            after = runs.pop(place)
            if after.prevhash:
                self._link(after.first, hash_, after.prevhash)
            before.hashes += after.hashes
        return True

    def _link(self, seq: int, expected: str, got: str) -> None:
        if expected != got:
            self.problem(say("journal.check-link", seq=seq, expected=expected, got=got))

    def _unreadable(self, number: int, got: bytes | str) -> None:
        shown = got.decode("utf-8", "replace") if isinstance(got, bytes) else got
        self.problem(say("journal.check-unreadable", line=number, got=repr(shown[:SHOWN])))

    def report(self) -> Report:
        """Look for gaps, now that everything is in its place."""
        chains = []
        for journal, chain in sorted(self.chains.items()):
            if chain.runs:
                chains.append(self._close(journal, chain))
        if not self.events:
            self.notes.append(say("journal.check-empty"))
        if self.without_hash:
            self.notes.append(say("journal.check-no-hash", count=self.without_hash))
        notes = tuple(self.notes[:PROBLEMS_KEPT])
        return Report(tuple(chains), self.events, self.duplicates, tuple(self.problems), self.problem_count, notes)

    def _close(self, journal: str, chain: _Chain) -> ChainReport:
        runs, explained = chain.runs, sorted(chain.explained)
        hashes = {last: hash_ for _, last, hash_ in explained}
        missing, before = 0, 0
        for run in runs:
            if run.first == 1 and run.prevhash:
                self._link(1, ZERO_HASH, run.prevhash)
            for first, last in _unexplained(before + 1, run.first - 1, explained):
                if before == 0 and last == run.first - 1 and first == 1:
                    self.notes.append(say("journal.check-begins", seq=run.first))
                else:
                    self.problem(say("journal.check-gap", first=first, last=last, count=last - first + 1))
            if run.first > before + 1 and run.first - 1 in hashes and run.prevhash:
                self._link(run.first, hashes[run.first - 1], run.prevhash)
            missing += run.first - before - 1 if before else 0
            before = run.last
        end = runs[-1]
        return ChainReport(journal, runs[0].first, Head(end.last, end.hash_at(end.last)), chain.events, missing)


def _unexplained(first: int, last: int, explained: list[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """Yield what of a closed range no (sorted) explanation covers."""
    for start, end, _ in explained:
        if end < first or start > last:
            continue
        if start > first:
            yield first, start - 1
        first = max(first, end + 1)
    if first <= last:
        yield first, last


def _is_hash(value: object) -> bool:
    if not isinstance(value, str) or len(value) != 2 * HASH_BYTES or value.lower() != value:
        return False
    with suppress(ValueError):
        return len(bytes.fromhex(value)) == HASH_BYTES
    return False


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _number(digits: str) -> int | float:
    """Read an integer as every JSON reader would: beyond 2^53 - 1 it is a double."""
    if len(digits) <= 15 or abs(int(digits)) <= MAX_SAFE:
        return int(digits)
    return float(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
