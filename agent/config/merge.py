"""Several TOML documents become one: tables merge, arrays append, and a value may be given once. Every part keeps
where it came from, so that a problem names the file and the path in it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from agent.config.problems import KeyPath, Problem, dotted
from agent.texts import say

Origins: TypeAlias = Mapping[KeyPath, tuple[Path, KeyPath]]
"""Path in the merged configuration -> file, and path in it."""


def locate(origins: Origins, main: Path, path: KeyPath) -> tuple[Path, KeyPath]:
    """Where the part at `path` of the merged configuration is written; in the main file if it is missing."""
    for length in range(len(path), 0, -1):
        if (origin := origins.get(path[:length])) is not None:
            file, there = origin
            return file, there + path[length:]
    return main, path


@dataclass(slots=True)
class Merged:
    """All documents as one table."""

    main: Path
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    origins: dict[KeyPath, tuple[Path, KeyPath]] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> tuple[Path, KeyPath]:
        """The file in which the part at `path` is written, and its path there."""
        return locate(self.origins, self.main, path)

    def add(self, file: Path, document: dict[str, Any]) -> None:
        """Merge one more document."""
        self._merge(self.data, document, (), file)

    def _merge(self, into: dict[str, Any], table: dict[str, Any], at: KeyPath, file: Path) -> None:
        for key, value in table.items():
            path = (*at, key)
            present = into.get(key)
            if isinstance(value, dict) and isinstance(present, dict | None):
                self.origins.setdefault(path, (file, path))
                self._merge(into.setdefault(key, {}), value, path, file)
            elif isinstance(value, list) and isinstance(present, list | None):
                self._append(into.setdefault(key, []), value, path, file)
            elif key not in into:
                self.origins[path] = (file, path)
                into[key] = value
            elif type(value) is not type(present) or value != present:
                first, _ = self.locate(path)
                # Neither value is shown: they may be secrets.
                rule, remedy = say("config.set-once"), say("config.remove-one", first=first, second=file)
                found = say("config.set-twice", first=first, second=file)
                self.problems.append(Problem(file, dotted(path), rule, found, remedy))

    def _append(self, into: list[Any], values: list[Any], path: KeyPath, file: Path) -> None:
        self.origins.setdefault(path, (file, path))
        for position, value in enumerate(values):
            self.origins[(*path, len(into))] = (file, (*path, position))
            into.append(value)


def merge(documents: Sequence[tuple[Path, dict[str, Any]]]) -> Merged:
    """Merge at least one document; the first is the main file."""
    merged = Merged(documents[0][0])
    for file, document in documents:
        merged.add(file, document)
    return merged


def frozen(value: Any) -> Any:
    """The same value with tuples for arrays, which is what the models' fields are made of."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value
