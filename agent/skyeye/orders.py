"""What the core may ask of the eye: the methods of its socket."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

from ulid import ULID

from agent.camera import StreamRole
from agent.control import Methods, Peer
from agent.control.protocol import text_json
from agent.control.server import Params
from agent.model import JsonValue
from agent.skyeye.evidence.taker import AlarmOrder, Cause
from agent.skyeye.ptz import Ptz, parse_ptz
from agent.skyeye.wire import evidence_json, inspection_json
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.skyeye.eye import Eye

BEFORE_LIMIT_S: Final = 60.0
AFTER_LIMIT_S: Final = 300.0
"""The longest clip that may be asked for; more is a recorder's job."""
TASKS_LIMIT: Final = 100
"""Clips and alarms under way; beyond them the core is told that we are busy."""


class BadOrder(Spoken):
    """An order that cannot be carried out as it is."""


class Orders:
    """Binds the socket's methods to the eye."""

    def __init__(self, eye: "Eye") -> None:
        self._eye = eye
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: deque[str] = deque(maxlen=TASKS_LIMIT)
        """The alarms that were taken last."""

    def methods(self) -> Methods:
        """Every method by name."""
        return Methods(
            calls={
                "evidence": self._evidence,
                "snapshot": self._snapshot,
                "clip": self._clip,
                "ptz": self._ptz,
                "inspect": self._inspect,
                "stream-start": self._stream_start,
                "stream-stop": self._stream_stop,
                "streams": self._streams,
                "patrol": self._patrol,
                "patrols": self._patrols,
                "inventory": self._inventory,
                "list": self._list,
                "camera": self._camera,
                "reload": self._reload,
            },
            streams={"inspect-watch": self._inspect_watch},
        )

    async def _evidence(self, params: Params, _peer: Peer) -> JsonValue:
        """Take what an alarm wants. Answers at once; what becomes of it is told in events."""
        cameras = params["cameras"]
        assert isinstance(cameras, list)
        eye = self._eye
        order = AlarmOrder(
            event=str(params["event"]),
            alarm={name: params.get(name) for name in ("device", "point", "name")},
            cameras=[str(camera) for camera in cameras],
            raised_ns=int(str(params["raised_ns"])),
            before_s=lambda camera: eye.config.preroll_s(eye.cameras[camera].settings) if camera in eye.cameras else 0,
            after_s=eye.config.skyeye.clip_after_s,
            drill=params.get("drill") is True,
        )
        if order.event in self._taken:  # the core did not hear our answer, and asks again
            return {}
        self._start(eye.taker.of_alarm(order))
        self._taken.append(order.event)
        return {}

    async def _snapshot(self, params: Params, _peer: Peer) -> JsonValue:
        camera = self._one(params)
        cause = Cause("snapshot", data={"actor": params.get("actor")}, put_url=self._put_url(params))
        evidence = await self._eye.taker.snapshot(camera, cause)
        return {"evidence": dict(evidence_json(evidence)), "path": str(evidence.path)}

    async def _clip(self, params: Params, _peer: Peer) -> JsonValue:
        camera = self._one(params)
        settings = self._eye.config
        default_s = settings.preroll_s(self._eye.cameras[camera].settings)
        before_s = number(params, "before_s", 0.0, BEFORE_LIMIT_S, default_s)
        after_s = number(params, "after_s", 1.0, AFTER_LIMIT_S, settings.skyeye.clip_after_s)
        clip = str(ULID())
        cause = Cause("clip", data={"actor": params.get("actor"), "clip": clip}, put_url=self._put_url(params))
        self._start(self._take_clip(camera, before_s, after_s, cause))
        return {"clip": clip, "ready_s": round(after_s + 1)}

    async def _take_clip(self, camera: str, before_s: float, after_s: float, cause: Cause) -> None:
        try:
            await self._eye.taker.clip(camera, before_s, after_s, cause)
        except Spoken as error:
            data: dict[str, JsonValue] = {"kind": "clip", "reason": text_json(error.text), **(cause.data or {})}
            await self._eye.core.event(camera, "evidence-missing", data)

    async def _ptz(self, params: Params, _peer: Peer) -> JsonValue:
        camera, wish = self._one(params), parse_ptz(params)
        if wish.act != "list":
            self._eye.patrols.take_over(camera)
        async with self._eye.cameras.use(camera) as session:
            return await self._act(session, wish)

    async def _act(self, session: object, wish: Ptz) -> JsonValue:
        from agent.camera import CameraSession

        assert isinstance(session, CameraSession)
        if wish.act == "move":
            await session.move(wish.move)
        elif wish.act == "stop":
            await session.stop()
        elif wish.act == "goto":
            await session.goto(wish.preset)
        elif wish.act == "save":
            saved = await session.save_preset(wish.preset)
            return {"preset": {"token": saved.token, "name": saved.name}}
        else:
            presets = await session.presets()
            return {"presets": [{"token": preset.token, "name": preset.name} for preset in presets]}
        return {}

    async def _inspect(self, params: Params, _peer: Peer) -> JsonValue:
        cameras = self._some(params)
        if params.get("relearn") is True:
            for camera in cameras:
                await self._eye.inspector.relearn(camera)
        self._start(self._drain(cameras))
        return {"started": len(cameras)}

    async def _drain(self, cameras: list[str]) -> None:
        async for _ in self._eye.rounds.ask(cameras):
            pass

    async def _inspect_watch(self, params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
        cameras = self._some(params)
        done = 0
        async for progress in self._eye.rounds.ask(cameras):
            done += progress.state != "started"
            item: dict[str, JsonValue] = {
                "camera": progress.camera,
                "state": progress.state,
                "done": done,
                "of": len(cameras),
            }
            if progress.inspection:
                item["inspection"] = inspection_json(progress.inspection)
            yield item

    async def _stream_start(self, params: Params, _peer: Peer) -> JsonValue:
        role: StreamRole = "sub" if params.get("role") == "sub" else "main"
        lease_s = number(params, "lease_s", 5.0, 86_400.0, 60.0)
        return dict(await self._eye.pusher.start(self._one(params), role, str(params["url"]), lease_s))

    async def _stream_stop(self, params: Params, _peer: Peer) -> JsonValue:
        which = params.get("stream") or params.get("camera")
        return {"stopped": await self._eye.pusher.stop(str(which))}

    async def _streams(self, _params: Params, _peer: Peer) -> JsonValue:
        return [dict(one) for one in self._eye.pusher.list()]

    async def _patrol(self, params: Params, _peer: Peer) -> JsonValue:
        patrol, actor = str(params["patrol"]), str(params.get("actor") or "-")
        if params.get("action", "start") == "stop":
            self._eye.patrols.stop(patrol, say("patrol.stopped", actor=actor))
            return {"patrol": patrol, "stopped": True}
        round_ = self._eye.patrols.start(patrol, actor)
        return {"patrol": patrol, "round": round_.id, "stops": len(round_.patrol.stops)}

    async def _patrols(self, _params: Params, _peer: Peer) -> JsonValue:
        return self._eye.patrols.list()

    async def _inventory(self, params: Params, _peer: Peer) -> JsonValue:
        cameras = self._some(params)
        self._eye.stock.ask(cameras)
        return {"started": len(cameras)}

    async def _list(self, _params: Params, _peer: Peer) -> JsonValue:
        return [self._brief(one.id) for one in self._eye.cameras.settings]

    async def _camera(self, params: Params, _peer: Peer) -> JsonValue:
        camera = self._one(params)
        inspection = self._eye.inspections.get(camera)
        return {
            **self._brief(camera),
            "inspection": inspection_json(inspection, thumbnail=bool(params.get("thumbnail"))) if inspection else None,
        }

    async def _reload(self, _params: Params, _peer: Peer) -> JsonValue:
        await self._eye.reload()
        return {}

    def _brief(self, camera: str) -> dict[str, JsonValue]:
        one = self._eye.cameras[camera]
        facts = self._eye.stock.facts(camera)
        return {
            "id": camera,
            "name": one.settings.name,
            "driver": one.settings.driver,
            "address": one.settings.address,
            "gb_id": one.settings.gb_id,
            **self._eye.camera_health(camera),
            "preroll_s": self._eye.config.preroll_s(one.settings),
            "login_closed_s": round(one.gate.closed_for_s),
            "facts": facts.as_data() if facts else None,
        }

    def _one(self, params: Params) -> str:
        """The camera that is named. Raises NoCamera."""
        return self._eye.cameras[str(params.get("camera"))].settings.id

    def _some(self, params: Params) -> list[str]:
        """The cameras that are named, or all. Raises NoCamera."""
        named = params.get("cameras")
        if isinstance(named, list) and named:
            return [self._eye.cameras[str(camera)].settings.id for camera in named]
        return [one.id for one in self._eye.cameras.settings]

    def _put_url(self, params: Params) -> str | None:
        """A pre-signed address that the file is to go to. Raises UploadError."""
        if (url := params.get("put_url")) is None:
            return None
        self._eye.uploader.check_url(str(url))
        return str(url)

    def _start(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        if len(self._tasks) >= TASKS_LIMIT:
            work.close()
            raise BadOrder(say("skyeye.clips-busy", limit=TASKS_LIMIT))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def number(params: Mapping[str, JsonValue], name: str, low: float, high: float, default: float) -> float:
    """A number within bounds. Raises BadOrder."""
    got = params.get(name, default)
    if isinstance(got, bool) or not isinstance(got, int | float) or not low <= got <= high:
        raise BadOrder(say("skyeye.ptz-number", name=name, low=low, high=high, got=str(got)[:64]))
    return float(got)
