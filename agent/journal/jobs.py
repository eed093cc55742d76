"""What passes between the loop and the writer: jobs one way, and what became of them the other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.journal.chain import Blank
from agent.journal.store import Store
from agent.journal.types import Saves, Trouble
from agent.model import Stored


@dataclass(slots=True, eq=False)
class Append:
    """Events and values to keep, for one transaction. `also` runs in it. `first` runs in it before, and where it
    returns something that is the answer, and the events are left out; where there is no room, only the events are."""

    future: "asyncio.Future[Any]"
    blanks: Sequence[Blank]
    save: Saves
    urgent: bool
    born_ns: int
    also: Callable[[Store], object] | None = None
    first: Callable[[Store], Any] | None = None

    def goes_first(self) -> bool:
        """Alarms and faults; and values, whose order must be that of the calls: one that waited with the event lane
        would overwrite what a later alarm saved."""
        return self.urgent or bool(self.save)

    def may_be_refused(self) -> bool:
        return not self.urgent and not self.save and self.also is None and self.first is None


@dataclass(slots=True, eq=False)
class Call:
    """Anything else in a transaction. `journal`: only for the chain of this id; None for any. `after` runs on the
    loop.
    """

    future: "asyncio.Future[Any]"
    run: Callable[[Store], Any]
    after: Callable[[Any], Any]
    journal: str | None
    born_ns: int
    stale: Any = None


Job = Append | Call
Chore = Callable[[Store], bool]
"""A chunk of upkeep, in a transaction of its own; True while there is more to do."""


@dataclass(slots=True)
class Done:
    """What the loop must hear of one batch, in this order."""

    moved_to: str | None = None
    answers: list[tuple[Job, Any]] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    evicted: list[int] = field(default_factory=list)
    untaken: int = 0
    """Events that found no room, of jobs that went on without them."""
    saves: dict[str, str | None] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
