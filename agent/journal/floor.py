"""The last known time, in a file beside the journal: a box without a clock battery starts in 1970.

Format: one line, ISO 8601 with offset. Written whole to another name, flushed, and renamed, so it is the old one or
the new one. A synced clock may move it in both directions (it knows); an unsynced one only forward.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.model import Moment

FLOOR_EVERY_S: Final = 300.0
"""How old the floor may get: five minutes are small against a certificate's validity, and flash wears little."""
_LONGEST_BYTES: Final = 64


def floor_path(journal: Path) -> Path:
    """Name the floor's file of a journal."""
    return journal.with_name(journal.name + ".floor")


def read_floor(journal: Path) -> datetime | None:
    """Return the last known time, aware of its zone; None if there is none, or nothing that reads as one."""
    try:
        with floor_path(journal).open("rb") as file:
            floor = datetime.fromisoformat(file.read(_LONGEST_BYTES).decode("ascii").strip())
    except (OSError, ValueError):
        return None
    return floor if floor.tzinfo is not None else None


def write_floor(journal: Path, moment: Moment) -> bool:
    """Remember the moment's wall time, if it is to be believed; False if it was not, or could not be written."""
    floor = read_floor(journal)
    if moment.clock == "unsynced" and floor is not None and moment.wall <= floor:
        return False
    path = floor_path(journal)
    new = path.with_name(path.name + ".new")
    try:
        with new.open("wb") as file:
            file.write(moment.wall.isoformat(timespec="seconds").encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        return False
    return True
