"""Evidence on disk. Each file has a record beside it (`<id>.json`), written before anybody hears of the file.

    evidence/2026-11-24/01KD...-gate-clip.mp4
    evidence/2026-11-24/01KD....json

At the start the folders are listed and the records read, and a file without one (a power cut between the two) is
removed. Nothing here is ever the reason that the journal has no room: some of the disk is always left alone.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from ulid import ULID

from agent.clock import Clock
from agent.secrets import os_reason
from agent.skyeye.evidence.records import (
    SUFFIXES,
    BadRecord,
    Entry,
    Record,
    UploadState,
    digest,
    entry_of,
    read_folder,
    read_record,
    record_path,
    settle,
    unlink_all,
    write_durably,
    write_index,
    write_record,
)
from agent.skyeye.model import Evidence, EvidenceKind
from agent.texts import Spoken, say

log = logging.getLogger(__name__)

DISK_LEFT_BYTES: Final = 512 << 20
"""What evidence leaves free on its disk: the journal's file, its WAL and its ballast live there too."""
UNINDEXED_MOST: Final = 1000
"""Records that a start reads one by one: half a second on a slow disk, and the index (150 bytes each) is written once
in a day or so."""


class NoRoom(Spoken):
    """Evidence cannot be kept: the disk, or the quota."""


Removed = Callable[[str, Sequence[Entry]], None]
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
        self._entries: dict[str, Entry] = {}
        self._size = 0
        self._unindexed = 0
        """Settled entries that a start would have to read one by one."""
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

    def path(self, id_: str) -> Path | None:
        """Where the file of one is."""
        entry = self._entries.get(id_)
        return self._folder / entry.file if entry else None

    async def get(self, id_: str) -> Evidence | None:
        """One by its id; None also if its record cannot be read any more, which is told."""
        if (path := self.path(id_)) is None:
            return None
        try:
            return (await asyncio.to_thread(read_record, path, id_)).evidence
        except (BadRecord, OSError) as error:
            if id_ in self._entries:  # else it was removed meanwhile
                log.warning(say("evidence.bad-record", path=record_path(path, id_), error=str(error)))
            return None

    def due(self) -> tuple[str, ...]:
        """What is to be uploaded: of alarms first, then the oldest."""
        waiting = [entry for entry in self._entries.values() if entry.due]
        return tuple(entry.id for entry in sorted(waiting, key=lambda one: (not one.alarm, one.id)))

    async def load(self) -> None:
        """Read the records; remove what has none. Never raises: a broken record is told and left, and so is a folder
        that cannot be read (what comes is then refused, and told as missing)."""
        try:
            found = await asyncio.to_thread(read_folder, self._folder)
        except OSError as error:
            log.warning(say("evidence.unwritable", path=self._folder, reason=os_reason(error)))
            return
        self._entries = {entry.id: entry for entry in found.entries}
        self._size = sum(entry.bytes for entry in found.entries)
        self._unindexed = found.read

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
        self._entries[id_] = entry_of(record)
        self._unindexed += record.upload != "due"
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
        if (entry := self._entries.get(id_)) is None:
            return
        self._entries[id_] = replace(entry, due=state == "due")
        self._unindexed += state != "due"
        path = self._folder / entry.file
        try:
            await asyncio.to_thread(settle, path, id_, state)
        except (BadRecord, OSError) as error:  # it will be sent once more after a restart, which does no harm
            log.warning(say("evidence.bad-record", path=record_path(path, id_), error=str(error)))

    async def maintain(self) -> None:
        """Remove what is too old or too much."""
        horizon = self._clock.wall().timestamp() - self._keep_s
        old = [entry for entry in self._entries.values() if entry.at_s < horizon and not entry.due]
        async with self._lock:
            await self._remove("expired", old)
        await self._trim()
        if self._unindexed > UNINDEXED_MOST:
            await self._index()

    async def _index(self) -> None:
        """Spare the next start its reading; a disk that does not take it costs that start some seconds."""
        try:
            await asyncio.to_thread(write_index, self._folder, [*self._entries.values()])
        except OSError as error:
            log.debug("no index of evidence: %s", os_reason(error))
            return
        self._unindexed = 0

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
            going: list[Entry] = []
            for entry in sorted(self._entries.values(), key=lambda entry: entry.rank):
                if over <= 0:
                    break
                going.append(entry)
                over -= entry.bytes
            await self._remove("quota", going)
            if over > 0:
                raise NoRoom(say("evidence.no-room", size=size_bytes, free=free, left=self._left_bytes))

    async def _remove(self, why: str, entries: Sequence[Entry]) -> None:
        """Remove these. What the disk does not let go of (it is read-only, or has failed) stays in the entries."""
        gone = await asyncio.to_thread(unlink_all, self._folder, entries)
        for one in gone:
            if self._entries.pop(one.id, None):
                self._size -= one.bytes
        if gone:
            self._on_removed(why, gone)


def free_bytes(folder: Path) -> int:
    """Free space of the disk that `folder` is on, for users that are not root."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
