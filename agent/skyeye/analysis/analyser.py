"""The analysis of all chosen cameras: a place at each one's small stream, and two threads for all of them.

The stream's thread only puts packets into a short queue. A job of a camera takes what has come, for a bounded time,
and then stands at the end of the line; so a slow camera, or one that is malicious, delays nobody but itself. If its
queue is full, all of it is dropped, and it goes on at the next keyframe: late pictures are worth nothing.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import cv2

from agent.camera import CameraError, CameraEvent, StreamRole
from agent.clock import Clock
from agent.config.skyeye import CameraSettings, SkyeyeSettings
from agent.logs import Loudness
from agent.skyeye.analysis.analyst import Analyst
from agent.skyeye.analysis.detector import Detector, DetectorError
from agent.skyeye.analysis.frames import Frames
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.texts import say

log = logging.getLogger(__name__)

THREADS: Final = 2
"""The gateway has 2 to 4 small cores, and alarms come first."""
QUEUE_PACKETS: Final = 75
"""Three seconds at 25 a second."""
QUEUE_BYTES: Final = 4 << 20
TURN_S: Final = 0.2
"""How long one camera may work while others wait."""
OVERRUNS: Final = 3
"""Full queues in a row after which a camera's keyframes have to do."""
RELIEF_S: Final = 60.0
"""For so long; then it is tried in full again."""

OnEvent = Callable[[str, CameraEvent], None]


class Member(Protocol):
    """A place at a stream."""

    def leave(self) -> None: ...


class Hub(Protocol):
    """Where streams are to be had: agent.skyeye.streams.StreamHub."""

    def join(self, camera: str, role: StreamRole, sink: PacketSink, *, name: str) -> Member: ...


@dataclass(eq=False)
class Feed:
    """One camera: hears its stream, in the stream's thread, and works in a thread of the pool."""

    camera: CameraSettings
    analyst: Analyst
    clock: Clock
    ready: Callable[["Feed"], None]
    tell: Callable[[CameraEvent], None]
    dropped: int = 0
    """Packets that were not looked at."""
    pictures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _queue: deque[StreamInfo | Packet] = field(default_factory=deque)
    _bytes: int = 0
    _busy: bool = False
    _stopped: bool = False
    _wants_key: bool = True
    _overruns: int = 0
    _relief_ns: int = 0
    _frames: Frames | None = None

    # In the stream's thread.

    def opened(self, info: StreamInfo) -> None:
        with self._lock:
            self._clear()
            self._queue.append(info)

    def packet(self, packet: Packet) -> None:
        with self._lock:
            if self._stopped or (self._wants_key and not packet.keyframe):
                self.dropped += 1
                return
            if len(self._queue) >= QUEUE_PACKETS or self._bytes + len(packet.data) > QUEUE_BYTES:
                self._overrun(packet)
                return
            self._wants_key = False
            self._queue.append(packet)
            self._bytes += len(packet.data)
            if self._busy:
                return
            self._busy = True
        self.ready(self)

    def lost(self, error: CameraError) -> None:
        with self._lock:
            self._clear()

    def stop(self) -> None:
        """Tell nothing more."""
        with self._lock:
            self._stopped = True
            self._clear()

    def _overrun(self, packet: Packet) -> None:
        infos = [one for one in self._queue if isinstance(one, StreamInfo)]
        self.dropped += len(self._queue) - len(infos) + 1
        self._clear()
        self._queue.extend(infos[-1:])
        self._overruns += 1
        if self._overruns >= OVERRUNS:
            self._overruns = 0
            self._relief_ns = packet.arrived_ns + round(RELIEF_S * 1e9)

    def _clear(self) -> None:
        self._queue.clear()
        self._bytes = 0
        self._wants_key = True

    # In a thread of the pool.

    def work(self) -> bool:
        """Look at what has come, for a turn; return whether there is more."""
        until = time.monotonic() + TURN_S
        while time.monotonic() < until:
            with self._lock:
                if self._stopped or not self._queue:
                    self._busy = False
                    return False
                one = self._queue.popleft()
                self._bytes -= len(one.data) if isinstance(one, Packet) else 0
                if not self._queue:
                    self._overruns = 0
            if isinstance(one, StreamInfo):
                self._frames = Frames(one, self.camera.analysis_fps)
            elif self._frames:
                self._look(self._frames, one)
        return True

    def _look(self, frames: Frames, packet: Packet) -> None:
        if packet.arrived_ns < self._relief_ns and not packet.keyframe:
            self.dropped += 1
            return
        if (image := frames.take(packet)) is None:
            return
        self.pictures += 1
        for event in self.analyst.frame(image, packet.arrived_ns, self.clock.wall()):
            self.tell(event)


class Analyser:
    """Starts and stops the analysis of cameras. Events are told on the loop."""

    def __init__(self, hub: Hub, clock: Clock, on_event: OnEvent, settings: SkyeyeSettings | None = None) -> None:
        self._hub = hub
        self._clock = clock
        self._on_event = on_event
        self._settings = settings
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="analysis")
        self._feeds: dict[str, tuple[Feed, Member]] = {}
        self._detector: Detector | None = None
        self._tried = False
        self._loading = threading.Lock()
        self._loudness = Loudness()
        cv2.setNumThreads(1)  # its own threads would take every core for pictures that one does in 4 ms

    def start(self, camera: CameraSettings) -> None:
        """Watch a camera's zones and lines, from now on with these settings."""
        self.stop(camera.id)
        loop = asyncio.get_running_loop()

        def tell(event: CameraEvent) -> None:
            loop.call_soon_threadsafe(self._told, feed, event)

        feed = Feed(camera, Analyst(camera, self._detect), self._clock, self._ready, tell)
        self._feeds[camera.id] = feed, self._hub.join(camera.id, "sub", feed, name="analysis")

    def stop(self, camera: str) -> None:
        """Watch it no more."""
        if known := self._feeds.pop(camera, None):
            feed, member = known
            member.leave()
            feed.stop()

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Per camera: pictures that were analysed, and packets that were dropped."""
        return {camera: (feed.pictures, feed.dropped) for camera, (feed, _) in self._feeds.items()}

    async def close(self) -> None:
        """End; turns under way end by themselves within a fraction of a second."""
        for camera in [*self._feeds]:
            self.stop(camera)
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    def _told(self, feed: Feed, event: CameraEvent) -> None:
        known = self._feeds.get(feed.camera.id)
        if known and known[0] is feed:
            self._on_event(feed.camera.id, event)

    def _ready(self, feed: Feed) -> None:
        """There is work. Called by streams, and again at the end of a turn that left some."""
        try:
            self._pool.submit(self._turn, feed)
        except RuntimeError:  # closed meanwhile
            feed.stop()

    def _turn(self, feed: Feed) -> None:
        try:
            more = feed.work()
        except DetectorError as error:
            log.warning(say("analysis.no-detector", error=error.text))
            self._detector, more = None, True
        except Exception as error:  # a bug met in one camera's pictures must not take it from the others; it goes on
            level = self._loudness.level(feed.camera.id, type(error).__name__)
            log.log(level, "the analysis of %s failed", feed.camera.id, exc_info=True)
            more = True
        if more:
            self._ready(feed)

    def _detect(self) -> Detector | None:
        """The detector, loaded when the first picture wants it, in a thread of the pool; None without one."""
        if self._settings is None or (path := self._settings.detector) is None:
            return None
        with self._loading:
            if not self._tried:
                self._tried = True
                try:
                    self._detector = Detector(path, self._settings.detector_classes)
                except DetectorError as error:
                    log.warning(say("analysis.no-detector", error=error.text))
            return self._detector
