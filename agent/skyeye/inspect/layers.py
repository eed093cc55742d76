"""What each layer of an inspection concludes from what was found. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from agent.camera import CameraError, Identity, LoginRefused, Profile, Recordings
from agent.config.skyeye import ExpectSettings
from agent.model import JsonValue
from agent.skyeye.model import Check, Layer, StreamReport
from agent.skyeye.quality import Judged
from agent.texts import Text, say

CLOCK_OFF_S: Final = 5.0
"""Pictures that are further apart from the school's clock prove little; cameras that follow NTP stay under 1 s."""
FPS_LEAST: Final = 0.4
"""Of the promised rate: by night many halve it to expose longer, which is meant."""
FPS_MOST: Final = 1.5
RATE_MOST: Final = 2.0
"""Of the promised bit rate: some seconds with a keyframe more, and a variable rate, stay below."""
RATE_LEAST: Final = 0.02
RATE_LEAST_KBPS: Final = 24.0
"""A still scene needs next to nothing; below both, nothing worth watching comes."""
JUMPS: Final = 3
"""Timestamps that run back in some seconds: one may be a restart, so many break recordings."""
JUDGED_S: Final = 2.0
"""A stream that was watched for less has no rate."""
KEYFRAME_SLOW_S: Final = 10.0
SHORT: Final = timedelta(hours=12)
"""A recorder drops whole files or hours, so that the oldest day is never whole."""
STALE: Final = timedelta(hours=24)
"""Recordings on motion may pause for a night; after a day nothing is recorded any more."""
DAY_S: Final = 86_400


def failed_check(layer: Layer, error: CameraError) -> Check:
    """A step that the camera failed."""
    where: Layer = "login" if isinstance(error, LoginRefused) else layer
    return Check(where, False, error.text, error.fault or None)


def identity_check(identity: Identity) -> Check:
    """The service answers."""
    parts = [part for part in (identity.maker, identity.model, identity.firmware) if part]
    if not parts:
        return Check("service", True, say("inspect.service-plain"))
    data: Mapping[str, JsonValue] = {
        "maker": identity.maker,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
    }
    return Check("service", True, say("inspect.service-ok", what=" ".join(parts)), data=data)


def clock_check(offset_s: float, *, synced: bool) -> Check:
    """The camera's clock against ours."""
    data: Mapping[str, JsonValue] = {"offset_s": round(offset_s, 1)}
    if not synced:
        return Check("clock", None, say("inspect.clock-unsynced", offset=f"{offset_s:+.1f}"), data=data)
    good = abs(offset_s) <= CLOCK_OFF_S
    key = "inspect.clock-ok" if good else "inspect.clock-off"
    text = say(key, offset=f"{offset_s:+.1f}", limit=CLOCK_OFF_S)
    return Check("clock", good, text, None if good else "camera-clock", data)


def profile_check(report: StreamReport, profile: Profile | None, expect: ExpectSettings | None) -> Check:
    """Codec and size against the configuration, and against the profile."""
    info = report.info
    if info is None:
        return Check("profile", None, say("inspect.profile-unknown"))
    found = f"{info.codec} {info.width}x{info.height}"
    data: Mapping[str, JsonValue] = {"codec": info.codec, "width": info.width, "height": info.height}
    if expect and (wrong := _differs(expect.codec, expect.width, expect.height, report)):
        text = say("inspect.profile-expected", found=found, wrong=wrong)
        return Check("profile", False, text, "stream-format", data)
    if profile is None:
        return Check("profile", True if expect else None, say("inspect.profile-plain", found=found), data=data)
    codec = None if profile.codec == "h264" and info.codec == "h265" else profile.codec  # some hide it (FACTS 5)
    settled = bool(expect and expect.codec) or profile.codec == "other"
    wrong = _differs(None if settled else codec, profile.width or None, profile.height or None, report)
    if wrong:
        text = say("inspect.profile-promised", found=found, wrong=wrong)
        return Check("profile", False, text, "stream-format", data)
    return Check("profile", True, say("inspect.profile-ok", found=found), data=data)


def _differs(codec: str | None, width: int | None, height: int | None, report: StreamReport) -> str:
    assert report.info
    if codec and codec != report.info.codec:
        return codec
    if (width and width != report.info.width) or (height and height != report.info.height):
        return f"{width or report.info.width}x{height or report.info.height}"
    return ""


