"""What the wall shows: one poll of the core, shared by all browsers, and only while one of them looks."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Final

from agent.clock import Clock
from agent.control import ControlClient, ControlError, DaemonDown
from agent.control.protocol import text_json
from agent.kinds import KINDS
from agent.model import JsonValue
from agent.texts import Text

POLL_EVERY_S: Final = 2.0
"""How old the wall may be: what matters at once rings by itself."""
WATCHER_LIMIT: Final = 16
"""Pages open at once."""
KEEPALIVE_S: Final = 15.0
"""A page that hears nothing for longer than two of these asks anew."""
STANDING: Final = ("active", "acknowledged")
STATES: Final = ("ok", "fault", "offline", "unknown")
EYE_UP: Final = ("running", "off")
"""off: no camera is configured, so nothing is missed."""
Fields = dict[str, JsonValue]


class TooMany(Exception):
    """Too many pages are open."""


class Board:
    """The newest state as JSON, told to whoever watches."""

    def __init__(self, connect: Callable[[], ControlClient], clock: Clock, *, every_s: float = POLL_EVERY_S) -> None:
        self._connect = connect
        self._clock = clock
        self._every_s = every_s
        self._watchers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        self._cameras: JsonValue = []
        """The last that was heard: the wall keeps its tiles while the core is away."""
        self._site: JsonValue = ""

    async def watch(self) -> AsyncGenerator[str, None]:
        """The state now, and whenever it changes; an empty string when nothing did for a while. Raises TooMany."""
        if len(self._watchers) >= WATCHER_LIMIT:
            raise TooMany
        changed = asyncio.Event()
        self._watchers.add(changed)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._poll())
        try:
            if self._said:
                changed.set()
            while True:
                try:
                    async with asyncio.timeout(KEEPALIVE_S):
                        await changed.wait()
                except TimeoutError:
                    yield ""
                else:
                    changed.clear()
                    yield self._said
        finally:
            self._watchers.discard(changed)
            if not self._watchers and self._task:
                self._task.cancel()
                self._task = None
                self._said = ""  # the next page waits for a fresh one

    async def close(self) -> None:
        """Stop polling."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _poll(self) -> None:
        while True:
            try:
                async with self._connect() as client:
                    while True:
                        status, cameras = await client.call("status"), await client.call("cameras")
                        self._tell(self._state(fields(status), items(cameras)))
                        await self._clock.sleep(self._every_s)
            except (DaemonDown, ControlError) as error:
                self._tell(self._away(error.text))
            except (OSError, ValueError):  # a broken connection, an answer that is no JSON
                self._tell(self._away(None))
            await self._clock.sleep(self._every_s)

    def _tell(self, state: Fields) -> None:
        said = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
        if said != self._said:
            self._said = said
            for changed in self._watchers:
                changed.set()

    def _state(self, status: Fields, cameras: list[Fields]) -> Fields:
        eye, site = fields(status.get("eye")), fields(status.get("site"))
        self._cameras = [camera_of(one) for one in cameras]
        self._site = site.get("name") or site.get("school") or ""
        return {
            "core": {"up": True, "error": None},
            "eye": {"up": eye.get("state") in EYE_UP, "error": said_of(eye.get("error"))},
            "uplink": fields(status.get("uplink")).get("connected") is True,
            "site": self._site,
            "drill": drilling(status),
            "alarms": [alarm_of(point) for point in items(status.get("points")) if shows(point)],
            "cameras": self._cameras,
        }

    def _away(self, text: Text | None) -> Fields:
        return {
            "core": {"up": False, "error": dict(text_json(text)) if text else None},
            "eye": {"up": False, "error": None},
            "uplink": False,
            "site": self._site,
            "drill": False,
            "alarms": [],
            "cameras": self._cameras,
        }


def shows(point: Fields) -> bool:
    """Whether a point's alarm stands and may be seen here: a silent one (duress) must not show on site."""
    kind = KINDS.get(str(point.get("kind")))
    return point.get("state") in STANDING and kind is not None and kind.class_ == "alarm" and not kind.silent


def drilling(status: Fields) -> bool:
    """Whether a drill goes on; an older core knows of none."""
    return isinstance(status.get("drill"), dict)


def alarm_of(point: Fields) -> Fields:
    """What the banner needs of a point."""
    named = {name: point.get(name) for name in ("device", "point", "name", "kind", "state", "since")}
    return {**named, "escalated": point.get("escalated") is True}


def camera_of(camera: Fields) -> Fields:
    """What a tile needs of a camera. Its address and the like stay here."""
    state = camera.get("state")
    facts = fields(camera.get("facts"))
    features = fields(facts.get("features"))
    ptz = camera.get("ptz", features.get("ptz", facts.get("ptz")))
    faults = camera.get("faults")
    return {
        "id": str(camera.get("id")),
        "name": str(camera.get("name") or camera.get("id")),
        "state": state if state in STATES else "unknown",
        "faults": [fault_of(one) for one in faults] if isinstance(faults, list) else [],
        "since": camera.get("since"),
        "inspected": camera.get("inspected"),
        "ptz": ptz if isinstance(ptz, bool) else None,
    }


def fault_of(value: JsonValue) -> Fields:
    """A fault, which may come as its bare name."""
    if isinstance(value, dict):
        return {"fault": str(value.get("fault")), "text": said_of(value.get("text"))}
    return {"fault": str(value), "text": None}


def said_of(value: JsonValue) -> JsonValue:
    """A text in every language, or nothing."""
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else None


def fields(value: JsonValue) -> Fields:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: JsonValue) -> list[Fields]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
