"""A connection beside the daemon's own, for the command line: its own client id, no session, no will."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from agent.clock import Clock
from agent.config.models import UplinkSettings
from agent.model import Site
from agent.secrets import SecretError
from agent.texts import Spoken, say
from agent.uplink.connector import Connector
from agent.uplink.limits import DEFAULT, Limits
from agent.uplink.mqtt import Connection
from agent.uplink.sockets import ConnectFailed, Dialer, Resolver
from agent.uplink.topics import Topics
from agent.uplink.words import FAILURE, Incoming, Login

QUEUE: Final = 10_000
"""Messages that a slow terminal may lag behind."""


class VisitEnded(Spoken):
    """The broker ended the connection, or did not allow what we asked."""


async def visit(settings: UplinkSettings, site: Site, clock: Clock, name: str, limits: Limits = DEFAULT) -> Connection:
    """Connect to the first broker that works. Raises ConnectFailed of the last one."""
    login = Login(
        client_id=f"{settings.client_id or f'campus-{site.district}-{site.school}'}-{name}",
        username=settings.username,
        password=settings.password.reveal if settings.password else lambda: None,
        keepalive_s=round(settings.keepalive_s),
        resume=False,
    )
    connector = Connector(Dialer(settings.tls, clock, limits, Resolver()), limits, clock)
    failure: ConnectFailed | None = None
    for broker in settings.brokers:
        try:
            return await connector.open(broker, login)
        except ConnectFailed as error:
            failure = error
        except SecretError as error:
            raise ConnectFailed(error.text, refused=True) from None
    assert failure is not None, "a configuration has at least one broker"
    raise failure


async def round_trip_ms(connection: Connection, site: Site) -> float:
    """Milliseconds from a SUBSCRIBE to its answer: it publishes nothing that others would see. Raises VisitEnded."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _subscribe(connection, Topics.of(site).receipt)
    return (loop.time() - began) * 1000


async def watch(connection: Connection, site: Site) -> AsyncIterator[Incoming]:
    """Yield every message of the school. Raises VisitEnded when the connection ends."""
    waiting: asyncio.Queue[Incoming | None] = asyncio.Queue(QUEUE)

    def take(message: Incoming) -> None:
        if waiting.full():
            waiting.get_nowait()  # who watches sees the newest
        waiting.put_nowait(message)
        connection.acknowledge(message)

    connection.listen(take)
    connection.ended.add_done_callback(lambda _ended: waiting.put_nowait(None) if not waiting.full() else None)
    await _subscribe(connection, Topics.of(site).below("#"))
    while (message := await waiting.get()) is not None:
        yield message
    raise VisitEnded(connection.ended.result().text)


async def _subscribe(connection: Connection, topic: str) -> None:
    try:
        (code,) = await connection.subscribe([topic])
    except TimeoutError:
        raise VisitEnded(say("uplink.suback-timeout", broker=str(connection.broker))) from None
    except ConnectionError:
        raise VisitEnded(connection.ended.result().text) from None
    if code >= FAILURE:
        raise VisitEnded(say("uplink.subscribe-refused", broker=str(connection.broker), topics=topic))
