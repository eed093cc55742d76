"""SIA codes: what the event blocks of alarm hosts mean that speak SIA rather than Contact ID. Pure; for drivers.

Source: SIA DC-03 (two letters say what, digits say where, modifiers in small letters say who and in which area), as
SIA-DCS of DC-09 carries it: `Nri1/BA001^text^`. Titles of the codes were compared with the table of
eavanvalkenburg/pysiaalarm (MIT). What a code means to this agent is ours.

One event is one input, with the names that Contact ID has (drivers/_contact_id.py), the code being that of the alarm:
`BA/003` is code BA of zone 3, `zone-003` any alarm of zone 3, `BA` code BA of any zone, `armed-01` area 1. A restore
(BR, BH) ends `BA/003`; a trouble (BT) is an input of its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from agent.driver import BadFrame, Sample, pulse
from drivers._contact_id import OTHER_KIND, RELEASE_AFTER_S, PanelInputs

EVENTS_MAX: Final = 16
"""Events of one message: hosts put two or three into one, and a message has 4 KiB."""
TEXT_MAX: Final = 64
"""Characters of a zone's name in an event: hosts allow 16 to 40."""
ZONE_DIGITS: Final = 3
"""Zones are named with so many digits, as Contact ID does, however many the host sends."""

_MARK: Final = re.compile(r"[NO](?=[a-z]{2}|[A-Z]{2}(?![A-Z]))")
"""New or old event; not the first letter of a code such as NL or OP."""
_MODIFIER: Final = re.compile(r"([a-z]{2})([0-9:.,-]*)(?:\^[^^/]*\^?)?")
_CODE: Final = re.compile(r"([A-Z]{2})([0-9]{0,6})(?:[-^*'\"]([^/]*))?")
_LEGACY: Final = "gb18030"
"""What Chinese hosts write that do not write UTF-8; GB2312 is part of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `number` is what its code concerns, a zone for most, a user, an area or a door for others."""

    code: str
    number: str
    area: str = ""
    user: str = ""
    text: str = ""


def decode(data: str) -> tuple[Event, ...]:
    """Read the events of SIA-DCS data, without the account. Raises BadFrame if there is none."""
    events = tuple(_events(data))
    if not events:
        raise BadFrame("N[ri..][id..]/<code><number>", data.encode("utf-8", "surrogateescape"))
    return events


def _events(data: str) -> Iterator[Event]:
    """A block after another, parted by bars: of events, or text (`A...`) that belongs to the event before."""
    modifiers: dict[str, str] = {}
    found: list[Event] = []
    for number, block in enumerate(data.split("|")):
        if number and block.startswith("A"):
            if found and not found[-1].text:
                found[-1] = replace(found[-1], text=clean(block[1:]))
        else:
            _read_block(block, modifiers, found)
    for event in found[:EVENTS_MAX]:
        yield replace(event, area=modifiers.get("ri", ""), user=modifiers.get("id", ""))


def _read_block(block: str, modifiers: dict[str, str], found: list[Event]) -> None:
    at = match.end() if (match := _MARK.match(block)) else 0
    while at < len(block) and len(found) < EVENTS_MAX:
        if match := _MODIFIER.match(block, at):
            modifiers[match[1]] = match[2]
            at = match.end()
            if block[at : at + 1].isupper():
                continue  # some hosts write no stroke between modifier and code: ri1BA012
        elif match := _CODE.match(block, at):
            found.append(Event(match[1], match[2], text=clean(match[3] or "")))
            at = match.end()
        stroke = block.find("/", at)
        at = stroke + 1 if stroke >= 0 else len(block)


def clean(text: str) -> str:
    """A host's text as people read it: UTF-8 or GB2312, without quotation marks and control characters."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        decoded = raw.decode(_LEGACY, "replace")
    return "".join(char for char in decoded if char.isprintable()).strip("^*'\" ")[:TEXT_MAX]


# --- what the codes mean

_FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "B": "intrusion",
        "F": "fire",
        "G": "gas",
        "H": "duress",
        "K": "temperature",
        "M": "medical",
        "P": "panic",
        "Q": "panic",
        "S": "fire",
        "T": "tamper",
        "U": "intrusion",
        "W": "water-leak",
        "Z": "temperature",
    }
)
"""What the zones of the first letter watch: burglary, fire, gas, hold-up (silent), heat, medical, panic, emergency,
sprinkler, tamper, untyped, water, freeze."""
RARELY_RESTORED: Final = frozenset("HMPQ")
"""Buttons: many hosts tell the press and never a restore."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code does to which inputs. `on` begins a state, `off` ends some; with neither it happens and is over."""

    kind: str
    on: str = ""
    off: tuple[str, ...] = ()
    zone: bool = False
    """Whether it is an alarm of a zone, and so `zone-003`."""
    falls_back: bool = False
    """Whether it may never be told to be over."""


def _states() -> Iterator[tuple[str, Meaning]]:
    """Codes that begin and end something: a kind, the codes that begin it, those that end it."""
    table = (
        ("mains-lost", "AT", "AR"),
        ("battery-low", "YT YM", "YR"),
        ("battery-low", "XT", "XR"),
        ("supervision-lost", "EM", "EN"),
        ("supervision-lost", "XL", "XC"),
        ("tamper", "ES", "EJ"),
        ("tamper", "XS", "XJ"),
        ("tamper", "JA", "JC"),
        ("panel-trouble", "LT", "LR"),
        ("panel-trouble", "YC YS", "YK"),
        ("panel-trouble", "NT", "NR"),
        ("panel-trouble", "ET", "ER"),
        ("panel-trouble", "IA", "IR"),
        ("panel-trouble", "XQ", "XH"),
        ("panel-trouble", "YA", "YH"),
        ("panel-trouble", "YP", "YQ"),
        ("panel-trouble", "YI", "YJ"),
        ("panel-trouble", "OU", "OV"),
        ("panel-trouble", "YX", "YZ"),
        ("door-forced", "DF DJ", "DR"),
        ("door-held", "DL DM DN", "DH"),
    )
    for kind, begin, end in table:
        base = begin.split()[0]
        yield from ((code, Meaning(kind, on=base)) for code in begin.split())
        yield from ((code, Meaning(kind, off=(base,))) for code in end.split())
    yield "DR", Meaning("door-forced", off=("DF", "DL"))


