"""A simulated district: a real MQTT 5 client that records every message of a school, validates each against the
types that the schemas are made of, and can send commands and receipts.

    async with District(broker.port, site) as district:
        event = await district.event(type="campus.alarm.raised")
        reply = await district.command("ping", {})
        district.receipt(seq, hash)
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.model import NO_PART, Site
from agent.uplink.payloads import MESSAGES
from agent.uplink.topics import split

WAIT_S: Final = 30.0
"""A loaded machine needs some seconds; what takes longer does not come."""


def validate_message(topic: str, payload: bytes) -> None:
    """Raise (ValidationError, AssertionError) unless `payload` is what `topic` promises (DESIGN 6)."""
    parts = split(topic)
    assert parts is not None, f"no topic of ours: {topic}"
    district, school, kind, rest = parts
    if kind in {"hazard", "state", "inventory"} and not payload:
        return  # it is gone: its topic is emptied
    MESSAGES[kind].model_validate_json(payload)
    value = json.loads(payload)
    if kind == "event":
        source = "/" + "/".join([district, school, *(part for part in rest[1:] if part != NO_PART)])
        assert value["source"] == source, f"{topic} carries source {value['source']}"
        assert value["lane"] == rest[0], f"{topic} carries lane {value['lane']}"


@dataclass(frozen=True)
class Message:
    """One message as the district saw it."""

    topic: str
    payload: bytes
    retain: bool
    qos: int
    content_type: str | None = None
    correlation: bytes | None = None

    @property
    def value(self) -> Any:
        """The payload's JSON."""
        return json.loads(self.payload) if self.payload else None


@dataclass
class District:
    """One subscriber of one school. Leaving the context fails if any message was not valid."""

    port: int
    site: Site
    host: str = "127.0.0.1"
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    """CA of a broker that speaks TLS."""
    client_id: str = "district"
    auto_receipts: bool = False
    """Send a receipt for whatever has come, after each event."""
    messages: list[Message] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._news = asyncio.Event()
        self._connected = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        if self.username is not None:
            self._client.username_pw_set(self.username, self.password)
        if self.ca is not None:
            self._client.tls_set(str(self.ca))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._call(self._connected.set)
        self._client.on_message = self._on_message

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._client.connect, self.host, self.port, 30)
        self._client.loop_start()
        await asyncio.wait_for(self._connected.wait(), WAIT_S)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        if kind is None:
            assert not self.invalid, f"{len(self.invalid)} invalid: " + "\n".join(self.invalid[:3])

    # what came

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        """Every event so far whose members have these values, in the order of arrival, repeats included."""
        values = [m.value for m in list(self.messages) if m.topic.startswith(f"{self.site.root}/event/")]
        return [value for value in values if all(value.get(name) == want for name, want in wanted.items())]

    def last(self, suffix: str) -> Message | None:
        """The last message on a topic below the root."""
        topic = f"{self.site.root}/{suffix}"
        return next((m for m in reversed(list(self.messages)) if m.topic == topic), None)

    async def until(self, condition: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
        """Return the condition's value once it is true, looking after every message."""
        async with asyncio.timeout(wait_s):
            async for _ in self._turns():
                if value := condition():
                    return value
        raise AssertionError("unreachable")

    async def event(self, wait_s: float = WAIT_S, **wanted: object) -> dict[str, Any]:
        """Wait for an event whose members have these values."""
        found: list[dict[str, Any]] = await self.until(lambda: self.events(**wanted), wait_s)
        return found[0]

    async def status(self, state: str) -> dict[str, Any]:
        """Wait until the last status is `state`."""

        def look() -> Any:
            message = self.last("status")
            return message.value if message and message.value["state"] == state else None

        found: dict[str, Any] = await self.until(look)
        return found

    # what goes

    async def command(self, verb: str, args: Mapping[str, Any], **members: Any) -> dict[str, Any]:
        """Send a command and wait for its reply."""
        id_ = members.pop("id", f"c{next(self._ids)}")
        self.send(f"command/{verb}", json.dumps({"id": id_, "args": dict(args), **members}))
        reply: Message = await self.until(lambda: self.last(f"reply/{id_}"))
        value: dict[str, Any] = reply.value
        return value

    def receipt(self, seq: int, hash_: str, also: list[list[int]] | None = None) -> None:
        """Say what the district holds."""
        self.send("receipt", json.dumps({"seq": seq, "hash": hash_, "also": also or []}))

    def send(
        self,
        suffix: str,
        payload: str | bytes,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish anything below the root."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        self._client.publish(f"{self.site.root}/{suffix}", payload, 1, retain, properties)

    def listen(self, topic: str) -> None:
        """Also subscribe to a topic elsewhere. The broker takes it before anything that is sent after this."""
        self._client.subscribe(topic, 1)

    async def _turns(self) -> AsyncIterator[None]:
        while True:
            self._news.clear()
            yield
            await self._news.wait()

    def _call(self, function: Callable[..., object], *args: object) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"{self.site.root}/#", 1)
        client.subscribe(f"{self.site.root.rpartition('/')[0]}/_/#", 1)

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        properties: Any = message.properties
        self._call(
            self._take,
            Message(
                message.topic,
                bytes(message.payload),
                message.retain,
                message.qos,
                getattr(properties, "ContentType", None),
                getattr(properties, "CorrelationData", None),
            ),
        )

    def _take(self, message: Message) -> None:
        self.messages.append(message)
        ours = message.topic.startswith(f"{self.site.root}/")
        sent_by_us = message.topic.startswith((f"{self.site.root}/command/", f"{self.site.root}/receipt"))
        if ours and not sent_by_us:
            try:
                validate_message(message.topic, message.payload)
            except (ValueError, AssertionError) as error:  # pydantic's ValidationError is a ValueError
                self.invalid.append(f"{message.topic}: {error}: {message.payload[:500]!r}")
        if self.auto_receipts and message.topic.startswith(f"{self.site.root}/event/"):
            self._send_receipt()
        self._news.set()

    def _send_receipt(self) -> None:
        by_seq = {event["seq"]: event["hash"] for event in self.events()}
        held = 0
        while held + 1 in by_seq:
            held += 1
        also = [[seq, seq] for seq in sorted(by_seq) if seq > held]
        self.receipt(held, by_seq.get(held, "0" * 64), also)
