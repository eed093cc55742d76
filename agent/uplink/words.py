"""The words of an MQTT connection: who we are, what comes, why it ended, and the reason codes that we act on.

Reason codes: MQTT 5.0, 2.4; paho maps the return codes of 3.1.1 to these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from agent.texts import Text, say
from agent.uplink.sockets import ConnectFailed

Protocol = Literal["5", "3.1.1"]
EndKind = Literal[
    "closed", "dropped", "lost", "silent", "unacknowledged", "takeover", "too-large", "refused", "protocol"
]

FAILURE: Final = 0x80
"""Reason codes from here on are failures."""
UNSUPPORTED_VERSION: Final = 0x84
NOT_AUTHORISED: Final = 0x87
BAD_LOGIN: Final = frozenset({0x86, NOT_AUTHORISED})
"""Bad user name or password, not authorised."""
TAKEN_OVER: Final = 0x8E
TOO_LARGE: Final = 0x95
PROTOCOL_ERRORS: Final = frozenset({0x81, 0x82, 0x90, 0x99})
"""Malformed packet, protocol error, topic name invalid, payload format invalid: something that we sent."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the broker. `password` is asked for at each connect, and kept nowhere."""

    client_id: str
    username: str | None
    password: Callable[[], str | None]
    keepalive_s: int
    resume: bool = True
    """Keep the session over connections, so that commands wait for us at the broker."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the broker."""

    topic: str
    payload: bytes
    retain: bool
    mid: int
    qos: int
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection ended."""

    kind: EndKind
    text: Text
    code: int | None = None
    """The MQTT 5 reason code of the broker's DISCONNECT."""

    @property
    def blames_message(self) -> bool:
        """Whether the broker ended it because of something that we had sent."""
        return self.code == TOO_LARGE or self.code in PROTOCOL_ERRORS


class NotModern(ConnectFailed):
    """The broker does not speak MQTT 5, or closed the connection or said nothing when it heard it."""


def refusal(code: int, name: str, broker: str, protocol: Protocol) -> ConnectFailed:
    """The error for a CONNACK with a failure; `name` is what the standard calls the code."""
    if code == UNSUPPORTED_VERSION and protocol == "5":
        return NotModern(say("uplink.not-modern", broker=broker))
    if code in BAD_LOGIN:
        return ConnectFailed(say("uplink.bad-login", broker=broker, reason=name, code=f"0x{code:02X}"), refused=True)
    return ConnectFailed(say("uplink.connack-refused", broker=broker, reason=name, code=f"0x{code:02X}"))
