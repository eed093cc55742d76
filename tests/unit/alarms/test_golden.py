"""Every file in tests/golden/alarms is a story: what happens when, and what must follow. A bug becomes a file there.

ack_timeout_s, lamp_means     the engine's settings
[device]                      settings of the device "hall"
[[point]]                     its points: PointSettings; no debounce unless given
[[partition]], [calendar], [selftest]   as configuration has them; `start` = wall time, `quality` of the clock
[[step]]                      one after the other:
  after = 1.5                 seconds to pass first, with every timer served
  sample = { input, value, previous = seconds ago, status }, or a list of them
  ack / reset = selector, with `last = true` for the id of the last raised event; `actor`; `refused` = text key
  heard, failed = "reason", fault = { raise | clear = name }, deliver = "due" | "stuck" | "delivered"
  arm / disarm = "id", force = true, drill_start = { minutes, scope }, drill_stop = { real }; also with `refused`
  wall = "time"               the wall clock is set
  hold = true                 commits nothing from here on, until `hold = false`
  restart = { down, boot }, clock = "synced" | "unsynced", output = { number, value, seconds }
  points = [...]              reconfigures to these points
  events = [...]              the events since the step before, in order ("type point fault"); none if not given
  data = {...}                members that the last of them has
  drills = [...]              whether each of the events is one of a drill
  partition = { id = "armed" | "exit" | "entry" | "disarmed" }
  state = { point = "..." }, lamp = { output = "off" | "on" | "1Hz" | "4Hz" }
"""

import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from agent.alarms.engine import Outcome, Refusal, Regime
from agent.config.arming import PartitionSettings, SelftestSettings
from agent.config.calendar import CalendarSettings
from agent.config.merge import frozen
from agent.driver import Sample
from agent.model import Event
from agent.texts import say
from agent.units import FROM_TOML
from tests.unit.alarms.scenario import START, Site, device, short

M = TypeVar("M", bound=BaseModel)

STORIES = sorted((Path(__file__).parents[2] / "golden" / "alarms").glob("*.toml"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    story = tomllib.loads(path.read_text(encoding="utf-8"))
    names = ("ack_timeout_s", "lamp_means", "language", "quality")
    settings = {name: story[name] for name in names if name in story}
    if "start" in story:
        settings["start"] = local(story["start"])
    site = Site(device(story["point"], **story.get("device", {})), regime=regime(story), **settings)
    for number, step in enumerate(story["step"], 1):
        events = play(site, step, story)
        where = f"{path.name}, step {number}"
        assert [short(event) for event in events] == step.get("events", []), where
        assert [event.drill for event in events] == step.get("drills", [event.drill for event in events]), where
        for id_, state in step.get("partition", {}).items():
            assert site.partition(id_)["state"] == state, f"{where}: {id_}"
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
        *("arm", "disarm", "force", "drill_start", "drill_stop", "wall", "partition", "drills"),
    }
    assert step.keys() <= known, f"unknown: {step.keys() - known}"
    site.fares = step.get("deliver", site.fares)
    site.hold = step.get("hold", site.hold)
    if "clock" in step or "wall" in step:
        wall = local(step["wall"]) if "wall" in step else site.clock.wall()
        site.clock.set_wall(wall, step.get("clock", site.clock.quality()))
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
    return events + modes(site, step)


def modes(site: Site, step: dict[str, Any]) -> list[Event]:
    """Partitions and drills."""
    wishes: list[Callable[[], Outcome]] = []
    if "arm" in step:
        wishes.append(lambda: site.arm(step["arm"], force=step.get("force", False)))
    if "disarm" in step:
        wishes.append(lambda: site.disarm(step["disarm"]))
    if (start := step.get("drill_start")) is not None:
        wishes.append(lambda: site.drill_start(minutes=start.get("minutes", 30), scope=tuple(start.get("scope", ()))))
    if (stop := step.get("drill_stop")) is not None:
        wishes.append(lambda: site.drill_stop(real=stop.get("real", False)))
    events: list[Event] = []
    for wish in wishes:
        if refused := step.get("refused"):
            with pytest.raises(Refusal) as caught:
                wish()
            assert caught.value.text.key == refused
        else:
            events += wish().events
    return events


def regime(story: dict[str, Any]) -> Regime:
    return Regime(
        tuple(read(PartitionSettings, {"name": one["id"], **one}) for one in story.get("partition", [])),
        read(CalendarSettings, story.get("calendar", {})),
        read(SelftestSettings, story.get("selftest", {})),
    )


def read(model: type[M], raw: dict[str, Any]) -> M:
    return model.model_validate(frozen(raw), strict=True, context=FROM_TOML, by_alias=True, by_name=False)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=START.tzinfo)
