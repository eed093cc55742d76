"""Evidence on disk. Each file has a record beside it (`<id>.json`), written before anybody hears of the file.

    evidence/2026-11-24/01KD...-gate-clip.mp4
    evidence/2026-11-24/01KD....json

The records are the only index: they are read at the start, and a file without one (a power cut between the two) is
removed. Nothing here is ever the reason that the journal has no room: some of the disk is always left alone.
"""

import asyncio
import hashlib
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from ulid import ULID

from agent.clock import Clock
from agent.model import JsonValue
from agent.secrets import os_reason
from agent.skyeye.model import Evidence, EvidenceKind
from agent.texts import Spoken, say

log = logging.getLogger(__name__)

DISK_LEFT_BYTES: Final = 512 << 20
"""What evidence leaves free on its disk: the journal's file, its WAL and its ballast live there too."""
CHUNK_BYTES: Final = 1 << 20
SUFFIXES: Final[Mapping[str, str]] = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}
UploadState = Literal["none", "due", "done", "failed"]
"""none: nowhere to send it; failed: given up (a pre-signed address that has expired)."""


class NoRoom(Spoken):
    """Evidence cannot be kept: the disk, or the quota."""


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of evidence, with what became of its upload."""

    evidence: Evidence
    upload: UploadState = "none"

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """What goes first when room is needed: what is of no alarm, then what the district has, then the oldest."""
        return self.evidence.alarm, self.upload == "due", self.evidence.id


Removed = Callable[[str, Sequence[Evidence]], None]
"""Hears why which evidence was removed: `quota`, `expired`."""


class EvidenceStore:
    """Keeps files under `folder`. Methods that touch the disk run in a thread."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        size_bytes: int,
        keep_s: float,
        on_removed: Removed = lambda _why, _what: None,
        left_bytes: int = DISK_LEFT_BYTES,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._size_bytes = size_bytes
        self._keep_s = keep_s
        self._left_bytes = left_bytes
        self._on_removed = on_removed
        self._records: dict[str, Record] = {}
        self._size = 0
        self._promised = 0
        """Bytes of the disk that files which are being written may need."""
        self._lock = asyncio.Lock()

    @property
    def size(self) -> int:
        """All that is kept, in bytes."""
        return self._size

    def reconfigure(self, *, size_bytes: int, keep_s: float) -> None:
        """Take new limits; they act at the next `maintain`."""
        self._size_bytes, self._keep_s = size_bytes, keep_s

    def get(self, id_: str) -> Evidence | None:
        """One by its id."""
        record = self._records.get(id_)
        return record.evidence if record else None

    def latest(self, camera: str) -> Evidence | None:
        """The newest picture of a camera."""
        pictures = (r.evidence for r in self._records.values() if r.evidence.camera == camera)
        return max((p for p in pictures if p.content_type == "image/jpeg"), key=lambda p: p.id, default=None)

    def due(self) -> tuple[Evidence, ...]:
        """What is to be uploaded: of alarms first, then the oldest."""
        waiting = [record.evidence for record in self._records.values() if record.upload == "due"]
        return tuple(sorted(waiting, key=lambda one: (not one.alarm, one.id)))

    async def load(self) -> None:
        """Read the records; remove what has none. Never raises: a broken record is told and left, and so is a folder
        that cannot be read (what comes is then refused, and told as missing)."""
        try:
            found = await asyncio.to_thread(read_folder, self._folder)
        except OSError as error:
            log.warning(say("evidence.unwritable", path=self._folder, reason=os_reason(error)))
            return
        self._records = {record.evidence.id: record for record in found}
        self._size = sum(record.evidence.bytes for record in found)

    def draft(self, camera: str, kind: EvidenceKind, content_type: str = "image/jpeg") -> tuple[str, Path]:
        """Give an id and a path to write to; `keep` makes it evidence. Raises NoRoom when the folder cannot be made."""
        now = self._clock.wall()
        id_ = str(ULID.from_datetime(now))
        folder = self._folder / now.strftime("%Y-%m-%d")
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise NoRoom(say("evidence.unwritable", path=folder, reason=os_reason(error))) from None
        return id_, folder / f"{id_}-{camera}-{kind}{SUFFIXES[content_type]}"

    async def add(
        self,
        camera: str,
        kind: EvidenceKind,
        data: bytes,
        *,
        event: str | None = None,
        alarm: bool = False,
        upload: bool = False,
        put_url: str | None = None,
    ) -> Evidence:
        """Keep a picture. Raises NoRoom."""
        await self._make_room(len(data))
        id_, path = self.draft(camera, kind)
        try:
            await asyncio.to_thread(write_durably, path, data)
        except OSError as error:
            raise NoRoom(say("evidence.unwritable", path=path, reason=os_reason(error))) from None
        return await self.keep(id_, camera, kind, path, event=event, alarm=alarm, upload=upload, put_url=put_url)

    async def keep(
        self,
        id_: str,
        camera: str,
        kind: EvidenceKind,
        path: Path,
        *,
        content_type: str = "image/jpeg",
        event: str | None = None,
        alarm: bool = False,
        seconds: float | None = None,
        upload: bool = False,
        put_url: str | None = None,
    ) -> Evidence:
        """Make a file that lies at its drafted path evidence. Raises NoRoom."""
        try:
            sha256, size = await asyncio.to_thread(digest, path)
            at = self._clock.wall()
            evidence = Evidence(id_, kind, camera, path, sha256, size, at, event, alarm, seconds, content_type, put_url)
            record = Record(evidence, "due" if upload or put_url else "none")
            await asyncio.to_thread(write_record, record)
        except OSError as error:
            raise NoRoom(say("evidence.unwritable", path=path, reason=os_reason(error))) from None
        self._records[id_] = record
        self._size += evidence.bytes
        await self._trim()
        return evidence

    @asynccontextmanager
    async def room_for(self, size_bytes: int) -> AsyncIterator[None]:
        """See to it that so much may be written, and keep it free for that: many clips at once, each of which finds the
        disk empty enough for itself, would together take the journal's room. Raises NoRoom."""
        await self._make_room(size_bytes)
        self._promised += size_bytes
        try:
            yield
        finally:
            self._promised -= size_bytes

    async def uploaded(self, id_: str, state: UploadState) -> None:
        """Note what became of an upload; the address it went to is forgotten."""
        if (record := self._records.get(id_)) is None:
            return
        self._records[id_] = record = Record(replace(record.evidence, put_url=None), state)
        try:
            await asyncio.to_thread(write_record, record)
        except OSError as error:  # it will be sent once more after a restart, which does no harm
            log.warning(say("evidence.unwritable", path=record.evidence.path, reason=os_reason(error)))

    async def maintain(self) -> None:
        """Remove what is too old or too much."""
        horizon = self._clock.wall().timestamp() - self._keep_s
        old = [r for r in self._records.values() if r.evidence.at.timestamp() < horizon and r.upload != "due"]
        async with self._lock:
            await self._remove("expired", old)
        await self._trim()

    async def _trim(self) -> None:
        """Keep within the limits; what cannot be helped now is tried again with the next file."""
        try:
            await self._make_room(0)
        except NoRoom as error:
            log.debug("%s", error)

    async def _make_room(self, size_bytes: int) -> None:
        async with self._lock:
            try:
                free = await asyncio.to_thread(free_bytes, self._folder)
            except OSError as error:
                raise NoRoom(say("evidence.unwritable", path=self._folder, reason=os_reason(error))) from None
            wanted = size_bytes + self._promised
            over = max(self._size + size_bytes - self._size_bytes, wanted + self._left_bytes - free)
            if over <= 0:  # nearly always: a hundred thousand records are not put in order for nothing
                return
            going: list[Record] = []
            for record in sorted(self._records.values(), key=lambda record: record.rank):
                if over <= 0:
                    break
                going.append(record)
                over -= record.evidence.bytes
            await self._remove("quota", going)
            if over > 0:
                raise NoRoom(say("evidence.no-room", size=size_bytes, free=free, left=self._left_bytes))

    async def _remove(self, why: str, records: Sequence[Record]) -> None:
        """Remove these. What the disk does not let go of (it is read-only, or has failed) stays in the records."""
        gone = await asyncio.to_thread(unlink_all, [record.evidence for record in records])
        for one in gone:
            if self._records.pop(one.id, None):
                self._size -= one.bytes
        if gone:
            self._on_removed(why, gone)


