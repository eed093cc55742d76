"""Occurrences: what cameras and our own analysis report, with one beginning and one end each.

Cameras repeat themselves, flap, tell things that have no end, and forget the end of those that have (FACTS 5). So:

- A begin is told at once. It is never held back and never dropped: what may be late is an end.
- An end is told when it has held for `MERGE_S`; a begin before that continues the same occurrence.
- A source that begins too often (a branch in the wind, or hostile) has its next end held back until another begin may
  be told. So the limit holds, and all that happens in between belongs to the occurrence that is still on.
- What has no end of its own (`active` None), or misses it, ends after the time of its kind.

Pure: the time is that of the events, or is handed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent.bucket import Bucket
from agent.camera import CameraEvent, CameraEventKind
from agent.clock import NS_PER_S

MERGE_S: Final = 3.0
"""A camera that sees the same person again after a pause of this length sees the same visit."""
PULSE_S: Final = 3.0
"""How long something without an end counts as on: long enough for the inputs of a point, and to be seen on a wall."""
BURST: Final = 6
"""Begins at once: a class that leaves through one gate, in groups."""
EVERY_S: Final = 60.0
"""After that, one begin a minute from one source: 60 an hour is the most that a person can look at."""
SOURCES_MAX: Final = 64
"""Sources of one camera that are told apart; a camera that invents more has the rest taken as one per kind."""
IDLE_S: Final = 3600.0
"""A source of which nothing came for so long is forgotten: its limit is long full again."""
SOURCE_MAX: Final = 128

EXPIRY_S: Final[Mapping[CameraEventKind, float]] = {
    "motion": 60.0,  # repeated every few seconds while it lasts, by those that repeat at all
    "line-crossed": 10.0,  # a moment: some cameras give it an "on" and never an "off"
    "intrusion": 120.0,  # somebody in a zone; our own analysis repeats it every 10 s
    "loitering": 300.0,  # is itself a stay of minutes
    "crowd": 300.0,
    "sound": 30.0,  # a shout, a crash
    "object-left": 1800.0,  # stays until somebody comes for it
    "tamper": 600.0,  # by then the inspection has looked at the picture itself, twice
    "picture": 600.0,
    "signal-lost": 3600.0,  # a state of a recorder's channel; told again at each new subscription
    "input": 86_400.0,  # a contact may be closed for a day; a wrong "off" would be worse than a late one
    "other": 60.0,
}
"""After how long without a word an end is taken as missed."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One begin or end to tell. `inputs` are the inputs of points that follow it."""

    camera: str
    event: CameraEvent
    inputs: tuple[str, ...]


@dataclass(slots=True)
class _Running:
    """One source of one kind of one camera."""

    event: CameraEvent
    """The last that was told."""
    bucket: Bucket
    heard_ns: int
    """When it was last said to be on, or anything was said of it."""
    on: bool = False
    off_ns: int | None = None
    """Since when it is said to be off, while it is still told as on."""
    ends_ns: int = 0
    """When it ends if nothing more comes."""


@dataclass(slots=True)
class _Camera:
    sources: dict[tuple[CameraEventKind, str], _Running] = field(default_factory=dict)


def inputs_of(kind: CameraEventKind, source: str) -> list[str]:
    """The names by which a point may take it: the kind, and the kind of one source."""
    return [kind, f"{kind}/{source}"] if source else [kind]


class Occurrences:
    """Keeps what is on, per camera, kind and source."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}

    def take(self, camera: str, event: CameraEvent) -> tuple[Transition, ...]:
        """Hear an event; return what is to be told now."""
        sources = self._cameras.setdefault(camera, _Camera()).sources
        key = self._key(sources, event)
        one = sources.get(key)
        if event.active is False:
            if one and one.on and one.off_ns is None:
                one.off_ns, one.ends_ns = event.seen_ns, event.seen_ns + _ns(MERGE_S)
            return ()
        if one is None:
            one = sources[key] = _Running(event, Bucket(BURST, 1 / EVERY_S), event.seen_ns)
        lasts_s = PULSE_S if event.active is None else EXPIRY_S[event.kind]
        one.heard_ns = max(one.heard_ns, event.seen_ns)
        if one.on:
            # A pulse in the middle of a state must not shorten it; a state that comes back takes its end back.
            still_ns = one.ends_ns if one.off_ns is None else 0
            one.off_ns, one.ends_ns = None, max(still_ns, one.heard_ns + _ns(lasts_s))
            return ()
        one.on, one.off_ns, one.ends_ns = True, None, event.seen_ns + _ns(lasts_s)
        one.event = replace(event, active=True, source=key[1])
        one.bucket.take(event.seen_ns)
        return (Transition(camera, one.event, tuple(inputs_of(*key))),)

    def expire(self, now_ns: int) -> tuple[Transition, ...]:
        """Return the ends that are due, and forget who has long been silent."""
        told = [
            self._end(camera, key, now_ns)
            for camera, known in self._cameras.items()
            for key, one in known.sources.items()
            if one.on and now_ns >= one.ends_ns and one.bucket.ready(now_ns)
        ]
        self._forget_idle(now_ns)
        return tuple(told)

    def forget(self, camera: str, now_ns: int) -> tuple[Transition, ...]:
        """The camera is no longer watched: end what is on, whatever the limits say."""
        known = self._cameras.get(camera, _Camera()).sources
        told = tuple(self._end(camera, key, now_ns) for key, one in known.items() if one.on)
        self._cameras.pop(camera, None)
        return told

    def _key(
        self, sources: Mapping[tuple[CameraEventKind, str], _Running], event: CameraEvent
    ) -> tuple[CameraEventKind, str]:
        key = (event.kind, event.source[:SOURCE_MAX])
        return key if key in sources or len(sources) < SOURCES_MAX else (event.kind, "")

    def _end(self, camera: str, key: tuple[CameraEventKind, str], now_ns: int) -> Transition:
        sources = self._cameras[camera].sources
        one = sources[key]
        one.on, one.off_ns = False, None
        one.event = replace(one.event, active=False, seen_ns=now_ns)
        inputs = inputs_of(*key)
        if any(other.on for (kind, _), other in sources.items() if kind == key[0]):
            inputs = inputs[1:]  # the kind itself is still on, by another source
        return Transition(camera, one.event, tuple(inputs))

    def _forget_idle(self, now_ns: int) -> None:
        for camera, known in [*self._cameras.items()]:
            for key, one in [*known.sources.items()]:
                if not one.on and now_ns - max(one.heard_ns, one.event.seen_ns) > _ns(IDLE_S):
                    del known.sources[key]
            if not known.sources:
                del self._cameras[camera]


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