def stream_check(report: StreamReport) -> Check:
    """The stream starts."""
    first_s = report.first_packet_s or 0.0
    data: Mapping[str, JsonValue] = {
        "first_packet_s": None if report.first_packet_s is None else round(first_s, 2),
        "first_keyframe_s": None if report.first_keyframe_s is None else round(report.first_keyframe_s, 2),
    }
    return Check("stream", True, say("inspect.stream-ok", seconds=f"{first_s:.1f}"), data=data)


def packets_check(report: StreamReport, profile: Profile | None, expect: ExpectSettings | None) -> Check:
    """Packets flow, at the rates that were promised."""
    fps_wanted = (expect.fps if expect else None) or (profile.fps if profile else None)
    data: dict[str, JsonValue] = {
        "fps": None if report.fps is None else round(report.fps, 1),
        "kbps": None if report.bitrate_kbps is None else round(report.bitrate_kbps),
        "keyframes": report.keyframes,
        "backward": report.backward,
    }
    wrong = _keyframes(report) or _rates(report, fps_wanted, profile.bitrate_kbps if profile else None)
    if wrong:
        return Check("packets", False, wrong, "stream-rate", data)
    if report.fps is None or report.bitrate_kbps is None or report.seconds < JUDGED_S:
        return Check("packets", None, say("inspect.packets-short", seconds=f"{report.seconds:.1f}"), data=data)
    text = say("inspect.packets-ok", fps=f"{report.fps:.1f}", kbps=f"{report.bitrate_kbps:.0f}")
    return Check("packets", True, text, data=data)


def _keyframes(report: StreamReport) -> Text | None:
    if report.backward >= JUMPS:
        return say("inspect.packets-jumps", count=report.backward)
    if report.keyframes == 0 and report.info is not None and report.info.codec != "mjpeg":
        return say("inspect.packets-no-keyframe")
    if report.first_keyframe_s is not None and report.first_keyframe_s > KEYFRAME_SLOW_S:
        return say("inspect.packets-keyframe-slow", seconds=f"{report.first_keyframe_s:.0f}", limit=KEYFRAME_SLOW_S)
    return None


def _rates(report: StreamReport, fps_wanted: float | None, kbps_wanted: int | None) -> Text | None:
    if report.seconds < JUDGED_S:
        return None
    if report.fps is not None and fps_wanted and not FPS_LEAST <= report.fps / fps_wanted <= FPS_MOST:
        return say("inspect.packets-fps", fps=f"{report.fps:.1f}", wanted=f"{fps_wanted:.0f}")
    kbps = report.bitrate_kbps
    if kbps is not None and kbps_wanted:
        starved = kbps < RATE_LEAST_KBPS and kbps < kbps_wanted * RATE_LEAST
        if starved or kbps > kbps_wanted * RATE_MOST:
            return say("inspect.packets-rate", kbps=f"{kbps:.0f}", wanted=kbps_wanted)
    return None


def picture_check(judged: Judged) -> Check:
    """The picture, in one line; what is wrong with it stands in the verdicts."""
    bad = [verdict for verdict in judged.verdicts if verdict.bad]
    data: Mapping[str, JsonValue] = {"learning": judged.learning, "luma": round(judged.features.luma)}
    if bad:
        return Check("picture", False, bad[0].text, bad[0].fault, data)
    if judged.learning:
        return Check("picture", None, say("inspect.picture-learning"), data=data)
    return Check("picture", True, say("inspect.picture-ok", count=len(judged.verdicts)), data=data)


def recordings_check(kept: Recordings, wanted_s: float, now: datetime) -> Check:
    """How far back the recordings go."""
    wanted = timedelta(seconds=wanted_s)
    if kept.oldest is None:
        return Check("recordings", False, say("inspect.recordings-empty"), "recordings")
    back = now - kept.oldest
    days = f"{max(0.0, back.total_seconds()) / DAY_S:.1f}"
    data: Mapping[str, JsonValue] = {"days": float(days), "oldest": kept.oldest.isoformat(timespec="seconds")}
    if kept.newest is not None and now - kept.newest > STALE:
        hours = round((now - kept.newest).total_seconds() / 3600)
        return Check("recordings", False, say("inspect.recordings-stopped", hours=hours), "recordings", data)
    good = back + SHORT >= wanted
    key = "inspect.recordings-ok" if good else "inspect.recordings-short"
    text = say(key, days=days, wanted=f"{wanted_s / DAY_S:.0f}")
    return Check("recordings", good, text, None if good else "recordings", data)
