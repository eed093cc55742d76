"""Every file in tests/golden/rules is a story: rules as a configuration has them, what happens when, and what must
ring. A bug becomes a file there.

[calendar]                    the school's calendar
[inputs]                      "device/point" = the input behind it
wall = "2026-11-23T08:00"     when it begins; a Monday unless given
[[rule]]                      the rules
[[step]]                      one after the other:
  after = 1.5                 seconds to pass first (or a time, "2h"), with every timer served
  point = { "d/p" = true }, or a state: { "d/p" = "acknowledged" }; "unknown" for an input that nobody has looked at
  measure = { "d/input" = 12.5 }
  fault = { raise | clear = "offline", device, point }
  event = { type, kind, point, detail }, or a list of them
  drill = true, clock = "synced" | "unsynced", wall = "..."
  restart = { down, boot }    what is saved is given back, what is known is told again
  rings = ["+id", "-id"]      what began and what ended since the step before, in order; nothing if not given
  why = { "canteen/gas" = 12.5 }   what the last of them shows
  acts = false                whether the last one's actions were due
"""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent.config.calendar import CalendarSettings
from agent.config.rulebook import RuleSettings
from agent.units import parse_duration
from tests.unit.rules.story import MONDAY, School, read

STORIES = sorted((Path(__file__).parents[2] / "golden" / "rules").glob("*.toml"))
KNOWN = {
    *("after", "point", "measure", "fault", "event", "drill", "clock", "wall", "restart"),
    *("rings", "why", "acts"),
}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    story = tomllib.loads(path.read_text(encoding="utf-8"))
    inputs = {
        (place.partition("/")[0], place.partition("/")[2]): name for place, name in story.get("inputs", {}).items()
    }
    school = School(
        [read(RuleSettings, table) for table in story["rule"]],
        read(CalendarSettings, story.get("calendar", {})),
        wall=time_of(story["wall"]) if "wall" in story else MONDAY,
        inputs=inputs,
    )
    for number, step in enumerate(story["step"], 1):
        assert step.keys() <= KNOWN, f"unknown: {step.keys() - KNOWN}"
        play(school, step)
        where = f"{path.name}, step {number}"
        last = school.rang[-1] if school.rang else None
        assert school.heard() == step.get("rings", []), where
        if "why" in step:
            assert last is not None
            assert last.why == step["why"], where
        if "acts" in step:
            assert last is not None
            assert last.acts == step["acts"], where


def play(school: School, step: dict[str, Any]) -> None:
    after = step.get("after", 0.0)
    school.go(parse_duration(after) if isinstance(after, str) else after)
    if "wall" in step or "clock" in step:
        wall = time_of(step["wall"]) if "wall" in step else school.clock.wall()
        school.set_clock(wall, step.get("clock", school.clock.quality()))
    if "restart" in step:
        school.restart(step["restart"].get("down", 0.0), boot=step["restart"].get("boot"))
    if "drill" in step:
        school.drills(step["drill"])
    for place, shown in step.get("point", {}).items():
        if isinstance(shown, bool):
            school.point(place, shown)
        elif shown == "unknown":
            school.point(place, None)
        else:
            school.point(place, shown in ("active", "acknowledged"), shown)
    for place, value in step.get("measure", {}).items():
        school.measure(place, value)
    if fault := step.get("fault"):
        name = fault.get("raise") or fault["clear"]
        school.fault(name, "raise" in fault, fault.get("device"), fault.get("point"))
    events = step.get("event", [])
    for event in [events] if isinstance(events, dict) else events:
        school.event(**event)


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MONDAY.tzinfo)
