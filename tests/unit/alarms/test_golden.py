"""Every file in tests/golden/alarms is a story: what happens when, and what must follow. A bug becomes a file there.

ack_timeout_s, lamp_means     the engine's settings
[device]                      settings of the device "hall"
[[point]]                     its points: PointSettings; no debounce unless given
[[step]]                      one after the other:
  after = 1.5                 seconds to pass first, with every timer served
  sample = { input, value, previous = seconds ago, status }, or a list of them
  ack / reset = selector, with `last = true` for the id of the last raised event; `actor`; `refused` = text key
  heard, failed = "reason", fault = { raise | clear = name }, deliver = "due" | "stuck" | "delivered"
  hold = true                 commits nothing from here on, until `hold = false`
  restart = { down, boot }, clock = "synced" | "unsynced", output = { number, value, seconds }
  points = [...]              reconfigures to these points
  events = [...]              the events since the step before, in order ("type point fault"); none if not given
  data = {...}                members that the last of them has
  state = { point = "..." }, lamp = { output = "off" | "on" | "1Hz" | "4Hz" }
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.engine import Refusal
from agent.driver import Sample
from agent.model import Event
from agent.texts import say
from tests.unit.alarms.scenario import Site, device, short

STORIES = sorted((Path(__file__).parents[2] / "golden" / "alarms").glob("*.toml"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    story = tomllib.loads(path.read_text(encoding="utf-8"))
    settings = {name: story[name] for name in ("ack_timeout_s", "lamp_means", "language") if name in story}
    site = Site(device(story["point"], **story.get("device", {})), **settings)
    for number, step in enumerate(story["step"], 1):
        events = play(site, step, story)
        where = f"{path.name}, step {number}"
        assert [short(event) for event in events] == step.get("events", []), where
        for name, value in step.get("data", {}).items():
            assert events[-1].data.get(name) == value, f"{where}: {name}"
        for point, state in step.get("state", {}).items():
            assert site.state(point) == state, where
        for output, seen in step.get("lamp", {}).items():
            assert site.lamp(int(output)) == seen, f"{where}: lamp {output}"


def play(site: Site, step: dict[str, Any], story: dict[str, Any]) -> list[Event]:
    known = {
        *("after", "sample", "ack", "reset", "heard", "failed", "fault", "deliver", "hold", "restart", "clock"),
        *("output", "points", "events", "data", "state", "lamp", "actor", "refused", "drill"),
    }
    assert step.keys() <= known, f"unknown: {step.keys() - known}"
    site.fares = step.get("deliver", site.fares)
    site.hold = step.get("hold", site.hold)
    if "clock" in step:
        site.clock.set_wall(site.clock.wall(), step["clock"])
    if "drill" in step:
        site.engine.set_drill(step["drill"])
    if restart := step.get("restart"):
        site.restart(down_s=restart.get("down", 1.0), boot=restart.get("boot"))
    events = site.go(step.get("after", 0.0))
    if "sample" in step:
        samples = step["sample"] if isinstance(step["sample"], list) else [step["sample"]]
        events += site.take(
            site.engine.samples("hall", [sample(site, entry) for entry in samples], site.clock.moment())
        )
    events += command(site, step)
    if step.get("heard"):
        events += site.take(site.engine.heard("hall", site.clock.moment()))
    if "failed" in step:
        site.engine.failed("hall", say("driver.bad-frame", expected="", got="", length=step["failed"]), now(site))
    if fault := step.get("fault"):
        if name := fault.get("raise"):
            text = say("kinds.storage")
            events += site.take(site.engine.raise_fault(fault.get("device"), None, name, text, now(site)))
        else:
            events += site.take(site.engine.clear_fault(fault.get("device"), None, fault["clear"], now(site)))
    if output := step.get("output"):
        until_ns = site.clock.boottime_ns() + round(output["seconds"] * 1e9)
        site.engine.override("hall", output["number"], output["value"], until_ns)
    if "points" in step:
        changed = device(step["points"], **story.get("device", {}))
        events += site.take(site.engine.reconfigure([changed], now(site)))
    if step.get("hold") is False:
        site.release()
    return events


def now(site: Site) -> Any:
    return site.clock.moment()


def sample(site: Site, entry: dict[str, Any]) -> Sample:
    seen_ns = site.clock.boottime_ns() - round(entry.get("seen", 0.0) * 1e9)
    previous = entry.get("previous")
    previous_ns = None if previous is None else site.clock.boottime_ns() - round(previous * 1e9)
    return Sample(entry["input"], entry["value"], seen_ns, previous_ns, entry.get("status", "ok"))


def command(site: Site, step: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for verb, run in (("ack", site.ack), ("reset", site.reset)):
        if verb not in step:
            continue
        selector = dict(step[verb])
        if kind := selector.pop("last", None):
            selector["event"] = next(e.id for e in reversed(site.events) if e.type == f"campus.alarm.{kind}")
        if refused := step.get("refused"):
            with pytest.raises(Refusal) as caught:
                run(step.get("actor"), **selector)
            assert caught.value.text.key == refused
        else:
            events += run(step.get("actor"), **selector).events
    return events
