"""Plans: which one holds, what each step does, what of it outlives a restart, and what never leaves the school."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from agent.alarms.escalation import Plans, zones_of
from agent.alarms.state import NOTICE_PREFIX, load_notice
from agent.clock import SimClock
from agent.config.calendar import CalendarSettings
from agent.config.escalation import EscalationSettings
from agent.driver import NoticeWhat
from agent.model import Event
from agent.texts import say
from tests.unit.alarms.scenario import START, Site, device

PANIC = {"id": "panic", "kind": "panic", "input": 0, "lamp": 0, "siren": 1, "stuck_after_s": 86_400.0}
GAS = {"id": "gas", "kind": "gas", "input": 1}
TELLS: dict[str, frozenset[NoticeWhat]] = {
    "police": frozenset({"alarm", "ended", "test"}),
    "sms": frozenset({"alarm", "acknowledged", "ended", "test"}),
}
DANGER = {
    "id": "danger",
    "kinds": ["panic"],
    "step": [
        {"after": "0s", "paths": ["police"]},
        {"after": "15s", "siren": True, "console": True},
        {"after": "60s", "paths": ["sms", "police"], "broker": "next"},
    ],
}


def plans(*escalations: Mapping[str, Any], **more: Any) -> Plans:
    made = tuple(EscalationSettings.model_validate(one, context={"toml": True}) for one in map(shaped, escalations))
    return Plans(made, CalendarSettings(), TELLS, {("hall", "panic"): 5}, **more)


def shaped(plan: Mapping[str, Any]) -> dict[str, Any]:
    """As TOML gives it, with durations in seconds and arrays frozen."""
    steps = tuple({**step, "after": float(step["after"][:-1])} for step in plan["step"])
    return {**plan, "step": steps}


def site(*escalations: Mapping[str, Any], points: Any = (PANIC, GAS), **settings: Any) -> Site:
    made = Site(device(points), **settings)
    made.settings["plans"] = plans(*escalations)
    made.engine = made._engine()
    return made


def types(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("campus.alarm.") for event in events]


def notices(where: Site) -> list[tuple[str, str]]:
    """What is saved for the paths: path and what is said."""
    saved = [load_notice(key, text) for key, text in where.saved.items() if key.startswith(NOTICE_PREFIX)]
    return [(one.path, one.notice.what) for one in saved]


def told(where: Site, path: str, *, ok: bool, final: bool | None = None) -> list[Event]:
    """The first notice of a path has been tried."""
    key = next(key for key in where.saved if key.startswith(f"{NOTICE_PREFIX}{path}/"))
    record = load_notice(key, where.saved[key])
    outcome = where.engine.notified(
        record, where.clock.moment(), say("path.none"), ok=ok, final=ok if final is None else final, tries=1, by="x"
    )
    return where.take(outcome)


def lamp(where: Site) -> str:
    """How the lamp blinks: by when it changes."""
    plan = where.engine.outputs(where.clock.boottime_ns(), lambda _seq: where.fares)
    if plan.next_change_ns is None:
        return "steady" if plan.values["hall", 0] else "off"
    return "fast" if plan.next_change_ns - where.clock.boottime_ns() <= 125_000_000 else "slow"


def test_without_a_plan_the_siren_sounds_once_after_the_timeout() -> None:
    plain, planned = site(), site({**DANGER, "kinds": ["gas"]})
    for one in (plain, planned):
        one.look(0, True)
        (event,) = one.go(100)
        assert event.data["text"] == "panic：一键报警在 15 秒内无人确认，已升级"
        assert not {"plan", "step", "actions"} & set(event.data)
        assert one.engine.outputs(one.clock.boottime_ns(), lambda _seq: "due").values["hall", 1]
        assert notices(one) == []


def test_steps_come_in_order_each_at_its_time_from_the_raise() -> None:
    one = site(DANGER)
    raised, first = one.look(0, True)
    assert (raised.type, first.type) == ("campus.alarm.raised", "campus.alarm.escalated")
    assert first.data["actions"] == ["path:police"]
    assert first.data["text"] == "panic：一键报警过了 0 秒无人确认，升级第 1 步：通道 police"
    assert notices(one) == [("police", "alarm")]
    siren = ("hall", 1)
    assert not one.engine.outputs(one.clock.boottime_ns(), lambda _seq: "due").values[siren]
    (second,) = one.go(15)
    assert (second.data["plan"], second.data["step"], second.data["steps"]) == ("danger", 2, 3)
    assert second.data["actions"] == ["siren", "console"]
    assert one.engine.outputs(one.clock.boottime_ns(), lambda _seq: "due").values[siren]
    assert [view.escalated for view in one.engine.views()] == [True, False]
    (third,) = one.go(45)
    assert third.data["actions"] == ["broker:next", "path:sms", "path:police"]
    assert sorted(notices(one)) == [("police", "alarm"), ("police", "alarm"), ("sms", "alarm")]
    assert one.go(1000) == []


def test_the_next_broker_is_asked_for_with_the_place_of_the_raised_event() -> None:
    one = site(DANGER)
    one.look(0, True)
    one.go(15)
    one.clock.tick(45)
    outcome = one.engine.tick(one.clock.moment())
    assert outcome.again == (1,)


def test_an_acknowledgement_ends_the_plan_and_is_told_to_whom_it_was_told() -> None:
    one = site(DANGER)
    one.look(0, True)
    one.go(20)
    one.ack(device="hall", point="panic")
    assert notices(one) == [("police", "alarm")]  # a dialler knows no acknowledgement
    assert one.go(1000) == []
    one.look(0, False)
    one.reset(device="hall", point="panic")
    assert notices(one) == [("police", "alarm"), ("police", "ended")]


def test_an_alarm_may_be_acknowledged_by_any_of_its_escalations() -> None:
    one = site(DANGER)
    _, first = one.look(0, True)
    one.go(60)
    assert one.ack(event=first.id).result["state"] == "acknowledged"


def test_the_first_plan_that_matches_kind_point_and_time_holds() -> None:
    night = {**DANGER, "id": "night", "when": {"times": ("22:00-06:00",)}}
    gate = {**DANGER, "id": "gate", "points": ("gate/panic",)}
    rest = {**DANGER, "id": "rest", "kinds": ()}
    chosen = plans(night, gate, rest)

    def plan(kind: str, place: str, hour: int) -> str:
        found = chosen.choose(kind, place, "panic", SimClock(START.replace(hour=hour)).moment())
        return found.id if found else ""

    assert plan("panic", "hall", 23) == "night"
    assert plan("panic", "gate", 8) == "gate"
    assert plan("panic", "hall", 8) == "rest"
    assert plan("gas", "gate", 23) == "rest"


def test_a_clock_that_is_not_set_rules_out_no_plan() -> None:
    night = {**DANGER, "id": "night", "when": {"times": ("22:00-06:00",)}}
    for quality, rung in (("synced", []), ("unsynced", [("police", "alarm")])):
        one = site(night, quality=quality)
        one.look(0, True)
        one.go(1)
        assert notices(one) == rung


def test_a_plan_until_delivered_ends_when_the_district_or_a_path_has_it() -> None:
    steps = [{"after": "10s", "paths": ["sms"]}, {"after": "20s", "siren": True}]
    for way in ("district", "path", "nobody"):
        one = site({**DANGER, "until": "delivered", "step": steps})
        one.engine.escalation.fares = lambda _seq, way=way: "delivered" if way == "district" else "stuck"  # type: ignore[misc]
        one.look(0, True)
        one.go(10)
        if way == "path":
            told(one, "sms", ok=True)
        assert len(one.go(100)) == (1 if way == "nobody" else 0)
        assert bool(notices(one)) == (way == "nobody")


def test_nothing_of_a_drill_is_for_a_path_and_the_steps_say_so() -> None:
    one = site(DANGER)
    one.engine.set_drill(True)
    _, first = one.look(0, True)
    assert first.data["withheld"] == ["police"]
    one.engine.set_drill(False)  # the drill is over, its alarm is still one of the drill
    events = one.go(100)
    assert [event.data.get("withheld") for event in events] == [None, ["sms", "police"]]
    assert all(event.drill for event in events)
    one.ack(device="hall", point="panic")
    one.look(0, False)
    one.reset(device="hall", point="panic")
    assert notices(one) == []


def test_a_press_after_a_drill_is_a_real_alarm_whatever_the_drill_has_left() -> None:
    one = site(DANGER)
    one.engine.set_drill(True)
    one.look(0, True)
    one.ack(device="hall", point="panic")
    one.look(0, False)
    one.engine.set_drill(False)
    events = one.look(0, True)
    assert types(events) == ["reset", "raised", "escalated"]
    assert [event.drill for event in events] == [True, False, False]
    assert notices(one) == [("police", "alarm")]
    assert types(one.go(100)) == ["escalated", "escalated"]


@pytest.mark.parametrize("boot", [None, "boot-2"])
def test_a_restart_goes_on_where_the_plan_was(boot: str | None) -> None:
    one = site(DANGER)
    one.look(0, True)
    one.restart(down_s=5, boot=boot)
    assert [(record.path, record.notice.zone) for record in one.engine.pending] == [("police", 5)]
    assert one.go(9) == []
    (second,) = one.go(1)
    assert second.data["step"] == 2
    one.restart(down_s=300, boot=boot)
    (third,) = one.go(0)
    assert third.data["step"] == 3


def test_what_a_path_has_brought_over_is_not_sent_again_after_a_restart() -> None:
    one = site(DANGER)
    one.look(0, True)
    (event,) = told(one, "police", ok=True)
    assert (event.type, event.data["path"], event.data["ok"], event.data["final"]) == (
        "campus.alarm.notified",
        "police",
        True,
        True,
    )
    one.restart()
    assert one.engine.pending == []


def test_a_try_that_failed_keeps_the_notice_until_it_is_given_up() -> None:
    one = site(DANGER)
    one.look(0, True)
    told(one, "police", ok=False)
    one.restart()
    assert len(one.engine.pending) == 1
    told(one, "police", ok=False, final=True)
    one.restart()
    assert one.engine.pending == []


def test_the_lamp_blinks_fast_while_neither_the_district_nor_a_path_has_it() -> None:
    one = site(DANGER)
    one.look(0, True)
    one.fares = "due"
    assert lamp(one) == "slow"
    told(one, "police", ok=False)
    assert lamp(one) == "fast"  # one way has failed, and none has come through
    one.restart()
    assert lamp(one) == "fast"
    one.fares = "delivered"
    assert lamp(one) == "slow"
    one.fares = "stuck"
    assert lamp(one) == "fast"
    told(one, "police", ok=True)
    assert lamp(one) == "slow"  # somebody outside has it
    one.ack(device="hall", point="panic")
    assert lamp(one) == "steady"


def test_a_changed_configuration_keeps_an_alarm_in_its_plan_or_in_the_plain_one() -> None:
    one = site(DANGER)
    one.look(0, True)
    longer = {**DANGER, "step": [*DANGER["step"][:1], {"after": "30s", "siren": True}]}
    one.take(one.engine.reconfigure(one.devices, one.clock.moment(), plans=plans(longer)))
    assert one.go(29) == []
    assert types(one.go(1)) == ["escalated"]
    gone = site(DANGER)
    gone.look(0, True)
    gone.take(gone.engine.reconfigure(gone.devices, gone.clock.moment(), plans=plans()))
    assert gone.go(100) == []  # it was escalated already; the plain plan has one step only


def test_a_point_that_goes_tells_the_end_to_whom_the_alarm_was_told() -> None:
    one = site(DANGER)
    one.look(0, True)
    one.take(one.engine.reconfigure((device([GAS]),), one.clock.moment()))
    assert notices(one) == [("police", "alarm"), ("police", "ended")]
    events = told(one, "police", ok=True)
    assert [(event.device, event.point) for event in events] == [("hall", "panic")]


def test_an_alarm_saved_by_an_older_version_is_not_escalated_twice() -> None:
    one = site()
    one.look(0, True)
    one.go(20)
    key = "alarm/hall/panic"
    saved = json.loads(one.saved[key])
    for name in ("plan", "step", "siren", "console", "drill", "told", "reached", "failed"):
        del saved["alarm"][name]
    one.saved[key] = json.dumps(saved)
    one.restart()
    assert one.problems == []
    assert one.go(100) == []
    assert one.engine.outputs(one.clock.boottime_ns(), lambda _seq: "due").values["hall", 1]


def test_a_saved_notice_that_cannot_be_read_is_told_and_dropped() -> None:
    one = site(DANGER)
    one.look(0, True)
    (key,) = [key for key in one.saved if key.startswith(NOTICE_PREFIX)]
    one.saved[key] = "{}"
    one.restart()
    assert len(one.problems) == 1
    one.go(1)
    assert key not in one.saved


def test_zones_are_as_configured_and_the_rest_fill_the_gaps() -> None:
    points = [{**PANIC, "zone": 2}, GAS, {"id": "w", "kind": "water-leak", "input": 2}]
    assert zones_of([device(points)]) == {("hall", "panic"): 2, ("hall", "gas"): 1, ("hall", "w"): 3}


def test_what_is_told_has_the_time_of_the_alarm() -> None:
    one = site(DANGER)
    one.look(0, True)
    one.go(60)
    times = {load_notice(k, v).notice.time for k, v in one.saved.items() if k.startswith(NOTICE_PREFIX)}
    assert times == {datetime.fromisoformat("2026-11-23T08:00:00+08:00")}
