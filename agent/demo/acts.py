"""What the script and the scenarios have in common: to press, to wait for an event at the district, to look at a lamp,
to reset, and how it all begins and ends."""

from collections.abc import Callable
from typing import Any, Final

from agent.demo.devices import Where, name_of
from agent.demo.district import Event
from agent.demo.eyescript import EyeScript
from agent.demo.lamp import LampSeen, LampWatch
from agent.demo.school import Place, School
from agent.demo.steps import WAIT_S, Steps
from agent.demo.trail import Trail
from agent.texts import Text, say

RECOVERY_S: Final = 60.0
"""Reconnecting waits for up to 2 s with an alarm due; a receipt that got lost with the broker costs 2 s more."""
RAISED: Final = "campus.alarm.raised"


class Acts(Steps):
    """One run."""

    def __init__(self, school: School, told: Callable[[Text], None], pace_s: float = 0.0) -> None:
        super().__init__(school, told, pace_s)
        self.eyes = EyeScript(school, self)

    # how it begins and ends

    async def online(self) -> None:
        """Everything is there, and the gateway is at the district."""
        school = self.school
        await self.until(
            say("demo.step-start"),
            lambda: school.uplink_connected and school.district.status.get("state") == "online",
        )

    async def settled(self) -> None:
        """Nothing is due any more, and the chain is whole."""
        school, district = self.school, self.school.district
        await self.until(
            say("demo.step-due"),
            lambda: district.held == school.seq and not any(school.due.values()),
            wait_s=RECOVERY_S,
        )
        step = say("demo.step-chain", count=len(district.events))
        problem = district.chain_problem()
        self.verify(step, problem is None, problem)
        await self.done(step)

    async def stop(self) -> None:
        """The gateway stops, and says goodbye."""
        step = say("demo.step-stopped")
        code = await self.school.daemon.stop()
        self.verify(step, code == 0, say("demo.exit-code", code=code))
        await self.until(step, lambda: self.school.district.status.get("state") == "offline")

    # alarms

    async def press(self, place: Place) -> Trail:
        """Press, and wait until the district has the alarm."""
        trail = self.school.press(place.button.key)
        step = say("demo.step-press", name=place.button.name)
        await self.until(step, lambda: "district" in trail.times, lambda: trail.ms("district"))
        return trail

    async def acknowledged(self, place: Place, trail: Trail) -> None:
        """Wait for the acknowledgement: its event, and the reply to its command."""
        district, step = self.school.district, say("demo.step-acked", name=place.button.name)

        def both() -> bool:
            return "acknowledged" in trail.times and trail.event_id in district.acknowledged

        await self.until(step, both, lambda: trail.ms("acknowledged"))
        reply = district.acknowledged[str(trail.event_id)]
        self.verify(step, reply.get("ok") is True, reply.get("reason"))

    async def lamp(self, place: Place, mode: LampSeen, step: Text | None = None) -> None:
        """Wait until a lamp shows this."""
        lamp, now_ns = lamp_of(place), self.school.clock.boottime_ns
        step = step or say(f"demo.step-{mode}", name=place.button.name)
        await self.until(step, lambda: lamp.mode(now_ns()) == mode)

    async def reset(self, place: Place) -> None:
        """The district resets; lamp and siren go out."""
        await self.reset_where((place.button.device, place.button.point), place.button.name)
        if place.lamp:
            step = say("demo.step-off", name=place.button.name)
            await self.until(step, lambda: not any(watch.lit for watch in place.outputs))

    async def reset_where(self, where: Where, name: Text | None = None) -> None:
        """The district resets an alarm, and hears of it."""
        step = say("demo.step-reset", name=name or name_of(where))
        reply = await self.command(step, self.school.district.reset(*where))
        await self.until(step, lambda: self.arrived(reply))

    def arrived(self, reply: dict[str, Any]) -> bool:
        """Whether the district has the events that a command caused."""
        ids = {event["id"] for event in self.school.district.events.values()}
        return ids.issuperset(reply["result"]["events"])

    # events at the district

    @property
    def now_seq(self) -> int:
        """The last event that the district has: what comes after it is news."""
        return max(self.school.district.events, default=0)

    async def event(
        self, step: Text, type_: str, where: Where, *, after: int = 0, wait_s: float = WAIT_S, **data: Any
    ) -> Event:
        """Wait for an event of a point that has arrived at the district, and tell so; return it."""
        found: list[Event] = []

        def there() -> bool:
            found[:] = self.told(type_, where, after=after, **data)
            return bool(found)

        await self.until(step, there, wait_s=wait_s)
        return found[0]

    def told(self, type_: str, where: Where, *, after: int = 0, **data: Any) -> list[Event]:
        """The events of a point that have arrived, in order."""
        return [
            event
            for seq, event in sorted(self.school.district.events.items())
            if seq > after
            and event["type"] == type_
            and (event["data"].get("device"), event["data"].get("point")) == where
            and all(event["data"].get(name) == value for name, value in data.items())
        ]

    async def acked(self, event: Event, name: Text) -> None:
        """Wait until an alarm is acknowledged."""
        district, step = self.school.district, say("demo.step-acked", name=name)
        await self.until(step, lambda: event["id"] in district.acknowledged)
        reply = district.acknowledged[event["id"]]
        self.verify(step, reply.get("ok") is True, reply.get("reason"))


def lamp_of(place: Place) -> LampWatch:
    """The lamp of a button that has one."""
    assert place.lamp is not None
    return place.lamp
