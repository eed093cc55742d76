"""The socket as the MQTT library sees it: reads come out of a buffer, errors are kept, bytes are counted.

The library asks for one byte, then one to four, then the rest; read from the socket directly that is three or more
system calls a packet. Here one read serves every packet that has arrived. It also writes packet by packet; between
`cork` and `uncork` they are collected and go out in one write, which is a third of what a drain costs.
"""

import socket
import ssl
from contextlib import suppress
from typing import Final

READ_BYTES: Final = 64 * 1024
READS_PER_EVENT: Final = 4
"""So that a flood from the broker leaves the loop to others in between."""


class Wire:
    """A connected, non-blocking socket, plain or TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._out = bytearray()
        """Packets that are collected, or that the kernel had no room for."""
        self._corked = False
        self._ended = False
        self.error: OSError | None = None
        """Why reading or writing failed, if it did."""
        self.bytes_in = 0
        self.bytes_out = 0

    def fill(self) -> bool:
        """Take in what has arrived; return whether there is anything to handle, an end included. Never raises."""
        for _ in range(READS_PER_EVENT):
            try:
                data = self._sock.recv(READ_BYTES)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self.error = self.error or error
                self._ended = True
                break
            if not data:
                self._ended = True
                break
            self.bytes_in += len(data)
            self._buffer += data
            if not isinstance(self._sock, ssl.SSLSocket):
                break  # what is left on a plain socket wakes the loop again; TLS may hold it inside
        return bool(self._buffer) or self._ended

    @property
    def left(self) -> bool:
        """Whether bytes wait that were taken in already."""
        return bool(self._buffer) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def cork(self) -> None:
        """Collect what is sent from here on."""
        self._corked = True

    def uncork(self) -> bool:
        """Write what was collected; return whether some of it must wait until the socket can be written. Never
        raises: a failure is met by the next read."""
        self._corked = False
        try:
            while self._out:
                del self._out[: self._write(self._out)]
        except BlockingIOError:
            return True
        except OSError:
            self._out.clear()
            self._ended = True
        return False

    def _write(self, data: bytes | bytearray) -> int:
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except OSError as error:
            self.error = self.error or error
            raise
        self.bytes_out += sent
        return sent

    # what paho asks of a socket

    def recv(self, size: int) -> bytes:
        if self._buffer:
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
            return data
        if self.error:
            raise self.error
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        if self._corked:
            self._out += data
            return len(data)
        if self._out:
            raise BlockingIOError  # first what waits
        return self._write(data)

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)
