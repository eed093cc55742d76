"""SRT by Debian's libsrt: a file to write MPEG-TS into, which calls a media server.

PyAV's FFmpeg is built without SRT. A tool beside us (srt-live-transmit, ffmpeg) would take the passphrase on its
command line, which everybody can read; the library takes it as a value, and says why a server refuses. It is a package
of the system, so that its security updates come from there: `apt-get install srt-tools`.

Used by the outlet process only, which loads this file by its path: nothing of the agent is imported here. Run as a
program it tells by its exit code whether the library is there.
Source: libsrt's docs/API/API-functions.md, API-socket-options.md and access_control.h (1.4 and later).
"""

import ctypes
import io
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

LIBRARIES: Final = (
    "libsrt-gnutls.so.1.5",
    "libsrt-openssl.so.1.5",
    "libsrt.so.1.5",
    "libsrt.so.1",
    "libsrt-gnutls.so.1.4",
)
"""Debian 12 and 13, other systems, Debian 11."""
MESSAGE_BYTES: Final = 1316
"""Seven packets of MPEG-TS: what all of SRT sends in one datagram, and the most that live mode takes by default."""
CONNECT_TIMEOUT_MS: Final = 8000
"""libsrt's 3 s are two lost handshakes on a bad line; whoever started us waits 20 s."""
SEND_TIMEOUT_MS: Final = 10_000
"""A send waits only while the buffer is full, and the buffer drops what is late by itself."""
SNDSYN_TIMEOUT, LATENCY, PASSPHRASE, PBKEYLEN, CONNTIMEO, STREAMID = 13, 23, 26, 27, 36, 46
"""SRT_SOCKOPT."""
INVALID: Final = -1
"""SRT_INVALID_SOCK and SRT_ERROR."""
CRITICAL: Final = 2
"""LOG_CRIT of syslog.h: libsrt's own log would go to standard error, with the stream id in it."""
TIMED_OUT: Final = frozenset({1001, 6003})
"""SRT_ENOSERVER, SRT_ETIMEOUT."""
REJECTED: Final = 1002
"""SRT_ECONNREJ."""
WRONG_SECRET: Final = frozenset({10, 11, 1401, 1403})
"""SRT_REJ_BADSECRET, SRT_REJ_UNSECURE, SRT_REJX_UNAUTHORIZED, SRT_REJX_FORBIDDEN."""


class NoLibrary(OSError):
    """libsrt is not installed."""


class SrtUnreachable(OSError):
    """Nobody answers."""


class SrtSecret(OSError):
    """The server wants another passphrase, another login in the stream id, or none."""


class SrtRejected(OSError):
    """The server does not take this stream."""


class SrtLost(OSError):
    """The connection broke."""


def load(names: Sequence[str] = LIBRARIES) -> Any:
    """The library. Raises NoLibrary."""
    for name in names:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.srt_connect.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.srt_setsockflag.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.srt_sendmsg.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
        return library
    raise NoLibrary("no libsrt")


class SrtFile(io.RawIOBase):
    """A connection to a listener, for FFmpeg to write into. Raises OSErrors of this module."""

    def __init__(self, host: str, port: int, settings: Mapping[str, str]) -> None:
        self._library = load()
        self._library.srt_startup()
        self._library.srt_setloglevel(CRITICAL)
        self._socket = INVALID
        self.failed: OSError | None = None
        """The first error: FFmpeg has its own name for it."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise SrtUnreachable("no such host") from error
        for number, (family, *_, address) in enumerate(found):
            try:
                self._connect(packed(family, address), settings)
                return
            except SrtUnreachable:
                if number == len(found) - 1:
                    raise

    def _connect(self, address: bytes, settings: Mapping[str, str]) -> None:
        made = self._library.srt_create_socket()
        if made == INVALID:
            raise self._error()
        try:
            for option, value in options(settings):
                if self._library.srt_setsockflag(made, option, value, len(value)) == INVALID:
                    raise self._error()
            if self._library.srt_connect(made, address, len(address)) == INVALID:
                raise self._error(made)
        except OSError:
            self._library.srt_close(made)
            raise
        self._socket = made

    def _error(self, refused: int = INVALID) -> OSError:
        code = self._library.srt_getlasterror(None)
        if code in TIMED_OUT:
            return SrtUnreachable(code)
        if code == REJECTED and refused != INVALID:
            reason = self._library.srt_getrejectreason(refused)
            return (SrtSecret if reason in WRONG_SECRET else SrtRejected)(reason)
        return SrtLost(code)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Send all of it; a shorter last message goes out at once, since a picture ends there."""
        if self.failed:
            raise self.failed
        view = memoryview(data)
        for at in range(0, len(view), MESSAGE_BYTES):
            message = bytes(view[at : at + MESSAGE_BYTES])
            if self._library.srt_sendmsg(self._socket, message, len(message), -1, 1) == INVALID:
                self.failed = self._error()
                raise self.failed
        return len(view)

    def close(self) -> None:
        """Say goodbye to the server."""
        if not self.closed and self._socket != INVALID:
            self._library.srt_close(self._socket)
        super().close()


def options(settings: Mapping[str, str]) -> list[tuple[int, bytes]]:
    """The socket options of a call, as libsrt wants them: numbers as int, texts without an end mark."""
    made = [(CONNTIMEO, number(CONNECT_TIMEOUT_MS)), (SNDSYN_TIMEOUT, number(SEND_TIMEOUT_MS))]
    for key, option in (("latency", LATENCY), ("pbkeylen", PBKEYLEN)):
        if key in settings:
            made.append((option, number(int(settings[key]))))
    for key, option in (("passphrase", PASSPHRASE), ("streamid", STREAMID)):
        if key in settings:
            made.append((option, settings[key].encode()))
    return made


def number(value: int) -> bytes:
    """An int."""
    return struct.pack("i", value)


def packed(family: int, address: tuple[Any, ...]) -> bytes:
    """A struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7))."""
    host, port = address[0], struct.pack("!H", address[1])
    head = struct.pack("H", family) + port
    if family == socket.AF_INET:
        return head + socket.inet_pton(family, host) + bytes(8)
    return head + bytes(4) + socket.inet_pton(family, host.partition("%")[0]) + struct.pack("I", address[3])


if __name__ == "__main__":
    try:
        load()
    except NoLibrary:
        sys.exit(1)
