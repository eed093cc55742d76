"""The desk for the eye: what the process that watches the cameras tells, taken from it and from nobody else.

The eye is not trusted: it reads what cameras send. Every word is checked, and there is only so much of each: what
comes too quickly is counted and told once a minute (`campus.camera.dropped`), faults change at a pace.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from agent.bucket import Bucket
from agent.camera import CAMERA_EVENT_KINDS
from agent.clock import NS_PER_S, Clock
from agent.config.models import CameraSettings, Config
from agent.control import Peer
from agent.control.server import Call, Params
from agent.driver import Sample
from agent.kinds import FAULTS
from agent.model import JsonValue, Lane, Moment, new_event
from agent.runtime.desk import AlarmDesk
from agent.runtime.eyetexts import words_of
from agent.runtime.eyewords import BadWord, bounded, checked, known_facts, readable, shown
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

CAMERA_EVENT_TYPES: Final[tuple[str, ...]] = (
    *CAMERA_EVENT_KINDS,
    *("evidence", "evidence-missing", "uploaded", "changed", "new", "clock"),
    *("patrol-started", "patrol-stop", "patrol-ended", "stream-started", "stream-stopped"),
)
"""What may follow `campus.camera.`; "dropped" is our own."""
CAMERA_FAULTS: Final = frozenset(
    {"offline", "login", "camera-reply", "stream", "stream-rate", "stream-format", "camera-clock", "recordings"}
    | {"signal-lost", *(name for name in FAULTS if name.startswith("picture-"))}
)
"""Faults that the eye may tell of a camera."""
EYE_FAULTS: Final = frozenset({"evidence"})
"""Faults that it may tell of itself."""
CAMERA_STATES: Final = frozenset({"ok", "fault", "offline", "unknown"})

DATA_BYTES: Final = 16 * 1024
FACTS_BYTES: Final = 64 * 1024
"""A recorder with 64 channels of three streams each."""
INPUTS_LIMIT: Final = 16
INPUT_CHARS: Final = 128
OLDEST_NS: Final = 300 * NS_PER_S
"""What the eye has seen longer ago than this it has not told in time; the time is then no longer believed."""
RESERVED: Final = ("device", "point", "bootid", "boottime_ns")
"""Members of an event's data that say where it comes from: not the eye's to say."""

EVENTS_BURST: Final = 300.0
EVENTS_PER_S: Final = 10.0
"""Of one type. Two hundred cameras that all see a thunderstorm begin, and then ten a second for ever."""
FAULTS_BURST: Final = 600.0
FAULTS_PER_S: Final = 1.0
"""A switch that fails takes every camera along at once. Faults are never evicted, so their pace is what protects the
journal: one a second is 40 MB a day."""
FAULT_BURST: Final = 6.0
FAULT_PER_S: Final = 1 / 60
"""Of one fault of one camera."""
SAMPLES_BURST: Final = 200.0
SAMPLES_PER_S: Final = 20.0
CAMERA_SAMPLES_BURST: Final = 40.0
CAMERA_SAMPLES_PER_S: Final = 2.0
SAMPLE_WAIT_S: Final = 10.0
"""Who flaps is heard more slowly, up to this; the eye waits 20 s for an answer."""
TELL_EVERY_S: Final = 60.0
SETTLED_LOOKS: Final = 3
"""A fault that stood before the eye began anew, and that so many inspections have not found, is over: the eye
confirms a fault by the second or third."""


class NotTheEye(Spoken):
    """A process that is not the eye uses the eye's methods."""


@dataclass(slots=True)
class CameraHealth:
    """What the eye said last of one camera."""

    state: str = "unknown"
    since: str | None = None
    inspected: str | None = None
    faults: tuple[str, ...] = ()
    looks: int = 0
    """Inspections that this run of the eye has told of."""


@dataclass(slots=True)
class Told:
    """All that the eye has told in its present life, and of what cameras are in any."""

    health: dict[str, CameraHealth] = field(default_factory=dict)
    facts: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    streams: int = 0


