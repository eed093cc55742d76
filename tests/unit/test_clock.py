"""The machine's clock: what it goes by when it tells whether it is synchronised."""

import os
from pathlib import Path

import pytest

from agent.clock import SystemClock, recently_synced

NOW_S = 1_795_420_800.0


def touched(path: Path, seconds_ago: float) -> Path:
    path.touch()
    os.utime(path, (NOW_S - seconds_ago, NOW_S - seconds_ago))
    return path


def test_without_timesyncd_s_file_nothing_vouches_for_the_clock(tmp_path: Path) -> None:
    assert not recently_synced(tmp_path / "missing", NOW_S)


@pytest.mark.parametrize(("seconds_ago", "synced"), [(0, True), (3 * 3600, True), (10 * 3600, False), (-60, False)])
def test_a_synchronisation_counts_for_hours_and_never_from_the_future(
    tmp_path: Path, seconds_ago: float, synced: bool
) -> None:
    assert recently_synced(touched(tmp_path / "synchronized", seconds_ago), NOW_S) is synced


def test_the_kernel_has_the_word_where_it_may_be_asked(tmp_path: Path) -> None:
    known = {
        SystemClock("Asia/Shanghai", timesyncd=path).quality() for path in (tmp_path / "a", touched(tmp_path / "b", 0))
    }
    assert len(known) == 1
