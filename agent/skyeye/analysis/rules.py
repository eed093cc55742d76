"""What a zone and a line make of what is followed. One per zone and line of a camera; the clock is handed in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from agent.camera import CameraEvent, CameraEventKind
from agent.config.skyeye import LineSettings, ZoneSettings
from agent.skyeye.analysis.geometry import Direction, Point, crosses, inside, side
from agent.skyeye.analysis.left import Item
from agent.skyeye.analysis.schedule import watched
from agent.skyeye.analysis.tracker import HITS, Track

FRAMES: Final = 3
"""Pictures for which a foot must be in a zone: one on its border comes and goes."""
LOITER_GAP_S: Final = 5.0
"""Who leaves a zone for less than this has not left."""
CROWD_S: Final = 2.0
"""A group that only passes through one spot is none."""
COMPANY: Final = 2
"""Of people who were seen to go, before those who only stand among them count: where nobody went there is no crowd."""
STANDS: Final = 6
"""Pictures for which somebody must have stood there."""
SEEN_S: Final = 1.0
"""For how long somebody counts as seen when a picture or two do not show him."""
TALL: Final = 0.5
"""Parts of the height of those who went (the middle one of them) that each must have: no bag, and no head alone."""
OFF_S: Final = 3.0
"""For how long nothing must be seen before it is over."""
CROWD_OFF_S: Final = 10.0
"""The same for a crowd: people hide each other for seconds, and none of them has left."""
AGAIN_S: Final = 10.0
"""What lasts is said again, so that it does not expire (agent.skyeye.occurrences)."""
MARGIN: Final = 0.015
"""Of the picture: how far beyond a line one must be. A foot is not known better."""
TOPIC: Final = "campus:Analysis"

Emit = Callable[[CameraEvent], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of one picture."""

    now_ns: int
    tracks: Sequence[Track]
    items: Sequence[Item]

    def goers(self, classes: Sequence[str] | None) -> list[Track]:
        """Things that go, of the classes asked for; without a detector there are no classes, and all count."""
        return [one for one in self.tracks if one.moved and _wanted(one.label, classes)]


@dataclass(slots=True)
class _State:
    """On or off, of one kind in one zone."""

    on: bool = False
    true_ns: int = 0
    told_ns: int = 0


