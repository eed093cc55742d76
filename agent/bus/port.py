"""Byte ports: a serial device, `socket://host:port` or `rfc2217://host:port`, opened without blocking the loop.

An open port is handed to one user, who gets bytes as they come and one word when the port is lost. Its methods
never wait: what cannot be written at once means that the port is stuck, since requests on a line are short.
"""

import asyncio
import contextlib
import errno
import fcntl
import ipaddress
import os
import re
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from agent.bus.ports import group_of, holder, is_character_device, port_names, user_name
from agent.bus.worker import StillRunning, Worker
from agent.driver import DeviceError, Modem
from agent.texts import Text, say

if TYPE_CHECKING:
    import serial

READ_BYTES: Final = 4096
"""One read takes all that the kernel's tty buffer holds."""
TTY_OPEN_DEADLINE_S: Final = 5.0
"""Opening takes milliseconds; the driver of a dying USB adapter may hang in it."""
LOOKUP_DEADLINE_S: Final = 5.0
"""The resolver's own default gives up one server after 5 s."""
CONNECT_DEADLINE_S: Final = 5.0
"""Serial servers are on the school's own network: two lost SYNs (1 + 2 s) and one that comes through."""
KEEPALIVE_IDLE_S: Final = 5
KEEPALIVE_INTERVAL_S: Final = 2
KEEPALIVE_COUNT: Final = 3
"""A serial server that lost power answers nothing: with these it is found in 11 s even if nothing is sent."""
TCP_USER_TIMEOUT_MS: Final = 10_000
"""The same for one that dies with our request unacknowledged: as long as a device may be silent by default."""

MODEM_BITS: Final = struct.Struct("i")
"""How TIOCMGET and its like hand over the modem lines (ioctl_tty(2))."""
NO_MODEM: Final = (errno.EINVAL, errno.ENOTTY, errno.ENOTSUP)
"""What a port without modem lines says to that: a pseudo-terminal, a socket."""


class PortSettings(Protocol):
    """What opening a port needs to know; the settings of a bus have all of it."""

    @property
    def port(self) -> str: ...
    @property
    def baudrate(self) -> int: ...
    @property
    def bytesize(self) -> int: ...
    @property
    def parity(self) -> str: ...
    @property
    def stopbits(self) -> float: ...


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """The settings of a port that is in no configuration."""

    port: str
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1