def free_bytes(folder: Path) -> int:
    """Free space of the disk that `folder` is on, for users that are not root."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 in lower-case hex, and the size in bytes. Raises OSError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return found.hexdigest(), file.tell()


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that a power cut leaves all of it or nothing. Raises OSError."""
    temporary = path.with_suffix(path.suffix + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def record_path(evidence: Evidence) -> Path:
    """Where the record of a piece of evidence is."""
    return evidence.path.with_name(f"{evidence.id}.json")


def write_record(record: Record) -> None:
    """Write one record. Raises OSError."""
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
    write_durably(record_path(one), json.dumps(value).encode())


class BadRecord(ValueError):
    """A record that cannot be read."""


def parse_record(raw: bytes, folder: Path) -> Record:
    """Read one record of a file in `folder`; raise BadRecord and nothing else."""
    try:
        value = json.loads(raw)
        name = str(value["file"])
        if "/" in name or value["upload"] not in UploadState.__args__:  # type: ignore[attr-defined]
            raise BadRecord("file or upload")
        if value["kind"] not in EvidenceKind.__args__ or value["content_type"] not in SUFFIXES:  # type: ignore[attr-defined]
            raise BadRecord("kind or content_type")
        at = datetime.fromisoformat(value["at"])
        if at.tzinfo is None:
            raise BadRecord("at has no zone")
        evidence = Evidence(
            id=str(ULID.from_str(value["id"])),
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


def read_folder(folder: Path) -> list[Record]:
    """Read every record below `folder`; remove files that have none, which a power cut has left."""
    records: list[Record] = []
    if not folder.is_dir():
        return records
    for day in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = list(read_day(day))
        records += found
        known = {name for record in found for name in (record.evidence.path.name, record_path(record.evidence).name)}
        for path in day.iterdir():
            if path.name not in known and path.suffix in {".part", *SUFFIXES.values()}:
                with suppress(OSError):  # a read-only disk: it does no harm there
                    path.unlink(missing_ok=True)
    return records


def read_day(day: Path) -> Iterable[Record]:
    """The records of one day whose files are there."""
    for path in sorted(day.glob("*.json")):
        try:
            record = parse_record(path.read_bytes(), day)
        except (BadRecord, OSError) as error:
            log.warning(say("evidence.bad-record", path=path, error=str(error)))
            continue
        if record.evidence.path.exists():
            yield record
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def unlink_all(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Remove files and their records, and return those that are gone; the record goes last, so that a cut between
    leaves nothing that lies."""
    gone: list[Evidence] = []
    for one in evidence:
        try:
            one.path.unlink(missing_ok=True)
            record_path(one).unlink(missing_ok=True)
        except OSError as error:
            log.warning(say("evidence.unwritable", path=one.path, reason=os_reason(error)))
            return gone
        gone.append(one)
        with suppress(OSError):  # other evidence of that day
            one.path.parent.rmdir()
    return gone
