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
