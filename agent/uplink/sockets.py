"""From a broker's address to a connected socket: look-up, TCP, TLS, each with a deadline, none of them blocking.

Raises ConnectFailed with a text that tells which of them failed, what was expected and what to do.
"""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from agent.clock import Clock
from agent.config.models import Broker, SecretError, TlsSettings
from agent.texts import Spoken, Text, say
from agent.uplink.limits import Limits

LOOKUPS: Final = 4
"""Look-ups at a time. A hung resolver fills these and nothing else; a fifth fails at once."""
TCP_USER_TIMEOUT_MS: Final = 15_000
"""Unacknowledged bytes for so long end the connection (RFC 5482), also where no MQTT answer is awaited."""
VERIFY_NOT_YET_VALID: Final = 9
VERIFY_EXPIRED: Final = 10
VERIFY_HOST: Final = frozenset({62, 64})
"""X509_V_ERR_* of OpenSSL (x509_vfy.h): 62 host name, 64 IP address."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class ConnectFailed(Spoken):
    """A broker could not be reached. `refused`: it answered, and does not want us; trying soon again is no use."""

    def __init__(self, text: Text, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


class Resolver:
    """Look-ups in daemon threads of their own: a hung one blocks neither other users of threads nor the exit."""

    def __init__(self, lookup: Callable[..., Sequence[Any]] = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._free = LOOKUPS

    async def addresses(self, host: str, port: int, timeout_s: float) -> list[Address]:
        """Return the addresses, families alternating (RFC 8305 4). Raises ConnectFailed."""
        with suppress(ValueError):
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            return [(family, (host, port))]
        if self._free == 0:
            raise ConnectFailed(say("uplink.lookup-timeout", host=host, timeout_s=timeout_s))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Any]] = loop.create_future()
        self._free -= 1

        def finish(found: Sequence[Any] | OSError) -> None:
            self._free += 1
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            found: Sequence[Any] | OSError
            try:
                found = self._lookup(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                found = error
            except UnicodeError as error:  # a label that IDNA cannot encode
                found = OSError(str(error))
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, found)

        threading.Thread(target=work, name=f"lookup {host}", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                found = await answer
        except TimeoutError:
            raise ConnectFailed(say("uplink.lookup-timeout", host=host, timeout_s=timeout_s)) from None
        except OSError as error:
            raise ConnectFailed(say("uplink.lookup-failed", host=host, error=error.strerror or str(error))) from None
        return alternate([(item[0], item[4]) for item in found])


def alternate(addresses: Sequence[Address]) -> list[Address]:
    """Order addresses so that families alternate, the first one's first."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    mixed = [a for pair in zip(first, other, strict=False) for a in pair]
    return [*mixed, *first[len(other) :], *other[len(first) :]]


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens sockets to brokers."""

    tls: TlsSettings | None
    clock: Clock
    limits: Limits
    resolver: Resolver

    async def dial(self, broker: Broker) -> socket.socket:
        """Return a connected, non-blocking socket, with TLS where the broker's URL says so. Raises ConnectFailed."""
        addresses = await self.resolver.addresses(broker.host, broker.port, self.limits.lookup_s)
        sock = await self._connect(broker, addresses)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
            return await self._secure(broker, sock) if broker.tls else sock
        except BaseException:  # also when cancelled: nobody else knows of this socket
            sock.close()
            raise

    async def _connect(self, broker: Broker, addresses: Sequence[Address]) -> socket.socket:
        """The first address that answers wins; each has a head start before the next."""
        attempts: set[asyncio.Task[socket.socket]] = set()
        waiting = list(addresses)
        failure: OSError = OSError("no address")
        try:
            async with asyncio.timeout(self.limits.tcp_s):
                while waiting or attempts:
                    if waiting:
                        attempts.add(asyncio.ensure_future(connect(waiting.pop(0))))
                    head_start = self.limits.stagger_s if waiting else None
                    done, attempts = await asyncio.wait(
                        attempts, timeout=head_start, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        if not (error := task.exception()):
                            return task.result()
                        failure = error if isinstance(error, OSError) else OSError(str(error))
        except TimeoutError:
            raise ConnectFailed(say("uplink.tcp-timeout", broker=str(broker), timeout_s=self.limits.tcp_s)) from None
        finally:
            for task in attempts:
                task.cancel()
                task.add_done_callback(close_late)
        raise ConnectFailed(say("uplink.tcp-failed", broker=str(broker), error=failure.strerror or str(failure)))

    async def _secure(self, broker: Broker, plain: socket.socket) -> ssl.SSLSocket:
        """The TLS handshake. There is no way around a failed one."""
        try:
            context = make_context(self.tls)
            sock = context.wrap_socket(plain, server_hostname=broker.host, do_handshake_on_connect=False)
        except (OSError, ValueError, SecretError) as error:
            raise ConnectFailed(say("uplink.tls-files", error=str(error)), refused=True) from None
        try:
            async with asyncio.timeout(self.limits.tls_s):
                await handshake(sock)
        except TimeoutError:
            sock.close()
            raise ConnectFailed(say("uplink.tls-timeout", broker=str(broker), timeout_s=self.limits.tls_s)) from None
        except OSError as error:
            sock.close()
            raise ConnectFailed(tls_text(error, broker, self.clock), refused=True) from None
        except BaseException:  # also when cancelled
            sock.close()
            raise
        return sock


async def connect(address: Address) -> socket.socket:
    """One TCP connect. Raises OSError."""
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[1])
    except BaseException:  # also when cancelled, as the slower of two addresses is
        sock.close()
        raise
    return sock


