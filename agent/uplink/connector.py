"""How a broker is reached: socket, MQTT 5, and 3.1.1 where the broker knows no better."""

from dataclasses import dataclass, field

from agent.clock import NS_PER_S, Clock
from agent.config.models import Broker
from agent.uplink.limits import Limits
from agent.uplink.mqtt import Connection, NotModern
from agent.uplink.sockets import ConnectFailed, Dialer
from agent.uplink.wire import Wire
from agent.uplink.words import Login, Protocol


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
