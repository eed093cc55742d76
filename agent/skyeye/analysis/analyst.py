"""One camera's pictures become events. No clock of its own: times come with the pictures."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from agent.camera import CameraEvent
from agent.config.skyeye import CameraSettings
from agent.skyeye.analysis.detector import Detection, Detector
from agent.skyeye.analysis.geometry import Box
from agent.skyeye.analysis.left import LeftThings
from agent.skyeye.analysis.motion import Blob, Motion, Sight
from agent.skyeye.analysis.rules import LineRule, Scene, ZoneRule
from agent.skyeye.analysis.tracker import Track, Tracker
from agent.skyeye.model import Image

GAP_S: Final = 5.0
"""After a pause of this length nobody is the one who was there before."""
ALIVE_S: Final = 30.0
"""Who has not stirred for so long is let into the background: it is a chair that was moved."""
DETECT_EVERY_S: Final = 2.0
"""The detector looks at a still picture this often, and at every one in which something moves."""


class Analyst:
    """Watches the zones and lines of one camera. Call `frame` in order, from one thread at a time."""

    def __init__(self, camera: CameraSettings, detector: Callable[[], Detector | None] = lambda: None) -> None:
        """`detector` is asked at each picture: it may be loaded late, or be given up."""
        self._fps = camera.analysis_fps
        self._zones = [ZoneRule(zone) for zone in camera.zones]
        self._lines = [LineRule(line) for line in camera.lines]
        self._get_detector = detector
        self._detector: Detector | None = None
        self._motion = Motion(self._fps)
        self._movers = Tracker()
        """What is followed by its motion."""
        self._things = Tracker(sure=True)
        """What is followed by the detector's word, if there is one."""
        self._left = LeftThings()
        self._last_ns: int | None = None
        self._detected_ns: int | None = None

    @property
    def tracks(self) -> Sequence[Track]:
        """What is followed now."""
        return self._things.tracks if self._detector else self._movers.tracks

    def frame(self, image: Image, boottime_ns: int, wall: datetime) -> tuple[CameraEvent, ...]:
        """Take the next picture and its time (boot clock, and local wall clock for the schedules); return what it
        tells. A picture from before the last one tells nothing. Raises DetectorError."""
        if self._last_ns is not None and boottime_ns <= self._last_ns:
            return ()
        if self._last_ns is not None and boottime_ns - self._last_ns > GAP_S * 1e9:
            self._movers.clear()
            self._things.clear()
        self._last_ns = boottime_ns
        sight = self._motion.look(image, boottime_ns, self._known(boottime_ns))
        events: list[CameraEvent] = []
        if sight.settled:
            self._movers.follow(sight.blobs, boottime_ns)
        else:
            self._movers.clear()
        items = self._left.look(sight, self._movers.tracks, boottime_ns)
        self._detector = self._get_detector()
        if self._detector:
            self._detect(self._detector, image, sight, boottime_ns)
        scene = Scene(boottime_ns, self.tracks, items)
        for zone in self._zones:
            zone.take(scene, wall, events.append)
        for line in self._lines:
            line.take(scene, wall, events.append)
        return tuple(events)

    def _known(self, now_ns: int) -> tuple[Box, ...]:
        """What must not become background while it is there."""
        alive = now_ns - ALIVE_S * 1e9
        moving = [one.box for one in self._movers.tracks if one.moved and one.stirred_ns > alive]
        return (*moving, *(item.box for item in self._left.items))

    def _detect(self, detector: Detector, image: Image, sight: Sight, now_ns: int) -> None:
        due = self._detected_ns is None or now_ns - self._detected_ns >= DETECT_EVERY_S * 1e9
        if not (due or sight.blobs or self._things.tracks):
            return
        self._detected_ns = now_ns
        found = detector.find(image)
        self._things.follow([_blob(one, sight) for one in found], now_ns)


def _blob(found: Detection, sight: Sight) -> Blob:
    """A detection as the tracker takes it. It stirs if what moves overlaps it."""
    moving = any(blob.box.overlap(found.box) > 0.1 * found.box.area for blob in sight.blobs)
    return Blob(found.box, found.box.area, 1.0 if moving else 0.0, label=found.label)
