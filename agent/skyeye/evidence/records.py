"""The record beside each piece of evidence (`<id>.json`): written, read, and found again at a start.

At a start only an entry of each is kept in memory, and whole records are read when they are asked for: a hundred
thousand of them would take 140 MB, entries take a third of that. Entries of what has been uploaded never change, so
that they are also kept in one file (`settled.jsonl`): it spares a start a hundred thousand small reads. It proves
nothing: the folders are listed, what they have not is forgotten, what it has not is read, and without it all is.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from agent.model import JsonValue
from agent.secrets import os_reason
from agent.skyeye.model import Evidence, EvidenceKind
from agent.texts import say

log = logging.getLogger(__name__)

SUFFIXES: Final[Mapping[str, str]] = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}
ULID_TEXT: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
INDEX: Final = "settled.jsonl"
UploadState = Literal["none", "due", "done", "failed"]
"""none: nowhere to send it; failed: given up (a pre-signed address that has expired)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of evidence, with what became of its upload."""

    evidence: Evidence
    upload: UploadState = "none"


@dataclass(frozen=True, slots=True)
class Entry:
    """What must be known of a piece of evidence without looking at the disk."""

    id: str
    file: str
    """Its path below the store's folder."""
    bytes: int
    at_s: float
    alarm: bool
    due: bool
    """The district has not got it yet."""

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """What goes first when room is needed: what is of no alarm, then what the district has, then the oldest."""
        return self.alarm, self.due, self.id


