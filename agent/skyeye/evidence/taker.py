"""Pictures and clips, taken when they are asked for: by an alarm, a command, a patrol or a fault.

A camera with pre-roll has its ring of packets all the time; any other one is opened for the clip, which then begins
when it is asked for.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.camera import CameraError, NotOffered
from agent.clock import NS_PER_S, Clock
from agent.model import JsonValue
from agent.secrets import os_reason
from agent.skyeye.cameras import Cameras, NoCamera
from agent.skyeye.corelink import CoreLink
from agent.skyeye.evidence.store import EvidenceStore, NoRoom
from agent.skyeye.model import Evidence, EvidenceKind
from agent.skyeye.streams import ClipTaker, Ring, RingBudget, StreamHub, jpeg
from agent.skyeye.wire import evidence_json
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

SNAPSHOT_TIMEOUT_S: Final = 3.0
"""A camera gives its JPEG within half a second; then its stream is the surer way."""
LOOK_TIMEOUT_S: Final = 15.0
"""Opening a stream and waiting for its next keyframe: GOPs of up to ten seconds are common."""
CLIPS_AT_ONCE: Final = 24
"""Each holds half a minute of packets; more at once is a flood, which is told and not served."""
CLIP_ROOM_BYTES: Final = 64 << 20
"""Half a minute at 16 Mbit/s: what a clip may need."""
OPEN_ALLOWANCE_S: Final = 20.0
"""What a clip of a camera without a ring waits for its stream, beyond its length."""


class Busy(Spoken):
    """Too many clips at once."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why evidence is taken: what goes into its event beside the file."""

    kind: EvidenceKind
    event: str | None = None
    alarm: bool = False
    data: Mapping[str, JsonValue] | None = None
    put_url: str | None = field(default=None, repr=False)
    """Is a secret."""
    drill: bool = False


