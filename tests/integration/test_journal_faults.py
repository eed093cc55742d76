"""What a gateway's disk does to a journal: killed in the middle, full, read-only, failing, on real file systems."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.clock import SimClock
from agent.journal import Journal, JournalFull, verify, verify_database
from agent.journal.checkpoint import LOG_BYTES, Checkpointer, checkpoint
from agent.journal.store import Store, connect
from agent.model import Command, Lane
from tests.unit.journal.kit import SITE, Settings, event, journal_at, sim_clock, troubles_of

APPENDER = """
import asyncio, sys
from pathlib import Path
from agent.journal import Journal
from agent.model import Lane
from tests.unit.journal.kit import SITE, Settings, event, sim_clock

async def main():
    clock = sim_clock()
    journal = await Journal.open(Settings(Path(sys.argv[1])), SITE, clock)
    print("store", journal.store, flush=True)
    async def produce():
        while True:
            (row,) = await journal.append(event(clock, Lane.EVENT))
            sys.stdout.write(f"{row.seq} {row.hash}\\n")
            sys.stdout.flush()
    await asyncio.gather(*[produce() for _ in range(8)])

asyncio.run(main())
"""


def appender(path: Path, *prefix: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*prefix, sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE, text=True)


def acknowledged(process: "subprocess.Popen[str]", until: int) -> dict[int, str]:
    """Read what the child says is durable; kill it in the middle of its work."""
    said: dict[int, str] = {}
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "store file\n"
            for line in process.stdout:
                if line.endswith("\n"):
                    seq, hash_ = line.split()
                    said[int(seq)] = hash_
                if len(said) == until:
                    process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
    return said


async def test_every_acknowledged_event_survives_kill_9(tmp_path: Path) -> None:
    path, said = tmp_path / "journal.db", dict[int, str]()
    for round_ in range(5):
        said |= acknowledged(appender(path), 40 + 173 * round_)
        async with journal_at(path, sim_clock()) as journal:
            assert journal.store == "file"
            rows: dict[int, str] = {}
            for first in range(1, journal.head.seq + 1, 1_000):
                rows |= {row.seq: row.hash for row in await journal.rows(first, first + 999)}
            assert {seq: rows.get(seq) for seq in said} == said
        assert verify_database(path).ok
    assert len(said) > 1_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MiB: the ballast, its margin and a log of 4 MiB fit while nothing else is there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    """Take all the room there is."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            if not file.write(b"\xa5" * 65_536):
                break
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            if not file.write(b"\xa5" * 512):
                break
    return filler


async def test_full_disk_takes_alarms_and_heals(small_disk: Path) -> None:
    clock, path = sim_clock(), small_disk / "journal.db"
    async with journal_at(path, clock) as journal:
        told = troubles_of(journal)
        journal.set_receipts(False)
        await journal.maintain()
        assert path.with_name("journal.db.ballast").stat().st_blocks * 512 >= 1 << 20
        for _ in range(10):
            await journal.append(*[event(clock, Lane.EVENT) for _ in range(50)])
        await journal.mark_acked(range(1, 401))
        filler = fill_up(small_disk)
        for _ in range(300):
            await journal.append(event(clock))
        assert journal.store == "file"
        assert [(one.kind, one.raised) for one in told] == [("disk-full", True)]
        assert journal.trouble is not None
        assert journal.due_counts()[Lane.ALARM] == 300
        filler.unlink()
        for _ in range(100):
            await journal.maintain()
            if len(told) > 1:
                break
            await asyncio.sleep(0.01)
        assert [(one.kind, one.raised) for one in told] == [("disk-full", True), ("disk-full", False)]
        assert path.with_name("journal.db.ballast").exists()
        assert journal.trouble is None
        await journal.append(event(clock, Lane.EVENT))
        assert verify([journal.published(row) for row in await journal.rows(1, 9_999)]).ok
    assert verify_database(path).ok


