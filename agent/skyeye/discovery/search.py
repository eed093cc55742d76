"""One search for cameras: everybody is asked, and the hosts of the given ranges; then the silent ones are looked at."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent.skyeye.discovery.answers import found_of
from agent.skyeye.discovery.listener import PORT, Listener
from agent.skyeye.discovery.look import ONVIF_PORTS, RTSP_PORTS, look
from agent.skyeye.discovery.messages import Match
from agent.skyeye.discovery.model import Found, How
from agent.skyeye.discovery.network import (
    NEIGHBOURS,
    Interface,
    chosen,
    interfaces,
    neighbours,
    on_link,
    parse_ranges,
)

TIMEOUT_S: Final = 6.0
"""For the questions to everybody: WS-Discovery lets a device wait 0.5 s (its APP_MAX_DELAY), real ones take up to 3."""
GRACE_S: Final = 1.0
"""After the last question to a single host."""
LOOKS_AT_ONCE: Final = 24
"""Hosts looked at together, each with some ports: well below the 1,024 files that a process may have open."""
FOUND_LIMIT: Final = 2_000
PER_HOST_LIMIT: Final = 64
"""Devices on one address: a gateway that hides a school's cameras behind it. More is somebody's bad joke."""
RESOLVE_TIMEOUT_S: Final = 3.0


@dataclass(slots=True)
class Progress:
    """How far a search is. `total` grows when it turns out that there is more to do."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to ask."""

    discovery: int = PORT
    onvif: tuple[int, ...] = ONVIF_PORTS
    rtsp: tuple[int, ...] = RTSP_PORTS


DEFAULTS: Final = Ports()


@dataclass(slots=True)
class Search:
    """One search, with what it may be asked about afterwards."""

    named: Sequence[str] | None = None
    ranges: Iterable[str] = ()
    extra: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Hosts that are to be asked too, whatever the ranges, with the ports that are known: those configured. Several
    cameras behind one router that forwards ports have one host."""
    timeout_s: float = TIMEOUT_S
    grace_s: float = field(default_factory=lambda: GRACE_S)
    on_found: Callable[[Found], None] | None = None
    on_progress: Callable[[Progress], None] | None = None
    ports: Ports = field(default_factory=lambda: DEFAULTS)
    neighbours_file: Path = NEIGHBOURS
    progress: Progress = field(default_factory=Progress)
    addresses: dict[str, str] = field(default_factory=dict)
    """Of the extra hosts, those whose address is known."""
    refused: int = 0
    """Answers that could not be read."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Interfaces that could not be used."""
    _found: dict[tuple[str, int], Found] = field(default_factory=dict)
    _ticked: int = 0
    _told: dict[tuple[str, int], Found] = field(default_factory=dict)

    async def run(self) -> tuple[Found, ...]:
        """Search. Raises DiscoveryError if it was asked for what cannot be."""
        ways = chosen(self.named, interfaces())
        self.addresses = await resolve(self.extra)
        hosts: dict[str, frozenset[int]] = {address: frozenset() for address in parse_ranges(self.ranges)}
        for host, address in self.addresses.items():  # two names may be of one address
            hosts[address] = hosts.get(address, frozenset()) | self.extra[host]
        listener = Listener(self._match, port=self.ports.discovery)
        self._step(total=len(hosts) * 2 + round(self.timeout_s * 10))
        try:
            await listener.open(ways)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._everybody(listener))
                group.create_task(self._each(listener, [*hosts]))
        finally:
            listener.close()
        self.refused, self.failed = listener.refused, listener.failed
        await self._look_at(hosts, ways)
        self._add_macs()
        return tuple(
            sorted(merged(self._found.values()), key=lambda one: (ipaddress.IPv4Address(one.address), one.port))
        )

    async def _everybody(self, listener: Listener) -> None:
        ticks = round(self.timeout_s * 10)

        async def tick() -> None:
            for _ in range(ticks):
                await asyncio.sleep(0.1)
                self._ticked += 1
                self._step()

        ticking = asyncio.create_task(tick())
        try:
            await listener.ask_everybody(self.timeout_s)
        finally:
            ticking.cancel()
        self._step(count=ticks - self._ticked)

    async def _each(self, listener: Listener, addresses: Sequence[str]) -> None:
        if addresses:
            await listener.ask_each(addresses, self._step)
            await asyncio.sleep(self.grace_s)
            again = [address for address in addresses if not self._has(address)]
            self._step(total=len(again))
            await listener.ask_each(again, self._step)  # datagrams are lost
            await asyncio.sleep(self.grace_s)

    async def _look_at(self, hosts: Mapping[str, frozenset[int]], ways: Sequence[Interface]) -> None:
        """Look at hosts that said nothing, and at each place of those that stand for several cameras. In a network of
        ours, one that is not in the neighbour table by now is not there at all."""
        there = neighbours(self.neighbours_file)
        looks: list[tuple[str, Sequence[int], Sequence[int]]] = []
        for host, own in hosts.items():
            if on_link(host, ways) and there.get(host) is None:
                continue
            if len(own) > 1:
                looks += [(host, (port,), (port,)) for port in sorted(own) if (host, port) not in self._found]
            elif not self._has(host):
                onvif, rtsp = (dict.fromkeys((*own, *ports)) for ports in (self.ports.onvif, self.ports.rtsp))
                looks.append((host, (*onvif,), (*rtsp,)))
        self._step(count=len(hosts))
        self._step(total=len(looks))
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def one(host: str, onvif: Sequence[int], rtsp: Sequence[int]) -> None:
            async with gate:
                if (found := await look(host, onvif, rtsp)) is not None:
                    self._take(found)
                self._step()

        async with asyncio.TaskGroup() as group:
            for what in looks:
                group.create_task(one(*what))

    def _match(self, match: Match, address: str, how: How) -> None:
        if (found := found_of(match, address, how)) is not None:
            self._take(found)

    def _take(self, found: Found) -> None:
        known = self._found.get(found.place)
        if known is None:
            on_host = sum(1 for address, _ in self._found if address == found.address)
            if on_host >= PER_HOST_LIMIT or len(self._found) >= FOUND_LIMIT:
                self.refused += 1
                return
        both = found if known is None else known.also(found)
        self._found[found.place] = both
        if self.on_found and self._told.get(found.place) != both:
            self._told[found.place] = both
            self.on_found(both)

    def _has(self, address: str) -> bool:
        return any(one == address for one, _ in self._found)

    def _add_macs(self) -> None:
        table = neighbours(self.neighbours_file)
        for place, one in self._found.items():
            if (mac := table.get(one.address)) is not None:
                self._found[place] = replace(one, mac=mac)  # what the network says outweighs what the device says

    def _step(self, count: int = 1, total: int = 0) -> None:
        if total:
            self.progress.total += total
        else:
            self.progress.done += count
        if self.on_progress:
            self.on_progress(self.progress)


