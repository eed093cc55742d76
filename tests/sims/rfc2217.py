"""A serial server that speaks RFC 2217: pyserial's PortManager between a TCP connection and a pty."""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self

import serial
from serial.rfc2217 import PortManager


class PtySerial(serial.Serial):
    """A pty has no modem lines: asking for them is an error, so `lines` says what they are."""

    lines: frozenset[str] = frozenset({"cts", "dsr", "ri", "cd"})
    cts = property(lambda self: "cts" in self.lines)
    dsr = property(lambda self: "dsr" in self.lines)
    ri = property(lambda self: "ri" in self.lines)
    cd = property(lambda self: "cd" in self.lines)

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class Rfc2217Server:
    """Serves one client at a time, in threads; `with Rfc2217Server(tty) as server: server.url`."""

    def __init__(self, tty: Path, lines: frozenset[str] = PtySerial.lines) -> None:
        """`lines` are the modem lines that are on; they may be changed at any time."""
        self._tty = tty
        self.lines = lines
        self.closed = False
        """Clients are sent away."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ended = False
        self._guard = threading.Lock()
        self._client: socket.socket | None = None
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self.baudrates: list[int] = []
        """What clients have set."""

    @property
    def url(self) -> str:
        return f"rfc2217://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self.hang_up()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Close the client's connection."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def write(self, data: bytes) -> None:
        """Send to the client; PortManager wants an object with this method."""
        with self._guard, contextlib.suppress(OSError):
            if self._client is not None:
                self._client.sendall(data)

    def _serve(self) -> None:
        while not self._ended:
            try:
                self._client, _ = self._server.accept()
            except OSError:
                return
            if self.closed:
                self._client.close()
                continue
            with self._client, PtySerial(str(self._tty), timeout=0.05) as port:
                port.lines = self.lines
                self._talk(self._client, port)

    def _talk(self, client: socket.socket, port: PtySerial) -> None:
        manager = PortManager(port, self)  # type: ignore[arg-type]  # the stubs take the client's classes for the server's
        ended = threading.Event()

        def back() -> None:
            while not ended.is_set():
                if data := port.read(port.in_waiting or 1):
                    self.write(b"".join(manager.escape(data)))
                if port.lines != self.lines or manager.last_modemstate is None:
                    port.lines = self.lines
                    manager.check_modem_lines()

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with contextlib.suppress(OSError):
            while data := client.recv(1024):
                port.write(b"".join(manager.filter(data)))
                if self.baudrates[-1:] != [port.baudrate]:
                    self.baudrates.append(port.baudrate)
        ended.set()
        thread.join(5)
