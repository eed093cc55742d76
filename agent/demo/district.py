"""The demo's district: subscribes to the school, stores what comes, sends receipts, acknowledges and resets.

It does on a small scale what DESIGN 4 and 6 ask of a district: it keeps every event by its `seq`, checks the chain,
and says what it holds.
"""

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from agent.clock import Clock
from agent.config.models import Broker
from agent.journal.chain import OUTSIDE_THE_HASH, canonical_json, hash_of
from agent.model import ZERO_HASH, JsonValue, Site
from agent.texts import say
from agent.uplink.connector import Connector
from agent.uplink.limits import Limits
from agent.uplink.mqtt import Connection
from agent.uplink.sockets import ConnectFailed, Dialer, Resolver
from agent.uplink.words import Ended, Incoming, Login

Event = dict[str, Any]
"""A CloudEvent as it came over MQTT."""

ACK_DELAY_S: Final = 1.0
"""How long the person at the district takes."""
RETRY_S: Final = 0.3
"""Between two attempts to reach the broker, which is on this machine."""
KEEPALIVE_S: Final = 10
GAP_S: Final = 3.0
"""Lanes overtake each other for less; an alarm without a receipt comes again by itself after two."""
PUBLISH_DEADLINE_S: Final = 5.0
REPLY_TIMEOUT_S: Final = 5.0
"""A command runs in milliseconds; without a connection no reply comes."""
OPENING: Final = frozenset({"campus.alarm.raised"})
RESET: Final = "campus.alarm.reset"
CLOSING: Final = frozenset({"campus.alarm.acknowledged", RESET})
CURVE_KEPT: Final = 60
"""Values of each curve: a minute, as the demo measures."""


