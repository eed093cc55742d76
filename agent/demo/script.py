"""The demo without a person: presses each button, takes the broker away and brings it back, resets, and believes
only what it sees from the outside. The first step that does not happen ends it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from agent.demo.eyes import EYES
from agent.demo.eyescript import EyeScript
from agent.demo.lamp import LampSeen, LampWatch
from agent.demo.school import Place, School
from agent.demo.settings import ACK_TIMEOUT_S
from agent.demo.trail import NS_PER_MS, Trail
from agent.texts import Spoken, Text, say

WAIT_S: Final = 30.0
"""For what takes a second at most on a quiet machine, and this one may be a small board that does much else."""
RECOVERY_S: Final = 60.0
"""Reconnecting waits for up to 2 s with an alarm due; a receipt that got lost with the broker costs 2 s more."""
POLL_S: Final = 0.02
DARK_S: Final = 1.2
"""A duress button is watched for so long after its acknowledgement; a lamp would have changed within half a second."""


class Missing(Spoken):
    """A step that did not happen, or not rightly."""


class Script:
    """One run. `told` gets the sentence of each step as soon as it is verified."""

    def __init__(self, school: School, told: Callable[[Text], None]) -> None:
        self.steps = 0
        self._school = school
        self._told = told
        self._eyes = EyeScript(school, self)
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        """Go through all steps. Raises Missing, ChildFailed."""
        await self.until(say("demo.step-start"), self._online)
        await self._eyes.fine()
        trail = await self._acknowledged_at_once(self._school.places["1"])
        await self._eyes.proof(EYES[0], trail)
        await self._acknowledged_late(self._school.places["2"])
        await self._duress(self._school.places["3"])
        for place in self._school.places.values():
            await self._reset(place)
        await self._eyes.covered()
        await self._eyes.patrol()
        await self._outage(self._school.places["1"])
        await self.until(say("demo.step-due"), self._nothing_due)
        self._check_chain()
        await self._stop()

    # the steps

    async def _acknowledged_at_once(self, place: Place) -> Trail:
        """The district acknowledges by itself; the lamp was lit before."""
        trail = await self._press(place)
        await self._acknowledged(place, trail)
        lit_ns = lamp_of(place).lit_since(trail.pressed_ns)
        step = say("demo.step-lit", name=place.button.name)
        self.verify(step, lit_ns is not None and lit_ns < trail.times["acknowledged"], say("demo.lit-late"))
        self._pass(step, None if lit_ns is None else (lit_ns - trail.pressed_ns) / NS_PER_MS)
        await self._lamp(place, "steady")
        return trail

    async def _acknowledged_late(self, place: Place) -> None:
        """Nobody acknowledges for a while: the lamp blinks slowly."""
        self._school.district.toggle_automatic()
        trail = await self._press(place)
        await self._lamp(place, "slow")
        self._school.district.toggle_automatic()
        await self._acknowledged(place, trail)
        await self._lamp(place, "steady")

    async def _duress(self, place: Place) -> None:
        """The alarm gets out, and nothing shows it on site."""
        trail = await self._press(place)
        await self._acknowledged(place, trail)
        await asyncio.sleep(DARK_S)
        lit = [str(number) for number, watch in enumerate(place.outputs) if watch.lit_since(0) is not None]
        step = say("demo.step-dark", name=place.button.name)
        self.verify(step, not lit, say("demo.was-lit", outputs=", ".join(lit)))
        self._pass(step)

    async def _reset(self, place: Place) -> None:
        """The district resets; lamp and siren go out."""
        step = say("demo.step-reset", name=place.button.name)
        reply = await self.command(step, self._school.district.reset(place.button.device, place.button.point))
        await self.until(step, lambda: self._arrived(reply))
        if place.lamp:
            step = say("demo.step-off", name=place.button.name)
            await self.until(step, lambda: not any(watch.lit for watch in place.outputs))

    async def _outage(self, place: Place) -> None:
        """The broker dies, an alarm is kept and shown as stuck, nobody acknowledges it; and it arrives afterwards."""
        school, name = self._school, place.button.name
        await school.toggle_broker()
        await self.until(say("demo.step-outage"), lambda: not school.uplink_connected and not school.district.connected)
        trail = school.press(place.button.key)
        await self._lamp(place, "fast")
        siren = place.siren
        assert siren is not None
        await self.until(say("demo.step-siren", name=name), lambda: siren.lit, wait_s=ACK_TIMEOUT_S + WAIT_S)
        await school.toggle_broker()
        await self.until(say("demo.step-recovered", name=name), lambda: "district" in trail.times, wait_s=RECOVERY_S)
        await self._acknowledged(place, trail)
        await self._lamp(place, "steady")
        await self._reset(place)

    def _check_chain(self) -> None:
        district = self._school.district
        step = say("demo.step-chain", count=len(district.events))
        problem = district.chain_problem()
        self.verify(step, problem is None, problem)
        self._pass(step)

    async def _stop(self) -> None:
        step = say("demo.step-stopped")
        code = await self._school.daemon.stop()
        self.verify(step, code == 0, say("demo.exit-code", code=code))
        await self.until(step, lambda: self._school.district.status.get("state") == "offline")

    # parts of them

    async def _press(self, place: Place) -> Trail:
        """Press, and wait until the district has the alarm."""
        trail = self._school.press(place.button.key)
        step = say("demo.step-press", name=place.button.name)
        await self.until(step, lambda: "district" in trail.times, lambda: trail.ms("district"))
        return trail

    async def _acknowledged(self, place: Place, trail: Trail) -> None:
        """Wait for the acknowledgement: its event, and the reply to its command."""
        district, step = self._school.district, say("demo.step-acked", name=place.button.name)

        def both() -> bool:
            return "acknowledged" in trail.times and trail.event_id in district.acknowledged

        await self.until(step, both, lambda: trail.ms("acknowledged"))
        reply = district.acknowledged[str(trail.event_id)]
        self.verify(step, reply.get("ok") is True, reply.get("reason"))

    async def _lamp(self, place: Place, mode: LampSeen) -> None:
        lamp, now_ns = lamp_of(place), self._school.clock.boottime_ns
        await self.until(say(f"demo.step-{mode}", name=place.button.name), lambda: lamp.mode(now_ns()) == mode)

    async def command(self, step: Text, work: Any) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await work
        except TimeoutError:
            raise self._missing(step, say("demo.no-reply", seconds=WAIT_S)) from None
        self.verify(step, reply["ok"] is True, reply["reason"])
        return reply

    def _arrived(self, reply: dict[str, Any]) -> bool:
        """Whether the district has the events that a command caused."""
        ids = {event["id"] for event in self._school.district.events.values()}
        return ids.issuperset(reply["result"]["events"])

    def _online(self) -> bool:
        return self._school.uplink_connected and self._school.district.status.get("state") == "online"

    def _nothing_due(self) -> bool:
        return self._school.district.held == self._school.seq and not any(self._school.due.values())

    # the frame

    async def until(
        self,
        step: Text,
        condition: Callable[[], bool],
        ms: Callable[[], float | None] = lambda: None,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        """Wait until a condition holds, and tell so. Raises Missing, or what ended a process of the school."""
        deadline = time.monotonic() + wait_s
        while not condition():
            if self._school.problem.done():
                raise self._school.problem.result()
            if time.monotonic() > deadline:
                raise Missing(say("demo.script-missing", step=step, seconds=wait_s))
            await asyncio.sleep(POLL_S)
        self._pass(step, ms())

    def verify(self, step: Text, holds: bool, why: object) -> None:
        if not holds:
            raise self._missing(step, why)

    def _missing(self, step: Text, why: object) -> Missing:
        return Missing(say("demo.script-wrong", step=step, why=why))

    def _pass(self, step: Text, ms: float | None = None) -> None:
        self.steps += 1
        if ms is None:
            self._told(say("demo.script-ok", at_s=self.elapsed_s, step=step))
        else:
            self._told(say("demo.script-ok-ms", at_s=self.elapsed_s, step=step, ms=ms))


def lamp_of(place: Place) -> LampWatch:
    """The lamp of a button that has one."""
    assert place.lamp is not None
    return place.lamp
