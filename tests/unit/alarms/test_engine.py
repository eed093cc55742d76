"""What no story tells: the engine's edges towards its runtime."""

import pytest

from agent.alarms.engine import Delivery, Press, Refusal
from agent.alarms.lamp import LampMode, lit
from agent.alarms.words import FAULT_TEXTS, STATUS_FAULTS, STATUS_TEXTS
from agent.driver import SampleStatus
from agent.kinds import FAULTS, KINDS
from agent.model import Lane
from agent.texts import say
from tests.unit.alarms.scenario import Site, device, short

PANIC = {"id": "panic", "kind": "panic", "input": 0, "lamp": 0, "siren": 1}
MS = 1_000_000


def test_events_carry_what_the_district_needs() -> None:
    site = Site(device([{**PANIC, "name": "门卫室一键报警"}]), language="zh-CN")
    (raised,) = site.look(0, True, previous_s_ago=0.05)
    assert (raised.type, raised.lane, raised.device, raised.point) == (
        "campus.alarm.raised",
        Lane.ALARM,
        "hall",
        "panic",
    )
    assert raised.data == {
        "kind": "panic",
        "name": "门卫室一键报警",
        "priority": 1,
        "text": "门卫室一键报警：一键报警触发",
        "value": True,
        "latency_ms": 50,
    }
    (acked,) = site.ack(device="hall", point="panic", actor="王警官").events
    assert acked.data["event"] == raised.id
    assert acked.data["actor"] == "王警官"


def test_events_speak_the_site_s_language() -> None:
    site = Site(device([PANIC]), language="en")
    assert site.look(0, True)[0].data["text"] == "panic: panic button raised"


def test_offline_names_the_reason_that_the_driver_gave() -> None:
    site = Site(device([PANIC], offline_after_s=10), language="zh-CN")
    site.engine.failed("hall", say("driver.bad-frame", expected="A", got="B", length=1), site.clock.moment())
    (fault,) = site.go(10)
    assert fault.data["text"] == (
        "门厅模块：超过 10 秒没有应答（收到无法识别的数据：应为 A，实际收到 1 字节：B）。请检查供电、接线和地址"
    )


def test_a_second_ack_tells_that_it_was_one() -> None:
    site = Site(device([PANIC]))
    site.look(0, True)
    first = site.ack(device="hall", point="panic")
    second = site.ack(device="hall", point="panic")
    assert (first.result["already"], second.result["already"]) == (False, True)
    assert first.result["event"] == second.result["event"] == site.events[0].id
    assert not second.events


def test_an_old_repeat_still_acknowledges_and_the_number_kept_is_bounded() -> None:
    site = Site(device([PANIC]))
    site.look(0, True)
    for _ in range(100):
        site.look(0, False)
        site.look(0, True)
    repeats = [event for event in site.events if event.type == "campus.alarm.repeated"]
    assert [event.data["count"] for event in repeats] == list(range(2, 102))
    with pytest.raises(Refusal):
        site.ack(event=repeats[0].id)
    site.ack(event=repeats[-10].id)
    assert site.state("panic") == "acknowledged"
    assert len(site.saved["alarm/hall/panic"]) < 2_000


def test_presses_that_count_are_handed_to_the_walk_test() -> None:
    site = Site(device([{**PANIC, "debounce_s": 0.03}]))
    pressed: list[Press] = []
    site.engine.on_press = pressed.append
    site.look(0, False)
    site.go(1)
    site.look(0, True, previous_s_ago=0.01)
    assert pressed == []
    site.go(0.02)
    seen_ns = site.clock.boottime_ns() - 20 * MS
    assert pressed == [Press("hall", "panic", seen_ns, seen_ns - 10 * MS, 30)]
    (event,) = site.take(site.engine.test_passed("hall", "panic", 30, site.clock.moment()))
    assert (event.type, event.lane, event.data["latency_ms"]) == ("campus.test.passed", Lane.EVENT, 30)


