"""What Hikvision devices post by ISAPI: alarm hosts, access control terminals, cameras. Pure.

Source: the shape of EventNotificationAlert (eventType, eventState, channelID, dateTime), of `CIDEvent` (standardCIDcode
is Contact ID's qualifier and code; zones count from 0) and of `AccessControllerEvent` (majorEventType, subEventType,
serialNo, doorNo) as Supergiovane/node-red-contrib-hikvision-ultimate (MIT) and published logs of terminals show them;
the numbers of major and minor events as HCNetSDK.h names them. Tried against made bodies only, not against devices.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from agent.driver import BadFrame, Sample
from drivers import _contact_id
from drivers._contact_id import PanelInputs
from drivers.http_in.bodies import Fields, find
from drivers.http_in.posted import Posted, State, samples_of

HEARTBEATS: Final = frozenset({"heartbeat", "videoloss"})
"""Sent every so often with `inactive`, to say that the device is there."""
ALERTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tamperdetection": "tamper",
        "shelteralarm": "tamper",
        "linedetection": "perimeter",
        "fielddetection": "perimeter",
        "regionentrance": "perimeter",
        "firedetection": "fire",
        "smokedetection": "smoke",
        "videoloss": "panel-trouble",
    }
)
"""The kinds of durative alerts; any other is `input`."""
TOLD_ONCE: Final = frozenset({"tamper", "panel-trouble"})
"""Kinds that last until they are told to be over. Any other alert is posted again and again while it lasts."""
ALERT_HOLD_S: Final = 60.0
"""An alert that is not posted again for so long is over, though its `inactive` never came: devices post every few
seconds, and do not try twice."""
GRANTED: Final = frozenset({0x01, 0x02, 0x10, 0x26, 0x28, 0x2B, 0x2E, 0x45, 0x48, 0x4B, 0x4D, 0x65, 0x9C, 0xB5})
"""Minor events of major 5: card, card and password, fingerprint, face, employee number, QR code, password: passed."""
DENIED: Final = frozenset(
    {0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x27, 0x31, 0x46, 0x49, 0x4C, 0x4E, 0x50, 0x96, 0x97}
)
"""Wrong password, no right, outside the period, expired, unknown card, passed back, interlock, groups, fingerprint,
face: failed."""
ACCESS: Final[Mapping[tuple[int, int], tuple[tuple[str, str, State], ...]]] = MappingProxyType(
    {
        (5, 0x19): (("door", "door", "on"),),
        (5, 0x1A): (("door", "door", "off"), ("forced", "door-forced", "off"), ("held", "door-held", "off")),
        (5, 0x1B): (("forced", "door-forced", "on"),),
        (5, 0x1C): (("held", "door-held", "on"),),
        (1, 0x404): (("tamper", "tamper", "on"),),
        (1, 0x405): (("tamper", "tamper", "off"),),
        (1, 0x406): (("reader-tamper", "tamper", "on"),),
        (1, 0x407): (("reader-tamper", "tamper", "off"),),
        (1, 0x40A): (("duress", "duress", "pulse"),),
    }
)
"""(major, minor) -> inputs, kinds, and what becomes of them: door contact, forced, held too long; the terminal and its
reader opened; a code under duress."""
DETAIL: Final = ("cardNo", "employeeNoString", "name", "cardReaderNo", "currentVerifyMode")
EVENT: Final = 5
"""The major event of what happens at a door."""
ACCOUNT: Final = "AAA"
"""A host posts under its path and not under an account."""
NAME_MAX: Final = 32
DIGITS_MAX: Final = 4
INPUT: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{NAME_MAX - 1}}}(?:/[0-9]{{1,{DIGITS_MAX}}})?")
"""`granted/1`, `linedetection/2`; beside the names of Contact ID."""


def read(fields: Fields) -> Posted:
    """What a body tells; nothing if it is a heartbeat. Raises BadFrame."""
    alert = fields.get("EventNotificationAlert", fields)
    kind = (find(alert, "eventType") or "").lower()
    if not kind:
        raise BadFrame("eventType", repr(fields).encode("utf-8", "replace"))
    active = (find(alert, "eventState") or "active").lower() == "active"
    time = find(alert, "dateTime") or ""
    if kind == "accesscontrollerevent":
        return _access(alert, time)
    if kind == "cidevent":
        return _contact_id_event(alert, time)
    if kind in HEARTBEATS and not active:
        return Posted()
    channel = find(alert, "channelID") or find(alert, "dynChannelID") or ""
    name = "".join(char for char in kind if char.isascii() and char.isalnum())[:NAME_MAX] or "alert"
    detail = {"event": kind, "text": find(alert, "eventDescription") or ""}
    number = channel if _number(channel) is not None else ""
    what = ALERTS.get(kind, "input")
    hold_s = None if what in TOLD_ONCE else ALERT_HOLD_S
    return Posted(samples_of(name, number, what, "on" if active else "off", detail, hold_s))


def _access(alert: Fields, time: str) -> Posted:
    at = "AccessControllerEvent."
    major, minor = (_number(find(alert, at + name)) for name in ("majorEventType", "subEventType"))
    if minor is None:
        raise BadFrame("AccessControllerEvent.subEventType", repr(alert).encode("utf-8", "replace"))
    major = EVENT if major is None else major
    door = find(alert, at + "doorNo") or ""
    door = door if _number(door) is not None else ""
    detail: dict[str, str | bool] = {"event": f"{major}/{minor}"}
    detail |= {name: value for name in DETAIL if (value := find(alert, at + name))}
    if find(alert, at + "currentEvent") == "false":
        detail["replayed"] = True  # kept while the terminal was away
    samples: list[Sample] = []
    for name, kind, state in _meaning(major, minor):
        samples += samples_of(name, door, kind, state, detail)
    serial = find(alert, at + "serialNo")
    return Posted(tuple(samples), f"{serial}/{time}/{major}/{minor}" if serial else "")


def _meaning(major: int, minor: int) -> tuple[tuple[str, str, State], ...]:
    """The inputs of an access event."""
    if major == EVENT and minor in GRANTED:
        return (("granted", "door-granted", "pulse"),)
    if major == EVENT and minor in DENIED:
        return (("denied", "door-denied", "pulse"),)
    return ACCESS.get((major, minor), ((f"event-{major}-{minor}", "input", "pulse"),))


def _contact_id_event(alert: Fields, time: str) -> Posted:
    at = "CIDEvent."
    code = find(alert, at + "standardCIDcode") or find(alert, at + "code") or ""
    zone = _number(find(alert, at + "zone"))
    user = _number(find(alert, at + "user"))
    number = user if zone is None else zone + 1  # as the device itself counts them on its page
    block = f"{code}{min(_number(find(alert, at + 'system')) or 0, 99):02}{min(number or 0, 999):03}"
    report = _contact_id.decode_event(block.encode("ascii", "replace"), ACCOUNT)
    found = _contact_id.samples(report, PanelInputs((ACCOUNT,)), 0)
    same = find(alert, at + "trigger") or time
    return Posted(tuple(_without_account(sample) for sample in found), f"{same}/{block}" if same else "")


def _without_account(sample: Sample) -> Sample:
    return replace(sample, detail={name: value for name, value in sample.detail.items() if name != "account"})


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX else None
