"""What is wrong with a configuration, or probably not meant: where, what was expected, what came, what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agent.model import JsonValue
from agent.texts import Language, Spoken, Text, say

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where in a file: ("device", 0, "point", 1, "input"); arrays count from 0."""


def dotted(path: KeyPath) -> str:
    """Write a path as people do: `device[0].point[1].input`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `found` is never a secret, nor a value that may be one."""

    file: Path
    key: str
    """Dotted path in `file`; empty if the file as a whole is meant."""
    rule: Text
    """What was expected."""
    found: Text | str | None = None
    remedy: Text | None = None
    subject: str | None = None
    """The id of what has the key, as far as it is known: `guardroom/panic`."""

    @property
    def text(self) -> Text:
        """The whole as one sentence."""
        where = say("config.at-key", file=self.file, key=self.key) if self.key else say("config.at", file=self.file)
        if self.subject:
            where = say("config.of", where=where, subject=self.subject)
        what = say("config.expected", rule=self.rule)
        if self.found is not None:
            what = say("config.found", rule=self.rule, found=self.found)
        if self.remedy is not None:
            what = say("config.remedied", what=what, remedy=self.remedy)
        return say("config.problem", where=where, what=what)

    def as_data(self) -> dict[str, JsonValue]:
        """For `--json`."""
        return {
            "file": str(self.file),
            "key": self.key,
            "subject": self.subject,
            "expected": _both(self.rule),
            "found": _both(self.found),
            "remedy": _both(self.remedy),
            "text": _both(self.text),
        }


def _both(text: Text | str | None) -> JsonValue:
    if isinstance(text, Text):
        languages: tuple[Language, ...] = ("zh-CN", "en")
        return {language: text.render(language) for language in languages}
    return text


class ConfigErrors(Spoken):
    """The configuration cannot be used. `problems` has every reason; the error's own text only counts them."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__(say("config.errors", path=path, count=len(problems)))
        self.path = path
        self.problems = tuple(problems)
