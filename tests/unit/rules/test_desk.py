"""Rules at work: what the desk hears, tells and has done, over restarts, reloads, drills and floods."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from agent.journal import Journal
from agent.model import Stored
from agent.runtime import rules as runtime
from agent.runtime.ruleacts import ORDERS_LIMIT
from tests.unit.rules.rig import Rig, a_rig, configure

FAN = """
    [[rule]]
    id = "fan"
    name = "Fan stopped"
    kind = "temperature"
    if = { point = "hall/fan", state = "off", for = "30s" }
      [[rule.do]]
      output = { device = "hall", output = 3, value = false, for = "5m" }
      [[rule.do]]
      escalate = true
"""
DOORS = """
    [[rule]]
    id = "doors"
    name = "Opened twice"
    if = { events = { kind = "door", at_least = 2, within = "10m" } }
"""


def data_of(rig: Rig, type_: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(next(one for one in rig.told if one.type == type_).body)
    return body


async def test_a_rule_alarms_and_has_its_actions_done_once(tmp_path: Path) -> None:
    async with a_rig(configure(tmp_path, FAN)) as rig:
        await rig.look("hall/fan", False)
        await rig.go(29)
        assert rig.types("fan") == []
        await rig.go(1)
        await rig.until(lambda: rig.ordered)
        assert rig.types("fan") == ["alarm.raised", "alarm.escalated"]
        raised = data_of(rig, "campus.alarm.raised")
        assert raised["data"]["detail"] == {"hall/fan": "off"}
        assert raised["data"]["kind"] == "temperature"
        escalated = data_of(rig, "campus.alarm.escalated")
        assert escalated["data"]["text"] == "Fan stopped: temperature out of range escalated at once, as its rule wants"
        (command,) = rig.ordered
        assert (command.verb, command.actor) == ("output", "rule:fan")
        assert command.args == {"device": "hall", "output": 3, "value": False, "seconds": 300.0}
        await rig.look("hall/fan", True)
        await rig.until(lambda: len(rig.types("fan")) == 3)
        assert rig.types("fan")[-1] == "alarm.restored"


async def test_an_input_that_nobody_has_looked_at_sets_nothing_off(tmp_path: Path) -> None:
    async with a_rig(configure(tmp_path, FAN)) as rig:
        await rig.go(600)
        assert rig.types("fan") == []
        (rule,) = await listed(rig)
        assert (rule["state"], rule["conditions"][0]["truth"]) == ("unknown", None)


async def test_a_short_press_is_not_overlooked_while_the_disk_is_slow(tmp_path: Path) -> None:
    toml = '[[rule]]\nid = "door"\nname = "Door"\nif = { point = "hall/door" }\n'
    async with a_rig(configure(tmp_path, toml)) as rig:
        await rig.look("hall/door", False)
        await rig.quiet()
        for value in (True, False):  # decided one after the other, before either is durable
            rig.desk.poke()
            outcome = rig.engine.samples("hall", [sample(rig, value)], rig.clock.moment())
            for listener in rig.desk.on_decided:
                listener(outcome, "hall")
        await rig.until(lambda: rig.types("door") == ["rule.fired", "rule.ended"])


def sample(rig: Rig, value: bool) -> Any:
    from agent.driver import Sample

    return Sample(1, value, rig.clock.boottime_ns())


async def test_what_was_counted_and_since_when_it_lasts_outlives_a_restart(tmp_path: Path) -> None:
    config = configure(tmp_path, FAN + DOORS)
    async with a_rig(config) as rig:
        await rig.look("hall/fan", False)
        await rig.swipe("hall/door")
        await rig.go(20)
        clock = rig.clock
    async with a_rig(config, clock) as rig:
        await rig.look("hall/fan", False)
        await rig.go(9)
        assert rig.types("fan") == []
        await rig.go(1)
        await rig.until(lambda: "alarm.raised" in rig.types("fan"))
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])
        clock = rig.clock
    async with a_rig(config, clock) as rig:
        await rig.look("hall/fan", False)
        await rig.go(60)
        assert rig.types("fan") == [], "it held before, and still does"
        assert rig.ordered == []


async def test_an_event_that_was_stored_and_not_saved_is_recalled_from_the_journal(tmp_path: Path) -> None:
    config = configure(tmp_path, DOORS)
    async with a_rig(config) as rig:
        await rig.swipe("hall/door")
        await rig.quiet()
        clock = rig.clock
        kept = dict(rig.journal.saved)
        assert not any(key.startswith("rule/") for key in kept), "it is saved a second later"
        rig.rules.close = rig.quiet  # type: ignore[method-assign]  # a power cut: nothing more is saved
    async with a_rig(config, clock) as rig:
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])


async def test_a_reload_keeps_what_stays_and_tells_the_alarm_engine_what_does_not_hold_now(tmp_path: Path) -> None:
    async with a_rig(configure(tmp_path, FAN + DOORS)) as rig:
        await rig.look("hall/fan", False)
        await rig.swipe("hall/door")
        await rig.go(30)
        await rig.until(lambda: rig.types("fan") == ["alarm.raised", "alarm.escalated"])
        await reload(rig, configure(tmp_path, FAN.replace("30s", "60s") + DOORS.replace("twice", "two times")))
        await rig.until(lambda: rig.types("fan")[-1] == "alarm.restored")
        await rig.go(60)
        await rig.until(lambda: rig.types("fan").count("alarm.raised") == 2)
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])
        await reload(rig, configure(tmp_path, DOORS))
        await rig.until(lambda: rig.types("fan")[-1] == "alarm.restored" or rig.types("fan")[-1] == "alarm.reset")
        await rig.until(lambda: "rule/fan" not in rig.journal.saved, step_s=1)


async def reload(rig: Rig, config: Any) -> None:
    """As the reloader does."""
    rig.config = config
    await rig.desk.take(rig.engine.reconfigure(config.watched, rig.clock.moment()))
    rig.rules.reload()
    await rig.quiet()


async def test_rules_ring_in_a_drill_and_say_so(tmp_path: Path) -> None:
    async with a_rig(configure(tmp_path, FAN + DOORS)) as rig:
        rig.engine.set_drill(True)
        await rig.look("hall/fan", False)
        await rig.swipe("hall/door")
        await rig.swipe("hall/door")
        await rig.go(30)
        await rig.until(lambda: rig.types("fan") == ["alarm.raised", "alarm.escalated"])
        assert data_of(rig, "campus.alarm.raised")["drill"] is True
        assert data_of(rig, "campus.rule.fired")["drill"] is True
        rig.engine.set_drill(False)
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("doors") == ["rule.fired", "rule.ended"])


async def test_a_drill_of_some_points_makes_no_rule_ring_and_none_does_after_it(tmp_path: Path) -> None:
    toml = '[[rule]]\nid = "door"\nname = "Door"\nkind = "intrusion"\nif = { point = "hall/door" }\n'
    async with a_rig(configure(tmp_path, toml + DOORS)) as rig:
        await rig.look("hall/door", False)
        modes = rig.engine.modes
        start = partial(modes.drill_start, actor=None, length_s=600, scope=("hall",))
        await rig.desk.take(rig.engine.perform(start, rig.clock.moment()))
        await rig.look("hall/door", True)
        await rig.go(5)
        assert rig.types("door") == []
        await rig.look("hall/door", False)
        await rig.desk.take(rig.engine.perform(partial(modes.drill_stop, actor=None, real=False), rig.clock.moment()))
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("door") == ["alarm.raised", "alarm.restored"])
        assert rig.types("doors") == [], "once, as it was opened in the drill only"


async def test_a_rule_that_flickers_is_told_as_often_as_it_may_act(tmp_path: Path) -> None:
    toml = '[[rule]]\nid = "door"\nname = "Door"\nagain = "1m"\nif = { point = "hall/door" }\n'
    async with a_rig(configure(tmp_path, toml)) as rig:
        for _ in range(10):
            await rig.swipe("hall/door")
            await rig.go(5)
        assert rig.types("door") == ["rule.fired", "rule.ended"]
        await rig.go(60)
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("door").count("rule.ended") == 2)


async def test_a_flood_beyond_the_queue_is_caught_up_with_from_the_journal(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(runtime, "QUEUE_LIMIT", 8)
    toml = DOORS.replace("at_least = 2", "at_least = 20") + FAN
    async with a_rig(configure(tmp_path, toml)) as rig:
        await rig.look("hall/fan", True)
        await rig.quiet()
        for number in range(20):
            outcome = rig.engine.samples("hall", [sample(rig, True), sample(rig, False)], rig.clock.moment())
            await rig.journal.append(*outcome.events, save=outcome.save)
            if number % 5 == 0:
                rig.rules.measured(_measure(rig))
        await rig.look("hall/fan", False)
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])
        await rig.go(30)
        await rig.until(lambda: "alarm.raised" in rig.types("fan"))


def _measure(rig: Rig) -> Any:
    from agent.runtime.devices import Measure

    return Measure("hall", 0, 1.0, "", rig.clock.boottime_ns())


async def listed(rig: Rig) -> Any:
    """What `rules list` gets."""
    from agent.control import Peer

    return await rig.rules.calls()["rules"]({}, Peer(0, 0))


async def test_an_order_that_finds_no_room_is_told(tmp_path: Path) -> None:
    config = configure(tmp_path, FAN)
    async with a_rig(config) as rig:
        rule = config.rules[0]
        for _ in range(70):
            await rig.acts.order(rule)
        await rig.until(lambda: len(rig.ordered) + rig.types("fan").count("rule.skipped") == 70)
        assert len(rig.ordered) >= ORDERS_LIMIT


async def test_a_rule_that_is_removed_while_it_fires_escalates_nothing_and_ends_nothing(tmp_path: Path) -> None:
    async with a_rig(configure(tmp_path, FAN)) as rig:
        await rig.look("hall/fan", False)
        await rig.go(20)
        # the alarm engine has the new configuration first, the rules only when devices have been restarted
        await rig.desk.take(rig.engine.reconfigure(configure(tmp_path, DOORS).watched, rig.clock.moment()))
        await rig.go(20)
        await reload(rig, configure(tmp_path, DOORS))
        await rig.swipe("hall/door")
        await rig.swipe("hall/door")
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])


class LateReader:
    """A journal whose disk is so slow that something happens while it is read."""

    def __init__(self, journal: Journal, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._journal = journal
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def rows(self, *args: int) -> list[Stored]:
        found = await self._journal.rows(*args)
        await self._meanwhile()
        return found


async def test_an_event_that_comes_while_the_journal_is_read_makes_none_before_it_forgotten(
    tmp_path: Path, monkeypatch: Any
) -> None:
    async with a_rig(configure(tmp_path, DOORS.replace("at_least = 2", "at_least = 3"))) as rig:
        events = [partial(rig.swipe, "hall/door")]
        reader = LateReader(rig.journal, lambda: events.pop()() if events else asyncio.sleep(0))
        monkeypatch.setattr(rig.rules, "_journal", reader)
        reloads = [rig.rules.reload]
        rig.journal.on_stored(lambda _rows: reloads.pop()() if reloads else None)
        turns = [sample(rig, value) for value in (True, False, True, False)]
        await rig.desk.take(rig.engine.samples("hall", turns, rig.clock.moment()))
        await rig.until(lambda: rig.types("doors") == ["rule.fired"])
        assert not events, "nothing came while the journal was read"
