"""The baselines of all cameras, on disk. One JSON file per camera (and preset); written whole, then put in place."""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Final

from agent.clock import NS_PER_S, Clock
from agent.skyeye.quality.baseline import MOST_SAVED, BadBaseline, Baseline
from agent.texts import say

log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 3600.0
"""A baseline is some 40 KB and learns slowly: once an hour spares the flash. What a crash loses is relearnt."""
SAVE_FIRST: Final = 8
"""The first pictures are saved at once: the first hour is when cameras are adjusted and the box is restarted."""
PLAIN: Final = re.compile(r"[a-z0-9-]{1,64}")


class Shelf:
    """Loads a baseline at its first use, keeps it, and saves it now and then."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._kept: dict[tuple[str, str], Baseline] = {}
        self._saved_ns: dict[tuple[str, str], int] = {}
        self._unsaved: dict[tuple[str, str], int] = {}

    def get(self, camera: str, preset: str = "") -> Baseline:
        """Return what is known; an empty baseline where nothing is, or it cannot be read (which is logged)."""
        key = (camera, preset)
        if (kept := self._kept.get(key)) is None:
            kept = self._kept[key] = self._load(self.path(*key))
        return kept

    def put(self, camera: str, baseline: Baseline, preset: str = "") -> None:
        """Keep a newer one; on disk at the latest an hour later."""
        key = (camera, preset)
        self._kept[key] = baseline
        self._unsaved[key] = self._unsaved.get(key, 0) + 1
        now_ns = self._clock.boottime_ns()
        young = sum(look.count for look in baseline.looks.values()) <= SAVE_FIRST
        if young or now_ns - self._saved_ns.setdefault(key, now_ns) >= SAVE_EVERY_S * NS_PER_S:
            self._save(key)

    def forget(self, camera: str) -> None:
        """Learn this camera anew: it was moved or exchanged on purpose."""
        for key in [key for key in self._kept if key[0] == camera]:
            del self._kept[key]
            self._unsaved.pop(key, None)
        mine = re.compile(re.escape(_plain(camera)) + r"(@[0-9a-f]{12})?\.json")
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if mine.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def save_all(self) -> None:
        """Save what is not on disk yet."""
        for key in [*self._unsaved]:
            self._save(key)

    def path(self, camera: str, preset: str = "") -> Path:
        """The file of one baseline."""
        at = f"@{hashlib.sha256(preset.encode()).hexdigest()[:12]}" if preset else ""
        return self._folder / f"{_plain(camera)}{at}.json"

    def _load(self, path: Path) -> Baseline:
        try:
            with path.open("rb") as file:
                stored = json.loads(file.read(MOST_SAVED))
            return Baseline.from_json(stored)
        except FileNotFoundError:
            return Baseline()
        except BadBaseline as error:
            text = error.text
        except (OSError, ValueError, RecursionError) as error:
            text = say("quality.baseline-unreadable", error=type(error).__name__)
        log.warning(say("quality.baseline-anew", path=str(path), error=text))
        return Baseline()

    def _save(self, key: tuple[str, str]) -> None:
        path = self.path(*key)
        new = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(json.dumps(self._kept[key].to_json(), separators=(",", ":")).encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:  # a full disk costs a baseline, never an inspection
            log.warning(say("quality.baseline-unwritable", path=str(path), error=str(error)))
        self._saved_ns[key] = self._clock.boottime_ns()
        self._unsaved.pop(key, None)


def _plain(camera: str) -> str:
    return camera if PLAIN.fullmatch(camera) else hashlib.sha256(camera.encode()).hexdigest()[:32]
