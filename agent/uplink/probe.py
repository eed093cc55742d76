"""One look at one broker, step by step: name, TCP, TLS, login, the rights to subscribe and to publish, the way back.

It comes as a client of its own with a clean session, so it neither takes over the daemon's session nor leaves one
behind. What it publishes is a reply to a command that nobody gave, which a district ignores.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from agent.clock import Clock
from agent.config.models import Broker, UplinkSettings
from agent.model import Reply, Site
from agent.secrets import SecretError
from agent.texts import Spoken, Text, say
from agent.uplink.connector import Connector
from agent.uplink.limits import DEFAULT, Limits
from agent.uplink.mqtt import Connection
from agent.uplink.payloads import reply_bytes
from agent.uplink.sockets import ConnectFailed, Dialer, Resolver
from agent.uplink.topics import Topics
from agent.uplink.words import FAILURE, Login, Protocol

StepName = Literal["dns", "tcp", "tls", "login", "subscribe", "publish"]

MS_PER_S: Final = 1000
KEEPALIVE_S: Final = 10
PROBE_ID: Final = "doctor"
STEP_OF: Final[dict[str, StepName]] = {"lookup": "dns", "no-address": "dns", "tcp": "tcp"}
"""Which step a text of `sockets` speaks of, by the beginning of its key; all others speak of TLS."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, taken or failed."""

    name: StepName
    error: Text | None = None
    ms: float | None = None
    topic: str | None = None
    """What a refused right was about."""


@dataclass(slots=True)
class Probe:
    """What was found; it ends with the first step that failed, but for the rights, which are all tried."""

    broker: str
    steps: list[Step] = field(default_factory=list)
    protocol: Protocol | None = None
    certificate: bytes | None = None
    """The broker's certificate (DER)."""


async def probe(broker: Broker, settings: UplinkSettings, site: Site, clock: Clock, limits: Limits = DEFAULT) -> Probe:
    """Look at one broker. Every failure is a step; raises nothing."""
    found = Probe(str(broker))
    dialer = Dialer(settings.tls, clock, limits, Resolver())
    if not await _reach(found, broker, dialer):
        return found
    connection = await _log_in(found, broker, settings, site, Connector(dialer, limits, clock))
    if connection is None:
        return found
    try:
        await _may_subscribe(found, connection, Topics.of(site))
        await _may_publish(found, connection, Topics.of(site), limits)
    finally:
        await connection.close()
    return found


async def _reach(found: Probe, broker: Broker, dialer: Dialer) -> bool:
    """Look up, connect, shake hands."""
    wanted: tuple[StepName, ...] = ("dns", "tcp", "tls") if broker.tls else ("dns", "tcp")
    began = time.monotonic()
    try:
        sock = await dialer.dial(broker)
    except ConnectFailed as error:
        failed = step_of(error.text)
        found.steps += [Step(name) for name in wanted[: wanted.index(failed)]]
        found.steps.append(Step(failed, error.text))
        return False
    elapsed_ms = (time.monotonic() - began) * MS_PER_S
    with sock:
        if isinstance(sock, ssl.SSLSocket):
            found.certificate = sock.getpeercert(binary_form=True)
    found.steps += [Step(name, ms=elapsed_ms if name == wanted[-1] else None) for name in wanted]
    return True


def step_of(text: Text) -> StepName:
    """Tell which step on the way to a socket an error is about."""
    name = text.key.partition(".")[2]
    return next((step for prefix, step in STEP_OF.items() if name.startswith(prefix)), "tls")


async def _log_in(
    found: Probe, broker: Broker, settings: UplinkSettings, site: Site, connector: Connector
) -> Connection | None:
    """CONNECT and CONNACK."""
    password: Callable[[], str | None] = settings.password.reveal if settings.password else lambda: None
    name = settings.client_id or f"campus-{site.district}-{site.school}"
    login = Login(f"{name}-{PROBE_ID}", settings.username, password, KEEPALIVE_S, resume=False)
    began = time.monotonic()
    try:
        connection = await connector.open(broker, login)
    except (ConnectFailed, SecretError) as error:
        found.steps.append(Step("login", error.text))
        return None
    found.steps.append(Step("login", ms=(time.monotonic() - began) * MS_PER_S))
    found.protocol = connection.protocol
    return connection


async def _may_subscribe(found: Probe, connection: Connection, topics: Topics) -> None:
    """Ask for what the daemon subscribes to; SUBACK says what is allowed."""
    for topic in (topics.commands, topics.receipt):
        try:
            (code,) = await connection.subscribe([topic])
        except (TimeoutError, ConnectionError) as error:
            found.steps.append(Step("subscribe", _ended(connection, error), topic=topic))
            continue
        refused = say("doctor.not-allowed", topic=topic, code=f"0x{code:02X}") if code >= FAILURE else None
        found.steps.append(Step("subscribe", refused, topic=topic))


async def _may_publish(found: Probe, connection: Connection, topics: Topics, limits: Limits) -> None:
    """Publish a reply to nobody; PUBACK says what is allowed, on MQTT 5 at least."""
    probe_id = f"{PROBE_ID}-{time.time_ns():x}"
    topic = topics.reply(probe_id)
    answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    payload = reply_bytes(Reply(probe_id, ok=True, result={"probe": True}))
    connection.publish(topic, payload, answer.set_result, deadline_s=limits.puback_s)
    code = await answer
    elapsed_ms = (time.monotonic() - began) * MS_PER_S
    error = None
    if code is None:
        error = _ended(connection, None)
    elif code >= FAILURE:
        error = say("doctor.not-allowed", topic=topic, code=f"0x{code:02X}")
    found.steps.append(Step("publish", error, elapsed_ms, topic))


def _ended(connection: Connection, error: Exception | None) -> Text:
    """Why no acknowledgement came: the connection's own reason is the better one."""
    if connection.ended.done():
        return connection.ended.result().text
    if isinstance(error, Spoken):
        return error.text
    return say("doctor.no-acknowledgement", broker=str(connection.broker))
