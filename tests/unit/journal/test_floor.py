"""The last known time survives everything but its own file."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import read_floor
from agent.journal.floor import floor_path, write_floor
from tests.unit.journal.kit import START, journal_at, sim_clock


def test_no_floor_is_none(tmp_path: Path) -> None:
    assert read_floor(tmp_path / "journal.db") is None


@pytest.mark.parametrize("content", [b"", b"yesterday", b"\xff\xfe", b"2026-11-23T08:00:00", b"9" * 5_000])
def test_damaged_floor_is_none(content: bytes, tmp_path: Path) -> None:
    floor_path(tmp_path / "journal.db").write_bytes(content)
    assert read_floor(tmp_path / "journal.db") is None


def test_unsynced_clock_moves_it_forward_only_and_a_synced_one_both_ways(tmp_path: Path) -> None:
    journal, clock = tmp_path / "journal.db", sim_clock()
    assert write_floor(journal, clock.moment())
    clock.set_wall(START - timedelta(days=1), "unsynced")
    assert not write_floor(journal, clock.moment())
    assert read_floor(journal) == START.replace(microsecond=0)
    clock.set_wall(START + timedelta(days=9), "unsynced")
    assert write_floor(journal, clock.moment())
    clock.set_wall(START + timedelta(days=1), "synced")
    assert write_floor(journal, clock.moment())
    assert read_floor(journal) == (START + timedelta(days=1)).replace(microsecond=0)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db.floor"]


def test_directory_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert not write_floor(tmp_path / "none" / "journal.db", sim_clock().moment())


async def test_journal_writes_it_at_times_and_at_the_end(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.db", sim_clock()
    async with journal_at(path, clock) as journal:
        await journal.maintain()
        assert read_floor(path) == START.replace(microsecond=0)
        clock.tick(10)
        await journal.maintain()
        assert read_floor(path) == START.replace(microsecond=0)
    assert read_floor(path) == (START + timedelta(seconds=10)).replace(microsecond=0)
