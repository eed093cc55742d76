"""The walk test: somebody goes from point to point and trips each; what was seen is recorded.

While it goes on its points are in a drill of their own, so that nothing rings at the police; it ends with the stream
that shows it: when all were tripped, when whoever walks leaves, and with the daemon.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

from agent.alarms.engine import PointView, Refusal, Turn
from agent.alarms.outcome import Press
from agent.config.rulebook import RULES
from agent.control import Peer
from agent.control.server import Params
from agent.kinds import KINDS
from agent.model import JsonValue, Lane, new_event
from agent.runtime.desk import AlarmDesk
from agent.runtime.status import Parts, point_status
from agent.texts import Text, say

BUFFER: Final = 1_000
"""Presses that a walk may be behind before it misses some."""
WALK_S: Final = 600.0
LONGEST_S: Final = 3600.0
"""A terminal that was left open must not keep buttons in a drill."""
STANDING: Final = ("active", "acknowledged")
Key = tuple[str, str]


class Walks:
    """The walk tests that go on."""

    def __init__(self, parts: Parts, desk: AlarmDesk) -> None:
        self._parts = parts
        self._desk = desk
        self._queues: set[asyncio.Queue[Press | Turn]] = set()
        desk.engine.on_press = self._tell
        desk.engine.on_turn = self._tell

    def views(self, params: Params) -> dict[Key, PointView]:
        """What is to be tested: buttons, or with `all` everything that alarms. What a camera sees, or a rule finds,
        cannot be tripped to order."""
        others = {RULES, *(camera.id for camera in self._parts.config.cameras)}
        every = bool(params.get("all"))
        return {
            (view.device, view.point): view
            for view in self._parts.engine.views()
            if view.device not in others and (view.testable or (every and KINDS[view.kind].class_ == "alarm"))
        }

    async def list(self, params: Params, _peer: Peer) -> JsonValue:
        """What is to be tested, and when each was last seen to work."""
        return [self._row(view, "waiting", None) for view in self.views(params).values()]

    async def walk(self, params: Params, peer: Peer) -> AsyncIterator[JsonValue]:
        """Yield every point as it waits, then each as it is tripped, for `seconds` at most. With `real` its alarms are
        real ones; with `reset` each is reset as soon as it is released."""
        waiting = self.views(params)
        count = len(waiting)
        alarmed = {key for key, view in waiting.items() if view.state in STANDING}  # not ours to reset
        places = () if params.get("real") else tuple("/".join(key) for key in waiting)
        queue: asyncio.Queue[Press | Turn] = asyncio.Queue(BUFFER)
        to_reset: set[Key] = set()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds_of(params)
        self._queues.add(queue)
        self._desk.engine.modes.drill.walk(places)
        try:
            await self._record("started", peer.actor, say("arming.walk-started", actor=peer.actor, count=count), places)
            for view in tuple(waiting.values()):
                yield self._row(view, "waiting", None)
            while waiting or to_reset:
                seen = await asyncio.wait_for(queue.get(), end_s - loop.time())
                key = seen.device, seen.point
                if isinstance(seen, Press) and key in waiting:
                    view = waiting.pop(key)
                    await self._passed(seen)
                    if params.get("reset") and key not in alarmed:
                        to_reset.add(key)
                    yield self._row(view, "pressed", seen.latency_ms)
                elif isinstance(seen, Turn) and not seen.active and key in to_reset:
                    to_reset.discard(key)
                    await self._reset(key, peer)
        except TimeoutError:
            return
        finally:
            self._queues.discard(queue)
            self._desk.engine.modes.drill.walk_over(places)
            passed = count - len(waiting)
            text = say("arming.walk-stopped", actor=peer.actor, passed=passed, count=count)
            await asyncio.shield(self._record("stopped", peer.actor, text, places))

    async def _passed(self, press: Press) -> None:
        moment = self._parts.clock.moment()
        await self._desk.take(self._desk.engine.test_passed(press.device, press.point, press.latency_ms, moment))

    async def _reset(self, key: Key, peer: Peer) -> None:
        """Reset what the tester has tripped; a kind that does not latch has ended by itself."""
        try:
            await self._desk.reset({"device": key[0], "point": key[1]}, peer.actor)
        except Refusal:
            return

    async def _record(self, what: str, actor: str, text: Text, places: tuple[str, ...]) -> None:
        said = text.render(self._parts.config.site.language)
        moment = self._parts.clock.moment()
        event = new_event(f"campus.test.{what}", Lane.EVENT, moment)
        data: dict[str, JsonValue] = {"kind": "walk", "actor": actor, "text": said, "points": list(places)}
        await self._desk.tell(replace(event, data=data))

    def _row(self, view: PointView, state: str, latency_ms: int | None) -> dict[str, JsonValue]:
        tested = self._desk.engine.modes.tested_view(view.device, view.point)
        overdue = self._desk.engine.fault_stands(view.device, view.point, "test-overdue")
        more: Mapping[str, JsonValue] = {"tested": tested, "overdue": overdue}
        return {**point_status(view), "state": state, "latency_ms": latency_ms, **more}

    def _tell(self, seen: Press | Turn) -> None:
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(seen)


def seconds_of(params: Params) -> float:
    """How long a walk may take, within bounds."""
    return max(1.0, min(float(str(params.get("seconds") or WALK_S)), LONGEST_S))
