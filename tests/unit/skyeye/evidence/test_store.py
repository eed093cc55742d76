"""Evidence on disk: hashed, kept under its quota, alarms last to go, and found again after a power cut."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SimClock
from agent.skyeye.evidence.records import INDEX, BadRecord, Entry, parse_record
from agent.skyeye.evidence.store import EvidenceStore, NoRoom

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DAY_S = 86_400.0


class Heard:
    """What the store said it removed."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, list[str]]] = []

    def __call__(self, why: str, what: Sequence[Entry]) -> None:
        self.removed.append((why, [one.id for one in what]))


def make(folder: Path, clock: SimClock, heard: Heard, *, size: int = 1000, left: int = 0) -> EvidenceStore:
    return EvidenceStore(folder / "evidence", clock, size_bytes=size, keep_s=DAY_S, on_removed=heard, left_bytes=left)


@pytest.fixture
def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def add(
    store: EvidenceStore, clock: SimClock, size: int = 300, *, alarm: bool = False, upload: bool = False
) -> str:
    clock.tick(1)
    return (await store.add("gate", "snapshot", b"x" * size, alarm=alarm, upload=upload)).id


async def test_a_file_has_its_hash_its_size_and_a_record_beside_it(
    tmp_path: Path, clock: SimClock, heard: Heard
) -> None:
    store = make(tmp_path, clock, heard)
    evidence = await store.add("gate", "snapshot", b"jpeg", event="01ABC", alarm=True)
    assert evidence.path.read_bytes() == b"jpeg"
    assert evidence.sha256 == hashlib.sha256(b"jpeg").hexdigest()
    assert evidence.path.parent.name == "2026-11-24"
    record = json.loads(evidence.path.with_name(f"{evidence.id}.json").read_text())
    assert (record["sha256"], record["event"], record["alarm"]) == (evidence.sha256, "01ABC", True)


async def test_over_the_quota_the_oldest_goes_first_and_alarms_last(
    tmp_path: Path, clock: SimClock, heard: Heard
) -> None:
    store = make(tmp_path, clock, heard)
    alarm = await add(store, clock, alarm=True)
    first, second = await add(store, clock), await add(store, clock)
    third = await add(store, clock)
    assert heard.removed == [("quota", [first])]
    assert [store.path(id_) is not None for id_ in (alarm, first, second, third)] == [True, False, True, True]


async def test_what_the_district_has_not_got_stays_longer(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard)
    due = await add(store, clock, upload=True)
    other = await add(store, clock)
    await add(store, clock)
    await add(store, clock)
    assert heard.removed == [("quota", [other])]
    assert store.path(due) is not None


async def test_alarm_evidence_goes_when_there_is_nothing_else(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard)
    ids = [await add(store, clock, alarm=True) for _ in range(4)]
    assert heard.removed == [("quota", ids[:1])]


async def test_a_file_larger_than_everything_is_refused_and_the_alarms_are_not_sacrificed_for_ever(
    tmp_path: Path, clock: SimClock, heard: Heard
) -> None:
    store = make(tmp_path, clock, heard)
    with pytest.raises(NoRoom):
        await store.add("gate", "clip", b"x" * 2000)
    assert store.size <= 1000


async def test_the_disk_is_never_filled_up(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard, left=1 << 60)
    with pytest.raises(NoRoom, match="left to the journal"):
        await store.add("gate", "snapshot", b"x")


