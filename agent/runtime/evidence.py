"""An alarm wants pictures: the order goes to the eye as soon as the alarm is durable, and never delays it.

While the eye is away orders wait for it, some minutes at most; then it is told that there is none.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from agent.clock import NS_PER_S, Clock
from agent.config.models import Config, PointSettings
from agent.control import ControlError
from agent.control.protocol import text_json
from agent.kinds import KINDS
from agent.logs import Loudness
from agent.model import JsonValue, Lane, Stored, new_event
from agent.runtime.desk import AlarmDesk
from agent.runtime.eyeline import QUICK_S, EyeAway, EyeLine
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

RAISED: Final = "campus.alarm.raised"
TAKEN: Final = "campus.camera.evidence"
MISSING: Final = "campus.camera.evidence-missing"
ORDERS_LIMIT: Final = 64
"""More alarms with cameras than a school has; each order is a few hundred bytes."""
KEEP_S: Final = 300.0
"""After so long a picture shows an empty place. An eye that fails is back within a minute."""
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What one alarm wants."""

    event: str
    device: str
    point: str
    name: str
    cameras: tuple[str, ...]
    raised_ns: int
    drill: bool
    silent: bool
    """Nothing on site may show it (duress); evidence is wanted all the same."""

    def params(self) -> dict[str, JsonValue]:
        """As the eye takes it."""
        return {
            "event": self.event,
            "device": self.device,
            "point": self.point,
            "name": self.name,
            "cameras": [*self.cameras],
            "raised_ns": self.raised_ns,
            "drill": self.drill,
            "silent": self.silent,
        }


@dataclass(slots=True)
class Waiting:
    """An order that the eye has not taken yet."""

    order: Order
    reason: Text = field(default_factory=lambda: say("runtime.eye-starting"))


class EvidenceOrders:
    """Gives the orders to the eye."""

    def __init__(self, config: Callable[[], Config], desk: AlarmDesk, line: EyeLine, clock: Clock) -> None:
        self._config = config
        self._desk = desk
        self._line = line
        self._clock = clock
        self._waiting: deque[Waiting] = deque()
        self._given_up: deque[Waiting] = deque()
        self._news = asyncio.Event()
        self._loudness = Loudness()

    def stored(self, stored: Sequence[Stored]) -> None:
        """Hear what has become durable (Journal.on_stored). Never waits, never raises."""
        for one in stored:
            if one.type == RAISED and (point := self._point(one)) is not None and point.cameras:
                self._add(one, point, point.cameras)

    def resume(self, tail: Sequence[Stored]) -> None:
        """Take up the orders of the last run, which ended before their clips were told: `tail` is the end of the chain.
        Of an alarm before a reboot it can be a clip of the present only."""
        settled = {pair for one in tail if (pair := settles(one)) is not None}
        now = self._clock.moment()
        for one in tail:
            if one.type != RAISED or (point := self._point(one)) is None:
                continue
            cameras = tuple(camera for camera in point.cameras if (one.id, camera) not in settled)
            here = one.bootid == now.bootid
            age_s = (
                (now.boottime_ns - one.boottime_ns) / NS_PER_S if here else (now.wall - wall_of(one)).total_seconds()
            )
            if cameras and age_s <= KEEP_S:
                self._add(one if here else replace(one, boottime_ns=now.boottime_ns), point, cameras)

    def poke(self) -> None:
        """The eye may be back."""
        self._news.set()

    async def run(self) -> None:
        """Give orders until cancelled. Raises JournalError."""
        while True:
            await self._turn()
            if not self._waiting:
                await self._news.wait()
            else:
                with_timeout = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({with_timeout}, timeout=RETRY_S)
                with_timeout.cancel()
            self._news.clear()

    async def close(self) -> None:
        """The agent stops: tell what nobody has taken. Raises JournalError."""
        while self._waiting:
            self._given_up.append(self._waiting.popleft())
        await self._tell_given_up()

    def _point(self, stored: Stored) -> PointSettings | None:
        for device in self._config().watched:
            if device.id == stored.device:
                return next((point for point in device.points if point.id == stored.point), None)
        return None

    def _add(self, stored: Stored, point: PointSettings, cameras: tuple[str, ...]) -> None:
        assert stored.device is not None, "a point has a device"
        order = Order(
            stored.id,
            stored.device,
            point.id,
            point.name,
            cameras,
            stored.boottime_ns,
            b'"drill":true' in stored.body,
            KINDS[point.kind].silent,
        )
        if len(self._waiting) >= ORDERS_LIMIT:
            oldest = self._waiting.popleft()
            oldest.reason = say("runtime.orders-full", limit=ORDERS_LIMIT)
            if len(self._given_up) < ORDERS_LIMIT:
                self._given_up.append(oldest)
        self._waiting.append(Waiting(order))
        self._news.set()

    async def _turn(self) -> None:
        """Try every order once."""
        await self._tell_given_up()
        for waiting in [*self._waiting]:
            if waiting not in self._waiting:
                continue  # it made room meanwhile
            try:
                await self._line.call("evidence", QUICK_S, **waiting.order.params())
            except (EyeAway, ControlError) as error:
                self._refused(waiting, error)
                continue
            self._loudness.over("evidence")
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        await self._tell_given_up()

    def _refused(self, waiting: Waiting, error: Spoken) -> None:
        waiting.reason = error.text
        level = self._loudness.level("evidence", error.text.key)
        log.log(level, say("runtime.evidence-waits", point=waiting.order.name, error=error))
        age_ns = self._clock.boottime_ns() - waiting.order.raised_ns
        if age_ns > KEEP_S * NS_PER_S and waiting in self._waiting:
            self._waiting.remove(waiting)
            self._given_up.append(waiting)

    async def _tell_given_up(self) -> None:
        while self._given_up:
            waiting = self._given_up.popleft()
            order = waiting.order
            log.warning(say("runtime.evidence-given-up", point=order.name, error=waiting.reason))
            for camera in order.cameras:
                event = new_event(
                    MISSING,
                    Lane.EVENT,
                    self._clock.moment(),
                    device=camera,
                    drill=order.drill,
                    kind="snapshot",
                    event=order.event,
                    alarm={"device": order.device, "point": order.point, "name": order.name},
                    reason=dict(text_json(waiting.reason)),
                )
                await self._desk.tell(event, knows_drill=True)


def settles(stored: Stored) -> tuple[str, str] | None:
    """The alarm and the camera that an event says the last word on: its clip is there, or something will never be."""
    if stored.type not in (TAKEN, MISSING) or stored.device is None:
        return None
    data = json.loads(stored.body)["data"]
    told = data if stored.type == MISSING else data.get("evidence")
    if not isinstance(told, dict) or not isinstance(told.get("event"), str):
        return None
    return (told["event"], stored.device) if stored.type == MISSING or told.get("kind") == "clip" else None


def wall_of(stored: Stored) -> datetime:
    """When an event happened."""
    return datetime.fromisoformat(json.loads(stored.body)["time"])
