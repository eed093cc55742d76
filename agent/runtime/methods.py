"""The methods of the control socket (agent.control): what the command line asks of the daemon."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from ulid import ULID

from agent.control import Methods, Peer
from agent.control.server import Call, Params
from agent.model import Command, JsonValue, Lane, Stored
from agent.runtime.desk import AlarmDesk
from agent.runtime.lessons import Lessons
from agent.runtime.status import Parts, bus_status, status
from agent.runtime.walk import Walks
from agent.texts import Spoken, say
from agent.uplink import CommandDesk

PAGE_LIMIT: Final = 1_000
"""Rows of one answer; a line of the control socket has room for these."""
TAIL_BUFFER: Final = 1_000
"""Events that a slow `events tail` may be behind before it misses some."""
LAMP_TEST_S: Final = 10.0
"""Long enough to walk from the laptop to the lamp and see it."""


class ControlMethods:
    """Binds the socket's methods to the living parts."""

    def __init__(
        self,
        parts: Parts,
        desk: AlarmDesk,
        commands: CommandDesk,
        reload: Callable[[], Awaitable[JsonValue]],
        more: Mapping[str, Call],
    ) -> None:
        """`more` are calls of parts that stand for themselves."""
        self._parts = parts
        self._desk = desk
        self._commands = commands
        self._reload = reload
        self._more = more
        self._tails: set[asyncio.Queue[Stored]] = set()
        self._walks = Walks(parts, desk)
        self._lessons = Lessons(desk)
        parts.journal.on_stored(self._fan_out)

    def methods(self) -> Methods:
        """Every method by name."""
        household = self._parts.household
        return Methods(
            calls={
                "status": self._status,
                "buses": self._buses,
                "queue-show": self._queue_show,
                "queue-list": self._queue_list,
                "queue-retry": self._queue_retry,
                "events-list": self._events_list,
                "command": self._command,
                "tested": self._walks.list,
                "test-lamp": self._test_lamp,
                "test-uplink": self._test_uplink,
                "mqtt-ping": self._mqtt_ping,
                "reload": self._reload_now,
                **self._more,
                **household.cameras.calls(),
                **household.calls(),
            },
            streams={
                "events-tail": self._events_tail,
                "test-buttons": self._walks.walk,
                "test-path": self._parts.paths.test,
                "learn": self._lessons.learn,
                **household.cameras.streams(),
            },
        )

    async def _status(self, _params: Params, _peer: Peer) -> JsonValue:
        return status(self._parts)

    async def _buses(self, _params: Params, _peer: Peer) -> JsonValue:
        return [bus_status(name, bus) for name, bus in self._parts.buses.items()]

    async def _queue_show(self, _params: Params, _peer: Peer) -> JsonValue:
        journal = self._parts.journal
        due: dict[str, JsonValue] = {str(lane): count for lane, count in journal.due_counts().items()}
        return {"due": due, "oldest_due": journal.oldest_due(), "refused": journal.refused_count()}

    async def _queue_list(self, params: Params, _peer: Peer) -> JsonValue:
        journal, limit = self._parts.journal, limit_of(params)
        if params.get("state") == "refused":
            return await self._refused_rows(limit)
        lanes = [Lane(str(params["lane"]))] if params.get("lane") else list(Lane)
        refused = await self._refused_rows(limit)  # first: these wait for a person
        rows: list[JsonValue] = [one for one in refused if isinstance(one, dict) and one["lane"] in lanes]
        for lane in lanes:
            waiting = [*await journal.unreceipted(lane, limit), *await journal.due(lane, 0, limit)]
            rows += [{**row(stored), "state": journal.delivery(stored.seq)} for stored in waiting]
        return rows[:limit]

    async def _refused_rows(self, limit: int) -> list[JsonValue]:
        rows: list[JsonValue] = []
        for refused in await self._parts.journal.refused(limit):
            for stored in await self._parts.journal.rows(refused.seq, refused.seq):
                rows.append({**row(stored), "state": "refused", "code": refused.code, "reason": refused.reason})
        return rows

    async def _queue_retry(self, params: Params, _peer: Peer) -> JsonValue:
        seqs = params.get("seqs")
        chosen = [int(str(seq)) for seq in seqs] if isinstance(seqs, list) else None
        return {"retried": await self._parts.journal.retry(chosen)}

    async def _events_list(self, params: Params, _peer: Peer) -> JsonValue:
        journal = self._parts.journal
        last = int(str(params.get("last") or journal.head.seq))
        first = int(str(params.get("first") or max(1, last - limit_of(params) + 1)))
        return [self._event(stored) for stored in await journal.rows(first, last, limit_of(params))]

    async def _events_tail(self, params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
        lane = Lane(str(params["lane"])) if params.get("lane") else None
        queue: asyncio.Queue[Stored] = asyncio.Queue(TAIL_BUFFER)
        self._tails.add(queue)
        try:
            told = 0
            for stored in await self._parts.journal.tail(min(int(str(params.get("n", 10))), PAGE_LIMIT)):
                told = stored.seq
                if lane in {None, stored.lane}:
                    yield self._event(stored)
            while params.get("follow"):
                stored = await queue.get()
                if stored.seq > told and lane in {None, stored.lane}:
                    yield self._event(stored)
        finally:
            self._tails.discard(queue)

    async def _command(self, params: Params, peer: Peer) -> JsonValue:
        args = params.get("args")
        command = Command(
            id=str(params.get("id") or ULID()),
            verb=str(params["verb"]),
            args=args if isinstance(args, dict) else {},
            actor=str(params.get("actor") or peer.actor),
        )
        reply = await self._commands.run(command)
        return {"id": reply.id, "ok": reply.ok, "result": dict(reply.result), "reason": reply.reason}

    async def _test_lamp(self, params: Params, peer: Peer) -> JsonValue:
        device = str(params["device"])
        output = params.get("output")
        if output is None:
            output = self._lamp_of(device, str(params["point"]))
        args: dict[str, JsonValue] = {
            "device": device,
            "output": output,
            "value": True,
            "seconds": params.get("seconds", LAMP_TEST_S),
        }
        return await self._command({"verb": "output", "args": args}, peer)

    def _lamp_of(self, device: str, point: str) -> int:
        for settings in self._parts.config.devices:
            for candidate in settings.points:
                if (settings.id, candidate.id) == (device, point) and candidate.lamp is not None:
                    return candidate.lamp
        raise NoLamp(say("runtime.no-lamp", device=device, point=point))

    async def _test_uplink(self, _params: Params, _peer: Peer) -> JsonValue:
        return await self._parts.uplink.test()

    async def _mqtt_ping(self, _params: Params, _peer: Peer) -> JsonValue:
        elapsed_ms = await self._parts.uplink.ping()
        return {"broker": self._parts.uplink.status().broker, "ms": round(elapsed_ms, 1)}

    async def _reload_now(self, _params: Params, _peer: Peer) -> JsonValue:
        return await self._reload()

    def _event(self, stored: Stored) -> JsonValue:
        """As it is published; `late` here means that it is waiting too long, not that it is read late."""
        event: dict[str, JsonValue] = json.loads(self._parts.journal.published(stored))
        event["late"] = bool(event["late"]) and self._parts.journal.delivery(stored.seq) in {"due", "refused"}
        return event

    def _fan_out(self, stored: Sequence[Stored]) -> None:
        for queue in self._tails:
            for one in stored:
                if not queue.full():
                    queue.put_nowait(one)


class NoLamp(Spoken):
    """A point without a lamp."""


def limit_of(params: Params) -> int:
    """The number of rows asked for, within bounds."""
    return max(1, min(int(str(params.get("limit") or PAGE_LIMIT)), PAGE_LIMIT))


def row(stored: Stored) -> dict[str, JsonValue]:
    """A journal row as `queue list` shows it."""
    time: JsonValue = json.loads(stored.body)["time"]
    return {
        "seq": stored.seq,
        "id": stored.id,
        "type": stored.type,
        "lane": str(stored.lane),
        "device": stored.device,
        "point": stored.point,
        "time": time,
    }