def _moments() -> Iterator[tuple[str, Meaning]]:
    """Codes of what happens and does not last."""
    table = (
        ("door-granted", "DG DE"),
        ("door-denied", "DD DI DK DP DQ DV DW DZ"),
        ("panel-test", "RP RX TX TP"),
    )
    for kind, codes in table:
        yield from ((code, Meaning(kind)) for code in codes.split())
    for code in ["EA", "UX"]:
        yield code, Meaning("intrusion", on=code, zone=code == "EA", falls_back=True)


def _zones() -> Iterator[tuple[str, Meaning]]:
    """Codes that are made of a family and what is with one of its zones."""
    for letter, kind in _FAMILIES.items():
        alarm, trouble, bypass, missing, unsafe = (letter + end for end in "ATBZS")
        falls_back = letter in RARELY_RESTORED
        of_zone = kind != "tamper"
        for end in "AMV" if letter in "BF" else "A":
            yield letter + end, Meaning(kind, on=alarm, zone=of_zone, falls_back=falls_back)
        yield letter + "H", Meaning(kind, off=(alarm,), zone=of_zone)
        yield letter + "R", Meaning(kind, off=(alarm, trouble, missing, unsafe), zone=of_zone)
        yield trouble, Meaning("tamper" if kind == "tamper" else "panel-trouble", on=trouble)
        yield letter + "J", Meaning("panel-trouble", off=(trouble, missing))
        yield unsafe, Meaning("panel-trouble", on=unsafe)
        yield bypass, Meaning("panel-trouble", on=bypass)
        yield letter + "U", Meaning("panel-trouble", off=(bypass,))
        yield letter + "X", Meaning("panel-test")
        for end in "YZ":
            yield letter + end, Meaning("supervision-lost", on=missing)
    # What other tables of this module say of these letters counts, and these mean something else altogether.
    for code in ["FV", "MM", "PM", "PF", "TB", "TS", "TZ", "ZY", "ZZ"]:
        yield code, Meaning(OTHER_KIND)
    yield "FV", Meaning("panel-trouble", off=("FS",))


CODES: Final[Mapping[str, Meaning]] = MappingProxyType({**dict(_zones()), **dict(_states()), **dict(_moments())})
ARMED: Final = frozenset(["CA", "CF", "CG", "CJ", "CK", "CL", "CP", "CQ", "CS", "CW", "NF", "NL", "NM"])
DISARMED: Final = frozenset(["OA", "OG", "OH", "OJ", "OK", "OL", "OP", "OQ", "OR", "OS"])
OF_AREA: Final = frozenset(["CA", "CG", "CW", "NF", "NL", "NM", "OA", "OG", "JA", "BV"])
"""Codes whose number is an area rather than a zone."""
OF_USER: Final = frozenset(["CF", "CJ", "CK", "CL", "CP", "CQ", "OH", "OJ", "OK", "OL", "OP", "OQ", "OR", "BC", "RX"])
UNKNOWN: Final = Meaning(OTHER_KIND)


# --- inputs


def padded(number: str, digits: int = ZONE_DIGITS) -> str:
    """A number as inputs are named: 1, 01 and 0001 are the same zone."""
    return number.lstrip("0").zfill(digits)


def samples(account: str, event: Event, inputs: PanelInputs, seen_ns: int) -> tuple[Sample, ...]:
    """What an event means, for `link.emit`."""
    prefix = inputs.prefix(account)
    detail = {"account": account, "code": event.code, **_where(event)}
    if event.code in ARMED | DISARMED:
        area = event.area or (event.number if event.code in OF_AREA else "")
        name = f"{prefix}armed-{padded(area, 2)}"
        also = (f"{prefix}armed",)
        return (Sample(name, event.code in ARMED, seen_ns, kind="armed", detail=detail, also=also),)
    meaning = CODES.get(event.code, UNKNOWN)
    zone = padded(event.number) if event.number else ""

    def sample(code: str, value: bool) -> Sample:
        names = [f"{code}/{zone}"] if zone else []
        names += [f"zone-{zone}"] if zone and meaning.zone and code[1] == "A" else []
        first, *also = (prefix + name for name in (*names, code))
        hold_s = RELEASE_AFTER_S if value and meaning.falls_back else None
        return Sample(
            first,
            value,
            seen_ns,
            kind=meaning.kind,
            detail=detail,
            also=tuple(also),
            press=value and bool(meaning.on),
            hold_s=hold_s,
        )

    if meaning.on:
        return (sample(meaning.on, True),)
    if meaning.off:
        return tuple(sample(code, False) for code in meaning.off)
    return pulse(sample(event.code, True))


def _where(event: Event) -> dict[str, str]:
    found: dict[str, str] = {}
    area = event.area
    if event.number.strip("0"):
        if event.code in OF_AREA:
            area = area or event.number
        else:
            found["user" if event.code in OF_USER else "zone"] = padded(event.number)
    if area:
        found["partition"] = padded(area, 2)
    if event.user:
        found["user"] = event.user
    if event.text:
        found["text"] = event.text
    return found