class EyeDesk:
    """Takes the eye's words. `pid` tells which process is the eye, `on_beat` hears that it lives."""

    def __init__(
        self,
        config: Callable[[], Config],
        desk: AlarmDesk,
        clock: Clock,
        *,
        pid: Callable[[], int | None],
        on_beat: Callable[[], None],
    ) -> None:
        self._config = config
        self._desk = desk
        self._clock = clock
        self._pid = pid
        self._on_beat = on_beat
        self._met: int | None = None
        self._meeting = asyncio.Lock()
        self._events = {type_: Bucket(EVENTS_BURST, EVENTS_PER_S) for type_ in CAMERA_EVENT_TYPES}
        self._all_samples = Bucket(SAMPLES_BURST, SAMPLES_PER_S)
        self._samples: dict[str, Bucket] = {}
        self._all_faults = Bucket(FAULTS_BURST, FAULTS_PER_S)
        self._fault_pace: dict[tuple[str | None, str], Bucket] = {}
        self._faults: OrderedDict[tuple[str | None, str], Text | None] = OrderedDict()
        self._news = asyncio.Event()
        self._dropped: Counter[str] = Counter()
        self.told = Told()
        self.on_camera: Callable[[str], None] = lambda _camera: None
        """Called when there is news of a camera for its inventory. Must not wait or raise."""

    def calls(self) -> dict[str, Call]:
        """The methods of the control socket that are the eye's."""
        return {
            "eye-event": self._event,
            "eye-fault": self._fault,
            "eye-sample": self._sample,
            "eye-inventory": self._inventory,
            "eye-health": self._health,
        }

    def prune(self) -> None:
        """Forget cameras that are no longer configured."""
        known = {camera.id for camera in self._config().cameras}
        self.told.health = {id_: health for id_, health in self.told.health.items() if id_ in known}
        self.told.facts = {id_: facts for id_, facts in self.told.facts.items() if id_ in known}
        self._samples = {id_: bucket for id_, bucket in self._samples.items() if id_ in known}
        self._fault_pace = {key: one for key, one in self._fault_pace.items() if key[0] is None or key[0] in known}

    async def run(self) -> None:
        """Carry out the changes of faults, and tell what was dropped, until cancelled. Raises JournalError."""
        told_ns = self._clock.boottime_ns()
        while True:
            late = await self._turn_faults()
            now_ns = self._clock.boottime_ns()
            if self._dropped and now_ns - told_ns >= TELL_EVERY_S * NS_PER_S:
                told_ns = now_ns
                await self._tell_dropped()
            if late or self._dropped:
                await self._clock.sleep(1.0)
            else:
                await self._news.wait()
                self._news.clear()

    # --- the methods

    async def _event(self, params: Params, peer: Peer) -> JsonValue:
        camera = await self._from_eye(params, peer)
        type_ = params.get("type")
        if not isinstance(type_, str) or type_ not in self._events:
            raise BadWord(say("runtime.bad-arg", name="type", expected=", ".join(CAMERA_EVENT_TYPES), got=shown(type_)))
        if not isinstance(drill := params.get("drill", False), bool):
            raise BadWord(say("runtime.bad-arg", name="drill", expected="true | false", got=shown(drill)))
        data = bounded(params, "data", DATA_BYTES)
        if wrong := [name for name in RESERVED if name in data]:
            raise BadWord(say("runtime.bad-arg", name="data", expected="-", got=", ".join(wrong)))
        if not self._events[type_].take(self._clock.boottime_ns()):
            self._drop(type_)
            return {"dropped": True}
        moment = self._moment(params.get("seen_ns"))
        name: dict[str, JsonValue] = {"name": camera.name} if camera else {}
        device = camera.id if camera else None
        event = new_event(f"campus.camera.{type_}", Lane.EVENT, moment, device=device, drill=drill)
        text = words_of(type_, camera.name if camera else None, data)
        words: dict[str, JsonValue] = {"text": text.render(self._config().site.language)} if text else {}
        event = replace(event, data={**name, **words, **data})
        stored = await self._desk.tell(event, knows_drill=type_.startswith("evidence"))  # as its alarm
        return {"id": event.id, "seq": stored.seq if stored else None}

    async def _fault(self, params: Params, peer: Peer) -> JsonValue:
        camera = await self._from_eye(params, peer)
        fault = params.get("fault")
        known = CAMERA_FAULTS if camera else EYE_FAULTS
        if not isinstance(fault, str) or fault not in known:
            raise BadWord(say("runtime.bad-arg", name="fault", expected=", ".join(sorted(known)), got=shown(fault)))
        text = readable(params["text"]) if params.get("text") is not None else None
        self._set_fault(camera.id if camera else None, fault, text)
        return {}

    async def _sample(self, params: Params, peer: Peer) -> JsonValue:
        """Set inputs of a camera's points. `active` null is a pulse: on, and off again."""
        camera = await self._from_eye(params, peer)
        inputs, active = params.get("inputs"), params.get("active")
        if camera is None:
            raise BadWord(say("runtime.bad-arg", name="camera", expected="id", got="null"))
        if active is not None and not isinstance(active, bool):
            raise BadWord(say("runtime.bad-arg", name="active", expected="true | false | null", got=shown(active)))
        if not isinstance(inputs, list) or len(inputs) > INPUTS_LIMIT:
            raise BadWord(say("runtime.bad-arg", name="inputs", expected=f"[...] <= {INPUTS_LIMIT}", got=shown(inputs)))
        wired = {point.input for point in camera.points}
        hit = [one for one in inputs if isinstance(one, str) and len(one) <= INPUT_CHARS and one in wired]
        if not hit:
            return {}
        bucket = self._samples.setdefault(camera.id, Bucket(CAMERA_SAMPLES_BURST, CAMERA_SAMPLES_PER_S))
        now_ns = self._clock.boottime_ns()
        if max(bucket.wait_s(now_ns), self._all_samples.wait_s(now_ns)) > SAMPLE_WAIT_S:
            self._drop("sample")
            return {"dropped": True}
        if wait_s := max(bucket.owe(now_ns), self._all_samples.owe(now_ns)):
            await self._clock.sleep(wait_s)
        seen_ns = self._moment(params.get("seen_ns")).boottime_ns
        values = (True, False) if active is None else (active,)
        # No `previous_ns`: the eye tells edges, so that even the shortest one counts (agent.alarms.debounce).
        await self._desk.samples(camera.id, [Sample(one, value, seen_ns) for value in values for one in hit])
        return {}

    async def _inventory(self, params: Params, peer: Peer) -> JsonValue:
        camera = await self._from_eye(params, peer)
        if camera is None:
            raise BadWord(say("runtime.bad-arg", name="camera", expected="id", got="null"))
        facts = known_facts(bounded(params, "facts", FACTS_BYTES))
        if facts != self.told.facts.get(camera.id):
            self.told.facts[camera.id] = facts
            self.on_camera(camera.id)
        return {}

    async def _health(self, params: Params, peer: Peer) -> JsonValue:
        await self._from_eye({"camera": None, "said": dict(params)}, peer)
        self._on_beat()
        cameras, streams = params.get("cameras"), params.get("streams")
        if not isinstance(cameras, dict):
            raise BadWord(say("runtime.bad-arg", name="cameras", expected="{...}", got=shown(cameras)))
        self.told.streams = streams if isinstance(streams, int) and not isinstance(streams, bool) else 0
        for camera in self._config().cameras:
            if isinstance(said := cameras.get(camera.id), dict):
                self._take_health(camera.id, said)
        return {}

    # --- inside

    async def _from_eye(self, params: Params, peer: Peer) -> CameraSettings | None:
        """Check who speaks, and of which camera. Raises NotTheEye, BadWord."""
        if peer.pid != self._pid():
            raise NotTheEye(say("runtime.not-the-eye"))
        checked(params)
        async with self._meeting:
            if peer.pid != self._met:
                await self._meet()
                self._met = peer.pid
        id_ = params.get("camera")
        if id_ is None:
            return None
        for camera in self._config().cameras:
            if camera.id == id_:
                return camera
        raise BadWord(say("runtime.no-camera", camera=shown(id_), remedy="-"))

    async def _meet(self) -> None:
        """A new eye: what the old one saw begin it cannot see end, so every input begins as released; an event that
        comes next would otherwise be the one that is already there, and be swallowed."""
        self.told.health.clear()  # how cameras are is to be said anew; what they are stays
        self.told.streams = 0
        self.prune()
        now_ns = self._clock.boottime_ns()
        for camera in self._config().cameras:
            if inputs := sorted({point.input for point in camera.points}, key=str):
                await self._desk.samples(camera.id, [Sample(one, False, now_ns) for one in inputs])

    def _moment(self, seen_ns: JsonValue) -> Moment:
        """The moment of `seen_ns` on the boot clock; now where that cannot be right."""
        now = self._desk.moment()
        if not isinstance(seen_ns, int) or isinstance(seen_ns, bool):
            return now
        age_ns = now.boottime_ns - seen_ns
        if not 0 <= age_ns <= OLDEST_NS:
            return now
        return replace(now, wall=now.wall - timedelta(microseconds=age_ns // 1000), boottime_ns=seen_ns)

    def _take_health(self, camera: str, said: Mapping[str, JsonValue]) -> None:
        known = self.told.health.get(camera)
        state, faults = said.get("state"), said.get("faults")
        since, inspected = said.get("since"), said.get("inspected")
        one = CameraHealth(
            state if isinstance(state, str) and state in CAMERA_STATES else "unknown",
            since[:40] if isinstance(since, str) else None,
            inspected[:40] if isinstance(inspected, str) else None,
            tuple(f for f in faults if isinstance(f, str) and f in CAMERA_FAULTS) if isinstance(faults, list) else (),
            known.looks if known else 0,
        )
        if one.inspected and (known is None or known.inspected != one.inspected):
            one.looks += 1
            if one.looks >= SETTLED_LOOKS:
                self._settle(camera, one.faults)
        self.told.health[camera] = one
        if known is None or (known.state, known.faults) != (one.state, one.faults):
            self.on_camera(camera)

    def _settle(self, camera: str, standing: Sequence[str]) -> None:
        """Clear faults of an earlier run of the eye that this one, by now, would have found."""
        for view in self._desk.engine.faults():
            if view.device == camera and view.point is None and view.fault in CAMERA_FAULTS - {*standing}:
                self._set_fault(camera, view.fault, None)

    def _set_fault(self, camera: str | None, fault: str, text: Text | None) -> None:
        """The last word on a fault counts."""
        self._faults[camera, fault] = text
        self._news.set()

    async def _turn_faults(self) -> bool:
        """Carry out what may be carried out now; return whether something is left."""
        for key in [*self._faults]:
            now_ns = self._clock.boottime_ns()
            pace = self._fault_pace.setdefault(key, Bucket(FAULT_BURST, FAULT_PER_S))
            camera, fault = key
            if self._desk.engine.fault_stands(camera, None, fault) == (self._faults[key] is not None):
                del self._faults[key]  # said already
            elif pace.ready(now_ns) and self._all_faults.take(now_ns):
                pace.take(now_ns)
                text = self._faults.pop(key)
                if camera is None or any(one.id == camera for one in self._config().cameras):
                    await self._desk.fault(fault, text, device=camera)
        return bool(self._faults)

    def _drop(self, what: str) -> None:
        if not self._dropped:
            log.warning(say("runtime.eye-flood", what=what))
        self._dropped[what] += 1
        self._news.set()

    async def _tell_dropped(self) -> None:
        counts: dict[str, JsonValue] = dict(self._dropped)
        total = self._dropped.total()
        self._dropped.clear()
        moment = self._desk.moment()
        await self._desk.tell(new_event("campus.camera.dropped", Lane.EVENT, moment, count=total, types=counts))
