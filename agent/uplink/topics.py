"""Every topic of one school (DESIGN 6), built and taken apart. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from agent.model import NO_PART, Lane, Site, Stored

COMMAND_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What a command's id may be. It becomes a part of the reply's topic, so it must hold no `/`, `+`, `#` or NUL."""
ROOT_PARTS: Final = 4
"""campus / v1 / {district} / {school}"""
TREE: Final = "campus/v1"
"""All topics of all schools."""

ELSEWHERE: Final = ""
"""The kind of a topic that is not of this school."""

MessageKind = Literal[
    "status", "event", "state", "inventory", "hazard", "command", "reply", "receipt", "telemetry", "result"
]
PARTS_AFTER: Final[dict[str, int]] = {
    "status": 0,
    "event": 3,
    "state": 2,
    "inventory": 1,
    "hazard": 1,
    "command": 1,
    "reply": 1,
    "receipt": 0,
    "telemetry": 2,
}
"""How many parts follow the name of each kind of message."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one school."""

    root: str

    @classmethod
    def of(cls, site: Site) -> "Topics":
        """The topics of `site`."""
        return cls(site.root)

    @property
    def status(self) -> str:
        return f"{self.root}/status"

    @property
    def receipt(self) -> str:
        return f"{self.root}/receipt"

    @property
    def commands(self) -> str:
        """The filter of all commands."""
        return f"{self.root}/command/+"

    def below(self, suffix: str) -> str:
        """A topic given by its part below the root, such as `state/guardroom/panic`."""
        return f"{self.root}/{suffix}"

    def event(self, row: Stored) -> str:
        """Where an event goes."""
        return f"{self.root}/event/{row.lane}/{row.device or NO_PART}/{row.point or NO_PART}"

    def reply(self, command_id: str) -> str:
        """Where a reply goes; `command_id` must match `COMMAND_ID`."""
        return f"{self.root}/reply/{command_id}"

    def verb(self, topic: str) -> str | None:
        """Return the verb of a command's topic; None for any other topic."""
        prefix = f"{self.root}/command/"
        return topic.removeprefix(prefix) if topic.startswith(prefix) else None

    def kind(self, topic: str) -> str:
        """The name behind the root, such as `state`, by which a broker's rules tell topics apart; for topics
        elsewhere, which are other people's, one name for all: they are as many as commands like to name."""
        prefix = f"{self.root}/"
        return topic.removeprefix(prefix).partition("/")[0] if topic.startswith(prefix) else ELSEWHERE

    def answerable(self, topic: str) -> bool:
        """Whether a command's response topic may be published to. Below `campus/v1/` only this school's `reply/` and
        `campus/v1/{district}/_/reply/`: elsewhere there a command could make us write what others trust, such as a
        neighbour's status. Beyond it, anything that is a topic name and none of a broker's own (MQTT 5 4.7.2)."""
        if not topic or topic.startswith("$") or any(c in topic for c in "+#\0"):
            return False
        district = self.root.rpartition("/")[0]
        replies = (f"{self.root}/reply/", f"{district}/{NO_PART}/reply/")
        return topic.startswith(replies) or not topic.startswith(f"{TREE}/")


def split(topic: str) -> tuple[str, str, MessageKind, tuple[str, ...]] | None:
    """Take a topic apart: district, school, kind of message, the rest; None if it is none of ours."""
    parts = topic.split("/")
    if len(parts) <= ROOT_PARTS or parts[:2] != ["campus", "v1"]:
        return None
    kind, rest = parts[ROOT_PARTS], tuple(parts[ROOT_PARTS + 1 :])
    if PARTS_AFTER.get(kind) != len(rest) or not all(rest):
        return None
    if kind == "event" and rest[0] not in list(Lane):
        return None
    return parts[2], parts[3], kind, rest  # type: ignore[return-value]  # PARTS_AFTER has no other names
