"""The journal through its own door: durable, due, marked, received, commanded, corrected."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import JournalError, JournalLocked, NotJson, verify_database, verify_path
from agent.model import ZERO_HASH, Command, Head, Lane, Receipt, Reply, Stored
from tests.unit.journal.kit import body, event, journal_at, published_lines, sim_clock, troubles_of

COUNTS = (
    "SELECT (SELECT count(*) FROM command), (SELECT count(*) FROM event WHERE lane = 'event'),"
    " (SELECT count(reply) FROM command), (SELECT count(*) FROM event WHERE lane = 'fault')"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


async def test_append_returns_durable_chained_events(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        heard: list[Stored] = []
        journal.on_stored(heard.extend)
        first, second = await journal.append(event(clock), event(clock, Lane.EVENT))
        (third,) = await journal.append(event(clock, Lane.FAULT))
        assert [row.seq for row in (first, second, third)] == [1, 2, 3]
        assert body(first)["prevhash"] == ZERO_HASH
        assert body(third)["prevhash"] == second.hash
        assert body(first)["journal"] == journal.id
        assert heard == [first, second, third]
        assert journal.head == Head(3, third.hash)
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT seq, hash, lane, device FROM event").fetchall() == [
            (row.seq, row.hash, row.lane.value, "guardroom") for row in (first, second, third)
        ]
        connection.close()
    assert verify_database(path).ok


async def test_a_restart_goes_on_with_the_chain_what_is_due_and_what_was_saved(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        rows = await journal.append(*[event(clock) for _ in range(4)], save={"a": "1", "b": "门", "c": "x"})
        await journal.append(save={"c": None, "a": "2"})
        await journal.mark_acked([1])
        await journal.mark_refused(2, 0x87, "Not authorized")
        before, name = journal.head, journal.id
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.trouble, journal.head, journal.id) == ("file", None, before, name)
        assert dict(journal.saved) == {"a": "2", "b": "门"}
        assert [row.seq for row in await journal.due(Lane.ALARM)] == [3, 4]
        assert await journal.due(Lane.ALARM, 3) == [rows[3]]
        assert [journal.delivery(seq) for seq in (1, 2, 3, 5)] == ["acked", "refused", "due", "due"]
        assert [(one.seq, one.code, one.reason) for one in await journal.refused()] == [(2, 0x87, "Not authorized")]
        assert journal.refused_count() == 1
        assert await journal.retry() == 1
        assert [row.seq for row in await journal.due(Lane.ALARM)] == [2, 3, 4]


async def test_lanes_are_due_apart(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        lanes = [Lane.EVENT, Lane.ALARM, Lane.EVENT, Lane.FAULT, Lane.ALARM]
        await journal.append(*[event(clock, lane) for lane in lanes])
        assert journal.due_counts() == {Lane.ALARM: 2, Lane.FAULT: 1, Lane.EVENT: 2}
        assert [row.seq for row in await journal.due(Lane.ALARM, 0, 1)] == [2]
        assert [row.seq for row in await journal.due(Lane.EVENT, 1, 9)] == [3]


async def test_without_receipts_a_puback_delivers(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        journal.set_receipts(False)
        await journal.append(event(clock), event(clock))
        await journal.mark_acked([1])
        assert journal.due_counts()[Lane.ALARM] == 1
        assert journal.delivery(1) == "acked"
        assert await journal.unreceipted(Lane.ALARM) == []


async def test_before_the_first_receipt_a_puback_counts_and_after_it_only_receipts_do(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        rows = await journal.append(*[event(clock) for _ in range(4)])
        await journal.mark_acked([1, 2, 3])
        assert not journal.receipts_seen
        assert journal.due_counts()[Lane.ALARM] == 1
        outcome = await journal.take_receipt(Receipt(2, rows[1].hash))
        assert (outcome.covered, outcome.disagrees) == (2, None)
        assert journal.receipts_seen
        assert [journal.delivery(seq) for seq in (1, 2, 3, 4)] == ["received", "received", "acked", "due"]
        assert journal.due_counts()[Lane.ALARM] == 2
        assert [row.seq for row in await journal.unreceipted(Lane.ALARM)] == [3]
    async with journal_at(path, clock) as journal:
        assert journal.receipts_seen
        assert journal.due_counts()[Lane.ALARM] == 2


async def test_receipts_of_lanes_that_overtake_each_other(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        rows = await journal.append(*[event(clock, Lane.ALARM if n % 2 else Lane.EVENT) for n in range(10)])
        outcome = await journal.take_receipt(Receipt(3, rows[2].hash, ((6, 6), (8, 10))))
        assert outcome.covered == 7
        assert [row.seq for lane in (Lane.ALARM, Lane.EVENT) for row in await journal.due(lane)] == [4, 5, 7]
        again = await journal.take_receipt(Receipt(3, rows[2].hash, ((6, 6), (8, 10))))
        assert again.covered == 0
        assert (await journal.take_receipt(Receipt(0, ZERO_HASH, ((4, 4),)))).covered == 1


@pytest.mark.parametrize(
    "receipt",
    [Receipt(2, "ab" * 32), Receipt(3, "ab" * 32, ((1, 2),)), Receipt(9, "ab" * 32), Receipt(0, "", ((2, 9),))],
)
async def test_receipt_that_is_not_ours_clears_nothing_and_is_told_once(path: Path, receipt: Receipt) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        told = troubles_of(journal)
        rows = await journal.append(*[event(clock) for _ in range(3)])
        for _ in range(2):
            outcome = await journal.take_receipt(receipt)
            assert outcome.disagrees is not None
            assert "回执" in outcome.disagrees.render("zh-CN")
        assert journal.due_counts()[Lane.ALARM] == 3
        assert not journal.receipts_seen
        await journal.take_receipt(Receipt(3, rows[2].hash))
        assert [(one.kind, one.raised) for one in told] == [("disagrees", True), ("disagrees", False)]


async def test_receipt_for_another_journal_is_ignored_with_a_note(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.append(event(clock))
        outcome = await journal.take_receipt(Receipt(1, "ab" * 32), journal="01OTHER")
        assert (outcome.covered, outcome.disagrees) == (0, None)
        assert outcome.note is not None


async def test_long_receipt_is_cleared_in_chunks_and_holds_across_a_restart(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        for _ in range(20):
            await journal.append(*[event(clock, Lane.EVENT) for _ in range(100)])
        (row,) = await journal.rows(1_990, 1_990)
        assert (await journal.take_receipt(Receipt(1_990, row.hash))).covered == 1_990
        assert journal.due_counts()[Lane.EVENT] == 10
        assert len(await journal.due(Lane.EVENT)) == 10
    async with journal_at(path, clock) as journal:
        assert journal.due_counts()[Lane.EVENT] == 10


async def test_marks_under_another_journals_id_change_nothing(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.append(event(clock))
        await journal.mark_acked([1], journal="01OTHER")
        assert journal.delivery(1) == "due"


async def test_command_runs_once_and_its_reply_is_given_again(path: Path) -> None:
    clock = sim_clock()
    command = Command("c-1", "reset", {})
    reply = Reply("c-1", True, {"point": "panic"})
    async with journal_at(path, clock) as journal:
        claims = await asyncio.gather(*[journal.claim_command(command) for _ in range(5)])
        assert [claim.state for claim in claims] == ["new", "known", "known", "known", "known"]
        assert claims[1].reply is None
        await journal.finish_command("c-1", reply)
        assert (await journal.claim_command(command)).reply == reply
    async with journal_at(path, clock) as journal:
        claim = await journal.claim_command(command)
        assert (claim.state, claim.reply, claim.interrupted) == ("known", reply, False)


async def test_command_that_a_restart_interrupted_is_not_run_again(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        assert (await journal.claim_command(Command("c-1", "output", {}))).state == "new"
    async with journal_at(path, clock) as journal:
        claim = await journal.claim_command(Command("c-1", "output", {}))
        assert (claim.state, claim.reply, claim.interrupted) == ("known", None, True)
        assert await journal.unfinished_commands() == [("c-1", "output")]
        reply = Reply("c-1", False, {"code": "interrupted"}, "it was interrupted")
        assert await journal.finish_command("c-1", reply, event(clock, Lane.EVENT))
        assert not await journal.finish_command("c-1", Reply("c-1", True, {}), event(clock, Lane.EVENT))
        assert await journal.unfinished_commands() == []
        assert journal.head.seq == 1
    async with journal_at(path, clock) as journal:
        claim = await journal.claim_command(Command("c-1", "output", {}))
        assert (claim.state, claim.reply, claim.interrupted) == ("known", reply, False)


async def test_a_claim_and_its_event_are_one_transaction(path: Path) -> None:
    clock = sim_clock()
    seen: list[tuple[int, int, int, int]] = []
    async with journal_at(path, clock) as journal:
        with contextlib.closing(sqlite3.connect(path)) as reader:

            async def claim(number: int) -> None:
                id_ = f"c-{number % 30}"
                await journal.claim_command(Command(id_, "output", {}), event(clock, Lane.EVENT))
                seen.append(reader.execute(COUNTS).fetchone())
                await journal.finish_command(id_, Reply(id_, True, {}), event(clock, Lane.FAULT))
                seen.append(reader.execute(COUNTS).fetchone())

            await asyncio.gather(*[claim(number) for number in range(60)])
        assert journal.head.seq == 60  # a known one leaves no second event
    assert {(claimed - received, replied - finished) for claimed, received, replied, finished in seen} == {(0, 0)}
    assert seen[-1] == (30, 30, 30, 30)


async def test_a_command_is_taken_without_its_events_where_there_is_no_room_for_them(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock, max_size_bytes=64 << 10) as journal:
        told = troubles_of(journal)
        await journal.append(*[event(clock, Lane.ALARM, pad="x" * 400) for _ in range(200)])
        head = journal.head.seq
        assert (await journal.claim_command(Command("c-1", "ack", {}), event(clock, Lane.EVENT))).state == "new"
        assert await journal.finish_command("c-1", Reply("c-1", True, {}), event(clock, Lane.EVENT))
        assert (await journal.claim_command(Command("c-1", "ack", {}), event(clock, Lane.EVENT))).state == "known"
        assert journal.head.seq == head
        assert [one.kind for one in told] == ["refused-events"]


async def test_old_commands_are_forgotten(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.claim_command(Command("old", "ping", {}))
        clock.tick(31 * 86_400)
        await journal.claim_command(Command("young", "ping", {}))
        await journal.maintain()
        for _ in range(500):
            if (await journal.claim_command(Command("old", "ping", {}))).state == "new":
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the old command is still known")
        assert (await journal.claim_command(Command("young", "ping", {}))).state == "known"


async def test_time_found_after_the_start_corrects_what_came_before(path: Path) -> None:
    clock = sim_clock()
    true = clock.wall()
    clock.set_wall(true.replace(year=1970, month=1, day=1, hour=9), "unsynced")
    offset = true - clock.wall()
    async with journal_at(path, clock) as journal:
        (early,) = await journal.append(event(clock))
        assert journal.correct(early) is None
        clock.tick(5)
        clock.set_wall(clock.wall() + offset)
        await journal.note_sync(offset)
        clock.tick(1)
        clock.set_wall(clock.wall(), "unsynced")  # lost again: that clock is right all the same
        (later,) = await journal.append(event(clock))
        assert journal.correct(early) == true.isoformat(timespec="milliseconds")
        assert journal.correct(later) is None
        assert json.loads(journal.published(early))["correctedtime"] == true.isoformat(timespec="milliseconds")
        assert verify_path_of(published_lines(journal, [early, later]), path)
    async with journal_at(path, clock) as journal:
        assert journal.correct(early) == true.isoformat(timespec="milliseconds")


def verify_path_of(lines: list[bytes], path: Path) -> bool:
    file = path.with_name("export.jsonl")
    file.write_bytes(b"\n".join(lines))
    return verify_path(file).ok


async def test_late_is_measured_by_the_boot_clock_within_a_boot(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        (row,) = await journal.append(event(clock))
        clock.tick(30)
        clock.set_wall(clock.wall() + timedelta(days=400))
        assert json.loads(journal.published(row))["late"] is False
        clock.tick(1)
        assert json.loads(journal.published(row))["late"] is True


async def test_late_is_measured_by_the_wall_clock_across_boots(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        (row,) = await journal.append(event(clock))
    again = sim_clock()
    again._bootid = "boot-2"
    again.set_wall(clock.wall() + timedelta(seconds=29))
    async with journal_at(path, again) as journal:
        assert json.loads(journal.published(row))["late"] is False
        again.tick(2)
        assert json.loads(journal.published(row))["late"] is True


async def test_oldest_due_tells_when_it_happened(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        assert journal.oldest_due() is None
        rows = await journal.append(event(clock, Lane.EVENT))
        clock.tick(60)
        await journal.append(event(clock))
        assert journal.oldest_due() == body(rows[0])["time"]
    async with journal_at(path, clock) as journal:
        for _ in range(200):
            if journal.oldest_due() is not None:
                break
            await asyncio.sleep(0.01)
        assert journal.oldest_due() == body(rows[0])["time"]


async def test_rows_and_tail_are_bounded_and_in_order(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.append(*[event(clock, Lane.EVENT) for _ in range(30)])
        assert [row.seq for row in await journal.rows(5, 9)] == [5, 6, 7, 8, 9]
        assert [row.seq for row in await journal.rows(5, 90, 3)] == [5, 6, 7]
        assert [row.seq for row in await journal.tail(3)] == [28, 29, 30]
        assert await journal.rows(31, 99) == []


async def test_many_producers_share_commits_and_keep_their_order(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        batches: list[int] = []
        journal.on_stored(lambda batch: batches.append(len(batch)))

        async def produce(name: int) -> list[int]:
            return [(await journal.append(event(clock, Lane.EVENT, n=name)))[0].seq for _ in range(20)]

        seqs = await asyncio.gather(*[produce(name) for name in range(50)])
        assert sorted(seq for mine in seqs for seq in mine) == list(range(1, 1_001))
        assert all(mine == sorted(mine) for mine in seqs)
        assert len(batches) < 500
    assert verify_database(path).ok


async def test_more_events_than_the_queue_holds_wait_their_turn(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        some = event(clock, Lane.EVENT)
        tasks = [asyncio.create_task(journal.append(some)) for _ in range(5_000)]
        await asyncio.sleep(0)
        assert journal.progress().waiting <= 2_048
        await asyncio.gather(*tasks)
        assert journal.head.seq == 5_000
        assert journal.progress().waiting == 0


async def test_cancelled_append_harms_nobody(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        task = asyncio.create_task(journal.append(event(clock)))
        await asyncio.sleep(0)
        task.cancel()
        (row,) = await journal.append(event(clock))
        assert row.seq == 2
        assert journal.due_counts()[Lane.ALARM] == 2


async def test_bad_data_is_the_callers_error_alone(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        with pytest.raises(NotJson):
            await journal.append(event(clock, x=object()))  # type: ignore[arg-type]  # that is the point
        assert (await journal.append(event(clock)))[0].seq == 1


async def test_second_agent_on_one_file_is_refused(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        with pytest.raises(JournalLocked) as error:
            async with journal_at(path, clock):
                pass
        assert str(path) in error.value.text.render("zh-CN")
        await journal.append(event(clock))
    async with journal_at(path, clock) as journal:
        assert journal.head.seq == 1


async def test_closed_journal_says_so(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        pass
    with pytest.raises(JournalError):
        await journal.append(event(clock))


async def test_progress_tells_of_a_writer_that_gets_on(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        clock.tick(5)
        await journal.append(event(clock))
        progress = journal.progress()
        assert progress.alive
        assert progress.last_commit_ns == clock.boottime_ns()
        assert not progress.stuck(1)
    assert journal.progress().stuck(1)


async def test_values_are_kept_in_the_order_of_the_calls_whatever_the_lane(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await asyncio.gather(
            journal.append(event(clock, Lane.EVENT), save={"a": "restored", "b": "restored"}),
            journal.append(save={"b": "idle"}),
            journal.append(event(clock), save={"a": "alarm", "b": "alarm"}),
        )
        assert dict(journal.saved) == {"a": "alarm", "b": "alarm"}
    async with journal_at(path, clock) as journal:
        assert dict(journal.saved) == {"a": "alarm", "b": "alarm"}


async def test_numbers_beyond_the_chain_are_no_rows(path: Path) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        rows = await journal.append(event(clock))
        assert await journal.rows(-(10**30), 10**30) == list(rows)
        assert await journal.rows(10**30, 10**31) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_dead_writer_is_told_to_whoever_checks_even_if_nobody_appends(path: Path) -> None:
    def die(_store: object) -> None:
        raise RuntimeError("a mistake in our own code")

    async with journal_at(path, sim_clock()) as journal:
        journal.check()
        with pytest.raises(JournalError):
            await journal._call(die)
        with pytest.raises(JournalError):
            journal.check()
