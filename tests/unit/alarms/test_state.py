"""What is saved beside the events comes back as it was, and what cannot be read harms nobody."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.state import BadSave, dump, load_fault, load_point
from tests.unit.alarms.scenario import Site, device

POINT = {"id": "panic", "kind": "panic", "input": 0, "lamp": 0}
KEY = "alarm/hall/panic"


def alarmed() -> Site:
    site = Site(device([POINT]))
    site.look(0, True)
    site.look(0, False)
    site.look(0, True, status="open")
    site.go(20)
    return site


def test_what_is_saved_comes_back_as_it_was() -> None:
    site = alarmed()
    record = load_point(KEY, site.saved[KEY])
    assert dump(record) == site.saved[KEY]
    assert record.alarm is not None
    assert record.alarm.count == 2
    fault = load_fault("fault/hall/panic/line-open", site.saved["fault/hall/panic/line-open"])
    assert dump(fault) == site.saved[fault.key]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.text())
def test_reading_any_text_gives_a_value_or_bad_save(text: str) -> None:
    for load in (load_point, load_fault):
        with pytest.raises(BadSave):
            load(KEY, text)


@given(st.data(), json_values)
def test_reading_a_damaged_value_gives_a_value_or_bad_save(data: st.DataObject, damage: object) -> None:
    saved = alarmed().saved
    for key, load in ((KEY, load_point), ("fault/hall/panic/line-open", load_fault)):
        members = json.loads(saved[key])
        inner = members
        if key == KEY and data.draw(st.booleans()):
            inner = members[data.draw(st.sampled_from(["alarm", "active_at"]))]
        inner[data.draw(st.sampled_from(sorted(inner)))] = damage
        with suppress(BadSave):
            load(key, json.dumps(members))


def test_members_of_a_newer_version_are_ignored() -> None:
    site = alarmed()
    members = json.loads(site.saved[KEY])
    members["colour"] = "blue"
    assert load_point(KEY, json.dumps(members)) == load_point(KEY, site.saved[KEY])


def test_an_unreadable_value_is_told_dropped_and_the_point_starts_from_its_input() -> None:
    site = alarmed()
    site.saved |= {KEY: '{"v": 1', "fault/hall/panic/line-open": "[]", "alarm/x/y": "{}", "clock/floor": "not ours"}
    site.restart()
    assert len(site.problems) == 3
    assert KEY in site.problems[0]
    events = site.look(0, True, status="open")
    assert [event.type for event in events] == ["campus.fault.raised", "campus.alarm.raised"]
    assert set(site.saved) == {KEY, "fault/hall/panic/line-open", "clock/floor", "tested/hall/panic"}


def test_a_value_under_the_wrong_key_is_refused() -> None:
    with pytest.raises(BadSave, match="expected the state of alarm/hall/other, got that of alarm/hall/panic"):
        load_point("alarm/hall/other", alarmed().saved[KEY])


def test_a_deep_value_is_refused() -> None:
    with pytest.raises(BadSave):
        load_point(KEY, "[" * 100_000)


def test_a_point_gone_at_a_restart_ends_its_alarm_and_its_faults() -> None:
    site = alarmed()
    site.engine.raise_fault("hall", None, "bus", site.engine.faults()[0].text, site.clock.moment())
    site.restart(devices=[device([{"id": "other", "kind": "panic", "input": 1}])])
    assert [event.type for event in site.go(0.0)] == ["campus.alarm.reset", "campus.fault.cleared"]
    assert site.events[-2].data["actor"] == "configuration"
    assert site.saved == {}
    site.restart()
    assert site.go(1.0) == []


def test_a_device_gone_at_a_restart_ends_its_faults() -> None:
    site = Site(device([POINT], offline_after_s=10))
    site.go(11)
    assert site.told() == ["fault.raised hall offline"]
    site.restart(devices=[device([POINT], id="yard")])
    site.go(0.0)
    assert site.told()[1:] == ["fault.cleared hall offline"]


def test_a_fault_keeps_its_words_over_a_restart() -> None:
    site = alarmed()
    before = [(fault.fault, fault.text.render("zh-CN"), fault.text.render("en")) for fault in site.engine.faults()]
    site.restart()
    assert [(f.fault, f.text.render("zh-CN"), f.text.render("en")) for f in site.engine.faults()] == before
    assert before[0] == (
        "line-open",
        "panic：线路断路。请检查接线和末端电阻",
        "panic: line open. Check the wiring and the end-of-line resistor",
    )


def test_the_place_in_the_chain_is_saved_with_the_next_outcome() -> None:
    site = Site(device([POINT]))
    site.look(0, True)
    assert '"seq":null' in site.saved[KEY]
    site.take(site.engine.heard("hall", site.clock.moment()))
    assert '"seq":null' not in site.saved[KEY]
    assert not site.engine.heard("hall", site.clock.moment())
