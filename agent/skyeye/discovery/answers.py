"""What an answer means: addresses put right, scopes read, the maker guessed. Pure.

Cameras give addresses of 0.0.0.0, of the inside of a NAT, or with two ports (home-assistant/core, issues of its onvif
integration): the host that answered is the one that counts, and of an address only port and path are believed.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from agent.skyeye.discovery.messages import Match
from agent.skyeye.discovery.model import DEFAULT_PORTS, SERVICE_PATH, Found, How

_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?:https?://)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^/:\s\[\]]*)(?::(?P<port>\d{1,5}))?(?::\d*)*(?P<path>/\S*)?",
    re.IGNORECASE,
)
_SCOPE: Final = re.compile(r"onvif://(?:www\.)?onvif\.org/(?P<name>[^/]+)/(?P<value>.*)", re.IGNORECASE)
_MAC: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Also what turns the direction of writing: a camera's name must not disguise the line that shows it."""
VALUE_LIMIT: Final = 100
PORT_LAST: Final = 65_535
XADDRS_LIMIT: Final = 8
OTHERS: Final = frozenset({"computer", "printdevicetype", "scandevicetype", "printer"})
"""Windows machines and printers, which answer to questions without a type (Web Services on Devices)."""
MAKERS: Final[tuple[tuple[str, str], ...]] = (
    ("hikvision", "Hikvision"),
    ("ds-2", "Hikvision"),
    ("ds-7", "Hikvision"),
    ("hiwatch", "Hikvision"),
    ("dahua", "Dahua"),
    ("dh-", "Dahua"),
    ("ipc-h", "Dahua"),
    ("imou", "Dahua"),
    ("uniview", "Uniview"),
    ("univiewsec", "Uniview"),
    ("tiandy", "Tiandy"),
    ("tp-link", "TP-Link"),
    ("tplink", "TP-Link"),
    ("tapo", "TP-Link"),
    ("axis", "Axis"),
    ("bosch", "Bosch"),
    ("hanwha", "Hanwha"),
    ("samsung", "Hanwha"),
    ("reolink", "Reolink"),
    ("foscam", "Foscam"),
    ("vivotek", "Vivotek"),
    ("kedacom", "Kedacom"),
    ("huawei", "Huawei"),
    ("jovision", "Jovision"),
    ("h264dvr", "XiongMai"),
    ("xiongmai", "XiongMai"),
    ("ezviz", "EZVIZ"),
)
"""Words in scopes that tell the maker; the first that fits."""


def found_of(match: Match, address: str, how: How) -> Found | None:
    """What one match tells of the device at `address`; None where it says that it is no camera."""
    if OTHERS & {kind.casefold() for kind in match.types} or not (match.xaddrs or match.scopes or match.types):
        return None
    addresses = [fixed for xaddr in match.xaddrs if (fixed := repaired(xaddr, address))]
    addresses.sort(
        key=lambda one: (one[2] != address, one[0].startswith("https"))
    )  # what it says of this very address first
    port = addresses[0][1] if addresses else DEFAULT_PORTS["http"]
    scopes = scopes_of(match.scopes)
    said = " ".join(unquote(scope) for scope in match.scopes).casefold()
    return Found(
        address=address,
        port=port,
        how=how,
        xaddrs=tuple(dict.fromkeys(url for url, _, _ in addresses))[:XADDRS_LIMIT],
        endpoint=plain(match.endpoint),
        name=scopes.get("name"),
        hardware=scopes.get("hardware"),
        location=scopes.get("location"),
        maker=scopes.get("manufacturer") or maker_of(scopes) or maker_of({"all": said}),
        mac=mac_of(scopes.get("mac", "")),
        types=tuple(plain(kind) for kind in match.types),
        scopes=tuple(plain(scope) for scope in match.scopes),
        hosts=tuple(dict.fromkeys(host for _, _, host in addresses))[:XADDRS_LIMIT],
    )


def repaired(xaddr: str, address: str) -> tuple[str, int, str] | None:
    """Put one service address right: its URL on the host that answered, its port, and the host that it named. None if
    nothing can be made of it."""
    if not (got := _ADDRESS.fullmatch(xaddr)):
        return None
    scheme = got["scheme"].lower()
    port = int(got["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= PORT_LAST:
        return None
    shown = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    path = _CONTROL.sub("", got["path"] or SERVICE_PATH)
    return f"{scheme}://{address}{shown}{path}", port, got["host"]


def scopes_of(scopes: Sequence[str]) -> dict[str, str]:
    """The named values of scopes (ONVIF Core 7.3.3): name, hardware, location, and what makers add."""
    values: dict[str, str] = {}
    places: list[str] = []
    for scope in scopes:
        if not (got := _SCOPE.fullmatch(scope)):
            continue
        name, value = got["name"].lower(), plain(unquote(got["value"])).strip("/ ")
        if name == "location":
            kind, _, place = value.rpartition("/")
            if place and kind.casefold() != "country":  # which all of a maker's cameras have from the factory
                places.append(place)
        elif value and name not in values:
            values[name] = value
    if places:
        values["location"] = " ".join(dict.fromkeys(places))[:VALUE_LIMIT]
    return values


def maker_of(scopes: dict[str, str]) -> str | None:
    """Guess who made it."""
    words = " ".join(scopes.get(name, "") for name in ("name", "hardware", "all")).casefold()
    return next((maker for word, maker in MAKERS if re.search(rf"(?<![a-z]){re.escape(word)}", words)), None)


def mac_of(text: str) -> str | None:
    """A MAC address in our way of writing."""
    if not _MAC.fullmatch(text):
        return None
    digits = re.sub("[:-]", "", text).lower()
    return None if set(digits) <= {"0"} else ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def plain(text: str) -> str:
    """A device's word as it may be shown: without control characters, and not too long."""
    return _CONTROL.sub("", text).replace("\ufffd", "?").strip()[:VALUE_LIMIT]
