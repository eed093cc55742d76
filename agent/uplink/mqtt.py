"""One MQTT connection on the asyncio loop, from CONNECT to its end. Used once: whoever wants another makes another.

paho-mqtt does the protocol; the loop tells it when to read and write. Around it stands what it lacks: a deadline for
every acknowledgement, the broker's Receive Maximum, silence found within 1.5 keep-alives (paho needs 2), and a
reason for every end. Standards: MQTT 5.0 and 3.1.1 (OASIS). The only module that imports paho.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config.models import Broker
from agent.texts import say
from agent.uplink.limits import Limits
from agent.uplink.sockets import ConnectFailed, alert_text
from agent.uplink.wire import Wire
from agent.uplink.words import (
    BAD_LOGIN,
    FAILURE,
    PROTOCOL_ERRORS,
    TAKEN_OVER,
    TOO_LARGE,
    Ended,
    EndKind,
    Incoming,
    Login,
    NotModern,
    Protocol,
    refusal,
)

SILENCE: Final = 1.4
"""Keep-alives without a byte from the broker that end a connection. The limit is 1.5, and we look ten times in one."""
PUBLISH_OVERHEAD: Final = 64
"""Bytes of a PUBLISH beside topic, payload and our properties' values: headers, ids, property marks."""
UNLIMITED: Final = 1 << 28


@dataclass(slots=True)
class _Open:
    """A publish that waits for its acknowledgement."""

    done: Callable[[int | None], None]
    deadline: float
    since: float


class _Client(paho.Client):
    """paho's client on a socket that is connected already; it knows no other way to get one."""

    wire: Wire

    def _create_socket(self) -> Any:
        return self.wire

    def incoming_bytes(self) -> int:
        """The size that the packet which arrives now announces."""
        size: int = self._in_packet["remaining_length"]
        return size


class _Packed(Properties):
    """Properties that many messages share. paho builds and packs them in 50 us, a quarter of what it takes to publish;
    a drain feels that."""

    def __init__(self, properties: Properties) -> None:
        object.__setattr__(self, "packed", properties.pack())  # type: ignore[no-untyped-call]  # and paho's own refuses

    def pack(self) -> bytes:
        packed: bytes = object.__getattribute__(self, "packed")
        return packed


