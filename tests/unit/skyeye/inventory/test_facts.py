"""What a camera is, what of it may be missing, and what counts as a change."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import BadReply, Identity, LoginRefused, NotOffered, Unreachable
from agent.clock import SimClock
from agent.skyeye.inventory import BadFacts, Facts, Store, changes, collect
from agent.skyeye.inventory.store import HISTORY_LIMIT
from agent.texts import say
from tests.unit.skyeye.inventory.cameras import FINE, ToldSession, camera

CLOCK = SimClock(datetime.fromisoformat("2026-11-23T08:00:00+08:00"))
TEXT = say("inventory.bad-facts")


async def facts_of(**answers: Any) -> Facts:
    return await collect(camera(), ToldSession(**answers), CLOCK)


async def test_everything_is_asked() -> None:
    facts = await facts_of()
    assert (facts.maker, facts.serial, facts.clock_offset_ms) == ("Hikvision", "SN1", -12_400)
    assert [str(one) for one in facts.streams or ()] == ["h265 1920x1080@25", "h264 640x360@12"]
    assert (facts.channels, facts.presets, facts.ptz) == (("校门口",), ("大门",), True)
    assert facts.recorded_from == "2026-10-01T00:00:00+08:00"
    assert facts.failed == {}


async def test_a_part_that_fails_is_noted_and_not_fatal() -> None:
    facts = await facts_of(profiles=BadReply(TEXT), clock_offset_s=NotOffered(TEXT))
    assert facts.streams is None
    assert facts.clock_offset_ms is None
    assert set(facts.failed) == {"profiles"}
    assert facts.channels


@pytest.mark.parametrize("error", [LoginRefused(TEXT), Unreachable(TEXT)])
async def test_after_a_refused_login_nothing_more_is_asked(error: Exception) -> None:
    session = ToldSession(features=error)
    facts = await collect(camera(), session, CLOCK)
    assert session.asked == ["identity", "features"]
    assert set(facts.failed) == {"features"}


async def test_who_does_not_say_who_it_is_raises() -> None:
    with pytest.raises(Unreachable):
        await facts_of(identity=Unreachable(TEXT))


async def test_facts_survive_json() -> None:
    facts = await facts_of(profiles=BadReply(TEXT))
    assert Facts.from_data(json.loads(json.dumps(facts.as_data()))) == facts
    assert Facts.from_data({**facts.as_data(), "later": 1}) == facts


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(Facts.__slots__), inner),
    max_leaves=20,
)


@given(json_values)
def test_any_json_gives_facts_or_the_one_error(value: Any) -> None:
    try:
        Facts.from_data(value)
    except BadFacts:
        return


async def test_another_serial_or_mac_is_another_device() -> None:
    old = await facts_of()
    for other in (
        Identity("Dahua", "IPC", "1", "SN2", old.mac),
        Identity("Hikvision", "x", "1", "SN1", "aa:bb:cc:dd:ee:ff"),
    ):
        (change,) = changes(old, await facts_of(identity=other))
        assert change.what == "swapped"
        assert "SN1" in change.old


async def test_small_changes_are_told_one_by_one() -> None:
    old = await facts_of()
    new = replace(old, firmware="V5.5", streams=(old.streams or ())[:1], ptz=False)
    assert [change.what for change in changes(old, new)] == ["firmware", "profiles", "features"]


async def test_what_was_not_said_is_no_change() -> None:
    old = await facts_of()
    silent = replace(old, serial=None, mac=None, firmware=None, streams=None, channels=None, ptz=None)
    assert changes(old, silent) == changes(silent, old) == ()


async def test_order_and_names_of_streams_do_not_matter() -> None:
    old = await facts_of()
    assert changes(old, await facts_of(profiles=tuple(reversed(FINE["profiles"])))) == ()


def words(mark: str) -> st.SearchStrategy[str | None]:
    """Other ones for each field: a model that reads like a serial number would make two devices look the same."""
    return st.none() | st.sampled_from([f"{mark}-a", f"{mark}-b", f"{mark}-A"])


some_facts = st.builds(
    Facts,
    camera=st.just("gate"),
    at=st.just("2026-11-23T08:00:00+08:00"),
    address=st.just("1"),
    driver=st.just("onvif"),
    maker=words("maker"),
    model=words("model"),
    firmware=words("firmware"),
    serial=words("serial"),
    mac=words("mac"),
    ptz=st.none() | st.booleans(),
    channels=st.none() | st.just(("1",)) | st.just(("1", "2")),
)


@given(some_facts, some_facts)
def test_changes_are_symmetric_and_nothing_differs_from_itself(one: Facts, other: Facts) -> None:
    assert changes(one, one) == ()
    forth, back = changes(one, other), changes(other, one)
    assert [(change.what, change.old, change.new) for change in forth] == [
        (change.what, change.new, change.old) for change in back
    ]
    assert all(change.old != change.new for change in forth)


async def test_the_store_keeps_facts_and_history(tmp_path: Path) -> None:
    store = Store(tmp_path / "inventory")
    facts = await facts_of()
    assert store.load("gate") is None
    store.save(facts)
    store.save(replace(facts, firmware="V5.5"))
    assert store.load("gate") == replace(facts, firmware="V5.5")
    assert [(one["what"], one["old"], one["new"]) for one in store.history("gate")] == [("firmware", "V5.4.1", "V5.5")]
    assert store.all() == {"gate": replace(facts, firmware="V5.5")}
    assert [path.name for path in (tmp_path / "inventory").iterdir()] == ["gate.json"]


async def test_history_is_bounded(tmp_path: Path) -> None:
    store, facts = Store(tmp_path), await facts_of()
    for number in range(HISTORY_LIMIT + 20):
        store.save(replace(facts, firmware=str(number)))
    assert len(store.history("gate")) == HISTORY_LIMIT


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"facts": {"camera": 1}}', b"[" * 10_000, b"\xff", b"{}" + b" " * (2 << 20)]
)
async def test_a_broken_sheet_is_set_aside(tmp_path: Path, raw: bytes) -> None:
    store = Store(tmp_path)
    (tmp_path / "gate.json").write_bytes(raw)
    assert store.load("gate") is None
    assert (tmp_path / "gate.broken").exists()
    store.save(await facts_of())
    assert store.load("gate") is not None


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="inventory"):
        Store(tmp_path / "file" / "inventory").save(await facts_of())
    assert Store(tmp_path / "file" / "inventory").all() == {}


async def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    mine, other, facts = Store(tmp_path), Store(tmp_path), await facts_of()
    mine.save(facts)
    assert mine.load("gate") == mine.load("gate") == facts
    other.save(replace(facts, firmware="V6"))
    assert mine.load("gate") == replace(facts, firmware="V6")
    (tmp_path / "gate.json").unlink()
    assert mine.load("gate") is None