class BytePort(Protocol):
    """An open port."""

    def start(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        """Hand over bytes as they come, and once, why the port was lost."""
        ...

    def write(self, data: bytes) -> None:
        """Send `data`. Raises DeviceError if the port is lost, or does not take it all at once."""
        ...

    def drain(self) -> bytes:
        """Take what has come and was not handed over yet."""
        ...

    def modem(self) -> Modem:
        """The modem lines now. Raises DeviceError if the port has none."""
        ...

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        """Set the output lines. Raises DeviceError if the port has none."""
        ...

    def close(self) -> None:
        """Give the port back; may be called again."""
        ...


OpenPort = Callable[[PortSettings], Awaitable[BytePort]]
"""Opens a port; raises DeviceError."""


class PortOpener:
    """Opens the ports of one user, one at a time."""

    def __init__(self) -> None:
        self._worker = Worker("open port")

    async def __call__(self, settings: PortSettings) -> BytePort:
        """Open the port. Raises DeviceError that says what is wrong and what to do."""
        scheme, found, _ = settings.port.partition("://")
        try:
            if not found:
                return await self._open_tty(settings)
            if scheme == "socket":
                return await self._open_socket(settings)
            if scheme == "rfc2217":
                from agent.bus.rfc2217 import open_rfc2217

                return await open_rfc2217(settings, self._worker, host_port(settings.port))
        except StillRunning:
            raise DeviceError(say("bus.still-opening", port=settings.port)) from None
        except OSError as error:  # no file descriptor is free, not even to load what opens this kind of port
            shown = f"{settings.baudrate} {settings.bytesize}{settings.parity}{settings.stopbits:g}"
            reason = error.strerror or str(error)
            raise DeviceError(say("bus.open-failed", port=settings.port, settings=shown, error=reason)) from error
        raise DeviceError(say("bus.bad-url", port=settings.port))

    async def _open_tty(self, settings: PortSettings) -> BytePort:
        try:
            port = await self._worker.call(
                lambda: open_serial(settings), deadline_s=TTY_OPEN_DEADLINE_S, discard=_close_serial
            )
        except TimeoutError:
            raise DeviceError(say("bus.open-hangs", port=settings.port, seconds=TTY_OPEN_DEADLINE_S)) from None
        return FdPort(settings.port, port.fileno(), lambda: _close_serial(port))

    async def _open_socket(self, settings: PortSettings) -> BytePort:
        host, number = host_port(settings.port)
        failure: OSError = TimeoutError()
        try:
            async with asyncio.timeout(LOOKUP_DEADLINE_S + CONNECT_DEADLINE_S):
                for family, address in await self._look_up(settings.port, host, number):
                    try:
                        connection = await connect(family, address)
                    except OSError as error:
                        failure = error
                        continue
                    return FdPort(settings.port, connection.fileno(), connection.close)
        except TimeoutError as error:
            failure = error
        raise connect_error(settings.port, failure)

    async def _look_up(self, port: str, host: str, number: int) -> list[tuple[int, Any]]:
        """Return the addresses of a host. Raises DeviceError."""
        with contextlib.suppress(ValueError):
            version = ipaddress.ip_address(host).version
            return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (host, number))]
        try:
            found = await self._worker.call(
                lambda: socket.getaddrinfo(host, number, type=socket.SOCK_STREAM), deadline_s=LOOKUP_DEADLINE_S
            )
        except TimeoutError:
            raise DeviceError(say("bus.lookup-timeout", port=port, host=host, seconds=LOOKUP_DEADLINE_S)) from None
        except OSError as error:
            raise DeviceError(say("bus.unknown-host", port=port, host=host, error=error.strerror)) from error
        return [(family, address) for family, _, _, _, address in found]


async def connect(family: int, address: Any) -> socket.socket:
    """Connect to a serial server, such that its death is noticed. Raises OSError, TimeoutError among them."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        set_tcp_options(connection)
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:  # also when cancelled: nobody else knows of this socket
        connection.close()
        raise
    return connection


def set_tcp_options(connection: socket.socket) -> None:
    """Send at once, and notice a peer that is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)


def host_port(url: str) -> tuple[str, int]:
    """Take host and port out of `socket://host:port`. Raises DeviceError."""
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port
    except ValueError:
        host = number = None
    if not host or not number or parts.username is not None or parts.path not in ("", "/"):
        raise DeviceError(say("bus.bad-url", port=url))
    return host, number


def connect_error(port: str, error: OSError) -> DeviceError:
    """Say why a serial server could not be reached."""
    if isinstance(error, TimeoutError):
        return DeviceError(say("bus.connect-timeout", port=port, seconds=CONNECT_DEADLINE_S))
    if isinstance(error, ConnectionRefusedError):
        return DeviceError(say("bus.refused", port=port))
    return DeviceError(say("bus.connect-failed", port=port, error=error.strerror or str(error)))


