"""Partitions, drills and proofs over saved states that are broken, and over changes of configuration."""

import json

import pytest

from agent.alarms.engine import Regime
from agent.config.arming import PartitionSettings, SelftestSettings
from tests.unit.alarms.scenario import Site, device, short

YARD = {"id": "yard", "kind": "perimeter", "input": 0}
PANIC = {"id": "panic", "kind": "panic", "input": 1}
FENCE = PartitionSettings(id="fence", name="围墙", points=("hall/yard",))
REGIME = Regime((FENCE,))


def a_site() -> Site:
    site = Site(device([YARD, PANIC]), regime=REGIME)
    site.look(0, False)
    site.look(1, False)
    return site


@pytest.mark.parametrize("saved", ["", "{}", "[]", '{"v": 2}', "\ud800", '{"partition": "other", "armed": false}'])
def test_a_partition_whose_saved_state_is_broken_is_armed(saved: str) -> None:
    site = a_site()
    site.disarm("fence")
    site.saved["partition/fence"] = saved
    site.restart()
    assert len(site.problems) == 1
    assert [short(event) for event in site.look(0, True)] == ["access.armed -", "alarm.raised yard"]


@pytest.mark.parametrize("length_s", [0, -5, 1e9, "nan"])
def test_a_saved_drill_of_no_sensible_length_is_over(length_s: object) -> None:
    site = a_site()
    site.drill_start()
    site.saved["drill"] = json.dumps({**json.loads(site.saved["drill"]), "length_s": length_s})
    site.restart()
    assert len(site.problems) == 1
    assert [event.drill for event in site.look(1, True)] == [False]


def test_a_partition_that_is_removed_leaves_its_points_armed_and_nothing_saved() -> None:
    site = a_site()
    site.disarm("fence")
    site.take(site.engine.reconfigure(site.devices, site.clock.moment(), regime=Regime()))
    assert "partition/fence" not in site.saved
    assert [short(event) for event in site.look(0, True)] == ["alarm.raised yard"]


def test_a_partition_that_is_left_out_of_a_restart_is_forgotten_with_its_faults() -> None:
    site = a_site()
    site.disarm("fence")
    site.look(0, True)
    assert "fault.raised yard bypassed" in [short(event) for event in site.arm("fence", force=True).events]
    site.settings["regime"] = Regime()
    site.restart()
    assert "fault.cleared yard bypassed" in [short(event) for event in site.go(1)]
    assert not [key for key in site.saved if key.startswith(("partition/", "fault/"))]


def test_a_walk_marks_the_points_that_are_walked_to_and_no_others() -> None:
    site = a_site()
    site.engine.modes.drill.walk(("hall/panic",))
    assert [event.drill for event in site.look(1, True)] == [True]
    assert [event.drill for event in site.look(0, True)] == [False]
    site.engine.modes.drill.walk_over(("hall/panic",))
    site.look(1, False)
    assert [event.drill for event in site.look(1, True)] == [True, False], "the next press is real"


def test_two_walks_over_one_point_end_with_the_last() -> None:
    drill = a_site().engine.modes.drill
    drill.walk(("hall/panic",))
    drill.walk(("hall/panic",))
    drill.walk_over(("hall/panic",))
    assert drill.covers("hall", "panic")
    drill.walk_over(("hall/panic",))
    assert not drill.covers("hall", "panic")


def test_a_proof_from_before_the_first_sync_gets_its_true_time() -> None:
    site = Site(device([PANIC]), regime=Regime(selftest=SelftestSettings(tested_every_s=86_400)), quality="unsynced")
    site.look(1, True)
    pressed = site.clock.wall()
    site.go(60)
    site.clock.set_wall(site.clock.wall().replace(year=2030))
    site.go(700)
    saved = json.loads(site.saved["tested/hall/panic"])
    assert saved["at"]["clock"] == "synced"
    assert saved["at"]["wall"].startswith(str(pressed.replace(year=2030).date()))
    assert "fault.raised panic test-overdue" not in site.told()


def test_a_refused_command_loses_nothing_that_was_to_be_saved() -> None:
    site = a_site()
    site.look(1, True)
    with pytest.raises(Exception, match="fence2"):
        site.arm("fence2")
    site.look(1, False)
    assert json.loads(site.saved["alarm/hall/panic"])["alarm"]["seq"] is not None
