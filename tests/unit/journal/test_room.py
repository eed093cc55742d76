"""Quota, eviction, retention: what goes first, what never goes, and what is said of it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import Journal, JournalFull, verify, verify_database
from agent.model import ZERO_HASH, Lane, Receipt, Stored
from tests.unit.journal.kit import body, event, journal_at, sim_clock, troubles_of

QUOTA = 512 << 10
PADDING = "x" * 400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def fill(journal: Journal, lane: Lane, batches: int) -> None:
    clock = sim_clock()
    for _ in range(batches):
        await journal.append(*[event(clock, lane, pad=PADDING) for _ in range(50)])


async def all_rows(journal: Journal) -> list[bytes]:
    lines: list[bytes] = []
    for first in range(1, journal.head.seq + 1, 1_000):
        lines += [journal.published(row) for row in await journal.rows(first, first + 999)]
    return lines


async def test_event_lane_is_evicted_oldest_first_and_the_loss_is_in_the_chain(path: Path) -> None:
    async with journal_at(path, sim_clock(), max_size_bytes=QUOTA) as journal:
        told = troubles_of(journal)
        await fill(journal, Lane.ALARM, 1)
        await fill(journal, Lane.EVENT, 40)
        counts = journal.due_counts()
        assert counts[Lane.ALARM] == 50
        assert 0 < counts[Lane.EVENT] < 2_000
        assert journal.size_bytes <= QUOTA * 1.05
        lost = await journal.due(Lane.FAULT)
        assert lost
        assert all(row.type == "campus.lost" for row in lost)
        assert sum(body(row)["data"]["count"] for row in lost) == 2_000 - counts[Lane.EVENT]
        assert {body(row)["data"]["reason"] for row in lost} == {"quota"}
        first = (await journal.due(Lane.EVENT, 0, 1))[0]
        assert first.seq > body(lost[-1])["data"]["to"]
        assert await journal.due(Lane.EVENT, 0, 1_000) == [
            row for row in await journal.rows(first.seq, 9_999) if row.lane is Lane.EVENT
        ]
        assert [(one.kind, one.raised) for one in told] == [("evicted", True)]
        report = verify(await all_rows(journal))
        assert report.ok
    assert verify_database(path).ok
    async with journal_at(path, sim_clock(), max_size_bytes=QUOTA) as journal:
        assert journal.store == "file"
        assert journal.due_counts() == counts


async def test_delivered_events_go_before_undelivered_ones(path: Path) -> None:
    async with journal_at(path, sim_clock(), max_size_bytes=QUOTA) as journal:
        journal.set_receipts(False)
        for _ in range(40):
            await fill(journal, Lane.EVENT, 1)
            await journal.mark_acked([row.seq for row in await journal.due(Lane.EVENT)])
        await fill(journal, Lane.EVENT, 2)
        assert await journal.due(Lane.FAULT) == []
        assert journal.due_counts()[Lane.EVENT] == 100
        assert journal.size_bytes <= QUOTA
    assert verify_database(path).ok


async def test_alarms_and_faults_go_on_beyond_the_quota_and_events_are_refused(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, max_size_bytes=128 << 10) as journal:
        told = troubles_of(journal)
        await fill(journal, Lane.ALARM, 8)
        assert journal.due_counts()[Lane.ALARM] == 400
        for _ in range(3):
            with pytest.raises(JournalFull):
                await journal.append(event(clock, Lane.EVENT))
        await journal.append(
            event(clock, Lane.EVENT), save={"needed": "1"}
        )  # what is to be remembered is never refused
        await journal.append(event(clock, Lane.FAULT))
        assert ("refused-events", True) in [(one.kind, one.raised) for one in told]
        journal.set_receipts(False)
        await journal.mark_acked([row.seq for row in await journal.due(Lane.ALARM, 0, 1_000)])
        await journal.append(event(clock, Lane.EVENT))
        lost = [body(row)["data"] for row in await journal.due(Lane.FAULT) if row.type == "campus.lost"]
        assert [(one["count"], one["reason"]) for one in lost if "from" not in one] == [(3, "no-room")]
        assert told[-1].kind == "refused-events"
        assert not told[-1].raised
    assert verify_database(path).ok


async def settled(journal: Journal, rows: int) -> bool:
    for _ in range(300):
        if len(await journal.rows(1, 100_000)) == rows:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_delivered_events_are_kept_for_their_time_and_undelivered_ones_for_ever(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, keep_s=86_400.0) as journal:
        journal.set_receipts(False)
        await journal.append(*[event(clock, Lane.EVENT) for _ in range(20)])
        await journal.mark_acked([seq for seq in range(1, 21) if seq != 7])
        clock.tick(86_000)
        await journal.append(event(clock, Lane.EVENT))
        await journal.mark_acked([21])
        await journal.maintain()
        assert await settled(journal, 21)
        clock.tick(800)
        await journal.maintain()
        assert await settled(journal, 2)
        assert [row.seq for row in await journal.rows(1, 99)] == [7, 21]
        assert [row.seq for row in await journal.due(Lane.EVENT)] == [7]
    report = verify_database(path)
    assert report.ok
    assert [note.key for note in report.notes] == ["journal.check-removed"] * 2
    async with journal_at(path, clock) as journal:
        assert journal.head.seq == 21
        (row,) = await journal.append(event(clock))
        assert row.seq == 22
    assert verify_database(path).ok


async def test_everything_pruned_leaves_the_end_of_the_chain(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, keep_s=60.0) as journal:
        journal.set_receipts(False)
        await journal.append(*[event(clock) for _ in range(5)])
        await journal.mark_acked(range(1, 6))
        clock.tick(61)
        await journal.maintain()
        assert await settled(journal, 0)
        head = journal.head
    async with journal_at(path, clock) as journal:
        assert journal.head == head
        (row,) = await journal.append(event(clock))
        assert body(row)["prevhash"] == head.hash
    assert verify_database(path).ok


async def test_unsynced_clock_prunes_nothing(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, keep_s=60.0) as journal:
        journal.set_receipts(False)
        await journal.append(event(clock))
        await journal.mark_acked([1])
        clock.set_wall(clock.wall() + timedelta(days=30_000), "unsynced")
        await journal.maintain()
        await journal.append(event(clock))
        assert len(await journal.rows(1, 9)) == 2


async def test_records_of_losses_do_not_take_the_place_of_what_was_lost(path: Path) -> None:
    clock = sim_clock()
    refused = 0
    async with journal_at(path, clock, max_size_bytes=128 << 10) as journal:
        await fill(journal, Lane.EVENT, 1)
        await fill(journal, Lane.ALARM, 8)  # beyond the quota
        for _ in range(200):
            try:
                await journal.append(event(clock, Lane.EVENT))
            except JournalFull:
                refused += 1
        lost = [body(row)["data"] for row in await journal.due(Lane.FAULT, 0, 1_000)]
        assert len(lost) <= 2
        assert sum(one["count"] for one in lost) + refused + journal.due_counts()[Lane.EVENT] == 250
    assert verify_database(path).ok


def ranges(rows: list[Stored]) -> list[tuple[int, int]]:
    lost = [body(row)["data"] for row in rows if row.type == "campus.lost"]
    found = [(one["from"], one["to"]) for one in lost if "from" in one]
    assert [one["count"] for one in lost if "from" in one] == [last - first + 1 for first, last in found]
    return found


async def every_row(journal: Journal) -> list[Stored]:
    rows: list[Stored] = []
    for first in range(1, journal.head.seq + 1, 1_000):
        rows += await journal.rows(first, first + 999)
    return rows


@pytest.mark.parametrize("events_between", [1, 6, 40])
async def test_a_loss_record_never_names_an_event_that_was_not_lost(path: Path, events_between: int) -> None:
    clock = sim_clock()
    refused = 0
    async with journal_at(path, clock, max_size_bytes=QUOTA // 4) as journal:
        total = 0
        while total < 400:
            await journal.append(event(clock, Lane.ALARM if total % 2 else Lane.FAULT))
            for _ in range(events_between):
                try:
                    await journal.append(event(clock, Lane.EVENT, pad=PADDING))
                except JournalFull:
                    refused += 1
            total += 1 + events_between
        rows = await every_row(journal)
        lost = [seq for first, last in ranges(rows) for seq in range(first, last + 1)]
        assert len(set(lost)) == len(lost)
        assert not set(lost) & {row.seq for row in rows}
        assert sorted([*lost, *(row.seq for row in rows)]) == list(range(1, journal.head.seq + 1))
        assert len(ranges(rows)) * 5 <= len(lost)
        assert bool(lost) == (events_between >= 5)
        assert refused or events_between > 5
    assert verify_database(path).ok


async def test_a_receipt_for_what_was_lost_clears_no_alarm(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, max_size_bytes=QUOTA) as journal:
        for _ in range(60):
            await journal.append(event(clock, Lane.ALARM))
            await fill(journal, Lane.EVENT, 1)
        records = await journal.due(Lane.FAULT, 0, 1_000)
        held = [*ranges(records), *((row.seq, row.seq) for row in records)]
        assert len(held) > 10
        assert journal.due_counts()[Lane.ALARM] == 60
        outcome = await journal.take_receipt(Receipt(0, ZERO_HASH, tuple(held)))
        assert outcome.covered == len(records)
        assert journal.due_counts()[Lane.ALARM] == 60
        assert [row.seq for row in await journal.due(Lane.ALARM, 0, 1_000)][:2] == [1, 52]