class Connection:
    """A connection. Make one with `open`."""

    def __init__(
        self,
        wire: Wire,
        broker: Broker,
        login: Login,
        protocol: Protocol,
        limits: Limits,
        will: tuple[str, bytes] | None,
    ) -> None:
        self.broker = broker
        self.protocol = protocol
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self.session_present = False
        self.window = limits.window
        self.max_packet_bytes = UNLIMITED
        self.retain_available = True
        self.last_puback: float | None = None
        """Loop time of the last acknowledgement."""
        self._listener: Callable[[Incoming], None] | None = None
        self._early: list[Incoming] = []
        self._wire = wire
        self._open: dict[int, _Open] = {}
        self._packed: dict[str | None, _Packed] = {}
        self._subscriptions: dict[int, asyncio.Future[list[int]]] = {}
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._heard = self._loop.time()
        self._keepalive_s: float = login.keepalive_s
        self._timer: asyncio.TimerHandle | None = None
        self._fd = wire.fileno()
        self._closing = False
        self._client = self._make_client(wire, login, will)

    @classmethod
    async def open(
        cls,
        wire: Wire,
        broker: Broker,
        login: Login,
        protocol: Protocol,
        limits: Limits,
        will: tuple[str, bytes] | None = None,
    ) -> Self:
        """Send CONNECT on a connected socket and wait for CONNACK. Raises ConnectFailed, NotModern."""
        connection = cls(wire, broker, login, protocol, limits, will)
        timeout_s = limits.modern_connack_s if protocol == "5" else limits.connack_s
        try:
            connection._connect(login)
            async with asyncio.timeout(timeout_s):
                await connection._connack
        except TimeoutError:
            connection._finish(Ended("silent", say("uplink.closed")))
            failure = NotModern if protocol == "5" else ConnectFailed
            raise failure(say("uplink.connack-timeout", broker=str(broker), timeout_s=timeout_s)) from None
        except BaseException:  # also when cancelled: nobody else would close it
            connection._finish(Ended("closed", say("uplink.closed")))
            raise
        return connection

    @property
    def in_flight(self) -> int:
        """Publishes without acknowledgement."""
        return len(self._open)

    @property
    def oldest_in_flight_s(self) -> float:
        """How long the oldest of them waits."""
        first = next(iter(self._open.values()), None)
        return self._loop.time() - first.since if first else 0.0

    def room(self, reserve: int = 0) -> int:
        """How many more publishes the window takes, with `reserve` places left free."""
        if self.ended.done() or self._closing:
            return 0
        return self.window - min(reserve, self.window // 4) - len(self._open)

    def fits(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes a message of this size."""
        return len(topic.encode()) + len(payload) + PUBLISH_OVERHEAD <= self.max_packet_bytes

    def publish(
        self,
        topic: str,
        payload: bytes,
        done: Callable[[int | None], None],
        *,
        deadline_s: float,
        retain: bool = False,
        content_type: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish at QoS 1. `done` gets the reason code of the PUBACK (0 on 3.1.1), or None when the connection
        ends before. The caller has looked at `room` and `fits`."""
        properties = self._properties(content_type, correlation) if self.protocol == "5" else None
        info = self._client.publish(topic, payload, 1, retain and self.retain_available, properties)
        now = self._loop.time()
        if info.rc != paho.MQTT_ERR_SUCCESS:  # it has ended; `_finish` answers what is open
            self._loop.call_soon(done, None)
            return
        self._open[info.mid] = _Open(done, now + deadline_s, now)

    def publish_unacknowledged(self, topic: str, payload: bytes, content_type: str | None) -> bool:
        """Publish at QoS 0; whether it could be handed over. The caller has looked at `fits`."""
        properties = self._properties(content_type, None) if self.protocol == "5" else None
        info = self._client.publish(topic, payload, 0, False, properties)
        return bool(info.rc == paho.MQTT_ERR_SUCCESS)

    def flush(self) -> None:
        """Write what was published, now and in one piece, rather than when the loop next asks the socket."""
        if self.ended.done():
            return
        self._wire.cork()
        self._guarded(self._client.loop_write)
        if self._wire.uncork():
            self._watch_writable(True)
        elif self._wire.error and not self.ended.done():
            self._loop.call_soon(self._readable)

    def _properties(self, content_type: str | None, correlation: bytes | None) -> Properties | None:
        """The properties of a PUBLISH; those that events have are made and packed once."""
        if content_type is None and correlation is None:
            return None
        if correlation is None and (packed := self._packed.get(content_type)):
            return packed
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        if content_type:
            properties.ContentType = content_type
        if correlation is not None:
            properties.CorrelationData = correlation
            return properties
        return self._packed.setdefault(content_type, _Packed(properties))

    async def subscribe(self, filters: Sequence[str]) -> list[int]:
        """Subscribe at QoS 1; return a reason code per filter. Raises TimeoutError, ConnectionError.

        MQTT 5 is asked to leave the retain flag as the sender set it; otherwise it is only on what a broker had kept
        before we came (3.3.1.3), and that is all that 3.1.1 can tell."""
        answer: asyncio.Future[list[int]] = self._loop.create_future()
        wanted: list[tuple[str, Any]] = [
            (name, SubscribeOptions(1, retainAsPublished=True) if self.protocol == "5" else 1) for name in filters
        ]
        rc, mid = self._client.subscribe(wanted)
        if rc != paho.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectionError(str(rc))
        self._subscriptions[mid] = answer
        async with asyncio.timeout(self._limits.suback_s):
            return await answer

    def listen(self, listener: Callable[[Incoming], None]) -> None:
        """Hand incoming messages to `listener`, also those that a resumed session sent right behind CONNACK."""
        self._listener = listener
        early, self._early = self._early, []
        for message in early:
            listener(message)

    def acknowledge(self, message: Incoming) -> None:
        """Tell the broker that a message is taken: after this it does not come again."""
        if message.qos > 0 and not self.ended.done():
            self._client.ack(message.mid, message.qos)

    async def close(self) -> None:
        """Say goodbye, so that the broker drops our will, and close. Returns when the socket is closed."""
        try:
            if not self.ended.done():
                self._closing = True
                self._client.disconnect()
                await asyncio.wait([self.ended], timeout=self._limits.close_s)
        finally:
            self.drop(Ended("closed", say("uplink.closed")))

    def drop(self, ended: Ended) -> None:
        """Close without a goodbye: the broker sends our will."""
        self._finish(ended)

    # paho

    def _make_client(self, wire: Wire, login: Login, will: tuple[str, bytes] | None) -> _Client:
        modern = self.protocol == "5"
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            clean_session=None if modern else not login.resume,
            protocol=MQTTProtocolVersion.MQTTv5 if modern else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.wire = wire
        client.max_inflight_messages = 0  # no window of paho's own: it would queue, and search its list at each ack
        if login.username is not None:
            client.username_pw_set(login.username, login.password())
        if will:
            client.will_set(will[0], will[1], 1, True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_open = lambda *_: self._loop.add_reader(self._fd, self._readable)
        client.on_socket_close = lambda *_: self._forget_socket()
        client.on_socket_register_write = lambda *_: self._watch_writable(True)
        client.on_socket_unregister_write = lambda *_: self._watch_writable(False)
        return client

    def _connect(self, login: Login) -> None:
        properties: Properties | None = None
        if self.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.SessionExpiryInterval = self._limits.session_expiry_s if login.resume else 0
            properties.MaximumPacketSize = self._limits.incoming_bytes
            properties.ReceiveMaximum = self._limits.command_queue
        self._client.connect_async(
            self.broker.host,
            self.broker.port,
            login.keepalive_s,
            clean_start=not login.resume if self.protocol == "5" else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
        self._client.reconnect()
        self._schedule_tick()

    def _readable(self) -> None:
        self._heard = self._loop.time()
        self._guarded(self._read)

    def _read(self) -> None:
        again = self._wire.fill()
        while again and not self.ended.done():
            self._client.loop_read()
            if self._client.incoming_bytes() > self._limits.incoming_bytes:
                limit = self._limits.incoming_bytes
                self._finish(Ended("protocol", say("uplink.incoming-too-large", limit=limit)))
                return
            again = self._wire.left and self._wire.fill()

    def _writable(self) -> None:
        if not self._wire.uncork():
            self._watch_writable(False)
            self.flush()

    def _guarded(self, work: Callable[[], object]) -> None:
        """A broker's bad packet ends the connection and nothing else."""
        try:
            work()
        except (ValueError, struct.error, IndexError, KeyError, TypeError, MQTTException, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
            self._finish(Ended("protocol", say("uplink.bad-packet", broker=str(self.broker), error=detail)))

    def _schedule_tick(self) -> None:
        interval_s = min(1.0, self._keepalive_s / 20, self._limits.alarm_puback_s / 5)
        self._timer = self._loop.call_later(interval_s, self._tick)

    def _tick(self) -> None:
        if self.ended.done():
            return
        now = self._loop.time()
        if now - self._heard > SILENCE * self._keepalive_s:
            silent_s = round(now - self._heard, 1)
            self._finish(Ended("silent", say("uplink.silent", broker=str(self.broker), silent_s=silent_s)))
        elif any(item.deadline < now for item in self._open.values()):
            waited_s = round(self.oldest_in_flight_s, 1)
            text = say("uplink.unacknowledged", broker=str(self.broker), waited_s=waited_s)
            self._finish(Ended("unacknowledged", text))
        else:
            self._guarded(self._client.loop_misc)
            if not self.ended.done():
                self._schedule_tick()

    def _on_connect(self, _client: paho.Client, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connack.done():
            return
        code = int(reason.value)
        if code >= FAILURE:
            self._connack.set_exception(refusal(code, reason.getName(), str(self.broker), self.protocol))
            return
        self.session_present = bool(flags.session_present)
        self.window = min(self._limits.window, getattr(properties, "ReceiveMaximum", UNLIMITED))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", UNLIMITED)
        self.retain_available = bool(getattr(properties, "RetainAvailable", 1))
        self._keepalive_s = getattr(properties, "ServerKeepAlive", self._keepalive_s) or self._keepalive_s
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._connack.set_exception(ConnectFailed(say("uplink.no-qos1", broker=str(self.broker)), refused=True))
            return
        self._connack.set_result(None)

    def _on_disconnect(self, _client: paho.Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        broker, code = str(self.broker), int(reason.value)
        if self._closing:
            self._finish(Ended("closed", say("uplink.closed")))
            return
        if not flags.is_disconnect_packet_from_server:
            error = self._wire.error
            alert = alert_text(str(getattr(error, "reason", None) or ""), broker) if error else None
            if error is None:
                ended = Ended("dropped", say("uplink.lost", broker=broker, error=say("uplink.peer-closed")))
            else:
                ended = Ended("lost", alert or say("uplink.lost", broker=broker, error=str(error)))
        elif code == TAKEN_OVER:
            ended = Ended("takeover", say("uplink.takeover", broker=broker), code)
        elif code == TOO_LARGE:
            ended = Ended("too-large", say("uplink.disconnect-too-large", broker=broker), code)
        else:
            kind: EndKind = "refused" if code in BAD_LOGIN else "protocol" if code in PROTOCOL_ERRORS else "lost"
            text = say("uplink.disconnected", broker=broker, reason=reason.getName(), code=f"0x{code:02X}")
            ended = Ended(kind, text, code)
        self._finish(ended)

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.last_puback = self._loop.time()
        if item := self._open.pop(mid, None):
            item.done(int(reason.value))

    def _on_subscribe(self, _client: paho.Client, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        answer = self._subscriptions.pop(mid, None)
        if answer and not answer.done():
            answer.set_result([int(reason.value) for reason in reasons])

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        properties: Any = message.properties
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours; unacknowledged, which is the broker's fault
        incoming = Incoming(
            topic,
            bytes(message.payload),
            message.retain,
            message.mid,
            message.qos,
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )
        if self._listener:
            self._listener(incoming)
        elif len(self._early) < self._limits.command_queue:
            self._early.append(incoming)  # what finds no room comes again: it is not acknowledged

    def _watch_writable(self, on: bool) -> None:
        if self._fd < 0:
            return
        if on:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def _forget_socket(self) -> None:
        """Once: its number may soon be another socket's, and paho closes again when it is collected."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1

    def _finish(self, ended: Ended) -> None:
        """The one end: close, and answer everybody who waits."""
        if self.ended.done():
            return
        self.ended.set_result(ended)
        if self._timer:
            self._timer.cancel()
        self._forget_socket()
        self._wire.close()
        if not self._connack.done():
            kind = NotModern if self.protocol == "5" and ended.kind in {"dropped", "lost"} else ConnectFailed
            self._connack.set_exception(kind(ended.text))
            self._connack.exception()  # nobody may wait for it any more; that is no error
        for answer in self._subscriptions.values():
            if not answer.done():
                answer.set_exception(ConnectionError(str(ended.text)))
        waiting, self._open = self._open, {}
        for item in waiting.values():
            item.done(None)