class Taker:
    """Takes pictures and clips, keeps them, and tells the core of each."""

    def __init__(
        self,
        cameras: Cameras,
        hub: StreamHub,
        budget: RingBudget,
        store: EvidenceStore,
        core: CoreLink,
        clock: Clock,
        uploads: Callable[[], bool],
        on_kept: Callable[[], None],
    ) -> None:
        self._cameras = cameras
        self._hub = hub
        self._budget = budget
        self._store = store
        self._core = core
        self._clock = clock
        self._uploads = uploads
        self._on_kept = on_kept
        self._clips = ClipTaker(hub, clock)
        self.rings: dict[str, Ring] = {}
        self._running = 0

    async def picture(self, camera: str) -> bytes:
        """Take a JPEG now, by the quickest way that works. Raises CameraError, NoCamera."""
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT_S), self._cameras.use(camera) as session:
                return await session.snapshot()
        except (TimeoutError, CameraError) as error:
            log.debug("%s gives no snapshot: %s", camera, error)
        report = await self._hub.look(camera, "main", seconds=0.0, deadline_s=LOOK_TIMEOUT_S)
        if report.picture is None:
            raise NotOffered(say("skyeye.no-picture", camera=camera, seconds=LOOK_TIMEOUT_S))
        return await asyncio.to_thread(jpeg, report.picture)

    async def snapshot(self, camera: str, cause: Cause) -> Evidence:
        """Take a picture, keep it, and tell it. Raises CameraError, NoCamera, NoRoom."""
        data = await self.picture(camera)
        evidence = await self._store.add(
            camera,
            cause.kind,
            data,
            event=cause.event,
            alarm=cause.alarm,
            upload=self._uploads(),
            put_url=cause.put_url,
        )
        await self._tell(evidence, cause)
        return evidence

    async def clip(self, camera: str, before_s: float, after_s: float, cause: Cause) -> Evidence:
        """Take a clip, keep it, and tell it; takes as long as the clip goes on. Raises CameraError, NoCamera, NoRoom,
        Busy."""
        settings = self._cameras[camera].settings
        if self._running >= CLIPS_AT_ONCE:
            raise Busy(say("skyeye.clips-busy", limit=CLIPS_AT_ONCE))
        self._running += 1  # before anything is waited for: a hundred orders may come at once
        try:
            async with self._store.room_for(CLIP_ROOM_BYTES):
                evidence = await self._film(settings.id, before_s, after_s, cause)
        finally:
            self._running -= 1
        await self._tell(evidence, cause)
        return evidence

    async def _film(self, camera: str, before_s: float, after_s: float, cause: Cause) -> Evidence:
        id_, path = self._store.draft(camera, "clip", "video/mp4")
        try:
            if (ring := self.rings.get(camera)) is not None:
                facts = await self._clips.take(camera, ring, before_s, after_s, path)
            else:
                ring = Ring(after_s + OPEN_ALLOWANCE_S, self._budget)
                member = self._hub.join(camera, "main", ring, name="clip")
                try:
                    facts = await self._clips.take(camera, ring, 0.0, after_s, path)
                finally:
                    member.leave()
            return await self._store.keep(
                id_,
                camera,
                "clip",
                path,
                content_type="video/mp4",
                event=cause.event,
                alarm=cause.alarm,
                seconds=facts.seconds,
                upload=self._uploads(),
                put_url=cause.put_url,
            )
        except OSError as error:
            raise NoRoom(say("evidence.unwritable", path=path, reason=os_reason(error))) from None

    async def of_alarm(self, order: "AlarmOrder") -> None:
        """Everything that an alarm wants: of each camera a picture at once and a clip. Never raises for a camera's
        sake: what is missing is told."""
        await asyncio.gather(*(self._of_camera(camera, order) for camera in order.cameras))

    async def _of_camera(self, camera: str, order: "AlarmOrder") -> None:
        late_s = (self._clock.boottime_ns() - order.raised_ns) / NS_PER_S
        data: dict[str, JsonValue] = {"alarm": dict(order.alarm), "late_ms": round(max(0.0, late_s) * 1000)}
        snapshot = Cause("snapshot", order.event, True, data, drill=order.drill)
        before_s = order.before_s(camera) + late_s
        cause = Cause("clip", order.event, True, data, drill=order.drill)
        clip = self.clip(camera, before_s, max(1.0, order.after_s - late_s), cause)
        for kind, done in zip(
            ("snapshot", "clip"),
            await asyncio.gather(self.snapshot(camera, snapshot), clip, return_exceptions=True),
            strict=True,
        ):
            if isinstance(done, Spoken):
                await self.missing(camera, order, kind, done.text)
            elif isinstance(done, Exception):  # a bug of ours, or of a library: told like any other lack of proof
                log.error("evidence of %s", camera, exc_info=done)
                await self.missing(camera, order, kind, say("skyeye.evidence-bug", error=type(done).__name__))
            elif isinstance(done, BaseException):
                raise done

    async def missing(self, camera: str, order: "AlarmOrder", kind: str, reason: Text) -> None:
        """Tell that something could not be taken."""
        log.warning(say("skyeye.evidence-missing", camera=camera, reason=reason))
        data: dict[str, JsonValue] = {
            "kind": kind,
            "event": order.event,
            "alarm": dict(order.alarm),
            "reason": {"key": reason.key, "zh-CN": reason.render("zh-CN"), "en": reason.render("en")},
        }
        known = camera if camera in self._cameras else None
        await self._core.event(known, "evidence-missing", data, drill=order.drill)

    async def _tell(self, evidence: Evidence, cause: Cause) -> None:
        self._on_kept()
        data: dict[str, JsonValue] = {"evidence": dict(evidence_json(evidence)), **(cause.data or {})}
        await self._core.event(evidence.camera, "evidence", data, drill=cause.drill)


@dataclass(frozen=True, slots=True)
class AlarmOrder:
    """An alarm that wants evidence."""

    event: str
    alarm: Mapping[str, JsonValue]
    """`device`, `point` and `name` of the alarm."""
    cameras: Sequence[str]
    raised_ns: int
    before_s: Callable[[str], float]
    after_s: float
    drill: bool = False


__all__ = ["AlarmOrder", "Busy", "Cause", "NoCamera", "NoRoom", "Taker"]
