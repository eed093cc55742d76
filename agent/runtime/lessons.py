"""What devices tell of and no point has, for who watches to make points of it (`campus-agent learn`)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from agent.alarms.engine import StrayView
from agent.control import Peer
from agent.control.server import Params
from agent.driver import Input
from agent.model import JsonValue
from agent.runtime.desk import AlarmDesk

BUFFER: Final = 1_000
"""Inputs that a watcher may be behind before it misses some; they come again."""
SHOWN: Final = 1_000
"""Inputs of one lesson: a device that invents them has no end."""


class Lessons:
    """Who watches for unknown inputs now."""

    def __init__(self, desk: AlarmDesk) -> None:
        self._queues: set[asyncio.Queue[StrayView]] = set()
        desk.engine.on_stray = self._tell

    async def learn(self, params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
        """Yield each input of a device that no point has, when it is first told."""
        device = str(params["device"])
        queue: asyncio.Queue[StrayView] = asyncio.Queue(BUFFER)
        known: set[Input] = set()
        self._queues.add(queue)
        try:
            while len(known) < SHOWN:
                view = await queue.get()
                if view.device == device and view.input not in known:
                    known.add(view.input)
                    yield row(view)
        finally:
            self._queues.discard(queue)

    def _tell(self, view: StrayView) -> None:
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(view)


def row(view: StrayView) -> JsonValue:
    """One input as the stream has it."""
    return {
        "device": view.device,
        "input": view.input,
        "also": list(view.also),
        "kind": view.kind,
        "detail": view.detail,
    }
