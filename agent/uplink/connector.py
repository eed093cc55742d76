"""How a broker is reached: socket, MQTT 5, and 3.1.1 where the broker knows no better."""

import logging
from dataclasses import dataclass, field

from agent.clock import NS_PER_S, Clock
from agent.config.models import Broker, SecretError, UplinkSettings
from agent.model import Site
from agent.uplink.limits import Limits
from agent.uplink.mqtt import Connection
from agent.uplink.sockets import ConnectFailed, Dialer, Resolver
from agent.uplink.wire import Wire
from agent.uplink.words import Login, NotModern, Protocol

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Connector:
    """Opens connections, and remembers which brokers speak 3.1.1 only."""

    dialer: Dialer
    limits: Limits
    clock: Clock
    _old: dict[str, int] = field(default_factory=dict)
    """Brokers that took 3.1.1 after they had refused 5, and until when (boot clock) that is taken for granted."""

    async def open(self, broker: Broker, login: Login, will: tuple[str, bytes] | None = None) -> Connection:
        """Connect. Raises ConnectFailed."""
        name = str(broker)
        if self._old.get(name, 0) > self.clock.boottime_ns():
            return await self._open(broker, login, "3.1.1", will)
        try:
            return await self._open(broker, login, "5", will)
        except NotModern as error:
            try:
                connection = await self._open(broker, login, "3.1.1", will)
            except ConnectFailed as second:
                raise second if second.refused else error from None
        self._old[name] = self.clock.boottime_ns() + round(self.limits.modern_again_s * NS_PER_S)
        return connection

    async def _open(
        self, broker: Broker, login: Login, protocol: Protocol, will: tuple[str, bytes] | None
    ) -> Connection:
        wire = Wire(await self.dialer.dial(broker))
        return await Connection.open(wire, broker, login, protocol, self.limits, will)


class Brokers:
    """The configured brokers, and who we are to them."""

    def __init__(self, settings: UplinkSettings, site: Site, clock: Clock, limits: Limits, resolver: Resolver) -> None:
        self._settings = settings
        self._client_id = settings.client_id or f"campus-{site.district}-{site.school}"
        self._connector = Connector(Dialer(settings.tls, clock, limits, resolver), limits, clock)

    async def connect(self, index: int, will: tuple[str, bytes]) -> Connection:
        """Connect to one of them as ourselves. Raises ConnectFailed."""
        return await self._connector.open(self._settings.brokers[index], self._login(), will)

    async def probe(self, index: int) -> bool:
        """Whether a broker takes us. The probe has an id of its own: with ours it would end our session where both
        brokers are one cluster."""
        try:
            connection = await self._connector.open(self._settings.brokers[index], self._login("-probe", resume=False))
        except ConnectFailed as error:
            log.debug("probe: %s", error)
            return False
        await connection.close()
        return True

    def _login(self, suffix: str = "", *, resume: bool = True) -> Login:
        settings = self._settings
        keepalive_s = round(settings.keepalive_s)
        return Login(self._client_id + suffix, settings.username, self._password, keepalive_s, resume)

    def _password(self) -> str | None:
        try:
            return self._settings.password.reveal() if self._settings.password else None
        except SecretError as error:
            raise ConnectFailed(error.text, refused=True) from None
