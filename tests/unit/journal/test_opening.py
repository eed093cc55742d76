"""What the journal makes of the file that it finds."""
# ruff: noqa: ASYNC240  (a test may block its own loop)

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.journal import Journal, schema, verify, verify_database
from agent.journal.migrate import main as migrate
from agent.model import Lane
from tests.unit.journal.kit import SITE, Settings, event, journal_at, sim_clock, troubles_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def filled(path: Path, count: int = 60) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.append(*[event(clock, Lane.EVENT if n % 3 else Lane.ALARM) for n in range(count)])


def schema_of(path: Path) -> set[tuple[str, str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    connection.close()
    return {(kind, name, "".join((sql or "").split()).replace('"', "").lower()) for kind, name, sql in rows}


async def test_new_file_and_migrated_file_have_one_schema(path: Path) -> None:
    async with journal_at(path, sim_clock()) as journal:
        assert (journal.store, journal.trouble) == ("file", None)
    other = path.with_name("migrated.db")
    assert migrate([str(other)]) == 0
    assert schema_of(path) == schema_of(other)
    for one in (path, other):
        connection = sqlite3.connect(one)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
        assert connection.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
        names = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]
        assert names == [schema.step_name(version) for version in range(1, schema.VERSION + 1)]
        connection.close()


async def test_file_of_version_1_is_migrated_and_goes_on(path: Path) -> None:
    fixture = Path(__file__).parent / "data" / "version-1.sql"
    connection = sqlite3.connect(path)
    connection.executescript(fixture.read_text(encoding="utf-8"))
    connection.close()
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.trouble, journal.head.seq) == ("file", None, 3)
        assert dict(journal.saved) == {"guardroom/panic": "active"}
        assert [row.seq for row in await journal.due(Lane.ALARM)] == [3]
        await journal.append(event(clock))
    assert verify_database(path).ok
    assert migrate([str(path)]) == 0


def test_migration_that_fails_says_so_and_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(b"no database, but long enough to be looked at" * 40)
    assert migrate([str(path)]) == 1
    assert str(path) in capsys.readouterr().err
    assert migrate([]) == 2


async def expect_fresh(path: Path, word: str) -> None:
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        assert journal.store == "fresh"
        assert journal.kept_aside is not None
        assert journal.kept_aside.exists()
        assert journal.kept_aside.name.startswith("journal.db.sick-2026")
        assert journal.trouble is not None
        assert word in str(journal.trouble)
        assert str(journal.kept_aside) in journal.trouble.render("zh-CN")
        assert (await journal.append(event(clock)))[0].seq == 1
    async with journal_at(path, clock) as journal:
        assert (journal.store, journal.head.seq) == ("file", 1)


async def test_file_that_is_no_database_is_kept_aside(path: Path) -> None:
    path.write_bytes(b"these are somebody's notes, not a database at all" * 50)
    await expect_fresh(path, "not a database")


async def test_database_of_another_program_is_kept_aside(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE event (x)")
    connection.close()
    await expect_fresh(path, "application_id")


async def test_file_of_a_newer_version_is_kept_aside(path: Path) -> None:
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    await expect_fresh(path, "newer")


@pytest.mark.parametrize("region", [slice(0, 16), slice(16, 24), slice(40, 60)])
async def test_damaged_header_is_survived(path: Path, region: slice) -> None:
    await filled(path)
    data = bytearray(path.read_bytes())
    data[region] = b"\xff" * (region.stop - region.start)
    path.write_bytes(data)
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        assert journal.store in ("file", "fresh")
        await journal.append(event(clock))


async def test_truncated_file_is_kept_aside(path: Path) -> None:
    await filled(path, 300)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4096 * 4096 + 100)
    await expect_fresh(path, "SQLite says")


async def test_empty_file_is_a_first_start(path: Path) -> None:
    path.touch()
    async with journal_at(path, sim_clock()) as journal:
        assert (journal.store, journal.trouble) == ("file", None)


async def test_broken_link_at_the_end_is_kept_aside(path: Path) -> None:
    await filled(path)
    other = path.with_name("other.db")
    await filled(other)
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS other", (str(other),))
    connection.execute("DELETE FROM event WHERE seq = 60")
    connection.execute("DELETE FROM outbox WHERE seq = 60")
    connection.execute("INSERT INTO event (seq, body, hash) SELECT seq, body, hash FROM other.event WHERE seq = 60")
    connection.commit()
    connection.close()
    await expect_fresh(path, "broken at seq 60")