def open_serial(settings: PortSettings) -> "serial.Serial":
    """Open and lock a serial device; blocks. Raises DeviceError."""
    import serial

    try:
        return serial.Serial(
            settings.port,
            baudrate=settings.baudrate,
            bytesize=settings.bytesize,
            parity=settings.parity,
            stopbits=settings.stopbits,
            timeout=0,
            inter_byte_timeout=0,  # VMIN 1: an empty read then means that the device is gone, and nothing else
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError, termios.error is none
        raise tty_error(settings, error) from error


def _close_serial(port: "serial.Serial") -> None:
    with contextlib.suppress(OSError, termios.error):
        port.reset_output_buffer()  # else closing may wait 30 s for bytes that a dead adapter does not take
    with contextlib.suppress(OSError):
        port.close()


def tty_error(settings: PortSettings, error: Exception) -> DeviceError:
    """Say why a serial device could not be opened, and what to do."""
    path = settings.port
    code = error_code(error)
    if code == errno.ENOENT:
        names = port_names()
        there: Text | str = ", ".join(names) if names else say("bus.no-ports")
        return DeviceError(say("bus.no-such-port", port=path, ports=there))
    if code in (errno.EACCES, errno.EPERM):
        return DeviceError(
            say("bus.no-permission", port=path, user=user_name(), group=group_of(path) or "dialout"),
        )
    if code in (errno.EBUSY, errno.EWOULDBLOCK):
        return DeviceError(say("bus.busy", port=path, holder=holder(path) or say("bus.holder-unknown")))
    if code in (errno.ENOTTY, errno.EISDIR) or not is_character_device(path):
        return DeviceError(say("bus.not-a-tty", port=path))
    shown = f"{settings.baudrate} {settings.bytesize}{settings.parity}{settings.stopbits:g}"
    return DeviceError(
        say("bus.open-failed", port=path, settings=shown, error=os.strerror(code) if code else str(error))
    )


def error_code(error: BaseException) -> int | None:
    """Find the errno of an error of pyserial, which hides that of termios in its text or context."""
    for candidate in (error, error.__context__):
        if isinstance(candidate, OSError | termios.error) and candidate.args and isinstance(candidate.args[0], int):
            return candidate.args[0]
    match = re.search(r"\((\d+), '", str(error))
    return int(match[1]) if match else None


class FdPort:
    """A port that is a file descriptor: a tty or a connected socket."""

    def __init__(self, name: str, fd: int, close: Callable[[], None]) -> None:
        self._name = name
        self._fd = fd
        self._close = close
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._on_bytes: Callable[[bytes], None] = _ignore
        self._on_lost: Callable[[DeviceError], None] = _ignore

    def start(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:  # `drain` was faster
            return
        except OSError as error:
            self._lose(error.strerror)
            return
        if data:
            self._on_bytes(data)
        else:
            self._lose(None)

    def _lose(self, why: str | None) -> None:
        self.close()
        self._on_lost(lost_error(self._name, why))

    def write(self, data: bytes) -> None:
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise lost_error(self._name, error.strerror) from error
        if sent < len(data):
            raise DeviceError(say("bus.port-stuck", port=self._name, sent=sent, length=len(data)))

    def drain(self) -> bytes:
        try:
            return os.read(self._fd, READ_BYTES)
        except OSError:  # nothing there; or lost, which the loop will tell
            return b""

    def modem(self) -> Modem:
        bits = self._modem_bits(termios.TIOCMGET)
        return Modem(
            cts=bool(bits & termios.TIOCM_CTS),
            dsr=bool(bits & termios.TIOCM_DSR),
            dcd=bool(bits & termios.TIOCM_CAR),
            ri=bool(bits & termios.TIOCM_RNG),
        )

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        on = (termios.TIOCM_RTS if rts else 0) | (termios.TIOCM_DTR if dtr else 0)
        self._modem_bits(termios.TIOCMBIS, on)
        self._modem_bits(termios.TIOCMBIC, (termios.TIOCM_RTS | termios.TIOCM_DTR) ^ on)

    def _modem_bits(self, request: int, bits: int = 0) -> int:
        try:
            (found,) = MODEM_BITS.unpack(fcntl.ioctl(self._fd, request, MODEM_BITS.pack(bits)))
        except OSError as error:
            if error.errno in NO_MODEM:
                raise DeviceError(say("bus.no-modem", port=self._name)) from error
            raise lost_error(self._name, error.strerror) from error
        return int(found)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            self._close()


def lost_error(name: str, why: str | None) -> DeviceError:
    """Say that an open port was lost: the adapter unplugged, the connection closed."""
    remote = "://" in name
    return DeviceError(
        say("bus.connection-lost" if remote else "bus.port-lost", port=name, error=why or say("bus.closed-by-peer"))
    )


def _ignore(_: object) -> None:
    """Stand in for a callback until `start`."""
