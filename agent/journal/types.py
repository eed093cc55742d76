"""What the journal's callers see besides `Journal`: its settings, its answers, its troubles, its errors. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from agent.clock import NS_PER_S
from agent.model import Lane, Reply
from agent.texts import Spoken, Text

StoreKind = Literal["file", "fresh", "memory"]
"""`file`: the file that was there, or the first one; `fresh`: a sick one was set aside; `memory`: no file can be
written.
"""
Delivery = Literal["due", "acked", "received", "refused"]
TroubleKind = Literal["memory", "disk-full", "altered", "evicted", "refused-events", "disagrees"]


class JournalSettings(Protocol):
    """What the journal needs of the configuration."""

    @property
    def path(self) -> Path: ...
    @property
    def max_size_bytes(self) -> int: ...
    @property
    def keep_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong with the store (`raised`), or no longer. `kind` names the fault; it raises once, not per
    event. With `kind == "memory"` raised while running, a new chain has begun: `Journal.id` is another, `seq`
    starts at 1.
    """

    kind: TroubleKind
    text: Text
    raised: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """`new`: run it, then `finish_command`. `known`: don't; answer `reply`, or nothing yet if that is None (it is still
    running). `interrupted`: the agent stopped between the claim and the reply, so nobody knows what was carried out;
    `finish_command` is still to be called.
    """

    state: Literal["new", "known"]
    reply: Reply | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ReceiptOutcome:
    """`covered`: how many events it delivered that were not delivered before. `disagrees`: a fault, it cleared nothing;
    `note`: it was ignored for an innocent reason.
    """

    covered: int
    disagrees: Text | None = None
    note: Text | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that a broker refused, or that can't be sent."""

    seq: int
    lane: Lane
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Whether the writer gets on: for the watchdog. Times are boot-clock nanoseconds."""

    alive: bool
    waiting: int
    oldest_wait_ns: int
    last_commit_ns: int

    def stuck(self, limit_s: float) -> bool:
        """Tell whether something has waited longer than `limit_s`, or nobody is there to do it."""
        return not self.alive or self.oldest_wait_ns > limit_s * NS_PER_S


Saves = Mapping[str, str | None]
"""What the alarms want remembered: a value per key, None to forget it."""


class JournalError(Spoken):
    """The journal can't go on; the process should end and start again."""


class JournalLocked(JournalError):
    """Another campus-agent has this journal open."""


class JournalFull(Spoken):
    """An event-lane event found no room; it is counted and recorded as lost. Alarms and faults never meet this."""