async def test_log_that_was_cut_off_loses_its_end_and_nothing_else(path: Path) -> None:
    clock = sim_clock()
    journal = await Journal.open(Settings(path), SITE, clock)
    for _ in range(30):
        await journal.append(event(clock))
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    wal = path.with_name("journal.db-wal").read_bytes()
    await journal.close()
    copy.with_name("copy.db-wal").write_bytes(wal[: len(wal) * 2 // 3 + 77])
    async with journal_at(copy, clock) as cut:
        assert cut.store == "file"
        assert 0 < cut.head.seq < 30
        await cut.append(event(clock))
    assert verify_database(copy).ok


async def test_missing_schema_is_kept_aside(path: Path) -> None:
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE outbox")
    connection.close()
    await expect_fresh(path, "outbox")


async def test_altered_event_is_never_sent_and_recorded_as_lost(path: Path) -> None:
    await filled(path, 9)
    alter(path, 4)
    clock = sim_clock()
    async with journal_at(path, clock) as journal:
        due = await journal.due(Lane.ALARM)
        assert [row.seq for row in due] == [1, 7]
        assert [row.seq for row in await journal.rows(1, 9)] == [1, 2, 3, 5, 6, 7, 8, 9]
        await journal.append(event(clock))
        (lost,) = await journal.due(Lane.FAULT)
        assert lost.type == "campus.lost"
        assert b'"from":4' in lost.body
        assert journal.delivery(4) != "due"
        assert [one.kind for one in troubles_of(journal)] == [
            "altered"
        ]  # found at the open, told to the first who asks
        lines = [journal.published(row) for row in await journal.rows(1, 99)]
    assert verify(lines).ok
    assert [problem.key for problem in verify_database(path).problems] == ["journal.check-altered"]
    async with journal_at(path, clock) as journal:
        assert [row.seq for row in await journal.due(Lane.FAULT)] == [lost.seq]


async def test_altered_hash_column_is_mended_from_the_next_event(path: Path) -> None:
    await filled(path, 9)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE event SET hash = 'f' || substr(hash, 2) WHERE seq = 4 AND hash NOT LIKE 'f%'")
    connection.execute("UPDATE event SET hash = '0' || substr(hash, 2) WHERE seq = 7 AND hash NOT LIKE '0%'")
    connection.commit()
    connection.close()
    async with journal_at(path, sim_clock()) as journal:
        assert [row.seq for row in await journal.due(Lane.ALARM)] == [1, 4, 7]
        await journal.mark_acked([])
    assert verify_database(path).ok


def alter(path: Path, seq: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE event SET body = replace(body, 'panic', 'manic') WHERE seq = ?", (seq,))
    connection.commit()
    connection.close()


async def test_directory_that_cannot_be_made_means_memory_loudly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    clock = sim_clock()
    async with journal_at(tmp_path / "file" / "journal.db", clock) as journal:
        assert journal.store == "memory"
        assert journal.trouble is not None
        assert "内存" in journal.trouble.render("zh-CN")
        rows = await journal.append(event(clock), save={"a": "1"})
        assert await journal.due(Lane.ALARM) == list(rows)
        assert await journal.tail(5) == list(rows)
        await journal.maintain()
        assert not journal.disk_is_back()
        (tmp_path / "file").unlink()
        (tmp_path / "file").mkdir()
        await journal.maintain()
        assert journal.disk_is_back()


async def test_flipped_bits_are_found_when_read(path: Path) -> None:
    """Each byte region of the file is hit; nothing altered comes out, and nothing raises."""
    await filled(path, 120)
    whole, rng, clock = path.read_bytes(), random.Random(7), sim_clock()
    async with journal_at(path, clock) as journal:
        bodies = {row.seq: row.body for row in await journal.rows(1, 1_000)}
    survived = 0
    for start in range(0, len(whole), 2_048):
        for side in ("-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        data = bytearray(whole)
        data[start + rng.randrange(min(2_048, len(whole) - start))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        async with journal_at(path, clock) as journal:
            rows = await journal.rows(1, 1_000)
            if journal.store == "file":
                survived += 1
                assert all(bodies[row.seq] == row.body for row in rows if row.seq <= 120)
            await journal.append(event(clock))
            for aside in path.parent.glob("journal.db.sick-*"):
                aside.unlink()
    assert survived > len(whole) / 2_048 / 2
