"""Ports of machines as configuration writes them: serial devices, serial servers, and addresses to listen on."""

import re
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from agent.texts import Text, say
from agent.units import BadSetting, type_of

PORT_MAX: Final = 65_535
BAUDRATES: Final = (300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 76800, 115200, 230400, 460800)
"""What RS-485 and RS-232 equipment in schools can be set to."""
SOCKET_SCHEMES: Final = ("socket", "rfc2217")
"""Serial ports behind a network; the names are pyserial's."""
HOST_CHARS: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")


def text_type(check: Callable[[str], str], expected: Text) -> BeforeValidator:
    """A validator of strings: `check` gets nothing else."""

    def validate(value: object) -> str:
        if not isinstance(value, str):
            raise BadSetting(expected, type_of(value))
        return check(value)

    return BeforeValidator(validate)


def split_url(url: str) -> SplitResult | None:
    """Split a URL; None if it is none (urlsplit raises for bad brackets, `.port` for bad ports)."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and HOST_CHARS.fullmatch(parts.hostname) else None


def port_of(parts: SplitResult) -> int | None:
    return parts.port if parts.port and parts.port <= PORT_MAX else None


def is_bare(parts: SplitResult) -> bool:
    """Nothing but scheme, host and port."""
    return parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc


def _baudrate(value: int) -> int:
    if value not in BAUDRATES:
        raise BadSetting(say("config.baudrate", known=", ".join(map(str, BAUDRATES))), value)
    return value


def _port_name(value: str) -> str:
    if value.startswith("/") and "\0" not in value:
        return value
    parts = split_url(value)
    if parts is None or parts.scheme not in SOCKET_SCHEMES or port_of(parts) is None or not is_bare(parts):
        raise BadSetting(say("config.port"), value)
    return value


def _listen(value: str) -> str:
    parts = split_url(f"tcp://{value}")
    if parts is None or port_of(parts) is None or not is_bare(parts):
        raise BadSetting(say("config.listen"), value)
    return value


def split_listen(value: str) -> tuple[str, int]:
    """Return host (an IPv6 address without its brackets) and port of an address to listen on."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


Baudrate = Annotated[int, AfterValidator(_baudrate), WithJsonSchema({"type": "integer", "enum": list(BAUDRATES)})]
PortName = Annotated[
    str,
    text_type(_port_name, say("config.port")),
    WithJsonSchema({"type": "string", "pattern": r"^(/|(socket|rfc2217)://[^@/]+:[0-9]+/?$)"}),
]
ListenAddress = Annotated[
    str, text_type(_listen, say("config.listen")), WithJsonSchema({"type": "string", "pattern": r"^.+:[0-9]+$"})
]
