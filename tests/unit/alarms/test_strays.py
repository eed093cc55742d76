"""A panel speaks of zones that nobody configured: told, bounded, and no longer once they are."""

from agent.driver import Sample, pulse
from agent.model import Event, Lane
from tests.unit.alarms.scenario import Site, device


def panel(site: Site, *samples: Sample) -> list[Event]:
    return site.take(site.engine.samples("hall", samples, site.clock.moment()))


def zone(site: Site, input: str, kind: str | None = "panic", **more: object) -> Sample:
    return Sample(input, True, site.clock.boottime_ns(), kind=kind, detail={"zone": input, **more})  # type: ignore[dict-item]


def site_with_zone_1() -> Site:
    return Site(device([{"id": "one", "kind": "panic", "input": "zone-1"}]))


def test_an_alarm_of_an_unknown_zone_goes_out_in_the_alarm_lane_and_as_a_fault() -> None:
    site = site_with_zone_1()
    events = panel(site, *pulse(zone(site, "zone-9", account="1234")))
    assert [(event.type, event.lane, event.point) for event in events] == [
        ("campus.input.unassigned", Lane.ALARM, None),
        ("campus.fault.raised", Lane.FAULT, None),
    ]
    assert events[0].data["detail"] == {"zone": "zone-9", "account": "1234"}
    assert events[0].data["kind"] == "panic"
    assert site.engine.fault_stands("hall", None, "unassigned")


def test_what_is_no_alarm_goes_in_its_own_lane() -> None:
    site = site_with_zone_1()
    assert panel(site, zone(site, "zone-9", "battery-low"))[0].lane is Lane.FAULT
    assert panel(site, zone(site, "user-7", "armed"))[0].lane is Lane.EVENT
    assert panel(site, zone(site, "zone-8", "no-such-kind"))[0].lane is Lane.EVENT


def test_a_device_that_never_stops_is_told_once_a_minute_with_what_was_left_out() -> None:
    site = site_with_zone_1()
    panel(site, zone(site, "zone-9"))
    for _ in range(50):
        site.go(1.0)
        assert panel(site, zone(site, "zone-9")) == []
    site.go(15.0)
    (again,) = panel(site, zone(site, "zone-9"))
    assert again.data["left_out"] == 50


def test_however_many_inputs_a_device_invents_the_memory_is_bounded() -> None:
    site = site_with_zone_1()
    told = [event for number in range(1_000) for event in panel(site, zone(site, f"z{number}"))]
    assert len([event for event in told if event.type == "campus.input.unassigned"]) == 256


def test_an_alarm_of_one_more_unknown_input_is_told_however_many_there_were() -> None:
    site = site_with_zone_1()
    for number in range(1_000):
        panel(site, zone(site, f"z{number}"))
    site.go(61.0)
    told = panel(site, zone(site, "the button in the dormitory"))
    assert [event.type for event in told] == ["campus.input.unassigned"]
    assert told[0].data["left_out"] == 744


def test_inputs_without_a_kind_are_nobodys_business() -> None:
    site = site_with_zone_1()
    assert panel(site, Sample("zone-9", True, site.clock.boottime_ns())) == []


def test_a_release_is_not_told() -> None:
    site = site_with_zone_1()
    assert panel(site, Sample("zone-9", False, site.clock.boottime_ns(), kind="panic")) == []


def test_a_configuration_with_the_zone_ends_the_fault_and_raises_what_is_still_active() -> None:
    site = site_with_zone_1()
    panel(site, zone(site, "zone-9"))
    points = [{"id": "one", "kind": "panic", "input": "zone-1"}, {"id": "nine", "kind": "panic", "input": "zone-9"}]
    events = site.take(site.engine.reconfigure([device(points)], site.clock.moment()))
    assert [event.type for event in events] == ["campus.fault.cleared", "campus.alarm.raised"]


def test_whoever_listens_hears_every_one() -> None:
    site = site_with_zone_1()
    heard: list[object] = []
    site.engine.on_stray = lambda stray: heard.append((stray.device, stray.input, stray.kind))
    panel(site, zone(site, "zone-9"))
    panel(site, zone(site, "zone-9"))
    assert heard == [("hall", "zone-9", "panic")] * 2


def test_what_a_device_says_beside_is_in_the_event() -> None:
    site = site_with_zone_1()
    sample = Sample("zone-1", True, site.clock.boottime_ns(), detail={"user": 3}, measure=12.5, unit="%LEL")
    (raised,) = panel(site, sample)
    assert (raised.data["detail"], raised.data["measure"], raised.data["unit"]) == ({"user": 3}, 12.5, "%LEL")
    site.ack(device="hall", point="one")
    assert "detail" not in site.events[-1].data


def test_a_kind_without_an_end_tells_only_its_beginning() -> None:
    site = Site(device([{"id": "reader", "kind": "door-denied", "input": "card"}]))
    events = panel(site, *pulse(Sample("card", True, site.clock.boottime_ns(), detail={"card": "0012"})))
    events += site.go(1.0)
    assert [(event.type, event.data["detail"]) for event in events] == [("campus.access.denied", {"card": "0012"})]
    site.go(1.0)
    assert [event.type for event in panel(site, *pulse(Sample("card", True, site.clock.boottime_ns())))] == [
        "campus.access.denied"
    ]
