"""What a camera tells by itself, through a pull point.

Cameras have few subscriptions, and forget them late: each lives 10 minutes, is renewed at 8, and is given back. Some
take the lifetime as a duration in seconds, some as a time, some not at all; those that cannot renew get a new one.

Source: ONVIF Event 23.12, 9.1 (pull points); WS-BaseNotification 1.3, 6; FACTS 5
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent.driver import NS_PER_S, BadReply, CameraError, CameraEvent, CameraLink, LoginRefused, Unreachable, say
from drivers._camera_address import mended
from drivers.onvif import times, topics
from drivers.onvif.soap import Element, address, find, text
from drivers.onvif.topics import Message
from drivers.onvif.wire import Wire

LIFETIME_S: Final = 600.0
"""A slot that we could not give back (power cut) blocks the camera for so long at most."""
RENEW_SHARE: Final = 0.8
"""Of the lifetime: at 8 of 10 minutes there is time for a second try."""
SHORTEST_S: Final = 10.0
"""Some answer with a lifetime of 0, or with a time in the past."""
PULL_S: Final = 20.0
"""A poll waits so long for an event. Some routers and cameras cut a silent connection after 30 s."""
PULL_GRACE_S: Final = 10.0
"""What a camera may take longer than asked."""
PULL_MESSAGES: Final = 64
PAUSE_S: Final = 0.75
"""Between polls, so that a flood of events does not take all of a small camera."""
HASTY_S: Final = 2.0
"""Between polls of a camera that says at once that there is nothing, where it should have waited."""
TRIES: Final = 3
"""Polls in a row that may fail before the subscription is given up. Some drop the connection where they should say
that there is nothing."""
LEAVE_S: Final = 3.0
"""To give a slot back on the way out."""


@dataclass(slots=True)
class Slot:
    """One subscription."""

    url: str
    reference: tuple[Element, ...]
    lifetime_s: float
    due_ns: int
    """Boot clock: renew it."""
    pulled: bool = field(default=False)


class PullPoint:
    """The events of one session."""

    def __init__(self, link: CameraLink, wire: Wire, ours: Callable[[Message], bool]) -> None:
        self._link = link
        self._wire = wire
        self._ours = ours
        self._slot: Slot | None = None
        self._renews = True

    async def events(self) -> AsyncIterator[CameraEvent]:
        """Tell every event until cancelled. Raises CameraError."""
        failures = 0
        try:
            while True:
                slot = self._slot or await self._subscribe()
                asked_ns = self._link.clock.boottime_ns()
                try:
                    reply = await self._pull(slot)
                except LoginRefused:
                    raise
                except CameraError:
                    failures += 1
                    if failures >= TRIES:
                        raise
                    if failures > 1 or not slot.pulled:
                        await self.leave()  # it may have forgotten the subscription: a new one
                    await self._link.clock.sleep(PAUSE_S * failures)
                    continue
                failures, slot.pulled = 0, True
                seen_ns = self._link.clock.boottime_ns()
                messages = topics.messages(reply)
                for message in messages:
                    if self._ours(message):
                        yield await topics.meaning(message, seen_ns)
                await self._keep(slot)
                hasty = not messages and seen_ns - asked_ns < HASTY_S * NS_PER_S
                await self._link.clock.sleep(HASTY_S if hasty else PAUSE_S)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Give the slot back. Never raises."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        with suppress(CameraError, TimeoutError):  # it dies by itself, LIFETIME_S after the last renewal
            async with asyncio.timeout(LEAVE_S):
                await self._wire.call("events", "Unsubscribe", url=slot.url, reference=slot.reference)

    async def _pull(self, slot: Slot) -> Element:
        return await self._wire.call(
            "events",
            "PullMessages",
            url=slot.url,
            reference=slot.reference,
            timeout_s=PULL_S + PULL_GRACE_S,
            Timeout=f"PT{PULL_S:.0f}S",
            MessageLimit=PULL_MESSAGES,
        )

    async def _subscribe(self) -> Slot:
        reply = await self._lasting("CreatePullPointSubscription", "InitialTerminationTime", None)
        given = address(reply, "SubscriptionReference", "Address") or address(reply, "Address")
        url = mended(given, self._wire.place) if given else self._wire.xaddrs["events"]
        parameters = find(reply, "SubscriptionReference", "ReferenceParameters")
        reference = tuple(one for one in parameters if isinstance(one.tag, str)) if parameters is not None else ()
        slot = self._slot = Slot(url, reference[:8], LIFETIME_S, 0)
        self._lives(slot, reply)
        with suppress(CameraError):  # those that can tell the present state of everything; the next poll shows the rest
            await self._wire.call("events", "SetSynchronizationPoint", url=slot.url, reference=slot.reference)
        return slot

    async def _keep(self, slot: Slot) -> None:
        """Renew the slot when it is time, or begin a new one where that does not work."""
        if self._link.clock.boottime_ns() < slot.due_ns:
            return
        if self._renews:
            try:
                self._lives(slot, await self._lasting("Renew", "TerminationTime", slot))
            except CameraError:
                self._renews = False
            else:
                return
        await self.leave()

    async def _lasting(self, operation: str, argument: str, slot: Slot | None) -> Element:
        """Ask for a lifetime: as a duration in seconds, as a time, or not at all."""
        until = self._wire.now() + timedelta(seconds=LIFETIME_S)
        forms: list[dict[str, str]] = [
            {argument: f"PT{LIFETIME_S:.0f}S"},
            {argument: until.strftime("%Y-%m-%dT%H:%M:%SZ")},
        ]
        if slot is None:
            forms.append({})
        first: CameraError | None = None
        for form in forms:
            try:
                return await self._wire.call(
                    "events",
                    operation,
                    url=slot.url if slot else None,
                    reference=slot.reference if slot else (),
                    **form,  # type: ignore[arg-type]  # they are the operation's
                )
            except (LoginRefused, Unreachable):
                raise
            except CameraError as error:
                first = first or error
        assert first is not None
        if slot is None and isinstance(first, BadReply):
            raise BadReply(say("onvif.no-slot", place=self._wire.place, error=first)) from None
        raise first

    def _lives(self, slot: Slot, reply: Element) -> None:
        """Note until when the camera keeps the slot, by its own two times."""
        now, until = times.moment(text(reply, "CurrentTime")), times.moment(text(reply, "TerminationTime"))
        if now and until and SHORTEST_S <= (until - now).total_seconds() < LIFETIME_S:
            slot.lifetime_s = (until - now).total_seconds()
        slot.due_ns = self._link.clock.boottime_ns() + round(slot.lifetime_s * RENEW_SHARE * NS_PER_S)
