"""The scenarios: what happens in a school, played by itself, a sentence for each beat, each believed only when it is
seen from the outside."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from agent.demo import devices
from agent.demo.acts import RAISED, RECOVERY_S, Acts
from agent.demo.devices import name_of
from agent.demo.eyes import KITCHEN, YARD
from agent.demo.steps import WAIT_S
from agent.texts import say

MS_PER_S: Final = 1000
ESCALATED: Final = "campus.alarm.escalated"
NOTIFIED: Final = "campus.alarm.notified"

Story = Callable[[Acts], Awaitable[None]]


async def gas_leak(acts: Acts) -> None:
    """Gas leaks in the canteen, and the fan that should take it away stands."""
    school, district = acts.school, acts.school.district
    canteen = school.equipment.canteen
    await acts.online()
    await acts.until(say("demostory.gas-calm"), lambda: 0 <= gas(acts) < devices.GAS_LIMIT)
    canteen.leaking = True
    await acts.until(say("demostory.gas-rises", limit=devices.GAS_LIMIT), lambda: gas(acts) > devices.GAS_LIMIT)
    await acts.until(
        say("demostory.gas-curve"), lambda: max(district.curves.get(devices.GAS, ()), default=0.0) > devices.GAS_LIMIT
    )
    step = say("demostory.gas-no-alarm")
    acts.verify(step, not district.active, district.active)
    await acts.done(step)
    canteen.fan_runs = False
    await acts.event(say("demostory.step-fan-stopped"), "campus.fault.raised", devices.FAN, fault="fan-stopped")
    alarm = await acts.event(say("demostory.gas-alarm", seconds=devices.FAN_STOPPED_S), RAISED, devices.GAS_RULE)
    await acts.until(say("demostory.gas-siren"), lambda: canteen.siren.lit and canteen.valve.lit)
    await acts.acked(alarm, name_of(devices.GAS_RULE))
    await acts.eyes.proof(KITCHEN, alarm["id"], ("snapshot",))
    canteen.leaking = False
    canteen.fan_runs = True
    await acts.event(say("demostory.step-fan-runs"), "campus.fault.cleared", devices.FAN, fault="fan-stopped")
    await acts.until(say("demostory.gas-falls"), lambda: gas(acts) < devices.GAS_LIMIT / 2)
    await acts.event(say("demostory.gas-over"), "campus.alarm.restored", devices.GAS_RULE)
    await acts.reset_where(devices.GAS_RULE)
    step = say("demostory.gas-quiet")
    await acts.commands(step, school.calm_canteen())
    await acts.until(step, lambda: not canteen.siren.lit and not canteen.valve.lit)


async def intruder(acts: Acts) -> None:
    """Somebody cuts the fence at night and climbs over the wall, and nobody at the district looks."""
    school, district, fence = acts.school, acts.school.district, acts.school.equipment.fence
    await acts.online()
    step = say("demostory.step-disarmed")
    await acts.command(step, school.toggle_armed())
    await acts.until(step, lambda: district.states.get(devices.FENCE) == "disarmed" and not school.armed)
    step = say("demostory.step-armed")
    await acts.command(step, school.toggle_armed())
    await acts.until(step, lambda: district.states.get(devices.FENCE) == "idle" and school.armed)
    await acts.eyes.listened_to(say("demostory.intruder-camera"), YARD)
    district.toggle_automatic()
    fence.cut = True
    alarm = await acts.event(say("demostory.step-fence"), RAISED, devices.FENCE)
    await school.cross_line()
    crossing = await acts.event(say("demostory.intruder-crossing"), RAISED, devices.CROSSING)
    await acts.event(say("demostory.intruder-waits"), ESCALATED, devices.FENCE)
    await acts.event(say("demostory.intruder-centre"), NOTIFIED, devices.FENCE, path=devices.CENTRE, ok=True)
    await acts.event(say("demostory.intruder-phone"), NOTIFIED, devices.FENCE, path=devices.DUTY, ok=True)
    step = say("demostory.intruder-both")
    acts.verify(step, reported_to_centre(acts, "1131"), school.equipment.reported)
    acts.verify(step, bool(school.equipment.texts), school.equipment.texts)
    await acts.done(step)
    await acts.eyes.proof(YARD, alarm["id"])
    district.toggle_automatic()
    await acts.acked(alarm, name_of(devices.FENCE))
    await acts.acked(crossing, name_of(devices.CROSSING))
    fence.cut = False
    await acts.event(say("demostory.step-fence-restored"), "campus.alarm.restored", devices.FENCE)
    await acts.reset_where(devices.FENCE)
    await acts.reset_where(devices.CROSSING)
    await acts.until(say("demostory.intruder-over"), lambda: reported_to_centre(acts, "3131"))


async def drill(acts: Acts) -> None:
    """An exercise: everything works, everything is marked, and nothing leaves the school."""
    school, district = acts.school, acts.school.district
    await acts.online()
    step = say("demostory.drill-start")
    await acts.command(step, school.toggle_drill())
    await acts.until(step, lambda: school.drill and district.status.get("drill") is True)
    began = acts.now_seq
    district.toggle_automatic()
    place = school.places["1"]
    trail = await acts.press(place)
    await acts.lamp(place, "slow")
    await school.equipment.dormitory.toggle_door()
    await acts.event(say("demostory.step-host", ms=school.equipment.dormitory.answered_ms), RAISED, devices.DORMITORY)
    where = (place.button.device, place.button.point)
    await acts.until(say("demo.step-siren", name=place.button.name), lambda: bool(place.siren and place.siren.lit))
    for path, key in ((devices.CENTRE, "drill-centre"), (devices.DUTY, "drill-phone")):
        await acts.event(say(f"demostory.{key}"), ESCALATED, where, after=began, withheld=[path])
    district.toggle_automatic()
    await acts.acknowledged(place, trail)
    await acts.lamp(place, "steady")
    await school.equipment.dormitory.toggle_door()
    await acts.event(say("demostory.step-host-restored"), "campus.alarm.restored", devices.DORMITORY)
    await acts.reset(place)
    await acts.reset_where(devices.DORMITORY)
    alarms = [event for seq, event in district.events.items() if seq > began and event["lane"] == "alarm"]
    step = say("demostory.drill-marked", count=len(alarms))
    acts.verify(step, bool(alarms) and all(event["drill"] is True for event in alarms), alarms)
    await acts.done(step)
    step = say("demostory.drill-outside")
    acts.verify(step, not school.equipment.reported and not school.equipment.texts, school.equipment.reported)
    await acts.done(step)
    step = say("demostory.drill-stop")
    await acts.command(step, school.toggle_drill())
    await acts.until(step, lambda: not school.drill and district.status.get("drill") is False)


async def outage(acts: Acts) -> None:
    """The way to the district is gone, and somebody presses: the second path carries it."""
    school, equipment = acts.school, acts.school.equipment
    place = school.places["1"]
    name, siren, siren_ms = place.button.name, place.siren, devices.SIREN_AFTER_S * MS_PER_S
    assert siren is not None
    await acts.online()
    await acts.until(say("demostory.outage-paths"), lambda: all(state == "ok" for state in school.paths.values()))
    await school.toggle_broker()
    await acts.until(say("demo.step-outage"), lambda: not school.uplink_connected and not school.district.connected)
    trail = school.press(place.button.key)
    await acts.lamp(place, "fast")
    await acts.until(say("demo.step-siren", name=name), lambda: siren.lit, wait_s=devices.SIREN_AFTER_S + WAIT_S)
    await acts.until(say("demostory.step-centre", name=name), lambda: reported_to_centre(acts, "1120"))
    await acts.until(say("demostory.outage-phone"), lambda: bool(equipment.texts))
    await acts.lamp(place, "slow", say("demostory.outage-slow"))
    await school.toggle_broker()
    await acts.until(say("demo.step-recovered", name=name), lambda: "district" in trail.times, wait_s=RECOVERY_S)
    raised_ms, arrived_ms = trail.ms("raised") or 0.0, trail.ms("district") or 0.0
    step = say("demostory.outage-late", seconds=arrived_ms / MS_PER_S)
    acts.verify(step, raised_ms < siren_ms < arrived_ms, say("demostory.outage-times", raised=raised_ms))
    await acts.done(step)
    await acts.acknowledged(place, trail)
    await acts.lamp(place, "steady")
    await acts.reset(place)


STORIES: Final[Mapping[str, Story]] = MappingProxyType(
    {"gas-leak": gas_leak, "intruder": intruder, "drill": drill, "outage": outage}
)
"""By the word that `--scenario` takes."""


async def play(name: str, acts: Acts) -> None:
    """Play one to its end. Raises Missing, ChildFailed."""
    await STORIES[name](acts)
    await acts.settled()
    await acts.stop()


def gas(acts: Acts) -> float:
    """What the gateway measures in the canteen; below zero: nothing yet."""
    return acts.school.measures.get(devices.GAS, (-1.0, ""))[0]


def reported_to_centre(acts: Acts, code: str) -> bool:
    """Whether the alarm centre was told this (SIA DC-05: 1 or 3 for begin or end, 120 panic, 131 perimeter)."""
    return any(report.startswith(code) for report in acts.school.equipment.reported)
