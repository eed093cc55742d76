"""The UDP half of a search: questions go out on every interface, answers come in within bounds."""

import asyncio
import contextlib
import logging
import random
import socket
import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from agent.skyeye.discovery.messages import SOUGHT, BadAnswer, Match, parse_matches, probe
from agent.skyeye.discovery.model import How
from agent.skyeye.discovery.network import Interface

log = logging.getLogger(__name__)

GROUP: Final = "239.255.255.250"
PORT: Final = 3702
"""WS-Discovery (April 2005), 2.4."""
PAUSE_S: Final = 0.004
"""Between two hosts that are asked by themselves: 250 a second make 4 Mbit/s, a twentieth of an old switch's port. Of
hosts that are not there some 750 wait for an answer to ARP at a time (3 s each), where 1,024 have room (arp(7),
gc_thresh3)."""
ROUNDS: Final = (0.0, 0.10, 0.25, 0.45, 0.70)
"""When the questions go out, as parts of the time that there is: datagrams are lost, and some cameras answer only once
in a while."""
SOCKETS: Final = 12
"""For single hosts. A datagram to a host that is not there stays in its socket's send buffer until ARP gives up, after
3 s; one socket holds some 180 of them (net.core.wmem_max), and 1,500 are under way at this pace. With a single one
a search of 4,094 addresses had not ended after two minutes; with these it takes 45 s [measured]."""
FREE_EVERY_S: Final = 0.02
FREE_WITHIN_S: Final = 5.0
"""Longer than ARP takes to give up."""
SEND_BYTES: Final = 1 << 20
JITTER: Final = 0.05
ANSWERS_PER_HOST: Final = 200
"""A gateway for 64 cameras that answers three kinds of question in some rounds; what comes beyond is not read."""
ANSWERS_LIMIT: Final = 100_000
RECEIVE_BYTES: Final = 1 << 20
"""Some hundred cameras answer at the same moment."""

OnMatch = Callable[[Match, str, How], None]


class Listener:
    """One search. `addressed` are the hosts that were asked by themselves."""

    def __init__(self, on_match: OnMatch, *, port: int = PORT, rng: random.Random | None = None) -> None:
        self._on_match = on_match
        self._port = port
        self._rng = rng or random.Random()
        self._ways: list[asyncio.DatagramTransport] = []
        self._singles: list[asyncio.DatagramTransport] = []
        self._counts: Counter[str] = Counter()
        self._total = 0
        self.refused = 0
        """Answers that could not be read, or were too many."""
        self.failed: list[tuple[str, str]] = []
        """Interfaces that could not be used, and why."""

    async def open(self, ways: Sequence[Interface]) -> None:
        """Make a socket for each interface, one for single hosts, and one for those who answer to the whole group.
        None of them has to work."""
        for way in ways:
            if (opened := await self._opened(way.name, lambda way=way: _way_socket(way), "multicast")) is not None:  # type: ignore[misc]
                self._ways.append(opened)
        for number in range(SOCKETS):
            if (opened := await self._opened("-", _single_socket, "unicast", quiet=number > 0)) is not None:
                self._singles.append(opened)
        self._group = await self._opened("-", lambda: _group_socket(ways, self._port), "multicast", quiet=True)

    def close(self) -> None:
        """Give every socket back."""
        for transport in (*self._ways, *self._singles, self._group):
            if transport is not None:
                transport.close()

    async def ask_everybody(self, seconds: float) -> None:
        """Ask the group in rounds over so long a time."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for part in ROUNDS:
            at = started + seconds * (part + self._rng.uniform(0, JITTER))
            await asyncio.sleep(max(0.0, at - loop.time()))
            for transport in self._ways:
                for sought in SOUGHT:
                    self._send(transport, probe(sought, str(uuid.uuid4())), GROUP)
            await asyncio.sleep(0)
        await asyncio.sleep(max(0.0, started + seconds - loop.time()))

    async def ask_each(self, addresses: Iterable[str], on_asked: Callable[[], None]) -> None:
        """Ask single hosts, one after another at a gentle pace."""
        for address in addresses:
            if (free := await self._free()) is not None:
                for sought in SOUGHT[
                    ::2
                ]:  # typed and untyped: a second typed one would find nobody new, and costs a third
                    self._send(free, probe(sought, str(uuid.uuid4())), address)
            on_asked()
            await asyncio.sleep(PAUSE_S)

    async def _free(self) -> asyncio.DatagramTransport | None:
        """A socket that has nothing waiting; each in its turn."""
        for _ in range(round(FREE_WITHIN_S / FREE_EVERY_S)):
            for transport in self._singles:
                if transport.get_write_buffer_size() == 0:  # type: ignore[attr-defined]  # a method that typeshed lacks
                    self._singles.remove(transport)
                    self._singles.append(transport)
                    return transport
            await asyncio.sleep(FREE_EVERY_S if self._singles else 0)
        return self._singles[0] if self._singles else None

    def heard(self, data: bytes, address: str, how: How) -> None:
        """Take one datagram."""
        self._counts[address] += 1
        self._total += 1
        if self._counts[address] > ANSWERS_PER_HOST or self._total > ANSWERS_LIMIT:
            self.refused += 1
            return
        try:
            matches = parse_matches(data)
        except BadAnswer as error:
            self.refused += 1
            log.debug("%s: %s", address, error)
            return
        for match in matches:
            self._on_match(match, address, how)

    def _send(self, transport: asyncio.DatagramTransport, message: bytes, address: str) -> None:
        with contextlib.suppress(OSError):  # asyncio tells most of them to `error_received`
            transport.sendto(message, (address, self._port))

    async def _opened(
        self, name: str, make: Callable[[], socket.socket], how: How, *, quiet: bool = False
    ) -> asyncio.DatagramTransport | None:
        try:
            sock = make()
        except OSError as error:
            log.debug("discovery on %s: %s", name, error)
            if not quiet:
                self.failed.append((name, error.strerror or str(error)))
            return None
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(self, how), sock=sock)
        return transport

    _group: asyncio.DatagramTransport | None = None


class _Ear(asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self, listener: Listener, how: How) -> None:
        self._listener = listener
        self._how = how

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._listener.heard(data, addr[0], self._how)

    def error_received(self, exc: Exception) -> None:
        """Hosts that are not there say so (ICMP); of no interest one by one."""


def _udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    return sock


def _way_socket(way: Interface) -> socket.socket:
    sock = _udp()
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(way.address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        sock.bind((way.address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _single_socket() -> socket.socket:
    sock = _udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    sock.bind(("0.0.0.0", 0))  # noqa: S104 - answers may come by any interface
    return sock


def _group_socket(ways: Sequence[Interface], port: int) -> socket.socket:
    """For cameras that answer to the group and not to who asked. Others on this machine may listen there too."""
    sock = _udp()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((GROUP, port))
    except OSError:
        sock.close()
        raise
    for way in ways:
        with contextlib.suppress(OSError):  # e.g. EADDRINUSE for two addresses on one interface, ENODEV for one gone
            member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(way.address))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return sock
