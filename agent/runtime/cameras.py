"""Cameras as the core shows them: what the eye says now, and what it said last while it is away."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from agent.config.models import CameraSettings, Config
from agent.config.values import did_you_mean
from agent.control import ControlError, Peer
from agent.control.protocol import text_json
from agent.control.server import Call, Params, Stream
from agent.model import JsonValue
from agent.runtime.child import Child
from agent.runtime.eye import CameraHealth, EyeDesk
from agent.runtime.eyeline import QUICK_S, EyeAway, EyeLine
from agent.runtime.eyewords import FACT_MEMBERS
from agent.texts import Spoken, Text, say

NAMES_LIMIT: Final = 1_000


class NoCamera(Spoken):
    """No camera has this name."""


class Watcher:
    """The cameras of this school, for the control socket and for the inventory."""

    def __init__(self, config: Callable[[], Config], desk: EyeDesk, line: EyeLine, eye: Child) -> None:
        self._config = config
        self._desk = desk
        self._line = line
        self._eye = eye

    def calls(self) -> dict[str, Call]:
        """The calls of the control socket."""
        return {
            "cameras": self._cameras,
            "camera": self._camera,
            "streams": self._streams,
            "patrols": self._patrols,
        }

    def streams(self) -> dict[str, Stream]:
        """Its streams."""
        return {"camera-inspect": self._inspect}

    def find(self, name: object) -> CameraSettings:
        """The camera of that id. Raises NoCamera, which names the nearest."""
        cameras = {camera.id: camera for camera in self._config().cameras}
        if isinstance(name, str) and name in cameras:
            return cameras[name]
        if not cameras:
            raise NoCamera(say("runtime.no-cameras"))
        raise NoCamera(say("runtime.no-camera", camera=str(name)[:60], remedy=did_you_mean(str(name)[:60], [*cameras])))

    def health(self) -> list[JsonValue]:
        """Every camera in a line, for `status`."""
        why = self._line.why()
        return [
            {"id": camera.id, "name": camera.name, **self._health_of(camera.id, why)}
            for camera in self._config().cameras
        ]

    def inventory(self, camera: CameraSettings) -> dict[str, JsonValue]:
        """One camera as `inventory/{camera}` carries it."""
        facts = self._desk.told.facts.get(camera.id, {})
        state = self._state(camera.id)
        return {
            "device": camera.id,
            "name": camera.name,
            "driver": camera.driver,
            **{name: facts.get(name) for name in FACT_MEMBERS},
            "address": camera.address,
            "health": {"ok": "online", "fault": "online", "offline": "offline"}.get(state, "unknown"),
            "camera": {
                **{name: value for name, value in facts.items() if name not in FACT_MEMBERS},
                "gb_id": camera.gb_id,
            },
        }

    async def _cameras(self, _params: Params, _peer: Peer) -> JsonValue:
        try:
            listed = await self._line.call("list", QUICK_S)
        except (EyeAway, ControlError) as error:
            return [self._last_known(camera, error.text) for camera in self._config().cameras]
        return listed

    async def _camera(self, params: Params, _peer: Peer) -> JsonValue:
        camera = self.find(params.get("camera"))
        wanted: dict[str, JsonValue] = {"thumbnail": True} if params.get("thumbnail") else {}
        try:
            return await self._line.call("camera", QUICK_S, camera=camera.id, **wanted)
        except (EyeAway, ControlError) as error:
            return {**self._last_known(camera, error.text), "inspection": None}

    async def _streams(self, _params: Params, _peer: Peer) -> JsonValue:
        return await self._line.call("streams", QUICK_S)

    async def _patrols(self, _params: Params, _peer: Peer) -> JsonValue:
        return await self._line.call("patrols", QUICK_S)

    async def _inspect(self, params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
        cameras = names_of(params.get("cameras"))
        chosen: list[JsonValue] | None = [self.find(name).id for name in cameras] if cameras else None
        async for item in self._line.stream("inspect-watch", cameras=chosen):
            yield item

    def _last_known(self, camera: CameraSettings, why: Text) -> dict[str, JsonValue]:
        facts = self._desk.told.facts.get(camera.id)
        return {
            "id": camera.id,
            "name": camera.name,
            "driver": camera.driver,
            "address": camera.address,
            "gb_id": camera.gb_id,
            **self._health_of(camera.id, why),
            "preroll_s": self._config().preroll_s(camera),
            "login_closed_s": 0,
            "facts": dict(facts) if facts else None,
        }

    def _health_of(self, camera: str, why: Text | None) -> dict[str, JsonValue]:
        one = self._desk.told.health.get(camera, CameraHealth())
        return {
            "state": "unknown" if why else one.state,
            "since": one.since,
            "inspected": one.inspected,
            "faults": [*one.faults],
            "why": dict(text_json(why)) if why else None,
        }

    def _state(self, camera: str) -> str:
        if self._eye.state != "running":
            return "unknown"
        one = self._desk.told.health.get(camera)
        return one.state if one else "unknown"


def child_status(child: Child) -> Mapping[str, JsonValue]:
    """A process beside the core, for `status`."""
    return {
        "state": child.state,
        "pid": child.pid,
        "rss_bytes": child.rss_bytes,
        "restarts": child.restarts,
        "error": dict(text_json(child.error)) if child.error else None,
    }


def names_of(value: JsonValue) -> list[str] | None:
    """A list of names, None for all. Raises NoCamera for anything else."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) <= NAMES_LIMIT and all(isinstance(one, str) for one in value):
        return [str(one) for one in value]
    raise NoCamera(say("runtime.bad-arg", name="cameras", expected='["id", ...]', got=repr(value)[:60]))
