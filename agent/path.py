"""The contract with second paths, in words and frozen values; `agent.driver` hands it on to them.

A second path brings an alarm to somebody else than the district: an alarm centre, a phone, a chat group. It is a
frozen model like any driver: its fields are its configuration. `open` gives a session; the runtime asks it one thing
at a time, keeps what was not taken, tries again, and supervises. A session raises `PathError` and nothing else, may
be cancelled at any time, and is used no more after it has raised: the next try opens another one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from agent.clock import Clock
from agent.texts import Language, Spoken, Text

NoticeWhat = Literal["alarm", "acknowledged", "ended", "test"]
"""An alarm stands and a step of its plan wants this path; somebody has acknowledged it; it is over (reset, or restored
where it does not latch); a technician tries the path, and nothing has happened."""


class PathError(Spoken):
    """The other side did not take it, or could not be asked. Never holds a secret, nor a whole telephone number."""


@dataclass(frozen=True, slots=True)
class PathSite:
    """Whose paths these are."""

    district: str
    school: str
    name: str
    language: Language


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told. There is none of a drill: what must not leave the school is never made.

    `id` is the event that caused it, the same however often it is tried; `alarm` the event that raised the alarm.
    `time` is when that was, aware of its zone; `text` is one sentence in the site's language. `zone` is the point's
    number for those who know numbers only."""

    id: str
    what: NoticeWhat
    alarm: str
    kind: str
    priority: int
    device: str
    point: str
    name: str
    text: str
    time: datetime
    zone: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The other side has it. `by` is who took it, without secrets; `text` is for people."""

    by: str
    text: Text


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a path is watched: it is asked every `interval_s` when nothing else was said, and no word for `report_s` is
    a fault. An alarm that it does not take is one at once."""

    interval_s: float
    report_s: float


@dataclass(frozen=True, slots=True)
class Condition:
    """What a look at the path showed; `facts` go into its inventory (maker, model, firmware) and its state."""

    text: Text
    facts: Mapping[str, str] = field(default_factory=dict)


class PathSession(ABC):
    """One conversation with the other side."""

    @abstractmethod
    async def send(self, notice: Notice) -> Taken:
        """Tell it, and wait until the other side has confirmed. Raises PathError."""

    @abstractmethod
    async def probe(self) -> Condition:
        """See that an alarm would get through, without making one. Raises PathError."""

    @abstractmethod
    async def close(self) -> None:
        """Give everything back. Never raises, bounded in time."""


class PathLinkBase(Protocol):
    """What the runtime offers one path, but its serial port (agent.driver.PathLink)."""

    @property
    def clock(self) -> Clock: ...

    @property
    def site(self) -> PathSite: ...

    def step(self, text: Text) -> None:
        """Tell what is being done: a technician who tries the path reads along."""
        ...

    def saved(self, name: str) -> str | None:
        """What `save` kept under this name, also over a restart."""
        ...

    async def save(self, name: str, value: str) -> None:
        """Keep a small value; returns when it is durable."""
        ...
