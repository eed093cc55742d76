"""A drill that is over is over: for the first press after a restart, and for what it has left active."""

import pytest

from agent.alarms.selectors import Refusal
from tests.unit.alarms.scenario import Site, device

PANIC = {"id": "panic", "kind": "panic", "input": 0}
GAS = {"id": "gas", "kind": "gas", "input": 1}


def a_site() -> Site:
    return Site(device((PANIC, GAS)))


@pytest.mark.parametrize("boot", [None, "boot-2"])
def test_the_first_press_after_a_restart_is_real_if_the_drills_time_was_up_meanwhile(boot: str | None) -> None:
    site = a_site()
    site.drill_start(minutes=10)
    site.restart(down_s=3600, boot=boot)
    events = site.look(0, True)
    assert [(event.type, event.drill) for event in events] == [
        ("campus.drill.stopped", True),
        ("campus.alarm.raised", False),
    ]


def test_a_refused_command_does_not_swallow_the_end_of_a_drill() -> None:
    site = a_site()
    site.drill_start(minutes=10)
    site.restart(down_s=3600)
    with pytest.raises(Refusal):
        site.ack(device="hall", point="panic")
    site.go(1)
    assert site.told()[-1] == "drill.stopped -"
    assert "drill" not in site.saved


def test_a_refused_command_does_not_swallow_the_end_of_an_alarm_whose_point_is_gone() -> None:
    site = a_site()
    site.look(0, True)
    site.restart(devices=[device((GAS,))])
    with pytest.raises(Refusal):
        site.ack(device="hall", point="gas")
    site.go(1)
    assert site.told()[-1] == "alarm.reset panic"
    assert "alarm/hall/panic" not in site.saved


def test_what_a_drill_leaves_active_is_a_fault_until_it_is_released() -> None:
    site = a_site()
    site.drill_start(minutes=10)
    site.look(1, True)
    assert "fault.raised gas drill-left" not in site.told()
    events = site.go(601)
    assert [(event.type, event.drill) for event in events if event.point == "gas"][-1] == ("campus.fault.raised", False)
    assert site.told().count("fault.raised gas drill-left") == 1
    site.restart(boot="boot-2")
    site.go(60)
    assert site.told().count("fault.raised gas drill-left") == 1
    site.look(1, False)
    assert site.told()[-1] == "fault.cleared gas drill-left"


def test_what_a_drill_left_can_be_made_real_after_it() -> None:
    site = a_site()
    site.drill_start(minutes=10)
    site.look(1, True)
    site.go(601)
    outcome = site.drill_stop(real=True)
    assert outcome.result["real"] == ["hall/gas"]
    assert [(event.type.removeprefix("campus."), event.drill) for event in outcome.events] == [
        ("alarm.reset", True),
        ("alarm.raised", False),
        ("fault.cleared", False),
    ]
    with pytest.raises(Refusal, match="no drill now"):
        site.drill_stop(real=True)


def test_a_reset_ends_the_fault_of_what_a_drill_left() -> None:
    site = a_site()
    site.drill_start(minutes=10)
    site.look(0, True)
    site.drill_stop()
    assert site.told()[-1] == "fault.raised panic drill-left"
    site.look(0, False)
    site.reset(device="hall", point="panic")
    assert site.told()[-3:] == ["alarm.restored panic", "fault.cleared panic drill-left", "alarm.reset panic"]
