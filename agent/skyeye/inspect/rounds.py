"""The rounds (探头站岗): every camera inspected in its turn, those that somebody waits for first."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from agent.clock import Clock
from agent.config.models import CameraSettings
from agent.config.skyeye import SkyeyeSettings
from agent.skyeye.inspect.plan import Plan
from agent.skyeye.model import Inspection

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How late a turn may begin; looking at 200 turns costs 50 us."""
SICK: Final = frozenset({"offline", "login", "stream", "camera-reply"})
"""What makes inspections long and their results the same."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of one camera that was asked for. failed: there is none such any more, or it could not be done."""

    camera: str
    state: Literal["started", "done", "failed"]
    inspection: Inspection | None = None


@dataclass(slots=True, eq=False)
class Asked:
    """Somebody who waits."""

    left: set[str]
    queue: asyncio.Queue[Progress] = field(default_factory=asyncio.Queue)
    """Bounded by itself: two items per camera that was asked for."""


class Rounds:
    """Runs inspections by the plan."""

    def __init__(
        self,
        cameras: Callable[[], Sequence[CameraSettings]],
        inspect: Callable[[CameraSettings], Awaitable[Inspection]],
        clock: Clock,
        settings: SkyeyeSettings,
        on_done: Callable[[Inspection], Awaitable[None]],
        *,
        unsettled: Callable[[str], bool] = lambda _camera: False,
        rng: random.Random | None = None,
    ) -> None:
        self._cameras = cameras
        self._inspect = inspect
        self._clock = clock
        self._on_done = on_done
        self._unsettled = unsettled
        budget_kbps = settings.bandwidth_mbit * 1000.0
        self.plan = Plan(settings.inspect_every_s, settings.streams, budget_kbps, rng or random.Random())
        self._asked: list[Asked] = []
        self._extra: set[str] = set()
        """Asked for, though `inspect = false`: they have a turn until it is done."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Inspect until cancelled."""
        try:
            while True:
                self._begin()
                await self._clock.sleep(LOOK_EVERY_S)
        finally:
            tasks = [*self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self, cameras: Iterable[str]) -> AsyncIterator[Progress]:
        """Inspect these next; yields for each that it has started and what came of it. May be left early."""
        wanted = list(dict.fromkeys(cameras))
        asked = Asked(set(wanted))
        self._asked.append(asked)
        try:
            self._extra |= asked.left
            self._know()
            for camera in wanted:
                if not self.plan.ask(camera):
                    self._tell(camera, "failed", None, only=asked)
                elif camera in self._tasks:
                    asked.queue.put_nowait(Progress(camera, "started"))
            self._begin()
            while asked.left or not asked.queue.empty():
                yield await asked.queue.get()
        finally:
            self._asked.remove(asked)

    def soon(self, camera: str) -> None:
        """Something hints at a fault of this camera: look now, or again when the inspection that runs is done."""
        self.plan.soon(camera, self._clock.boottime_ns())

    def _know(self) -> None:
        there = self._cameras()
        self._extra &= {one.id for one in there}
        inspected = [one.id for one in there if one.inspect or one.id in self._extra]
        self.plan.know(inspected, self._clock.boottime_ns())
        for asked in self._asked:
            for camera in asked.left - set(inspected):
                if camera not in self._tasks:
                    self._tell(camera, "failed", None, only=asked)

    def _begin(self) -> None:
        self._know()
        settings = {one.id: one for one in self._cameras()}
        for camera in self.plan.begin(self._clock.boottime_ns()):
            self._tell(camera, "started", None)
            work = self._one(settings[camera])
            self._tasks[camera] = asyncio.get_running_loop().create_task(work, name=f"inspect {camera}")

    async def _one(self, camera: CameraSettings) -> None:
        inspection: Inspection | None = None
        try:
            inspection = await self._inspect(camera)
            await self._on_done(inspection)
        except Exception:  # a bug of ours in one camera's inspection must not end the rounds of all others
            log.exception("inspection of %s", camera.id)
        finally:
            self._tasks.pop(camera.id, None)
            self._extra.discard(camera.id)
            self.plan.done(
                camera.id,
                self._clock.boottime_ns(),
                sick=inspection is None or bool(inspection.faults & SICK),
                unsettled=self._unsettled(camera.id),
                kbps=kbps_of(inspection) if inspection else None,
            )
            self._tell(camera.id, "done" if inspection else "failed", inspection)
        self._begin()

    def _tell(
        self,
        camera: str,
        state: Literal["started", "done", "failed"],
        inspection: Inspection | None,
        *,
        only: Asked | None = None,
    ) -> None:
        for asked in [only] if only else self._asked:
            if camera in asked.left:
                asked.queue.put_nowait(Progress(camera, state, inspection))
                if state != "started":
                    asked.left.discard(camera)


def kbps_of(inspection: Inspection) -> float | None:
    """The bit rate that an inspection found."""
    for check in inspection.checks:
        if check.layer == "packets" and isinstance(found := check.data.get("kbps"), int | float):
            return float(found)
    return None