def close_late(task: "asyncio.Task[socket.socket]") -> None:
    """Close the socket of an attempt that won when nobody wanted it any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def wake(future: "asyncio.Future[None]") -> None:
    """Resolve a future, once."""
    if not future.done():
        future.set_result(None)


async def handshake(sock: ssl.SSLSocket) -> None:
    """Run a TLS handshake on a non-blocking socket. Raises OSError (ssl.SSLError is one)."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            add, remove = loop.add_reader, loop.remove_reader
        except ssl.SSLWantWriteError:
            add, remove = loop.add_writer, loop.remove_writer
        else:
            return
        ready: asyncio.Future[None] = loop.create_future()
        add(sock, wake, ready)
        try:
            await ready
        finally:
            remove(sock)


def make_context(tls: TlsSettings | None) -> ssl.SSLContext:
    """A client's TLS context that verifies certificate and host name. Made anew for every connection, so that
    renewed files are used. Raises OSError, ValueError, SecretError."""
    context = ssl.create_default_context(cafile=str(tls.ca) if tls and tls.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls and tls.cert:
        context.load_cert_chain(tls.cert, tls.key_path(), password="")  # an encrypted key fails instead of prompting
    return context


def tls_text(error: OSError, broker: Broker, clock: Clock) -> Text:
    """Say in people's words why a TLS handshake failed."""
    name = str(broker)
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == VERIFY_NOT_YET_VALID:
            key = "uplink.tls-clock" if clock.quality() == "unsynced" else "uplink.tls-not-yet-valid"
            return say(key, broker=name, now=clock.wall().isoformat(timespec="seconds"))
        if error.verify_code == VERIFY_EXPIRED:
            return say("uplink.tls-expired", broker=name, now=clock.wall().isoformat(timespec="seconds"))
        if error.verify_code in VERIFY_HOST:
            return say("uplink.tls-host", broker=name, host=broker.host)
        return say("uplink.tls-unknown-ca", broker=name, error=error.verify_message)
    reason = str(getattr(error, "reason", None) or "")
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return say("uplink.tls-no-tls", broker=name)  # what a broker does that takes our greeting for bad MQTT
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return say("uplink.tls-no-tls", broker=name)
    return alert_text(reason, name) or say("uplink.tls-failed", broker=name, error=reason or str(error))


def alert_text(reason: str, broker: str) -> Text | None:
    """Say what the broker's TLS alert means, if it is about our certificate. With TLS 1.3 such an alert comes
    after the handshake, with the first bytes that are read (RFC 8446 4.4.2.4)."""
    if "ALERT_CERTIFICATE_REQUIRED" in reason or "ALERT_HANDSHAKE_FAILURE" in reason:
        return say("uplink.tls-client-missing", broker=broker)
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return say("uplink.tls-client-refused", broker=broker, reason=reason)
    return None
