"""The inventory (梳理) kept up to date: each camera is asked what it is, now and then; what changed is told."""

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Final

from agent.camera import CameraError
from agent.clock import Clock
from agent.skyeye.cameras import Cameras, NoCamera
from agent.skyeye.corelink import CoreLink
from agent.skyeye.inventory import Facts, Store, changes, collect
from agent.skyeye.model import Inspection
from agent.texts import say

log = logging.getLogger(__name__)

EVERY_S: Final = 6 * 3600.0
"""A camera is swapped in an afternoon; asking it costs some ten requests."""
FIRST_WITHIN_S: Final = 120.0
"""After a start the cameras are asked within so long, or one a second if they are few: a switch is not flooded."""
AT_ONCE: Final = 4
RETRY_S: Final = 600.0
"""A camera that could not be asked is asked again after so long; whether it is there is the inspection's business."""
LOOK_EVERY_S: Final = 5.0
WHO: Final = ("maker", "model", "firmware", "serial", "mac", "driver")
"""What an event tells of a new camera; the whole is in `inventory/{camera}`."""


class Stock:
    """What every camera is."""

    def __init__(self, cameras: Cameras, store: Store, core: CoreLink, clock: Clock, rng: random.Random) -> None:
        self._cameras = cameras
        self._store = store
        self._core = core
        self._clock = clock
        self._rng = rng
        self._due_ns: dict[str, int] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def facts(self, camera: str) -> Facts | None:
        """What is known of a camera."""
        return self._store.load(camera)

    def ask(self, cameras: Iterable[str]) -> None:
        """Ask these soon."""
        for camera in cameras:
            self._due_ns[camera] = 0

    def differs(self, inspection: Inspection) -> bool:
        """Whether a camera has just said that it is another one than we know, or has another firmware."""
        facts = self._store.load(inspection.camera)
        said = next((check.data for check in inspection.checks if check.layer == "service"), {})
        return facts is not None and any(
            said.get(name) and known and said[name] != known
            for name in ("serial", "model", "firmware")
            for known in (getattr(facts, name),)
        )

    async def run(self) -> None:
        """Ask each in its turn until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for camera in self._due():
                    group.create_task(self.refresh(camera))
                await self._clock.sleep(LOOK_EVERY_S)

    def _due(self) -> list[str]:
        now_ns = self._clock.boottime_ns()
        there = {one.id for one in self._cameras.settings}
        self._due_ns = {camera: due_ns for camera, due_ns in self._due_ns.items() if camera in there}
        for camera in there - self._due_ns.keys():
            self._due_ns[camera] = self._in(self._rng.uniform(0, min(FIRST_WITHIN_S, len(there))))
        due = [camera for camera, due_ns in self._due_ns.items() if due_ns <= now_ns]
        for camera in due:
            self._due_ns[camera] = self._in(EVERY_S * self._rng.uniform(0.9, 1.1))
        return due

    def _in(self, seconds: float) -> int:
        return self._clock.boottime_ns() + round(seconds * 1e9)

    async def refresh(self, camera: str) -> Facts | None:
        """Ask one camera what it is, keep it, and tell what is new. None if it could not be asked."""
        async with self._gate:
            try:
                settings = self._cameras[camera].settings
                async with self._cameras.use(camera) as session:
                    facts = await collect(settings, session, self._clock)
            except (CameraError, NoCamera) as error:
                log.debug("%s cannot be asked what it is: %s", camera, error)
                self._due_ns[camera] = self._in(RETRY_S * self._rng.uniform(0.5, 1.5))
                return None
        old = self._store.load(camera)
        try:
            await asyncio.to_thread(self._store.save, facts)
        except OSError as error:
            log.warning(say("skyeye.inventory-unwritable", camera=camera, error=str(error)))
        if old is None:
            await self._core.event(camera, "new", {name: getattr(facts, name) for name in WHO})
        else:
            for change in changes(old, facts):
                log.warning(say("skyeye.changed", camera=camera, what=change.what, old=change.old, new=change.new))
                await self._core.event(camera, "changed", change.as_data())
        await self._core.inventory(camera, facts.as_data())
        return facts
