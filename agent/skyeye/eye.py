"""The eye: its rooms put together, started, changed and stopped."""

import asyncio
import logging
import random
import resource
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.backoff import Backoff
from agent.camera import CameraEvent, CameraSession
from agent.clock import Clock
from agent.config.load import ConfigErrors, load
from agent.config.models import CameraSettings, Config
from agent.control import ControlClient, ControlError, ControlServer, DaemonDown
from agent.model import JsonValue
from agent.skyeye.analysis import Analyser
from agent.skyeye.cameras import Cameras
from agent.skyeye.corelink import CoreLink
from agent.skyeye.evidence import EvidenceStore, Uploader
from agent.skyeye.evidence.records import Entry
from agent.skyeye.evidence.taker import Taker
from agent.skyeye.inspect import Confirmer, Inspector, Rounds
from agent.skyeye.inventory import Store
from agent.skyeye.live import MediaServer, Pusher
from agent.skyeye.model import Evidence, Inspection, Verdict
from agent.skyeye.occurrences import Occurrences
from agent.skyeye.orders import Orders
from agent.skyeye.patrol import Patrols
from agent.skyeye.stock import Stock
from agent.skyeye.streams import Membership, Ring, RingBudget, StreamHub
from agent.skyeye.watch import Watch
from agent.texts import say

log = logging.getLogger(__name__)

FAILED: Final = frozenset({"offline", "login", "camera-reply", "stream"})
"""What an inspection may find that a fresh conversation may mend."""
HEALTH_EVERY_S: Final = 5.0
"""How often the core hears that the loop turns; it ends us after 30 s of silence."""
MAINTAIN_EVERY_S: Final = 300.0
ROOM_RETRY_CAP_S: Final = 60.0
RING_SPARE_S: Final = 5.0
"""A ring keeps more than its clips need: an order is late by its way through journal and sockets."""
PAGE_BYTES: Final = resource.getpagesize()
"""16 KiB on a Raspberry Pi 5."""
RSS_FILE: Final = Path("/proc/self/statm")