@dataclass(slots=True)
class ZoneRule:
    """One zone."""

    settings: ZoneSettings
    _states: dict[CameraEventKind, _State] = field(default_factory=dict)
    _frames: dict[int, int] = field(default_factory=dict)
    """By track: pictures in a row with its foot in the zone."""
    _stays: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By track: since when and until when it is in the zone."""
    _crowd_ns: int | None = None

    def take(self, scene: Scene, wall: datetime, emit: Emit) -> None:
        """Judge the next picture."""
        if not watched(self.settings.times, self.settings.days, wall):
            self.rest(scene.now_ns, emit)
            return
        judges: Mapping[CameraEventKind, Callable[[Scene], bool]] = {
            "motion": self._motion,
            "intrusion": self._intrusion,
            "loitering": self._loitering,
            "crowd": self._crowd,
            "object-left": self._left,
        }
        self._count(scene)
        for kind in self.settings.detect:
            self._set(kind, judges[kind](scene), scene.now_ns, emit)

    def rest(self, now_ns: int, emit: Emit) -> None:
        """Not watched now: end what is on."""
        for kind, state in self._states.items():
            if state.on:
                emit(self._event(kind, False, now_ns))
        self._states.clear()
        self._frames.clear()
        self._stays.clear()
        self._crowd_ns = None

    def _count(self, scene: Scene) -> None:
        here = {one.id: one for one in scene.goers(self.settings.classes) if inside(one.foot, self.settings.polygon)}
        seen = [one for one in here.values() if one.seen_ns == scene.now_ns]
        self._frames = {one.id: self._frames.get(one.id, 0) + 1 for one in seen}
        for one in seen:
            since_ns, _ = self._stays.get(one.id, (scene.now_ns, 0))
            self._stays[one.id] = since_ns, scene.now_ns
        self._inherit(scene)
        limit_ns = scene.now_ns - round(LOITER_GAP_S * 1e9)
        self._stays = {id_: stay for id_, stay in self._stays.items() if stay[1] >= limit_ns}

    def _inherit(self, scene: Scene) -> None:
        """Who was lost in the zone and found there again within the gap has stayed, under whatever number."""
        known = {one.id for one in scene.tracks}
        orphans = sorted(stay for id_, stay in self._stays.items() if id_ not in known)
        for id_, (since_ns, until_ns) in [*self._stays.items()]:
            if id_ in known and since_ns == scene.now_ns and orphans:
                self._stays[id_] = orphans.pop(0)[0], until_ns

    def _motion(self, scene: Scene) -> bool:
        return any(
            one.hits >= HITS
            and not one.ghost
            and one.stirred_ns == scene.now_ns
            and _touches(one, self.settings.polygon)
            for one in scene.goers(None)
        )

    def _intrusion(self, _: Scene) -> bool:
        return any(count >= FRAMES for count in self._frames.values())

    def _loitering(self, _: Scene) -> bool:
        least_ns = self.settings.loiter_s * 1e9
        return any(until_ns - since_ns >= least_ns for since_ns, until_ns in self._stays.values())

    def _crowd(self, scene: Scene) -> bool:
        if self._together(scene) < self.settings.crowd:
            self._crowd_ns = None
            return False
        self._crowd_ns = self._crowd_ns or scene.now_ns
        return scene.now_ns - self._crowd_ns >= CROWD_S * 1e9

    def _together(self, scene: Scene) -> int:
        """How many are here. With those who went, who only stand among them count, too: hidden by others when they
        came, or but three steps from the edge of the picture. And who is hidden counts, unless he is one of these."""
        here = [one for one in scene.tracks if inside(one.foot, self.settings.polygon)]
        here = [one for one in here if _wanted(one.label, self.settings.classes)]
        goers = [one for one in here if one.moved]
        if len(goers) < COMPANY:
            return len(goers)
        tall = TALL * sorted(one.box.h for one in goers)[len(goers) // 2]
        seen: list[Track] = []
        for one in sorted(here, key=lambda track: (not track.moved, -track.box.h)):
            upright = one.moved or (not one.ghost and one.hits >= STANDS and one.box.h > one.box.w)
            if (
                upright
                and _shown(one, scene.now_ns)
                and one.box.h >= tall
                and not any(_part_of(one, other) for other in seen)
            ):
                seen.append(one)
        lost = sum(one.box.h >= tall and not _shown(one, scene.now_ns) for one in goers)
        return max(len(seen), sum(one.moved for one in seen) + lost)

    def _left(self, scene: Scene) -> bool:
        return any(
            not item.owned
            and scene.now_ns - item.since_ns >= self.settings.left_s * 1e9
            and inside(item.box.foot, self.settings.polygon)
            and (not item.labels or self.settings.classes is None or item.labels & set(self.settings.classes))
            for item in scene.items
        )

    def _set(self, kind: CameraEventKind, true: bool, now_ns: int, emit: Emit) -> None:
        state = self._states.setdefault(kind, _State())
        if true:
            state.true_ns = now_ns
            if not state.on or now_ns - state.told_ns >= AGAIN_S * 1e9:
                state.on, state.told_ns = True, now_ns
                emit(self._event(kind, True, now_ns))
        elif state.on and now_ns - state.true_ns >= (CROWD_OFF_S if kind == "crowd" else OFF_S) * 1e9:
            state.on = False
            emit(self._event(kind, False, now_ns))

    def _event(self, kind: CameraEventKind, active: bool, now_ns: int) -> CameraEvent:
        return CameraEvent(kind, active, self.settings.id, f"{TOPIC}/{kind}", now_ns)


@dataclass(slots=True)
class LineRule:
    """One line. A crossing counts when somebody who was clearly on one side is clearly on the other."""

    settings: LineSettings
    _last: dict[int, tuple[float, Point]] = field(default_factory=dict)
    """By track: the last clear side and place."""

    def take(self, scene: Scene, wall: datetime, emit: Emit) -> None:
        """Judge the next picture."""
        on_duty = watched(self.settings.times, self.settings.days, wall)
        start, end = self.settings.start, self.settings.end
        present = {one.id for one in scene.tracks}
        self._last = {id_: last for id_, last in self._last.items() if id_ in present}
        for one in scene.tracks:
            if one.hidden or one.seen_ns != scene.now_ns or not _wanted(one.label, self.settings.classes):
                continue
            here = side(one.foot, start, end)
            margin = max(MARGIN, 0.25 * min(one.box.w, one.box.h))
            if abs(here) < margin:
                continue
            before = self._last.get(one.id)
            if before and before[0] * here < 0 and crosses(before[1], one.foot, start, end):
                if not one.moved:
                    continue  # it may yet turn out to be a person: the side is kept until then
                if on_duty:
                    self._crossed("left-to-right" if here > 0 else "right-to-left", scene.now_ns, emit)
            self._last[one.id] = here, one.foot

    def _crossed(self, direction: Direction, now_ns: int, emit: Emit) -> None:
        if self.settings.direction in ("both", direction):
            emit(CameraEvent("line-crossed", None, self.settings.id, f"{TOPIC}/line-crossed/{direction}", now_ns))


def _wanted(label: str | None, classes: Sequence[str] | None) -> bool:
    return label is None or classes is None or label in classes


def _shown(track: Track, now_ns: int) -> bool:
    return not track.hidden and now_ns - track.seen_ns <= SEEN_S * 1e9


def _part_of(one: Track, other: Track) -> bool:
    """Whether one is right above or below another: a head and its legs, between which a coat is as grey as the wall."""
    a, b = one.box, other.box
    over = min(a.x + a.w, b.x + b.w) - max(a.x, b.x) > 0.5 * min(a.w, b.w)
    return over and max(a.y, b.y) - min(a.y + a.h, b.y + b.h) <= 0.5 * max(a.h, b.h)


def _touches(track: Track, polygon: Sequence[Point]) -> bool:
    """Whether some of it is in the zone: its foot, its middle or a lower corner."""
    box = track.box
    places = (track.foot, box.centre, (box.x, box.y + box.h), (box.x + box.w, box.y + box.h))
    return any(inside(place, polygon) for place in places)