async def test_disk_full_of_undelivered_alarms_goes_on_in_memory_with_the_alarm_in_hand(small_disk: Path) -> None:
    clock, path = sim_clock(), small_disk / "journal.db"
    async with journal_at(path, clock) as journal:
        told = troubles_of(journal)
        await journal.append(event(clock), save={"guardroom/panic": "active"})
        await journal.claim_command(Command("c-1", "output", {}))
        await journal.maintain()
        fill_up(small_disk)
        old, count = journal.id, 0
        while journal.store == "file" and count < 20_000:
            rows = await journal.append(*[event(clock) for _ in range(20)])
            count += 1
        assert journal.store == "memory"
        assert journal.id != old
        assert [one.kind for one in told] == ["disk-full", "memory"]
        assert [row.seq for row in rows] == list(range(1, 21))  # the batch in hand is the new chain's first
        assert await journal.due(Lane.ALARM) == list(rows)
        assert dict(journal.saved) == {"guardroom/panic": "active"}
        assert (await journal.claim_command(Command("c-1", "output", {}))).state == "known"
        await journal.maintain()
        assert not journal.disk_is_back()
        (small_disk / "filler").unlink()
        await journal.append(save={"guardroom/panic": "acknowledged"})
        await journal.maintain()
        assert journal.disk_is_back()
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.id) == ("file", old)
        assert journal.due_counts()[Lane.ALARM] == 1 + (count - 1) * 20
        assert dict(journal.saved) == {"guardroom/panic": "acknowledged"}  # handed over by the one in memory
    assert verify_database(path).ok


def test_the_log_is_folded_in_again_after_a_disk_had_no_room_for_it(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    store = Store(connect(path))
    store.prepare()
    store.create("01JD0000000000000000000000", "2026-11-23T08:00:00+08:00")
    checkpointer = Checkpointer(path)
    checkpointer.start()
    try:
        body = b'{"lane":"event","pad":"%b"}' % (b"x" * 4_000)
        for seq in range(1, 400, 50):
            store.insert([(one, body, "0" * 64) for one in range(seq, seq + 50)])
        filler = fill_up(small_disk)
        for _ in range(3):
            checkpointer.wrote(LOG_BYTES)
            time.sleep(0.1)
        assert path.stat().st_size < 400 * 4_000, "there was room after all"
        filler.unlink()
        for _ in range(50):
            if checkpointer.wrote(LOG_BYTES):
                checkpoint(store.connection)
            if path.stat().st_size > 400 * 4_000:
                break
            time.sleep(0.05)
        assert path.stat().st_size > 400 * 4_000
    finally:
        checkpointer.stop(wait=True)
        store.close()


async def test_events_may_be_refused_on_a_full_disk_and_are_counted(small_disk: Path) -> None:
    clock, path = sim_clock(), small_disk / "journal.db"
    async with journal_at(path, clock) as journal:
        await journal.maintain()
        fill_up(small_disk)
        refused = taken = 0
        for _ in range(400):
            try:
                taken += len(await journal.append(*[event(clock, Lane.EVENT) for _ in range(5)]))
            except JournalFull:
                refused += 1
        assert refused
        assert journal.store == "file"
        (row,) = await journal.append(event(clock))
        assert row.seq == taken + 1


async def test_start_on_a_full_disk_gives_up_the_ballast(small_disk: Path) -> None:
    clock, path = sim_clock(), small_disk / "journal.db"
    async with journal_at(path, clock) as journal:
        await journal.append(event(clock))
        await journal.maintain()
    fill_up(small_disk)
    async with journal_at(path, clock) as journal:
        assert journal.store == "file"
        assert journal.trouble is not None
        assert journal.trouble.key == "journal.disk-full"
        await journal.append(event(clock))
    assert verify_database(path).ok


async def test_start_on_a_read_only_disk_is_memory_and_the_file_is_found_again(small_disk: Path) -> None:
    clock, path = sim_clock(), small_disk / "journal.db"
    async with journal_at(path, clock) as journal:
        await journal.append(event(clock))
        file_id = journal.id
    remount(small_disk, "ro")
    async with journal_at(path, clock) as journal:
        assert journal.store == "memory"
        assert journal.trouble is not None
        assert (await journal.append(event(clock)))[0].seq == 1
        await journal.maintain()
        assert not journal.disk_is_back()
    remount(small_disk, "rw")
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.id, journal.head.seq) == ("file", file_id, 1)


def remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_failing_disk_sends_the_journal_to_memory_and_nothing_acknowledged_is_lost(
    call: str, tmp_path: Path
) -> None:
    """strace makes the disk fail from the 60th call on: a failed fsync is never tried again on the same file."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    path = tmp_path / "journal.db"
    prefix = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=60+"]
    said: dict[int, str] = {}
    process = appender(path, *prefix)
    assert process.stdout is not None
    with process:
        try:
            first = process.stdout.readline()
            if first != "store file\n":
                pytest.skip(f"strace can't attach here: {first!r}")
            began_anew = False
            for line in process.stdout:
                seq, hash_ = line.split()
                if int(seq) == 1 and said:
                    began_anew = True
                    break
                said[int(seq)] = hash_
        finally:
            process.kill()
    assert began_anew
    connection = sqlite3.connect(path)
    rows = dict(connection.execute("SELECT seq, hash FROM event").fetchall())
    connection.close()
    assert {seq: rows.get(seq) for seq in said} == said
    assert verify_database(path).ok


async def test_another_program_that_holds_the_file_delays_but_does_not_lose(tmp_path: Path) -> None:
    clock, path = sim_clock(), tmp_path / "journal.db"
    async with journal_at(path, clock) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(journal.append(event(clock)))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        assert (await waiting)[0].seq == 1
        assert journal.store == "file"


async def test_another_program_that_never_lets_go_sends_the_journal_to_memory(tmp_path: Path) -> None:
    clock, path = sim_clock(), tmp_path / "journal.db"
    async with journal_at(path, clock) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        (row,) = await journal.append(event(clock), save={"a": "1"})
        assert (journal.store, row.seq, journal.delivery(1)) == ("memory", 1, "due")
        other.execute("ROLLBACK")
        other.close()
        await journal.mark_acked([1])
        await journal.maintain()
        assert journal.disk_is_back()
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.head.seq, dict(journal.saved)) == ("file", 0, {"a": "1"})


async def test_a_page_that_was_being_read_when_another_chain_began_is_not_taken_for_its_rows(tmp_path: Path) -> None:
    clock, path = sim_clock(), tmp_path / "journal.db"
    async with journal_at(path, clock) as journal:
        await journal.append(*[event(clock) for _ in range(3)])
        slow = threading.Event()
        journal._reader_pool.submit(slow.wait, 10)  # a disk that answers late
        page = asyncio.ensure_future(journal.due(Lane.ALARM))
        await asyncio.sleep(0)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        (first,) = await journal.append(event(clock))
        assert (journal.store, first.seq) == ("memory", 1)
        slow.set()
        assert [row for row in await page if row.id != first.id] == []
        assert [row.id for row in await journal.due(Lane.ALARM)] == [first.id]
        other.close()


async def test_a_backlog_of_many_rows_opens_and_answers(tmp_path: Path) -> None:
    clock, path = SimClock(sim_clock().wall()), tmp_path / "journal.db"
    journal = await Journal.open(Settings(path), SITE, clock)
    try:
        for _ in range(40):
            await asyncio.gather(*[journal.append(*[event(clock, Lane.EVENT) for _ in range(50)]) for _ in range(10)])
        (alarm,) = await journal.append(event(clock))
        assert await journal.due(Lane.ALARM) == [alarm]
        assert path.stat().st_size > 8 << 20
        assert path.with_name("journal.db-wal").stat().st_size < 10 << 20  # folded in beside the writer, and used again
    finally:
        await journal.close()
    async with journal_at(path, clock) as again:
        assert again.due_counts() == {Lane.ALARM: 1, Lane.FAULT: 0, Lane.EVENT: 20_000}
        assert await again.due(Lane.ALARM) == [alarm]
        assert [row.seq for row in await again.due(Lane.EVENT, 19_000, 2)] == [19_001, 19_002]
