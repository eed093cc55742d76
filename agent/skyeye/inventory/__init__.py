"""The inventory (梳理): what every camera is, what changed, and the tables of it (一机一档)."""

from agent.skyeye.inventory.audit import Account, Finding, accounts_for, audit
from agent.skyeye.inventory.facts import BadFacts, Change, Facts, StreamFacts, changes, collect
from agent.skyeye.inventory.store import Store

__all__ = [
    "Account",
    "BadFacts",
    "Change",
    "Facts",
    "Finding",
    "Store",
    "StreamFacts",
    "accounts_for",
    "audit",
    "changes",
    "collect",
]