def test_a_drill_marks_the_events() -> None:
    site = Site(device([PANIC]))
    site.engine.set_drill(True)
    assert [event.drill for event in site.look(0, True)] == [True]
    site.engine.set_drill(False)
    assert [event.drill for event in site.go(20)] == [True], "what was raised in a drill rings at nobody after it"
    site.look(0, False)
    site.go(1)
    assert [(short(e), e.drill) for e in site.look(0, True)] == [
        ("alarm.reset panic", True),
        ("alarm.raised panic", False),
    ]


def test_views_say_what_may_be_shown_and_tested() -> None:
    points = [PANIC, {"id": "d", "kind": "duress", "input": 1}, {"id": "w", "kind": "water-leak", "input": 2}]
    site = Site(device(points))
    site.look(1, True)
    views = site.engine.views()
    assert [(v.point, v.state, v.value, v.silent, v.testable) for v in views] == [
        ("panic", "idle", False, False, True),
        ("d", "active", True, True, True),
        ("w", "idle", False, False, False),
    ]
    assert views[1].seq == 1
    assert views[1].since == "2026-11-23T08:00:00.000+08:00"


def test_only_outputs_that_something_uses_are_planned() -> None:
    site = Site(device([{"id": "a", "kind": "panic", "input": 0, "lamp": 2}, {"id": "b", "kind": "panic", "input": 1}]))
    plan = site.engine.outputs(site.clock.boottime_ns(), lambda _seq: "due")
    assert plan.values == {("hall", 2): False}
    assert plan.next_change_ns is None


@pytest.mark.parametrize(("fares", "half_ns"), [("due", 500 * MS), ("stuck", 125 * MS)])
def test_the_plan_says_when_it_changes(fares: Delivery, half_ns: int) -> None:
    site = Site(device([PANIC]))
    site.look(0, True)
    now_ns = site.clock.boottime_ns()
    plan = site.engine.outputs(now_ns, lambda _seq: fares)
    assert plan.next_change_ns is not None
    assert 0 < plan.next_change_ns - now_ns <= half_ns
    assert plan.values != site.engine.outputs(plan.next_change_ns, lambda _seq: fares).values


def test_lamps_blink_together() -> None:
    assert lit(LampMode.SLOW, 0) == (True, 500 * MS)
    assert lit(LampMode.SLOW, 499 * MS) == (True, 500 * MS)
    assert lit(LampMode.SLOW, 500 * MS) == (False, 1_000 * MS)
    assert lit(LampMode.FAST, 130 * MS) == (False, 250 * MS)
    assert lit(LampMode.STEADY, 130 * MS) == (True, None)


def test_samples_of_unknown_devices_and_inputs_are_ignored() -> None:
    site = Site(device([PANIC]))
    assert site.look(7, True) == []
    assert site.look("door-3", True) == []  # type: ignore[arg-type]  # an input may be a name
    assert site.look(0, True, device="nowhere") == []
    assert not site.engine.heard("nowhere", site.clock.moment())


def test_every_status_fault_and_status_event_has_its_words() -> None:
    assert set(STATUS_FAULTS.values()) <= FAULT_TEXTS.keys() <= FAULTS.keys()
    assert STATUS_TEXTS.keys() == {type_ for kind in KINDS.values() for type_ in kind.events or () if type_}


@pytest.mark.parametrize("status", ["open", "short", "tamper", "invalid"])
def test_an_input_that_is_blind_after_a_restart_does_not_end_what_stood_before(status: SampleStatus) -> None:
    site = Site(device([{"id": "gas", "kind": "gas", "input": 0}]))
    site.look(0, True)
    site.restart()
    assert "campus.alarm.restored" not in [event.type for event in site.look(0, False, status=status)]
    with pytest.raises(Refusal):
        site.reset(device="hall", point="gas")
    site.look(0, False)
    site.reset(device="hall", point="gas")
