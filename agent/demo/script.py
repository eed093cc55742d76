"""The demo without a person: presses each button, tries every other device, takes the broker away and brings it back,
resets, and believes only what it sees from the outside."""

import asyncio
from typing import Final

from agent.demo import devices
from agent.demo.acts import RAISED, RECOVERY_S, Acts, lamp_of
from agent.demo.devices import name_of
from agent.demo.eyes import EYES
from agent.demo.school import Place
from agent.demo.settings import ACK_TIMEOUT_S
from agent.demo.steps import WAIT_S
from agent.demo.trail import NS_PER_MS, Trail
from agent.texts import say

DARK_S: Final = 1.2
"""A duress button is watched for so long after its acknowledgement; a lamp would have changed within half a second."""


async def script(acts: Acts) -> None:
    """Go through all steps. Raises Missing, ChildFailed."""
    places = acts.school.places
    await acts.online()
    await acts.eyes.fine()
    trail = await _acknowledged_at_once(acts, places["1"])
    await acts.eyes.proof(EYES[0], trail.event_id)
    await _acknowledged_late(acts, places["2"])
    await _duress(acts, places["3"])
    for place in places.values():
        await acts.reset(place)
    await _canteen(acts)
    await _store(acts)
    await _dormitory(acts)
    await _perimeter(acts)
    await acts.eyes.covered()
    await acts.eyes.patrol()
    await _outage(acts, places["1"])
    await acts.settled()
    await acts.stop()


async def _acknowledged_at_once(acts: Acts, place: Place) -> Trail:
    """The district acknowledges by itself; the lamp was lit before."""
    trail = await acts.press(place)
    await acts.acknowledged(place, trail)
    lit_ns = lamp_of(place).lit_since(trail.pressed_ns)
    step = say("demo.step-lit", name=place.button.name)
    acts.verify(step, lit_ns is not None and lit_ns < trail.times["acknowledged"], say("demo.lit-late"))
    await acts.done(step, None if lit_ns is None else (lit_ns - trail.pressed_ns) / NS_PER_MS)
    await acts.lamp(place, "steady")
    return trail


async def _acknowledged_late(acts: Acts, place: Place) -> None:
    """Nobody acknowledges for a while: the lamp blinks slowly."""
    acts.school.district.toggle_automatic()
    trail = await acts.press(place)
    await acts.lamp(place, "slow")
    acts.school.district.toggle_automatic()
    await acts.acknowledged(place, trail)
    await acts.lamp(place, "steady")


async def _duress(acts: Acts, place: Place) -> None:
    """The alarm gets out, and nothing shows it on site."""
    trail = await acts.press(place)
    await acts.acknowledged(place, trail)
    await asyncio.sleep(DARK_S)
    lit = [str(number) for number, watch in enumerate(place.outputs) if watch.lit_since(0) is not None]
    step = say("demo.step-dark", name=place.button.name)
    acts.verify(step, not lit, say("demo.was-lit", outputs=", ".join(lit)))
    await acts.done(step)


async def _canteen(acts: Acts) -> None:
    """The fan stops: a fault as long as there is no gas."""
    canteen = acts.school.equipment.canteen
    canteen.fan_runs = False
    await acts.event(say("demostory.step-fan-stopped"), "campus.fault.raised", devices.FAN, fault="fan-stopped")
    canteen.fan_runs = True
    await acts.event(say("demostory.step-fan-runs"), "campus.fault.cleared", devices.FAN, fault="fan-stopped")


async def _store(acts: Acts) -> None:
    """A card opens the chemical store outside class hours."""
    store = acts.school.equipment.store
    store.card()
    await acts.event(say("demostory.step-card"), "campus.access.granted", ("store-door", "granted"))
    store.toggle_door()
    await acts.event(say("demostory.step-store"), RAISED, devices.STORE_RULE)
    store.toggle_door()
    await acts.event(say("demostory.step-store-shut"), "campus.alarm.restored", devices.STORE_RULE)
    await acts.reset_where(devices.STORE_RULE)


async def _dormitory(acts: Acts) -> None:
    """The alarm host reports the door by DC-09."""
    dormitory = acts.school.equipment.dormitory
    await dormitory.toggle_door()
    await acts.event(say("demostory.step-host", ms=dormitory.answered_ms), RAISED, devices.DORMITORY)
    await dormitory.toggle_door()
    await acts.event(say("demostory.step-host-restored"), "campus.alarm.restored", devices.DORMITORY)
    await acts.reset_where(devices.DORMITORY)


async def _perimeter(acts: Acts) -> None:
    """The fence is touched while the perimeter is disarmed, and again while it is armed."""
    school, fence = acts.school, acts.school.equipment.fence
    step = say("demostory.step-disarmed")
    await acts.command(step, school.toggle_armed())
    await acts.until(step, lambda: school.district.states.get(devices.FENCE) == "disarmed" and not school.armed)
    fence.cut = True
    await acts.event(say("demostory.step-fence-voltage"), "campus.fault.raised", devices.VOLTAGE, fault="fence-voltage")
    step = say("demostory.step-fence-quiet")
    acts.verify(step, not acts.told(RAISED, devices.FENCE), name_of(devices.FENCE))
    await acts.done(step)
    fence.cut = False
    await acts.event(say("demostory.step-fence-mended"), "campus.fault.cleared", devices.VOLTAGE, fault="fence-voltage")
    step = say("demostory.step-armed")
    await acts.command(step, school.toggle_armed())
    await acts.until(step, lambda: school.district.states.get(devices.FENCE) == "idle" and school.armed)
    fence.cut = True
    await acts.event(say("demostory.step-fence"), RAISED, devices.FENCE)
    fence.cut = False
    await acts.event(say("demostory.step-fence-restored"), "campus.alarm.restored", devices.FENCE)
    await acts.reset_where(devices.FENCE)


async def _outage(acts: Acts, place: Place) -> None:
    """The broker dies, an alarm is kept and shown as stuck, nobody acknowledges it; and it arrives afterwards."""
    school, name = acts.school, place.button.name
    reported = len(school.equipment.reported)
    await school.toggle_broker()
    await acts.until(say("demo.step-outage"), lambda: not school.uplink_connected and not school.district.connected)
    trail = school.press(place.button.key)
    await acts.lamp(place, "fast")
    siren = place.siren
    assert siren is not None
    await acts.until(say("demo.step-siren", name=name), lambda: siren.lit, wait_s=ACK_TIMEOUT_S + WAIT_S)
    await acts.until(say("demostory.step-centre", name=name), lambda: len(school.equipment.reported) > reported)
    await school.toggle_broker()
    await acts.until(say("demo.step-recovered", name=name), lambda: "district" in trail.times, wait_s=RECOVERY_S)
    await acts.acknowledged(place, trail)
    await acts.lamp(place, "steady")
    await acts.reset(place)
