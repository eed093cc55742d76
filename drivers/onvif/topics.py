"""What the notifications of cameras mean. Pure; PyPI onvif-parsers helps with vendors' topics that our table lacks.

Source: ONVIF Event 23.12, 9 (topics, messages); Analytics 23.12, A (rules); Imaging 23.12, 8; FACTS 5
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final

import onvif_parsers
from onvif_parsers.errors import UnknownTopicError

from agent.driver import CameraEvent, CameraEventKind
from drivers.onvif.soap import Element, attribute, clean, every, find, text, truth

MESSAGES: Final = 256
"""Of one reply. We ask for 64; some send what they like."""
TOPIC_CHARS: Final = 200
SOURCE_CHARS: Final = 64
_ITEMS: Final = 32

# Prefixes are dropped before (vendors invent them), and case is ignored. The first that is found counts.
_KINDS: Final[tuple[tuple[str, CameraEventKind], ...]] = (
    (r"signalloss|videoloss|videolost|signallost|nosignal", "signal-lost"),
    (r"imagetoo(blurry|dark|bright)|globalscenechange|scenechange|defocus|abnormalimage", "picture"),
    (r"tamper|videoblind|occlu|shelter|cover", "tamper"),
    (r"loiter|wander", "loitering"),
    (r"crowd|gather|overcrowd|peopledensity|densitydetect", "crowd"),
    (r"unattended|abandon|objectleft|leftobject|leftbehind|objectremov|missingobject|takenaway", "object-left"),
    (r"line(detector|cross)|crossline|crossed|tripwire|linecrossing|virtualline", "line-crossed"),
    (
        r"fielddetect|objectsinside|intrusion|regionentrance|regionexit|crossregion|areadetect|perimeter",
        "intrusion",
    ),
    (r"detectedsound|audiodetect|soundalarm|audioanalytics|abnormalaudio|audiomutation|gunshot|scream", "sound"),
    (r"device/trigger/digitalinput|digitalinput|alarmin\b|alarmlocal|io/(virtual)?port|trigger/input", "input"),
    (r"motion|cellmotion|humanshape|peopledetector", "motion"),
)
_BY_DATA: Final[Mapping[str, CameraEventKind]] = {
    "ismotion": "motion",
    "istamper": "tamper",
    "isinside": "intrusion",
    "isintrusion": "intrusion",
    "islinecross": "line-crossed",
    "ispeople": "motion",
    "isvehicle": "motion",
    "ispet": "motion",
    "issounddetected": "sound",
}
"""Tapo tells several kinds under one topic; the name of the value says which."""
_STATES: Final = ("state", "ismotion", "logicalstate", "active", "value", "alarm")
_BY_NAME: Final = ("rule", "inputtoken", "alarmintoken", "name", "source", "videosourcetoken", "videosource")
"""Which item of a source names it best, in this order."""
_TO_KIND: Final[tuple[tuple[str, CameraEventKind], ...]] = (
    ("line", "line-crossed"),
    ("intrusion", "intrusion"),
    ("field", "intrusion"),
    ("tamper", "tamper"),
    ("sound", "sound"),
    ("input", "input"),
)
"""Words in the names that onvif-parsers gives."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notification, as it came."""

    topic: str
    operation: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


def messages(reply: Element) -> tuple[Message, ...]:
    """Take PullMessages apart. What has no topic is left out."""
    found = []
    for one in list(every(reply, "NotificationMessage"))[:MESSAGES]:
        topic = text(one, "Topic", limit=TOPIC_CHARS)
        if topic:
            body = find(one, "Message", "Message")
            body = body if body is not None else find(one, "Message")
            found.append(_message(topic, body if body is not None else one))
    return tuple(found)


async def meaning(message: Message, seen_ns: int) -> CameraEvent:
    """Say what one notification means."""
    kind = _kind(message) or await _vendor(message) or "other"
    return CameraEvent(kind, _active(message), _source(message), message.topic, seen_ns)


def plain(topic: str) -> str:
    """A topic without prefixes, in lower case, without what some hang to its end: `tns1:A/b:C//.` is `a/c`."""
    parts = (part.rpartition(":")[2] for part in topic.strip().rstrip("/. ").split("/"))
    return "/".join(part.strip().lower() for part in parts if part.strip())


def _kind(message: Message) -> CameraEventKind | None:
    topic = plain(message.topic)
    for name in message.data:
        if (kind := _BY_DATA.get(name.lower())) and topic.startswith("ruleengine"):
            return kind
    return next((kind for pattern, kind in _KINDS if re.search(pattern, topic)), None)


def _active(message: Message) -> bool | None:
    if message.operation.lower() == "deleted":
        return False  # the rule or input is gone, and so is what it told
    values = {name.lower(): truth(value) for name, value in message.data.items()}
    for name in _STATES:
        if values.get(name) is not None:
            return values[name]
    return next(
        (value for name, value in values.items() if value is not None and re.match(r"is|state|.*state$", name)),
        next((value for value in values.values() if value is not None), None) if len(values) == 1 else None,
    )


def _source(message: Message) -> str:
    items = {name.lower(): value for name, value in message.source.items() if value}
    for name in _BY_NAME:
        if name in items:
            return items[name][:SOURCE_CHARS]
    return next(iter(items.values()), "")[:SOURCE_CHARS]


async def _vendor(message: Message) -> CameraEventKind | None:
    """Ask onvif-parsers, which expects zeep's objects."""
    topic = message.topic.strip().rstrip("/.")
    payload = SimpleNamespace(Source=_items(message.source), Data=_items(message.data))
    shown = SimpleNamespace(Topic=SimpleNamespace(_value_1=topic), Message=SimpleNamespace(_value_1=payload))
    try:
        found = await onvif_parsers.parse(topic, "", shown)
    except (UnknownTopicError, AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
    for entity in found:
        name = entity.name.lower()
        if kind := next((kind for word, kind in _TO_KIND if word in name), None):
            return kind
        if entity.device_class == "motion":
            return "motion"
    return None


def _items(items: Mapping[str, str]) -> SimpleNamespace:
    return SimpleNamespace(SimpleItem=[SimpleNamespace(Name=name, Value=value) for name, value in items.items()])


def _message(topic: str, body: Element) -> Message:
    return Message(
        topic, attribute(body, "PropertyOperation") or "", _simple(find(body, "Source")), _simple(find(body, "Data"))
    )


def _simple(part: Element | None) -> dict[str, str]:
    if part is None:
        return {}
    items = list(every(part, "SimpleItem"))[:_ITEMS]
    pairs = ((attribute(item, "Name"), attribute(item, "Value") or text(item) or "") for item in items)
    return {clean(name, 64): clean(value, 128) for name, value in pairs if name}
