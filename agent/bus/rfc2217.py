"""`rfc2217://host:port`: a serial port on the network, with its baud rate set from here (RFC 2217, e.g. ser2net).

pyserial speaks the protocol, but only with threads: opening and closing block, reading has no file descriptor. So
one thread reads, one writes, and both meet the loop over bounded buffers.
"""

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from agent.bus.port import PortSettings, lost_error, set_tcp_options
from agent.bus.worker import Worker
from agent.driver import DeviceError, Modem
from agent.texts import say

if TYPE_CHECKING:
    from serial.rfc2217 import Serial as Rfc2217Serial

OPEN_DEADLINE_S: Final = 12.0
"""pyserial waits up to 5 s for the connection, 3 s for the options and 3 s for the port's settings."""
READ_WAIT_S: Final = 0.5
"""How often the reading thread looks whether it is to end. A reply wakes it at once."""
WRITE_QUEUE: Final = 4
"""Requests that wait for the network; a bus has one under way, so a full queue means that nothing moves."""
UNREAD_LIMIT: Final = 4096
"""Bytes that wait for the loop; a reply has at most 256. What comes beyond is dropped: it is noise."""
OPTIONS: Final = frozenset({"ign_set_control", "poll_modem", "timeout"})
"""pyserial's options in the URL's query that make sense here; `logging` would reconfigure the whole process."""


async def open_rfc2217(settings: PortSettings, worker: Worker, address: tuple[str, int]) -> "Rfc2217Port":
    """Connect, negotiate and set up the port. Raises DeviceError."""
    unknown = sorted(set(parse_qs(urlsplit(settings.port).query, keep_blank_values=True)) - OPTIONS)
    if unknown:
        raise DeviceError(
            say("bus.bad-option", port=settings.port, option=unknown[0], known=", ".join(sorted(OPTIONS)))
        )
    try:
        port = await worker.call(lambda: _open(settings), deadline_s=OPEN_DEADLINE_S, discard=_close)
    except TimeoutError:
        raise DeviceError(say("bus.connect-timeout", port=settings.port, seconds=OPEN_DEADLINE_S)) from None
    except (OSError, ValueError) as error:  # SerialException is an OSError
        if isinstance(error.__context__, ConnectionRefusedError):
            raise DeviceError(say("bus.refused", port=settings.port)) from error
        host, number = address
        raise DeviceError(
            say("bus.rfc2217-failed", port=settings.port, host=host, number=number, error=str(error))
        ) from error
    return Rfc2217Port(settings.port, port)


def _open(settings: PortSettings) -> "Rfc2217Serial":
    from serial.rfc2217 import Serial

    port = Serial(
        settings.port,
        baudrate=settings.baudrate,
        bytesize=settings.bytesize,
        parity=settings.parity,
        stopbits=settings.stopbits,
        timeout=READ_WAIT_S,
    )
    connection = getattr(port, "_socket", None)  # there is no public way, and a dead server must be noticed
    if isinstance(connection, socket.socket):
        connection.settimeout(None)
        set_tcp_options(connection)
    return port


def _close(port: "Rfc2217Serial") -> None:
    with contextlib.suppress(OSError, ValueError):
        port.close()


class Rfc2217Port:
    """An open port of pyserial's RFC 2217 client, on the loop."""

    def __init__(self, name: str, port: "Rfc2217Serial") -> None:
        self._name = name
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._later = (True, True)
        self._unread = bytearray()
        self._guard = threading.Lock()
        self._requests: queue.Queue[bytes | None] = queue.Queue(WRITE_QUEUE)
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[DeviceError], None] | None = None

    def start(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        for work in (self._read, self._write):
            threading.Thread(target=work, name=f"{self._name} {work.__name__}", daemon=True).start()

    def write(self, data: bytes) -> None:
        try:
            self._requests.put_nowait(data)
        except queue.Full:
            raise DeviceError(say("bus.port-stuck", port=self._name, sent=0, length=len(data))) from None

    def drain(self) -> bytes:
        with self._guard:
            data = bytes(self._unread)
            self._unread.clear()
        return data

    def modem(self) -> Modem:
        """The lines as the server told them last; it tells changes by itself (RFC 2217, NOTIFY-MODEMSTATE)."""
        try:
            port = self._port
            return Modem(cts=bool(port.cts), dsr=bool(port.dsr), dcd=bool(port.cd), ri=bool(port.ri))
        except (OSError, ValueError) as error:
            raise lost_error(self._name, str(error)) from error

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        # Each waits for the server's word: not on the loop.
        self._later = (rts, dtr)
        threading.Thread(target=self._set_lines, name=f"{self._name} lines", daemon=True).start()

    def _set_lines(self) -> None:
        try:
            self._port.rts, self._port.dtr = self._later
        except (OSError, ValueError) as error:
            self._tell(self._lost, str(error))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with contextlib.suppress(queue.Full):  # the writer also looks at `_closed` by itself
                self._requests.put_nowait(None)
            # pyserial joins its own thread and then sleeps 0.3 s: not on the loop
            threading.Thread(target=_close, args=(self._port,), name=f"{self._name} close", daemon=True).start()

    def _read(self) -> None:
        while not self._closed:
            try:
                data = self._port.read(1)
                if data and (more := self._port.in_waiting):
                    data += self._port.read(min(more, UNREAD_LIMIT))
            except (OSError, ValueError, TypeError, AttributeError) as error:  # the last two: closed under its feet
                self._tell(self._lost, str(error))
                return
            if data:
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        with self._guard:
            wake = not self._unread
            self._unread += data[: UNREAD_LIMIT - len(self._unread)]
        if wake:
            self._tell(self._hand_over)

    def _write(self) -> None:
        while (data := self._requests.get()) is not None and not self._closed:
            try:
                self._port.write(data)
            except (OSError, ValueError, AttributeError) as error:
                self._tell(self._lost, str(error))
                return

    def _tell(self, work: Callable[..., None], *args: str) -> None:
        """Call `work` on the loop, from a thread; the loop may have ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *args)

    def _hand_over(self) -> None:
        if (data := self.drain()) and self._on_bytes is not None and not self._closed:
            self._on_bytes(data)

    def _lost(self, why: str) -> None:
        if not self._closed and self._on_lost is not None:
            self.close()
            self._on_lost(lost_error(self._name, why))
