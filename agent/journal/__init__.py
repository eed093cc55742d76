"""The journal: an append-only, hash-chained record of every event, and the outbox to the district.

`Journal` is the daemon's; `verify`, `verify_path` and `verify_database` check a chain anywhere; `read_floor` tells
the last known time.
"""

from agent.journal.audit import ChainReport, Report, UnreadableChain, verify, verify_database, verify_path
from agent.journal.chain import NotJson, canonical, canonical_json, hash_of, published
from agent.journal.floor import read_floor
from agent.journal.journal import Journal
from agent.journal.types import (
    Claim,
    Delivery,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalSettings,
    Progress,
    ReceiptOutcome,
    Refused,
    Trouble,
)

__all__ = [
    "ChainReport",
    "Claim",
    "Delivery",
    "Journal",
    "JournalError",
    "JournalFull",
    "JournalLocked",
    "JournalSettings",
    "NotJson",
    "Progress",
    "ReceiptOutcome",
    "Refused",
    "Report",
    "Trouble",
    "UnreadableChain",
    "canonical",
    "canonical_json",
    "hash_of",
    "published",
    "read_floor",
    "verify",
    "verify_database",
    "verify_path",
]
