"""Where the findings of one loading are collected."""

from agent.config.merge import Merged
from agent.config.problems import KeyPath, Problem, dotted
from agent.texts import Text
from agent.units import shown


class Report:
    """Turns paths in the merged configuration into paths in files, and names the thing that is meant."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self.errors: list[Problem] = list(merged.problems)
        self.warnings: list[Problem] = []

    def error(self, path: KeyPath, rule: Text, *, found: Text | str | None = None, remedy: Text | None = None) -> None:
        """Something that must be changed."""
        self.errors.append(self._problem(path, rule, found, remedy))

    def warn(self, path: KeyPath, rule: Text, *, found: Text | str | None = None, remedy: Text | None = None) -> None:
        """Something that is allowed and probably not meant."""
        self.warnings.append(self._problem(path, rule, found, remedy))

    def place(self, path: KeyPath, beside: KeyPath) -> str:
        """Where something is, for a text about `beside`: `device[0].unit`, with the file if that is another one."""
        file, there = self._merged.locate(path)
        return dotted(there) if file == self._merged.locate(beside)[0] else f"{file}: {dotted(there)}"

    def _problem(self, path: KeyPath, rule: Text, found: Text | str | None, remedy: Text | None) -> Problem:
        file, there = self._merged.locate(path)
        return Problem(file, dotted(there), rule, found, remedy, self._subject(path))

    def _subject(self, path: KeyPath) -> str | None:
        """The ids on the way: `guardroom/panic`. Ids that are wrong themselves are still what people look for."""
        here: object = self._merged.data
        ids: list[str] = []
        for part in path:
            if isinstance(part, int) and isinstance(here, list) and part < len(here):
                here = here[part]
                if isinstance(here, dict) and isinstance(here.get("id"), str) and here["id"]:
                    ids.append(shown(here["id"])[1:-1])
            elif isinstance(part, str) and isinstance(here, dict) and part in here:
                here = here[part]
            else:
                break
        return "/".join(ids) or None