class Eye:
    """One run of the process."""

    def __init__(
        self, config: Config, config_path: Path, clock: Clock, *, core: Path, socket: Path, media: Path
    ) -> None:
        self._config = config
        self._config_path = config_path
        self._clock = clock
        self._control = core
        self._stop = asyncio.Event()
        self._reload = asyncio.Lock()
        settings = config.skyeye
        folder = config.skyeye_path
        self.core = CoreLink(lambda: ControlClient([core]), clock)
        self.cameras = Cameras(config.cameras, clock)
        self.hub = StreamHub(self.cameras.source, clock, admit=self.cameras.admit, on_state=self.cameras.stream_state)
        self.budget = RingBudget(settings.ring_bytes)
        self.store = EvidenceStore(
            folder / "evidence",
            clock,
            size_bytes=settings.evidence_size_bytes,
            keep_s=settings.evidence_keep_s,
            on_removed=self._removed,
        )
        self.uploader = Uploader(
            self.store,
            clock,
            lambda: self._config.skyeye.upload,
            self._upload_hosts,
            self._uploaded,
            lambda text: self.core.fault(None, "evidence", text),
        )
        self.taker = Taker(
            self.cameras,
            self.hub,
            self.budget,
            self.store,
            self.core,
            clock,
            lambda: self._config.skyeye.upload is not None,
            self.uploader.poke,
        )
        self.inspector = Inspector(self.hub, clock, settings, folder)
        self.confirmer = Confirmer(folder)
        self.rounds = Rounds(
            lambda: self.cameras.settings,
            self._inspect,
            clock,
            settings,
            self._inspected,
            unsettled=self.confirmer.unsettled,
        )
        self.watch = Watch(self.cameras, Occurrences(), self.core, clock, self._hint)
        self.analyser = Analyser(self.hub, clock, self.watch.seen, settings)
        self.stock = Stock(self.cameras, Store(folder / "inventory"), self.core, clock, random.Random())
        self.patrols = Patrols(lambda: self._config.patrols, self.cameras, self.taker, self._judge, self.core, clock)
        self.pusher = Pusher(
            self.hub,
            lambda: self._config.skyeye.media_hosts,
            clock,
            self._pushed,
            ca=lambda: self._config.skyeye.media_ca,
        )
        self.media = MediaServer(media, self.hub, self._known, self._picture, self._evidence_path, clock)
        self.inspections: dict[str, Inspection] = {}
        self._members: dict[str, Membership] = {}
        self._server = ControlServer([socket], Orders(self).methods())
        self._pending: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._config

    async def run(self) -> None:
        """Run until `stop`."""
        await self.store.load()
        await self._server.start()
        await self.media.start()
        work = {
            "core": self.core.run,
            "health": self._tell_health,
            "rounds": self.rounds.run,
            "watch": self.watch.run,
            "stock": self.stock.run,
            "patrols": self.patrols.run,
            "uploads": self.uploader.run,
            "maintain": self._maintain,
        }
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._room(name, run), name=name) for name, run in work.items()]
                await self._settle_rings()
                self._apply(frozenset(camera.id for camera in self.cameras.settings))
                log.info(say("skyeye.started", cameras=len(self.cameras.settings), rings=len(self.taker.rings)))
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()

    async def _room(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep one room at work: what it trips over must not take the others' evidence and inspections with it."""
        backoff = Backoff(ROOM_RETRY_CAP_S)
        while True:
            backoff.started(self._clock.boottime_ns())
            try:
                await run()
            except Exception as error:
                wait_s = backoff.failed(self._clock.boottime_ns())
                log.exception(say("skyeye.room-failed", room=name, error=type(error).__name__, seconds=round(wait_s)))
                await self._clock.sleep(wait_s)

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    async def reload(self) -> None:
        """Read the configuration again and apply what changed. A broken one changes nothing: the core tells of it."""
        async with self._reload:
            try:
                config = await asyncio.to_thread(load, self._config_path)
            except ConfigErrors as error:
                log.warning(error.text)
                return
            self._config = config
            self.store.reconfigure(size_bytes=config.skyeye.evidence_size_bytes, keep_s=config.skyeye.evidence_keep_s)
            touched = await self.cameras.reconfigure(config.cameras)
            for camera in touched:
                self.hub.forget(camera)
                if camera not in self.cameras:
                    self.inspections.pop(camera, None)
                    self.confirmer.forget(camera)
            await self._settle_rings()
            self._apply(touched)

    # --- what the rooms ask of each other

    def _apply(self, touched: frozenset[str]) -> None:
        self.watch.apply(touched)
        for camera in touched:
            self.analyser.stop(camera)
            if camera in self.cameras and (one := self.cameras[camera].settings) and (one.zones or one.lines):
                self.analyser.start(one)

    async def _settle_rings(self) -> None:
        """Have a ring of packets for every camera that keeps some of its past."""
        wanted = {
            one.id: seconds + RING_SPARE_S
            for one in self.cameras.settings
            if (seconds := self._config.preroll_s(one)) > 0
        }
        for camera in [*self.taker.rings]:
            if self.taker.rings[camera].seconds != wanted.get(camera):
                self._leave(camera)
        for camera, seconds in wanted.items():
            if camera not in self.taker.rings:
                ring = self.taker.rings[camera] = Ring(seconds, self.budget)
                self._members[camera] = self.hub.join(camera, "main", ring, name="ring")

    def _leave(self, camera: str) -> None:
        self._members.pop(camera).leave()
        self.taker.rings.pop(camera).clear()

    async def _inspect(self, camera: CameraSettings) -> Inspection:
        async def session() -> CameraSession:
            return await self.cameras.open(camera.id)

        found = await self.inspector.inspect(camera, session)
        if found.faults & FAILED:
            await self.cameras.renew(camera.id)
        return found

    async def _inspected(self, inspection: Inspection) -> None:
        if inspection.camera not in self.cameras:
            return  # taken out of the configuration meanwhile: what is confirmed now would stand for ever
        self.inspections[inspection.camera] = inspection
        if self.stock.differs(inspection):
            self.stock.ask([inspection.camera])
        for change in self.confirmer.feed(inspection):
            if change.text:
                log.warning(say("skyeye.fault", camera=change.camera, text=change.text))
            await self.core.fault(change.camera, change.fault, change.text)

    def _hint(self, camera: str, event: CameraEvent) -> None:
        self.confirmer.hint(camera, event.kind, event.active)
        self.rounds.soon(camera)

    async def _judge(self, camera: str, preset: str | None, picture: bytes) -> Sequence[Verdict]:
        return await self.inspector.judge_jpeg(camera, preset, picture)

    def _known(self) -> Mapping[str, CameraSettings]:
        return {one.id: one for one in self.cameras.settings}

    def _picture(self, camera: str) -> bytes | None:
        """The newest picture of a camera: of its last inspection."""
        inspection = self.inspections.get(camera)
        return inspection.thumbnail if inspection else None

    def _evidence_path(self, id_: str) -> Path | None:
        return self.store.path(id_)

    def _upload_hosts(self) -> Sequence[str]:
        from agent.skyeye.evidence.upload import host_of

        upload = self._config.skyeye.upload
        return (*self._config.skyeye.media_hosts, *([host_of(upload.url)] if upload else []))

    async def _uploaded(self, evidence: Evidence, host: str) -> None:
        data: dict[str, JsonValue] = {
            "evidence": evidence.id,
            "sha256": evidence.sha256,
            "host": host,
            "event": evidence.event,
        }
        await self.core.event(evidence.camera if evidence.camera in self.cameras else None, "uploaded", data)

    def _pushed(self, what: str, data: Mapping[str, JsonValue]) -> None:
        camera = str(data.get("camera") or "")
        self._background(self.core.event(camera if camera in self.cameras else None, what, data))

    def _removed(self, why: str, evidence: Sequence[Entry]) -> None:
        """What was removed is told: nothing disappears silently."""
        log.info(say("skyeye.removed", count=len(evidence), why=why))
        data: dict[str, JsonValue] = {
            "why": why,
            "count": len(evidence),
            "first": evidence[0].id,
            "last": evidence[-1].id,
            "alarm": any(one.alarm for one in evidence),
        }
        self._background(self.core.event(None, "evidence-missing", data))

    def _background(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    # --- what goes on by itself

    async def _tell_health(self) -> None:
        """Say that we live, and how the cameras are."""
        while True:
            with suppress(DaemonDown, ControlError):
                async with ControlClient([self._control]) as client:
                    while True:
                        await client.call("eye-health", **self.health())
                        await self._clock.sleep(HEALTH_EVERY_S)
            await self._clock.sleep(HEALTH_EVERY_S)

    def health(self) -> dict[str, JsonValue]:
        """One line per camera."""
        cameras: dict[str, JsonValue] = {one.id: self.camera_health(one.id) for one in self.cameras.settings}
        return {"cameras": cameras, "streams": len(self.hub.running()), "rss_bytes": rss_bytes()}

    def camera_health(self, camera: str) -> dict[str, JsonValue]:
        """How one camera is, by what is confirmed."""
        faults = sorted(self.confirmer.standing(camera))
        inspection = self.inspections.get(camera)
        state = "unknown" if inspection is None else "ok"
        if faults:
            state = "offline" if "offline" in faults else "fault"
        at: datetime | None = inspection.at if inspection else None
        return {
            "state": state,
            "faults": [*faults],
            "inspected": at.isoformat(timespec="seconds") if at else None,
        }

    async def _maintain(self) -> None:
        while True:
            await self.store.maintain()
            await self._clock.sleep(MAINTAIN_EVERY_S)

    async def _close(self) -> None:
        await self._server.close()
        await self.media.close()
        await self.pusher.close()
        await self.analyser.close()
        for camera in [*self.taker.rings]:
            self._leave(camera)
        await self.inspector.close()
        await self.hub.close()
        await self.cameras.close()


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(RSS_FILE.read_text().split()[1]) * PAGE_BYTES
