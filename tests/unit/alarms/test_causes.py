"""A point on a general name, presses that are events of their own, and inputs that fall back by themselves."""

from dataclasses import replace

import pytest

from agent.alarms.engine import Refusal
from agent.config.models import DeviceSettings
from agent.driver import Sample, pulse
from agent.model import Event
from tests.unit.alarms.scenario import Site, device

SELECTOR = {"device": "hall", "point": "any"}


def panel(site: Site, *samples: Sample) -> list[Event]:
    return site.take(site.engine.samples("hall", samples, site.clock.moment()))


def word(site: Site, zone: str, value: bool = True, *, hold_s: float | None = None) -> Sample:
    """What a panel says of a zone: code 130, or 120 if it falls back by itself."""
    code = "130" if hold_s is None else "120"
    return Sample(
        f"{code}/{zone}",
        value,
        site.clock.boottime_ns(),
        kind="intrusion",
        detail={"zone": zone},
        also=(f"zone-{zone}", code),
        press=value,
        hold_s=hold_s,
    )


def a_site(input: str = "130", kind: str = "intrusion") -> Site:
    return Site(point(input, kind))


def point(input: str, kind: str, *, debounce_s: float = 0.03) -> DeviceSettings:
    return device([{"id": "any", "kind": kind, "input": input, "debounce_s": debounce_s}])


def moved(site: Site, settings: DeviceSettings) -> list[Event]:
    """Take over another configuration."""
    return site.take(site.engine.reconfigure([settings], site.clock.moment()))


def types(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("campus.") for event in events]


def test_a_point_on_a_general_name_is_active_while_any_input_behind_it_is() -> None:
    site = a_site()
    assert types(panel(site, word(site, "003"))) == ["alarm.raised"]
    site.go(1.0)
    (again,) = panel(site, word(site, "004"))
    assert again.type == "campus.alarm.repeated"
    assert again.data["detail"] == {"zone": "004"}
    site.go(1.0)
    assert types(panel(site, word(site, "003", False))) == []
    site.go(1.0)
    with pytest.raises(Refusal):
        site.engine.reset(SELECTOR, None, site.clock.moment())
    panel(site, word(site, "004", False))
    assert types(site.go(1.0)) == ["alarm.restored"]


@pytest.mark.parametrize("input", ["130/003", "zone-003", "130"])
def test_an_input_that_has_a_point_by_any_of_its_names_is_no_stray(input: str) -> None:
    site = a_site(input)
    assert types(panel(site, word(site, "003"))) == ["alarm.raised"]


def test_an_input_without_a_point_by_any_of_its_names_is_told_once() -> None:
    site = a_site("130/009")
    assert types(panel(site, word(site, "003"))) == ["input.unassigned", "fault.raised"]


def test_a_press_of_its_own_counts_while_the_input_is_active() -> None:
    site = a_site("120/001", "panic")
    assert types(panel(site, word(site, "001", hold_s=60.0))) == ["alarm.raised"]
    site.go(30.0)
    assert types(panel(site, word(site, "001", hold_s=60.0))) == ["alarm.repeated"]


def test_what_tells_no_release_falls_back_by_itself_so_that_it_can_be_reset() -> None:
    site = a_site("120/001", "panic")
    panel(site, word(site, "001", hold_s=60.0))
    assert "alarm.restored" not in types(site.go(59.0))
    with pytest.raises(Refusal):
        site.engine.reset(SELECTOR, None, site.clock.moment())
    assert "alarm.restored" in types(site.go(2.0))
    assert types(site.take(site.engine.reset(SELECTOR, None, site.clock.moment()))) == ["alarm.reset"]


def test_a_release_within_that_time_counts_at_once() -> None:
    site = a_site("120/001", "panic")
    panel(site, word(site, "001", hold_s=60.0))
    site.go(1.0)
    panel(site, word(site, "001", False, hold_s=60.0))
    assert types(site.go(1.0)) == ["alarm.restored"]


def test_it_also_falls_back_after_a_restart() -> None:
    site = a_site("120", "panic")
    panel(site, word(site, "001", hold_s=60.0))
    site.go(20.0)
    site.restart()
    assert "alarm.restored" not in types(site.go(39.0))
    assert "alarm.restored" in types(site.go(2.0))


def test_a_press_of_the_past_raises_nothing_for_a_point_that_is_new() -> None:
    site = a_site("120/009", "panic")
    panel(site, word(site, "001", hold_s=60.0))
    site.go(61.0)
    assert "alarm.raised" not in types(moved(site, point("120/001", "panic")))


def test_a_zone_that_stays_open_does_for_a_point_that_is_new_by_any_name() -> None:
    site = a_site("130/009")
    panel(site, word(site, "001"), word(site, "002"))
    site.go(1.0)
    events = moved(site, point("130", "intrusion"))
    assert [event.type for event in events if event.point == "any"] == ["campus.alarm.raised"]


def test_a_pulse_is_over_also_when_a_restart_comes_before_its_release_counts() -> None:
    site = a_site("card", "panic")
    press = Sample("card", True, site.clock.boottime_ns(), kind="panic", press=True)
    assert types(panel(site, *pulse(press))) == ["alarm.raised"]
    site.restart()
    assert "alarm.restored" in types(site.go(1.0))
    assert types(site.take(site.engine.reset(SELECTOR, None, site.clock.moment()))) == ["alarm.reset"]


def test_the_release_of_a_pulse_is_debounced_as_any_other() -> None:
    site = a_site("card", "panic")
    press = Sample("card", True, site.clock.boottime_ns(), kind="panic", press=True)
    panel(site, *pulse(press))
    assert types(site.go(0.02)) == []
    assert types(panel(site, *pulse(replace(press, seen_ns=site.clock.boottime_ns())))) == ["alarm.repeated"]
    assert types(site.go(1.0)) == ["alarm.restored"]


def test_it_also_falls_back_when_its_point_is_read_in_another_way() -> None:
    site = a_site("120/001", "panic")
    panel(site, word(site, "001", hold_s=60.0))
    site.go(10.0)
    assert types(moved(site, point("120/001", "panic", debounce_s=0.1))) == []
    assert "alarm.restored" not in types(site.go(49.0))
    assert "alarm.restored" in types(site.go(2.0))


def test_a_point_of_a_panel_that_never_tells_a_restore_falls_back_by_itself_if_it_is_told_so() -> None:
    settings = device([{"id": "any", "kind": "intrusion", "input": "130", "debounce_s": 0.0, "release_after_s": 600.0}])
    site = Site(settings)
    assert types(panel(site, word(site, "003"))) == ["alarm.raised"]
    with pytest.raises(Refusal):
        site.reset(**SELECTOR)
    assert types(site.go(590.0)) == ["alarm.escalated", "fault.raised"]
    assert "alarm.restored" in types(site.go(20.0))
    site.reset(**SELECTOR)


def test_it_falls_back_also_after_a_restart() -> None:
    settings = device([{"id": "any", "kind": "intrusion", "input": "130", "debounce_s": 0.0, "release_after_s": 60.0}])
    site = Site(settings)
    panel(site, word(site, "003"))
    site.restart(down_s=1.0)
    assert "alarm.restored" in types(site.go(70.0))
