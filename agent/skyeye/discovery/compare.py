"""What was found, held against what is configured and what is known of it. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from agent.config.models import CameraSettings
from agent.model import JsonValue
from agent.skyeye.discovery.model import Found
from agent.texts import Text, say

State = Literal["new", "known", "changed", "moved", "gone"]
STATES: Final[tuple[State, ...]] = ("new", "moved", "changed", "gone", "known")


class Known(Protocol):
    """What the inventory has of a camera (agent.skyeye.inventory.Facts)."""

    @property
    def mac(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def hardware(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison: what was found, the cameras that are configured there, and how the two go together."""

    state: State
    found: Found | None
    cameras: tuple[str, ...] = ()
    address: str = ""
    """As configured; of something new, where it is."""
    why: Text | None = None

    def as_data(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "state": self.state,
            "cameras": [*self.cameras],
            "address": self.address,
            "found": self.found.as_data() if self.found else None,
            "why": {"zh-CN": self.why.render("zh-CN"), "en": self.why.render("en")} if self.why else None,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """The whole comparison."""

    rows: tuple[Row, ...]

    def of(self, state: State) -> tuple[Row, ...]:
        """The lines of one state."""
        return tuple(row for row in self.rows if row.state == state)

    @property
    def new(self) -> tuple[Found, ...]:
        """What nothing in the configuration stands for."""
        return tuple(row.found for row in self.of("new") if row.found)


def host_port(camera: CameraSettings) -> tuple[str, int | None]:
    """Where a camera is by its settings: its address may have a port; else the driver has one."""
    address = camera.address
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname or address, parts.port
    except ValueError:
        return address, None
    driver_port = getattr(camera.settings, "port", None)
    return host, port or (driver_port if isinstance(driver_port, int) else None)


def ports_by_host(cameras: Iterable[CameraSettings]) -> dict[str, frozenset[int]]:
    """The hosts that are configured, each with its ports: behind a router that forwards ports, a host has several."""
    ports: dict[str, frozenset[int]] = {}
    for host, port in map(host_port, cameras):
        ports[host] = ports.get(host, frozenset()) | ({port} if port is not None else set())
    return ports


def compare(
    found: Iterable[Found],
    cameras: Sequence[CameraSettings],
    known: Mapping[str, Known] | None = None,
    addresses: Mapping[str, str] | None = None,
) -> Difference:
    """Hold what was found against the cameras that are configured. `known` is what the inventory has of them by id,
    `addresses` the IPv4 addresses of those that are configured by name."""
    known, addresses = known or {}, addresses or {}
    places: dict[tuple[str, int | None], list[CameraSettings]] = {}
    for camera in cameras:
        host, port = host_port(camera)
        places.setdefault((addresses.get(host, host), port), []).append(camera)
    left = dict(places)
    rows: list[Row] = []
    strangers: list[Found] = []
    for one in found:
        if (place := _place(one, places)) is None:
            strangers.append(one)
            continue
        left.pop(place, None)
        here = places[place]
        why = next((why for camera in here if (why := difference(one, known.get(camera.id)))), None)
        rows.append(Row("changed" if why else "known", one, ids(here), here[0].address, why))
    missing = {known[camera.id].mac: here for here in left.values() for camera in here if camera.id in known}
    missing.pop(None, None)
    for one in strangers:
        if one.mac and (lost := missing.get(one.mac)):
            why = say("discovery.moved", mac=one.mac, old=lost[0].address, new=one.address)
            rows.append(Row("moved", one, ids(lost), lost[0].address, why))
            left = {place: others for place, others in left.items() if others is not lost}
        else:
            rows.append(Row("new", one, address=one.address))
    rows += [Row("gone", None, ids(here), here[0].address, say("discovery.gone")) for here in left.values()]
    return Difference(tuple(sorted(rows, key=lambda row: STATES.index(row.state))))


def ids(cameras: Iterable[CameraSettings]) -> tuple[str, ...]:
    """Their ids: several where they are channels of one recorder."""
    return tuple(camera.id for camera in cameras)


def difference(found: Found, known: Known | None) -> Text | None:
    """What speaks for another camera at the place of a known one. A MAC address decides where both have one; models
    are compared only where one of them is missing, and only if neither name is a part of the other: discovery and
    GetDeviceInformation often write the same model differently."""
    if known is None:
        return None
    if found.mac and known.mac:
        return say("discovery.other-mac", old=known.mac, new=found.mac) if found.mac != known.mac else None
    mine, theirs = plain_model(found.hardware), [plain_model(known.model), plain_model(known.hardware)]
    if not mine or not theirs[0] or any(one and (one in mine or mine in one) for one in theirs):
        return None
    return say("discovery.other-model", old=known.model, new=found.hardware)


def plain_model(name: str | None) -> str:
    """A model without what writers differ in."""
    return re.sub(r"[\W_]", "", name or "").casefold()


def _place(found: Found, places: Mapping[tuple[str, int | None], object]) -> tuple[str, int | None] | None:
    """The configured place that a found device is at. The port counts only where a host has several."""
    if found.place in places:
        return found.place
    here = [place for place in places if place[0] == found.address]
    return here[0] if len(here) == 1 else None
