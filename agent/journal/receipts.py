"""Receipts: the district says what it holds, and up to where the chain is the same on both sides.

A receipt is believed only if its hash is ours at its `seq`, and if it names nothing that we never had; otherwise it
clears nothing. Clearing a long backlog goes on as upkeep in chunks; until then the ranges stand in `meta.clearing`,
so a restart does not send those events again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.journal.chain import hash_of
from agent.journal.room import CHUNK_ROWS
from agent.journal.store import Store
from agent.model import ZERO_HASH, Head, Receipt
from agent.texts import Text, say

Span = tuple[int, int]
"""A closed range of `seq`."""


@dataclass(slots=True)
class Verdict:
    """What the store says to a receipt; `more`: what is still to be cleared."""

    disagrees: Text | None = None
    note: Text | None = None
    more: list[Span] = field(default_factory=list)


def spans(receipt: Receipt) -> list[Span]:
    """What the district holds."""
    return [*([(1, receipt.seq)] if receipt.seq > 0 else []), *receipt.also]


def out_of_range(receipt: Receipt, head: Head) -> Text | None:
    """Say what is wrong if the receipt names events that do not exist, or ranges that are none."""
    for first, last in (*spans(receipt), (receipt.seq, receipt.seq)):
        if not 0 <= first <= last <= head.seq:
            return say("journal.disagrees-range", last=head.seq, got=f"{first}..{last}")
    return None


def apply(store: Store, receipt: Receipt, ranges: list[Span]) -> Verdict:
    """Check the receipt, and clear the first chunk of `ranges`. Runs in a transaction."""
    ours = (ZERO_HASH, "") if receipt.seq == 0 else store.hashes(receipt.seq)
    if not ours:
        return Verdict(note=say("journal.receipt-too-old", seq=receipt.seq))
    if receipt.hash not in ours and receipt.hash != _computed(store, receipt.seq):
        return Verdict(say("journal.disagrees-hash", seq=receipt.seq, expected=ours[0], got=receipt.hash))
    room, more = CHUNK_ROWS, []
    for first, last in ranges:
        room -= store.clear(first, last, room) if room else 0
        if not room:
            more.append((first, last))
    meta = {"receipts": "seen", "receipt": json.dumps({"seq": receipt.seq, "hash": receipt.hash})}
    if more:
        meta["clearing"] = json.dumps([*more, *pending(store.meta())])
    store.set_meta(meta)
    return Verdict(more=more)


def pending(meta: Mapping[str, str]) -> list[Span]:
    """What a receipt covered, and was not cleared before the process ended."""
    return [(int(first), int(last)) for first, last in json.loads(meta.get("clearing", "[]"))]


def _computed(store: Store, seq: int) -> str:
    """The hash of the body itself: right where only the hash column was hit."""
    body = store.body(seq)
    return "" if body is None else hash_of(body)