async def test_a_folder_that_cannot_be_made_is_no_room(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    (tmp_path / "evidence").write_text("a file stands in the way")
    with pytest.raises(NoRoom, match="cannot be written"):
        await make(tmp_path, clock, heard).add("gate", "snapshot", b"x")


async def test_what_is_too_old_goes_unless_it_is_still_due(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard)
    old, due = await add(store, clock), await add(store, clock, upload=True)
    clock.tick(DAY_S + 10)
    await store.maintain()
    assert heard.removed == [("expired", [old])]
    assert store.path(due) is not None


async def test_a_restart_finds_everything_again(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard)
    first, second = await add(store, clock, alarm=True, upload=True), await add(store, clock, upload=True)
    await store.uploaded(second, "done")
    again = make(tmp_path, clock, heard)
    await again.load()
    assert again.due() == (first,)
    assert await again.get(second) == await store.get(second) is not None
    assert again.size == store.size


async def test_files_that_a_power_cut_left_without_a_record_are_removed(
    tmp_path: Path, clock: SimClock, heard: Heard
) -> None:
    store = make(tmp_path, clock, heard)
    kept = await store.get(await add(store, clock))
    assert kept
    orphan, part = kept.path.with_name("01X-gate-clip.mp4"), kept.path.with_name("01X-gate-clip.mp4.part")
    orphan.write_bytes(b"half")
    part.write_bytes(b"half")
    await make(tmp_path, clock, heard).load()
    assert (kept.path.exists(), orphan.exists(), part.exists()) == (True, False, False)


def found(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.rglob(f"*{suffix}"))


async def indexed(folder: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> EvidenceStore:
    """A store whose index is written at each `maintain`."""
    monkeypatch.setattr("agent.skyeye.evidence.store.UNINDEXED_MOST", 0)
    store = make(folder, clock, heard)
    await add(store, clock, 100, alarm=True)
    await add(store, clock, 200, upload=True)
    await store.maintain()
    return store


async def test_a_start_with_an_index_finds_the_same_and_reads_only_what_it_has_not(
    tmp_path: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await indexed(tmp_path, clock, heard, monkeypatch)
    later = await add(store, clock, 300)
    assert len((tmp_path / "evidence" / INDEX).read_bytes().splitlines()) == 1  # what is due may change, and is read
    plain = make(tmp_path, clock, heard)
    await plain.load()
    (tmp_path / "evidence" / INDEX).unlink()
    read = make(tmp_path, clock, heard)
    await read.load()
    assert plain.due() == read.due() == store.due() != ()
    assert plain.size == read.size == store.size == 600
    assert plain.path(later) == store.path(later)


async def test_what_an_index_has_and_the_folder_has_not_is_gone(
    tmp_path: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await indexed(tmp_path, clock, heard, monkeypatch)
    found(tmp_path, ".jpg")[0].unlink()
    index = tmp_path / "evidence" / INDEX
    index.write_bytes(
        index.read_bytes() + b'["01X", "../../etc/passwd", 1, 1, true]\n[1]\n{"a": \xff\n[[],{},"x",0,0]\n'
    )
    again = make(tmp_path, clock, heard)
    await again.load()
    assert again.size == sum(path.stat().st_size for path in found(tmp_path, ".jpg")) < store.size


async def test_an_index_that_cannot_be_written_ends_nothing(
    tmp_path: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evidence" / f"{INDEX}.part").mkdir(parents=True)
    store = await indexed(tmp_path, clock, heard, monkeypatch)
    again = make(tmp_path, clock, heard)
    await again.load()
    assert again.size == store.size == 300


async def test_evidence_whose_record_has_become_unreadable_is_told_and_not_uploaded(
    tmp_path: Path, clock: SimClock, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(tmp_path, clock, heard)
    broken = await add(store, clock, upload=True)
    found(tmp_path, ".json")[0].write_text("{")
    assert await store.get(broken) is None
    assert f"{broken}.json" in caplog.text
    await store.uploaded(broken, "done")
    assert store.due() == ()


async def test_a_broken_record_is_left_and_does_not_stop_the_others(
    tmp_path: Path, clock: SimClock, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(tmp_path, clock, heard)
    kept = await store.get(await add(store, clock))
    assert kept
    broken = kept.path.with_name("broken.json")
    broken.write_text("{")
    again = make(tmp_path, clock, heard)
    await again.load()
    assert again.path(kept.id) is not None
    assert broken.exists()
    assert "broken.json" in caplog.text


async def test_the_address_is_forgotten_once_the_file_is_there(tmp_path: Path, clock: SimClock, heard: Heard) -> None:
    store = make(tmp_path, clock, heard)
    evidence = await store.add("gate", "snapshot", b"x", put_url="https://s3.example.cn/a?X-Amz-Signature=secret")
    assert "secret" not in repr(evidence)
    await store.uploaded(evidence.id, "done")
    assert b"secret" not in evidence.path.with_name(f"{evidence.id}.json").read_bytes()


def test_records_are_read_or_refused() -> None:
    with pytest.raises(BadRecord):
        parse_record(b'{"file": "../../etc/passwd"}', Path("/x"))


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_a_record_or_a_bad_one(raw: bytes) -> None:
    with pytest.raises(BadRecord):
        parse_record(raw, Path("/x"))


@given(
    value=st.dictionaries(
        st.sampled_from(["v", "id", "kind", "camera", "file", "sha256", "bytes", "at", "upload", "content_type"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers())),
    )
)
def test_any_json_is_a_record_or_a_bad_one(value: dict[str, object]) -> None:
    with pytest.raises(BadRecord):
        parse_record(json.dumps(value).encode(), Path("/x"))


async def test_a_disk_that_lets_nothing_be_removed_ends_nothing(
    tmp_path: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path, clock, heard)
    first = await add(store, clock)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        clock.tick(2 * DAY_S)
        await store.maintain()
        assert store.path(first) is not None
        assert heard.removed == []
        again = make(tmp_path, clock, heard)
        (tmp_path / "evidence" / "2026-11-24" / "left.part").touch()
        await again.load()
        assert again.path(first) is not None
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", refuse)
        await store.maintain()
        with pytest.raises(NoRoom):
            await store.add("gate", "snapshot", b"x")
    await store.maintain()
    assert store.path(first) is None
    assert store.size == 0


async def test_files_that_are_being_written_have_their_room_kept(
    tmp_path: Path, clock: SimClock, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.skyeye.evidence.store.free_bytes", lambda _folder: 1000)
    store = make(tmp_path, clock, heard, size=10_000, left=500)
    async with store.room_for(300):
        with pytest.raises(NoRoom):
            async with store.room_for(300):
                pass
        async with store.room_for(200):
            pass
    async with store.room_for(300):
        pass