@dataclass
class District:
    """One district with one school. `run` keeps the connection; all on one event loop."""

    broker: Broker
    site: Site
    clock: Clock
    on_event: Callable[[Event, int], None]
    """Called for each new event with the boot clock of its arrival."""
    automatic: bool = True
    """Whether alarms are acknowledged after a while."""
    events: dict[int, Event] = field(default_factory=dict)
    """All that is stored, by `seq`."""
    repeats: int = 0
    """Events that came once more."""
    replies: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    """By command id."""
    acknowledged: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    """Replies to `ack`, by the id of the event that it named."""
    status: dict[str, JsonValue] = field(default_factory=dict)
    """The school's last word of itself."""
    states: dict[tuple[str, str], str] = field(default_factory=dict)
    """The retained state of each point."""
    curves: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    """What came as telemetry of each point."""
    connected: bool = False

    def __post_init__(self) -> None:
        self._connection: Connection | None = None
        self._open: dict[tuple[str, str], str] = {}
        self.active: set[tuple[str, str]] = set()
        """Device and point of every alarm that was raised and not reset."""
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, JsonValue]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        limits = Limits()
        connector = Connector(Dialer(None, self.clock, limits, Resolver()), limits, self.clock)
        login = Login("district", None, lambda: None, KEEPALIVE_S, resume=False)
        try:
            while True:
                with contextlib.suppress(ConnectFailed, ConnectionError, TimeoutError):
                    await self._session(await connector.open(self.broker, login))
                await asyncio.sleep(RETRY_S)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _session(self, connection: Connection) -> None:
        asking: asyncio.Task[None] | None = None
        self._connection = connection
        connection.listen(self._take)
        try:
            await connection.subscribe([f"{self.site.root}/#"])
            self.connected = True
            asking = asyncio.ensure_future(self._ask_for_gaps())
            await asyncio.shield(connection.ended)
        finally:
            if asking is not None:
                asking.cancel()
            self.connected = False
            self._connection = None
            connection.drop(Ended("closed", say("uplink.closed")))

    async def _ask_for_gaps(self) -> None:
        """Ask for what is missing and does not come by itself: the broker had it before we had subscribed again."""
        while True:
            held, known = self.held, self._known
            await asyncio.sleep(GAP_S)
            if held == self.held < known:
                with contextlib.suppress(TimeoutError):
                    await self.command("replay", {"from": held + 1, "to": known})

    @property
    def _known(self) -> int:
        """The last `seq` that the school has spoken of."""
        return max([*self.events, int(str(self.status.get("seq", 0)))])

    # what the person at the district does

    async def command(self, verb: str, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Send a command and return the reply. Raises TimeoutError when none comes."""
        command_id = f"demo-{next(self._ids)}"
        payload: dict[str, JsonValue] = {"id": command_id, "args": args, "actor": "demo"}
        reply: asyncio.Future[dict[str, JsonValue]] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = reply
        try:
            self._publish(f"command/{verb}", payload)
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                return await reply
        finally:
            del self._waiting[command_id]

    async def acknowledge(self, event_id: str) -> None:
        """Acknowledge one alarm. Raises TimeoutError."""
        self.acknowledged[event_id] = await self.command("ack", {"event": event_id})

    async def reset(self, device: str, point: str) -> dict[str, JsonValue]:
        """Reset one alarm, and return the reply. Raises TimeoutError."""
        return await self.command("reset", {"device": device, "point": point})

    def toggle_automatic(self) -> None:
        """Begin or stop to acknowledge by itself; what is open already is acknowledged, too."""
        self.automatic = not self.automatic
        for event_id in self._open.values():
            self._spawn(self._acknowledge_later(event_id))

    @property
    def held(self) -> int:
        """Everything from 1 to this `seq` is stored."""
        return next((seq for seq in itertools.count() if seq + 1 not in self.events), 0)

    def chain_problem(self) -> str | None:
        """Check what is stored: complete from 1, each hash right, each tied to the one before. None: all is well."""
        before = ZERO_HASH
        for expected, (seq, event) in enumerate(sorted(self.events.items()), 1):
            if seq != expected:
                return f"seq {expected} is missing"
            inside = {name: value for name, value in event.items() if name not in OUTSIDE_THE_HASH}
            if hash_of(canonical_json(inside)) != event["hash"] or event["prevhash"] != before:
                return f"seq {seq}: hash or prevhash is wrong"
            before = event["hash"]
        return None

    # what comes

    def _take(self, message: Incoming) -> None:
        if self._connection is not None:
            self._connection.acknowledge(message)
        kind, _, rest = message.topic.removeprefix(f"{self.site.root}/").partition("/")
        if kind not in {"event", "reply", "status", "state", "telemetry"}:
            return
        value = json.loads(message.payload)
        device, _, point = rest.partition("/")
        if kind == "event":
            self._take_event(value)
        elif kind == "status":
            self.status = value
        elif kind == "state":
            self.states[device, point] = value["state"]
        elif kind == "telemetry":
            curve = self.curves.setdefault((device, point), deque(maxlen=CURVE_KEPT))
            curve.extend(one for one in value["values"] if one is not None)
        else:
            self.replies[rest] = value
            if (waiting := self._waiting.get(rest)) and not waiting.done():
                waiting.set_result(value)

    def _take_event(self, event: Event) -> None:
        arrived_ns = self.clock.boottime_ns()
        new = event["seq"] not in self.events
        self.events[event["seq"]] = event
        self._send_receipt()
        if not new:
            self.repeats += 1
            return
        place = (event["data"].get("device"), event["data"].get("point"))
        if event["type"] in OPENING:
            self._open[place] = event["id"]
            self.active.add(place)
            self._spawn(self._acknowledge_later(event["id"]))
        elif event["type"] in CLOSING:
            self._open.pop(place, None)
            if event["type"] == RESET:
                self.active.discard(place)
        self.on_event(event, arrived_ns)

    def _send_receipt(self) -> None:
        """Say what is held: all from 1 to a `seq`, and the ranges beyond."""
        held = self.held
        last_hash = self.events[held]["hash"] if held else ZERO_HASH
        also: list[JsonValue] = [[seq, seq] for seq in sorted(self.events) if seq > held]
        self._publish("receipt", {"seq": held, "hash": last_hash, "also": also})

    async def _acknowledge_later(self, event_id: str) -> None:
        await asyncio.sleep(ACK_DELAY_S)
        if self.automatic and event_id in self._open.values():
            with contextlib.suppress(TimeoutError):  # the broker is away; the siren will say that nobody answered
                await self.acknowledge(event_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _publish(self, suffix: str, payload: dict[str, JsonValue]) -> None:
        if self._connection is not None:
            raw = json.dumps(payload, ensure_ascii=False).encode()
            self._connection.publish(
                f"{self.site.root}/{suffix}", raw, lambda _code: None, deadline_s=PUBLISH_DEADLINE_S
            )
