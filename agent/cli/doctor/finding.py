"""What a check finds. Pure."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent.texts import Language, Text

Level = Literal["ok", "warn", "fail"]
CHECK_S: Final = 5.0
"""Time for a check of this machine: it asks the kernel, and only a dead disk or a hung manager takes so long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` says what to do, and stands wherever `level` is not ok."""

    name: str
    level: Level
    message: Text
    remedy: Text | None = None

    def as_json(self, language: Language) -> dict[str, str | None]:
        """As `doctor --json` prints it."""
        return {
            "name": self.name,
            "level": self.level,
            "message": self.message.render(language),
            "remedy": self.remedy.render(language) if self.remedy else None,
        }


@dataclass(frozen=True, slots=True)
class Check:
    """A probe with its own deadline. It may raise `Spoken` and OSError, which are findings too."""

    name: str
    probe: Callable[[], Awaitable[Sequence[Finding]]]
    deadline_s: float = CHECK_S


def ok(name: str, message: Text) -> Finding:
    """All is well."""
    return Finding(name, "ok", message)


def warn(name: str, message: Text, remedy: Text) -> Finding:
    """Works now, and will bite some day."""
    return Finding(name, "warn", message, remedy)


def fail(name: str, message: Text, remedy: Text) -> Finding:
    """Alarms are lost or late because of this."""
    return Finding(name, "fail", message, remedy)