async def discover(
    named: Sequence[str] | None = None,
    ranges: Iterable[str] = (),
    timeout_s: float = TIMEOUT_S,
    on_found: Callable[[Found], None] | None = None,
) -> tuple[Found, ...]:
    """Search on the named interfaces or all, and in ranges. Raises DiscoveryError."""
    return await Search(named, ranges, timeout_s=timeout_s, on_found=on_found).run()


def merged(found: Iterable[Found]) -> list[Found]:
    """Make one of answers that are of one device. The endpoint alone does not tell: cheap cameras leave the factory
    with the same one."""
    result: list[Found] = []
    for one in found:
        same = next((at for at, other in enumerate(result) if one.endpoint and one_device(one, other)), None)
        if same is None:
            result.append(one)
        else:
            result[same] = result[same].also(one)
    return result


def one_device(one: Found, other: Found) -> bool:
    """Whether two answers with an endpoint are of one device: it named the same service twice, or both its
    addresses."""
    if one.endpoint != other.endpoint:
        return False
    if one.address == other.address:
        return bool(set(one.xaddrs) & set(other.xaddrs))
    return one.address in other.hosts and other.address in one.hosts


async def resolve(hosts: Iterable[str]) -> dict[str, str]:
    """The IPv4 address of each host that may be a name. Those that cannot be found are left out: nobody will answer for
    them."""
    loop = asyncio.get_running_loop()
    found: dict[str, str] = {}
    for host in hosts:
        try:
            found[host] = str(ipaddress.IPv4Address(host))
            continue
        except ipaddress.AddressValueError:
            pass  # a name
        with suppress(OSError, UnicodeError):  # TimeoutError is an OSError
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                got = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
            found[host] = str(got[0][4][0])
    return found
