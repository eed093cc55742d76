"""What the replies of cameras mean. Pure; nothing raises but `uri` and `token` for what cannot be done without.

Source: ONVIF Device 23.12 (8.1, 8.3), Media 1 (5.2), Media 2 (5.2), PTZ (5.4), Recording Search (5.4)
"""

import re
from typing import Final

from agent.driver import BadReply, Codec, Identity, NotOffered, Preset, Profile, Recordings, say
from drivers.onvif import times
from drivers.onvif.requests import NAMESPACES, Service
from drivers.onvif.soap import Element, address, attribute, every, find, name, number, text, whole

PROFILES: Final = 1024
"""That are looked at: 256 channels with 4 each."""
PRESETS: Final = 512
"""Hikvision lists 300, set or not."""
_CODECS: Final[dict[str, Codec]] = {
    "h264": "h264",
    "avc": "h264",
    "h265": "h265",
    "hevc": "h265",
    "jpeg": "mjpeg",
    "mjpeg": "mjpeg",
    "mpeg4": "mpeg4",
    "mpv4es": "mpeg4",
}
_LARGEST: Final = 32_768
_CAPABILITIES: Final[dict[str, Service]] = {
    "Device": "device",
    "Media": "media",
    "PTZ": "ptz",
    "Events": "events",
    "Search": "search",
}
_ANALYTICS: Final = "http://www.onvif.org/ver20/analytics/wsdl"


def identity(reply: Element) -> Identity:
    """GetDeviceInformation."""
    return Identity(
        maker=text(reply, "Manufacturer"),
        model=text(reply, "Model"),
        firmware=text(reply, "FirmwareVersion"),
        serial=text(reply, "SerialNumber"),
        hardware=text(reply, "HardwareId"),
    )


def mac(reply: Element, host: str) -> str | None:
    """GetNetworkInterfaces: the card that has the enrolled address, or else the first one that is on."""
    cards = [one for one in every(reply, "NetworkInterfaces") if text(one, "HwAddress")]
    cards.sort(key=lambda one: text(one, "Enabled") == "false")
    own = [one for one in cards if any(text(where) == host for where in every(one, "Address"))]
    for card in own + cards:
        digits = re.sub(r"[^0-9a-f]", "", (text(card, "HwAddress") or "").lower())
        if len(digits) == 12 and digits.strip("0"):
            return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    return None


def services(reply: Element) -> tuple[dict[Service, str], bool]:
    """GetServices or GetCapabilities: the addresses of services as they were given, and whether there is analytics."""
    by_namespace = {namespace: service for service, namespace in NAMESPACES.items()}
    found: dict[Service, str] = {}
    spoken = set()
    for one in every(reply, "Service"):
        namespace = (text(one, "Namespace") or "").rstrip("/")
        spoken.add(namespace)
        if (service := by_namespace.get(namespace)) and (where := address(one, "XAddr")):
            found.setdefault(service, where)
    for one in every(reply, "XAddr"):
        parent = one.getparent()
        if parent is None:
            continue
        spoken.add(name(parent))
        if (service := _CAPABILITIES.get(name(parent))) and (where := address(parent, "XAddr")):
            found.setdefault(service, where)
    return found, bool(spoken & {_ANALYTICS, "Analytics"})


def profiles(reply: Element) -> tuple[Profile, ...]:
    """GetProfiles of Media 1 or 2: those with a video encoder, in the camera's order."""
    found = []
    for one in [one for one in every(reply, "Profiles") if attribute(one, "token")][:PROFILES]:
        encoder = find(one, "VideoEncoderConfiguration")
        if encoder is None:
            encoder = find(one, "Configurations", "VideoEncoder")
        if encoder is None:
            continue
        source = find(one, "VideoSourceConfiguration")
        if source is None:
            source = find(one, "Configurations", "VideoSource")
        moves = find(one, "PTZConfiguration") is not None or find(one, "Configurations", "PTZ") is not None
        found.append(_profile(one, encoder, source, moves))
    return tuple(found)


def source_configurations(reply: Element) -> dict[str, str]:
    """GetProfiles: tokens of video source configurations, each with its video source. Events name either."""
    found = {}
    for one in every(reply, "Profiles"):
        for part in one.iterdescendants():
            if name(part) in ("VideoSourceConfiguration", "VideoSource"):
                token, source = attribute(part, "token"), text(part, "SourceToken")
                if token and source:
                    found[token] = source
    return found


def source_names(reply: Element) -> dict[str, str]:
    """GetProfiles: video sources, with the names of their configurations."""
    found: dict[str, str] = {}
    for one in every(reply, "Profiles"):
        for part in one.iterdescendants():
            if name(part) in ("VideoSourceConfiguration", "VideoSource") and (source := text(part, "SourceToken")):
                found.setdefault(source, text(part, "Name") or source)
    return found


def sources(reply: Element) -> tuple[str, ...]:
    """GetVideoSources: their tokens, in the recorder's order."""
    tokens = (attribute(one, "token") for one in every(reply, "VideoSources"))
    return tuple(dict.fromkeys(token for token in tokens if token))[:PROFILES]


def uri(reply: Element, place: object) -> str:
    """GetStreamUri or GetSnapshotUri. Raises NotOffered where there is none."""
    if not (found := address(reply, "Uri")):
        raise NotOffered(say("onvif.no-uri", place=place))
    return found


def recordings(reply: Element) -> Recordings:
    """GetRecordingSummary."""
    oldest = times.recorded(text(reply, "DataFrom"))
    newest = times.recorded(text(reply, "DataUntil"))
    if whole(reply, "NumberRecordings") == 0 or (oldest and newest and newest <= oldest):
        return Recordings(None, None)
    return Recordings(oldest, newest)


def presets(reply: Element) -> tuple[Preset, ...]:
    """GetPresets."""
    found = []
    for one in list(every(reply, "Preset"))[:PRESETS]:
        if token := attribute(one, "token"):
            found.append(Preset(token, text(one, "Name") or token))
    return tuple(found)


def preset_token(reply: Element, place: object) -> str:
    """SetPreset. Raises BadReply."""
    if not (found := text(reply, "PresetToken")):
        raise BadReply(say("onvif.no-token", place=place))
    return found


def _profile(one: Element, encoder: Element, source: Element | None, moves: bool) -> Profile:
    token = attribute(one, "token") or ""
    coding = re.sub(r"[^a-z0-9]", "", (text(encoder, "Encoding") or "").lower())
    gop = whole(encoder, "GovLength") or whole_attribute(encoder, "GovLength")
    return Profile(
        token=token,
        name=text(one, "Name") or token,
        codec=_CODECS.get(coding, "other"),
        width=_bounded(whole(encoder, "Resolution", "Width")) or 0,
        height=_bounded(whole(encoder, "Resolution", "Height")) or 0,
        fps=_positive(number(encoder, "FrameRateLimit"), 240),
        bitrate_kbps=_bounded(whole(encoder, "BitrateLimit"), 1_000_000),
        gop=_bounded(gop, 100_000),
        source=text(source, "SourceToken") if source is not None else None,
        ptz=moves,
    )


def whole_attribute(element: Element, wanted: str) -> int | None:
    """A whole number in an attribute: Media 2 has GovLength there."""
    found = attribute(element, wanted)
    return int(found) if found and re.fullmatch(r"\d{1,9}", found) else None


def _bounded(value: int | None, largest: int = _LARGEST) -> int | None:
    return value if value is not None and 0 < value <= largest else None


def _positive(value: float | None, largest: float) -> float | None:
    return value if value is not None and 0 < value <= largest else None
