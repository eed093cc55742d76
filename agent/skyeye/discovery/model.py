"""What discovery finds, as frozen values."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from agent.model import JsonValue
from agent.texts import Spoken

How = Literal["multicast", "unicast", "onvif", "rtsp"]
"""By which question it was found. `onvif`: it answered on TCP alone; `rtsp`: it has an RTSP server and no ONVIF."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
SERVICE_PATH: Final = "/onvif/device_service"
"""ONVIF Core 5.1.1: where the device service is, wherever the rest may be."""


class DiscoveryError(Spoken):
    """A search that cannot be made as it was asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """One camera or recorder. Its words (name, hardware, location) are its own, and nobody has checked them."""

    address: str
    """Where the answer came from, as IPv4."""
    port: int
    """Of its device service; of its RTSP server where `how` is rtsp."""
    how: How
    xaddrs: tuple[str, ...] = ()
    """Its services, each on the host that answered."""
    endpoint: str = ""
    name: str | None = None
    hardware: str | None = None
    location: str | None = None
    maker: str | None = None
    """A guess, by its scopes."""
    mac: str | None = None
    types: tuple[str, ...] = ()
    scopes: tuple[str, ...] = field(default=(), repr=False)
    hosts: tuple[str, ...] = field(default=(), repr=False)
    """As its service addresses named them; believed only to recognise a device with two addresses."""

    @property
    def place(self) -> tuple[str, int]:
        """By what two answers are of one device."""
        return self.address, self.port

    def also(self, other: "Found") -> "Found":
        """Add what another answer of the same device says."""
        return replace(
            self,
            how=min(self.how, other.how, key=ORDER.index),
            xaddrs=tuple(dict.fromkeys((*self.xaddrs, *other.xaddrs))),
            endpoint=self.endpoint or other.endpoint,
            name=self.name or other.name,
            hardware=self.hardware or other.hardware,
            location=self.location or other.location,
            maker=self.maker or other.maker,
            mac=self.mac or other.mac,
            types=tuple(dict.fromkeys((*self.types, *other.types))),
            scopes=tuple(dict.fromkeys((*self.scopes, *other.scopes))),
            hosts=tuple(dict.fromkeys((*self.hosts, *other.hosts))),
        )

    def as_data(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "address": self.address,
            "port": self.port,
            "how": self.how,
            "xaddrs": [*self.xaddrs],
            "endpoint": self.endpoint,
            "name": self.name,
            "hardware": self.hardware,
            "location": self.location,
            "maker": self.maker,
            "mac": self.mac,
            "types": [*self.types],
            "scopes": [*self.scopes],
        }


ORDER: Final[tuple[How, ...]] = ("multicast", "unicast", "onvif", "rtsp")
"""Which question tells most."""