def entry_of(record: Record) -> Entry:
    """What is kept in memory of a record."""
    one = record.evidence
    file = f"{one.path.parent.name}/{one.path.name}"
    return Entry(one.id, file, one.bytes, one.at.timestamp(), one.alarm, record.upload == "due")


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 in lower-case hex, and the size in bytes. Raises OSError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return found.hexdigest(), file.tell()


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that a power cut leaves all of it or nothing. Raises OSError."""
    write_parts_durably(path, [data])


def write_parts_durably(path: Path, parts: Iterable[bytes]) -> None:
    """The same of a file that is made by and by."""
    temporary = path.with_suffix(path.suffix + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def record_path(file: Path, id_: str) -> Path:
    """Where the record of a file is."""
    return file.with_name(f"{id_}.json")


def write_record(record: Record) -> None:
    """Write one record. Raises OSError."""
    one = record.evidence
    write_durably(record_path(one.path, one.id), encode_record(record))


def encode_record(record: Record) -> bytes:
    """A record as it is stored."""
    one = record.evidence
    value: dict[str, JsonValue] = {
        "v": 1,
        "id": one.id,
        "kind": one.kind,
        "camera": one.camera,
        "file": one.path.name,
        "sha256": one.sha256,
        "bytes": one.bytes,
        "at": one.at.isoformat(),
        "event": one.event,
        "alarm": one.alarm,
        "seconds": one.seconds,
        "content_type": one.content_type,
        "put_url": one.put_url,
        "upload": record.upload,
    }
    return json.dumps(value).encode()


class BadRecord(ValueError):
    """A record that cannot be read."""


def parse_record(raw: bytes, folder: Path) -> Record:
    """Read one record of a file in `folder`; raise BadRecord and nothing else."""
    try:
        value = json.loads(raw)
        name = str(value["file"])
        if "/" in name or value["upload"] not in UploadState.__args__:  # type: ignore[attr-defined]  # of a Literal
            raise BadRecord("file or upload")
        if value["kind"] not in EvidenceKind.__args__ or value["content_type"] not in SUFFIXES:  # type: ignore[attr-defined]
            raise BadRecord("kind or content_type")
        if not ULID_TEXT.fullmatch(value["id"]):
            raise BadRecord("id")
        at = datetime.fromisoformat(value["at"])
        if at.tzinfo is None:
            raise BadRecord("at has no zone")
        evidence = Evidence(
            id=value["id"],
            kind=value["kind"],
            camera=str(value["camera"]),
            path=folder / name,
            sha256=str(value["sha256"]),
            bytes=int(value["bytes"]),
            at=at,
            event=value["event"],
            alarm=bool(value["alarm"]),
            seconds=value["seconds"],
            content_type=value["content_type"],
            put_url=value["put_url"],
        )
        return Record(evidence, value["upload"])
    except BadRecord:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadRecord(f"{type(error).__name__}: {error}") from None


def read_record(file: Path, id_: str) -> Record:
    """The record of a file. Raises BadRecord and OSError."""
    return parse_record(record_path(file, id_).read_bytes(), file.parent)


def settle(file: Path, id_: str, state: UploadState) -> None:
    """Note what became of an upload; the address it went to is forgotten. Raises BadRecord and OSError."""
    record = read_record(file, id_)
    write_record(Record(replace(record.evidence, put_url=None), state))


@dataclass(frozen=True, slots=True)
class Found:
    """What a start finds."""

    entries: list[Entry]
    read: int
    """Of them, those that the index could have spared."""


def read_folder(folder: Path) -> Found:
    """Find everything below `folder`; remove files that have no record, which a power cut has left. Raises OSError."""
    if not folder.is_dir():
        return Found([], 0)
    settled = read_index(folder)
    entries: list[Entry] = []
    read = 0
    for day in sorted(path for path in folder.iterdir() if path.is_dir()):
        names = {path.name for path in day.iterdir()}
        known = [one for one in settled.get(day.name, ()) if _whole(one, names)]
        fresh = [*read_day(day, names, {f"{one.id}.json" for one in known})]
        entries += known
        entries += fresh
        read += sum(not one.due for one in fresh)
        kept = {Path(one.file).name for one in (*known, *fresh)}
        for name in names - kept:
            if name.endswith((".part", *SUFFIXES.values())):
                _drop(day / name)
    return Found(entries, read)


def _whole(entry: Entry, names: Set[str]) -> bool:
    return f"{entry.id}.json" in names and entry.file.partition("/")[2] in names


def read_day(day: Path, names: Set[str], known: Set[str]) -> Iterator[Entry]:
    """The records of one day whose files are there, but for the known ones."""
    for name in sorted(name for name in names - known if name.endswith(".json")):
        path = day / name
        try:
            record = parse_record(path.read_bytes(), day)
        except (BadRecord, OSError) as error:
            log.warning(say("evidence.bad-record", path=path, error=str(error)))
            continue
        if record.evidence.path.name in names:
            yield entry_of(record)
        else:
            _drop(path)


def read_index(folder: Path) -> dict[str, list[Entry]]:
    """What is known to be settled, by day; nothing where that cannot be read. A broken line is no line."""
    found: dict[str, list[Entry]] = {}
    with suppress(OSError), (folder / INDEX).open("rb") as file:
        for line in file:
            with suppress(ValueError, TypeError):
                id_, path, size, at_s, alarm = json.loads(line)
                entry = Entry(str(id_), str(path), int(size), float(at_s), alarm is True, due=False)
                found.setdefault(entry.file.partition("/")[0], []).append(entry)
    return found


def write_index(folder: Path, entries: Iterable[Entry]) -> None:
    """Write down what is settled. Raises OSError."""
    lines = (
        json.dumps([one.id, one.file, one.bytes, one.at_s, one.alarm]).encode() + b"\n"
        for one in entries
        if not one.due
    )
    write_parts_durably(folder / INDEX, lines)


def _drop(path: Path) -> None:
    with suppress(OSError):  # a read-only disk: it does no harm there
        path.unlink(missing_ok=True)


def unlink_all(folder: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Remove files and their records, and return those that are gone; the record goes last, so that a cut between
    leaves nothing that lies."""
    gone: list[Entry] = []
    for one in entries:
        path = folder / one.file
        try:
            path.unlink(missing_ok=True)
            record_path(path, one.id).unlink(missing_ok=True)
        except OSError as error:
            log.warning(say("evidence.unwritable", path=path, reason=os_reason(error)))
            return gone
        gone.append(one)
        with suppress(OSError):  # other evidence of that day
            path.parent.rmdir()
    return gone
