"""This machine's side of the network: its interfaces, its neighbours, and ranges of addresses that are named."""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Final

from agent.skyeye.discovery.answers import mac_of
from agent.skyeye.discovery.model import DiscoveryError
from agent.texts import say

ADDRESSES_LIMIT: Final = 4096
"""Of all ranges together: a school has some hundreds of cameras, and a /16 by mistake would take an hour."""
NEIGHBOURS: Final = Path("/proc/net/arp")
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B
_IFF_UP: Final = 0x1
_IFREQ: Final = 256
_ARP_COMPLETE: Final = 0x2
"""ATF_COM of <net/if_arp.h>: this neighbour has answered."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One way into a network."""

    name: str
    address: str
    network: ipaddress.IPv4Network


def interfaces() -> tuple[Interface, ...]:
    """Every interface that is up and has an IPv4 address (netdevice(7))."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                flags = struct.unpack_from("H", ioctl(asker, _SIOCGIFFLAGS, request), 16)[0]
                address = socket.inet_ntoa(ioctl(asker, _SIOCGIFADDR, request)[20:24])
                mask = socket.inet_ntoa(ioctl(asker, _SIOCGIFNETMASK, request)[20:24])
            except OSError:
                continue  # it has no IPv4 address, or has just gone
            if flags & _IFF_UP:
                found.append(Interface(name, address, ipaddress.IPv4Network(f"{address}/{mask}", strict=False)))
    return tuple(found)


def chosen(named: Sequence[str] | None, there: Sequence[Interface]) -> tuple[Interface, ...]:
    """Those that are named by name or address, or all. Raises DiscoveryError."""
    if not named:
        return tuple(there)
    for word in named:
        if not any(word in (one.name, one.address) for one in there):
            known = ", ".join(f"{one.name} ({one.address})" for one in there) or "-"
            raise DiscoveryError(say("discovery.no-interface", name=word, known=known))
    return tuple(one for one in there if {one.name, one.address} & set(named))


def parse_ranges(ranges: Iterable[str], limit: int = ADDRESSES_LIMIT) -> tuple[str, ...]:
    """Read `192.168.1.0/24`, `192.168.1.10-60`, `192.168.1.10-192.168.2.20` and single addresses, each once. Raises
    DiscoveryError."""
    found: dict[int, None] = {}
    for text in ranges:
        first, last = _bounds(text)
        if last - first + 1 + len(found) > limit:
            raise DiscoveryError(say("discovery.range-large", range=text, limit=limit))
        found.update(dict.fromkeys(range(first, last + 1)))
    return tuple(str(ipaddress.IPv4Address(number)) for number in found)


def _bounds(text: str) -> tuple[int, int]:
    word = text.strip()
    bad = DiscoveryError(say("discovery.bad-range", range=text[:64]))
    try:
        if "/" in word:
            network = ipaddress.IPv4Network(word, strict=False)
            first, last = int(network.network_address), int(network.broadcast_address)
            return (first, last) if network.prefixlen > 30 else (first + 1, last - 1)
        start, dash, end = word.partition("-")
        begin = ipaddress.IPv4Address(start.strip())
        if not dash:
            return int(begin), int(begin)
        end = end.strip()
        stop = ipaddress.IPv4Address(end if "." in end else f"{str(begin).rpartition('.')[0]}.{end}")
    except ValueError:
        raise bad from None
    if stop < begin:
        raise bad
    return int(begin), int(stop)


def neighbours(path: Path = NEIGHBOURS) -> Mapping[str, str | None]:
    """The neighbour table: MAC by address; None where nobody has answered (proc(5), /proc/net/arp)."""
    found: dict[str, str | None] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines()[1:]:
            words = line.split()
            with contextlib.suppress(IndexError, ValueError):
                found[words[0]] = mac_of(words[3]) if int(words[2], 16) & _ARP_COMPLETE else None
    return found


def on_link(address: str, ways: Iterable[Interface]) -> bool:
    """Whether an address is in a network of ours, so that a living host must be in the neighbour table."""
    one = ipaddress.IPv4Address(address)
    return any(one in way.network and not way.network.is_loopback and str(one) != way.address for way in ways)
