"""What the page is told of the core's answers, and what not."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SimClock
from agent.console.state import WATCHER_LIMIT, Board, TooMany, alarm_of, camera_of, drilling, shows
from agent.control import ControlClient

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("id", "name", "state", "faults", "since", "inspected", "facts", "ptz"), values)
    )
)
def test_whatever_a_camera_looks_like_becomes_a_tile(camera: dict[str, Any]) -> None:
    tile = camera_of(camera)
    assert tile["state"] in ("ok", "fault", "offline", "unknown")
    assert tile["ptz"] in (True, False, None)
    json.dumps(tile)


def test_a_tile_has_no_address() -> None:
    tile = camera_of({"id": "gate", "address": "192.168.1.64", "driver": "onvif", "facts": {"ptz": True, "mac": "x"}})
    assert "192.168" not in repr(tile)
    assert tile["ptz"] is True
    assert tile["name"] == "gate"


@pytest.mark.parametrize(
    ("kind", "state", "shown"),
    [
        ("panic", "active", True),
        ("panic", "acknowledged", True),
        ("panic", "idle", False),
        ("duress", "active", False),
        ("door", "active", False),
        ("mains-lost", "active", False),
        ("no-such-kind", "active", False),
    ],
)
def test_which_alarms_show(kind: str, state: str, shown: bool) -> None:
    assert shows({"kind": kind, "state": state}) is shown
    assert set(alarm_of({"kind": kind, "value": 1})) == {
        "device",
        "point",
        "name",
        "kind",
        "state",
        "since",
        "escalated",
    }
    assert alarm_of({"escalated": True})["escalated"] is True
    assert alarm_of({"escalated": "x"})["escalated"] is False


async def test_pages_are_limited_and_a_missing_core_is_told(tmp_path: Path) -> None:
    board = Board(lambda: ControlClient([tmp_path / "none.sock"]), SimClock(datetime(2026, 11, 24, tzinfo=UTC)))
    pages = [board.watch() for _ in range(WATCHER_LIMIT)]
    for page in pages:
        state = json.loads(await anext(page))
        assert state["core"]["up"] is False
        assert state["core"]["error"]["key"] == "control.daemon-down"
    with pytest.raises(TooMany):
        await anext(board.watch())
    for page in pages:
        await page.aclose()
    await board.close()


@pytest.mark.parametrize(
    ("status", "shown"),
    [({}, False), ({"drill": None}, False), ({"drill": {"left_s": 60}}, True), ({"drill": 1}, False)],
)
def test_the_page_says_that_a_drill_goes_on(status: dict[str, Any], shown: bool) -> None:
    assert drilling(status) is shown
