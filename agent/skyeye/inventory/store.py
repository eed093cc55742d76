"""The inventory on disk: one JSON file per camera, replaced as a whole, with a history of bounded length."""

import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.model import JsonValue
from agent.skyeye.inventory.facts import BadFacts, Facts, changes
from agent.texts import say

FORMAT: Final = 1
HISTORY_LIMIT: Final = 50
"""Changes kept per camera: one swapped every month for four years."""
FILE_LIMIT: Final = 1 << 20
"""Far above the largest recorder's facts; a larger file is not ours."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(slots=True)
class Sheet:
    """The file of one camera."""

    facts: Facts | None = None
    history: list[dict[str, JsonValue]] = field(default_factory=list)
    """Newest last: {"at", "what", "old", "new"}."""
    audited: str | None = None
    """When factory passwords were last tried."""


class Store:
    """A folder of sheets. Reads never fail: what cannot be read is set aside and counts as not known."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], Facts | None]] = {}
        """Facts by camera, with the file's inode and time of change: a list of 200 cameras is asked for often."""

    def load(self, camera: str) -> Facts | None:
        """What is known of a camera."""
        try:
            there = self._path(camera).stat()
        except OSError:
            self._read.pop(camera, None)
            return None
        mark, known = (there.st_ino, there.st_mtime_ns), self._read.get(camera)
        if known is None or known[0] != mark:
            known = self._read[camera] = mark, self.sheet(camera).facts
        return known[1]

    def save(self, facts: Facts) -> None:
        """Keep facts; what changed goes into the history. Raises OSError."""
        sheet = self.sheet(facts.camera)
        if sheet.facts is not None:
            sheet.history += [{"at": facts.at, **change.as_data()} for change in changes(sheet.facts, facts)]
        sheet.facts = facts
        self.write(facts.camera, sheet)

    def history(self, camera: str) -> tuple[dict[str, JsonValue], ...]:
        """What changed, newest last."""
        return tuple(self.sheet(camera).history)

    def all(self) -> dict[str, Facts]:
        """Everything that is known, by camera."""
        with suppress(OSError):
            names = sorted(path.stem for path in self._folder.glob("*.json") if _ID.fullmatch(path.stem))
            return {name: facts for name in names if (facts := self.load(name)) is not None}
        return {}

    def sheet(self, camera: str) -> Sheet:
        """Read a whole sheet; an empty one if there is none."""
        path = self._path(camera)
        try:
            if path.stat().st_size > FILE_LIMIT:
                raise BadFacts(say("inventory.bad-facts"))
            return _sheet(json.loads(path.read_bytes()))
        except OSError:
            return Sheet()  # not there, or not ours to read
        except (ValueError, RecursionError, BadFacts):
            with suppress(OSError):
                path.replace(path.with_suffix(".broken"))
            return Sheet()

    def write(self, camera: str, sheet: Sheet) -> None:
        """Replace a sheet. Raises OSError."""
        path = self._path(camera)
        data: dict[str, Any] = {
            "format": FORMAT,
            "facts": sheet.facts.as_data() if sheet.facts else None,
            "history": sheet.history[-HISTORY_LIMIT:],
            "audited": sheet.audited,
        }
        raw = json.dumps(data, ensure_ascii=False, indent=1).encode()
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o640)
            _same_owner(Path(name), self._folder)
            Path(name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _path(self, camera: str) -> Path:
        assert _ID.fullmatch(camera), "ids of cameras are checked by the configuration"
        return self._folder / f"{camera}.json"


def _same_owner(path: Path, folder: Path) -> None:
    """What root writes by a command, the daemon must be able to read."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sheet(data: object) -> Sheet:
    """Read a file's content. Raises BadFacts."""
    if not isinstance(data, dict):
        raise BadFacts(say("inventory.bad-facts"))
    facts, history, audited = data.get("facts"), data.get("history"), data.get("audited")
    return Sheet(
        None if facts is None else Facts.from_data(facts),
        [dict(one) for one in history if isinstance(one, dict)][-HISTORY_LIMIT:] if isinstance(history, list) else [],
        audited if isinstance(audited, str) else None,
    )
