"""Events of cameras: what each one tells by itself, and what the analysis sees, become events, samples and hints.

One task per camera holds its conversation for events; it fails alone, and comes back with growing pauses.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from agent.backoff import Backoff
from agent.camera import CameraError, CameraEvent, CameraEventKind, LoginRefused, NotOffered
from agent.clock import Clock
from agent.logs import Loudness
from agent.model import JsonValue
from agent.skyeye.cameras import Cameras, NoCamera
from agent.skyeye.corelink import CoreLink
from agent.skyeye.occurrences import Occurrences, Transition
from agent.texts import say

log = logging.getLogger(__name__)

RETRY_CAP_S: Final = 300.0
"""A camera without power is asked once in five minutes for its events; the inspection finds it sooner."""
NOT_OFFERED_S: Final = 3600.0
"""A camera without events may get them with a new firmware."""
EXPIRE_EVERY_S: Final = 1.0
HINTS: Final[frozenset[CameraEventKind]] = frozenset({"tamper", "picture", "signal-lost"})
"""Kinds that are evidence for the inspection's judgement of the picture."""

Hint = Callable[[str, CameraEvent], None]


class Watch:
    """Follows the events of every camera that has them."""

    def __init__(self, cameras: Cameras, occurrences: Occurrences, core: CoreLink, clock: Clock, on_hint: Hint) -> None:
        self._cameras = cameras
        self._occurrences = occurrences
        self._core = core
        self._clock = clock
        self._on_hint = on_hint
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._loudness = Loudness()

    def apply(self, restarted: frozenset[str]) -> None:
        """Follow what is configured now; `restarted` cameras begin anew."""
        wanted = {one.id for one in self._cameras.settings if one.events}
        for camera in restarted:
            for transition in self._occurrences.forget(camera, self._clock.boottime_ns()):
                self._tell(transition)
        for camera in [*self._tasks]:
            if camera not in wanted or camera in restarted:
                self._tasks.pop(camera).cancel()
        for camera in wanted - self._tasks.keys():
            work = self._follow(camera)
            self._tasks[camera] = asyncio.get_running_loop().create_task(work, name=f"events {camera}")

    def seen(self, camera: str, event: CameraEvent) -> None:
        """Take an event, of the camera itself or of the analysis."""
        if event.kind in HINTS:
            self._on_hint(camera, event)
        for transition in self._occurrences.take(camera, event):
            self._tell(transition)

    async def run(self) -> None:
        """End what never said that it ended, until cancelled."""
        try:
            while True:
                await self._clock.sleep(EXPIRE_EVERY_S)
                for transition in self._occurrences.expire(self._clock.boottime_ns()):
                    self._tell(transition)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _follow(self, camera: str) -> None:
        backoff = Backoff(RETRY_CAP_S)
        while True:
            backoff.started(self._clock.boottime_ns())
            try:
                async with self._cameras.use(camera) as session:
                    async for event in session.events():
                        self._loudness.over(camera)
                        self.seen(camera, event)
            except NotOffered:
                await self._clock.sleep(NOT_OFFERED_S)
                continue
            except NoCamera:
                return
            except LoginRefused as error:
                log.debug("%s: %s", camera, error)
                await self._clock.sleep(RETRY_CAP_S)
                continue
            except CameraError as error:
                level = self._loudness.level(camera, error.text.key)
                log.log(level, say("skyeye.events-failed", camera=camera, error=error.text))
            await self._clock.sleep(backoff.failed(self._clock.boottime_ns()))

    def _tell(self, transition: Transition) -> None:
        task = asyncio.get_running_loop().create_task(self._told(transition))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self, transition: Transition) -> None:
        event = transition.event
        if event.active is not None:
            await self._core.sample(transition.camera, transition.inputs, event.active)
        data: dict[str, JsonValue] = {"active": event.active, "source": event.source, "topic": event.topic}
        await self._core.event_id(transition.camera, event.kind, data, seen_ns=event.seen_ns)
