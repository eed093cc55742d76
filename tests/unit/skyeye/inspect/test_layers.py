"""What each layer concludes."""

from datetime import timedelta
from typing import Any

import pytest

from agent.camera import Profile, Recordings
from agent.config.skyeye import ExpectSettings
from agent.skyeye.inspect.layers import clock_check, packets_check, profile_check, recordings_check
from agent.skyeye.inspect.network import place_of
from agent.skyeye.model import Check, StreamInfo, StreamReport
from tests.unit.skyeye.inspect.make import AT, settings

MAIN = Profile("p", "main", "h264", 1920, 1080, 25.0, 4000)
DAY_S = 86_400.0


def report(codec: Any = "h264", width: int = 1920, height: int = 1080, **numbers: Any) -> StreamReport:
    info = StreamInfo(codec, width, height, 25.0, b"", (1, 90_000))
    usual: dict[str, Any] = {
        "seconds": 5.0,
        "packets": 125,
        "bytes": 2_500_000,
        "keyframes": 3,
        "first_packet_s": 0.3,
        "first_keyframe_s": 0.3,
        "fps": 25.0,
        "bitrate_kbps": 4000.0,
    }
    return StreamReport(info=info, **{**usual, **numbers})


def verdict(check: Check) -> tuple[bool | None, str | None, str]:
    assert check.text.render("zh-CN")
    return check.ok, check.fault, check.text.key.removeprefix("inspect.")


@pytest.mark.parametrize(
    ("offset_s", "synced", "wanted"),
    [
        (4.9, True, (True, None, "clock-ok")),
        (-5.1, True, (False, "camera-clock", "clock-off")),
        (3600.0, False, (None, None, "clock-unsynced")),
    ],
)
def test_clock(offset_s: float, synced: bool, wanted: object) -> None:
    assert verdict(clock_check(offset_s, synced=synced)) == wanted


@pytest.mark.parametrize(
    ("found", "profile", "expect", "wanted"),
    [
        (report(), MAIN, None, (True, None, "profile-ok")),
        (report(), None, None, (None, None, "profile-plain")),
        (report(), MAIN, ExpectSettings(codec="h265"), (False, "stream-format", "profile-expected")),
        (report(width=1280, height=720), MAIN, None, (False, "stream-format", "profile-promised")),
        (report("h265"), MAIN, None, (True, None, "profile-ok")),  # Media1 hides H.265 (FACTS 5)
        (report("mjpeg"), MAIN, None, (False, "stream-format", "profile-promised")),
        (report(), None, ExpectSettings(width=1920, height=1080), (True, None, "profile-plain")),
    ],
)
def test_profile(found: StreamReport, profile: Profile | None, expect: ExpectSettings | None, wanted: object) -> None:
    assert verdict(profile_check(found, profile, expect)) == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (report(), (True, None, "packets-ok")),
        (report(fps=12.5), (True, None, "packets-ok")),  # slow shutter by night
        (report(fps=4.0), (False, "stream-rate", "packets-fps")),
        (report(bitrate_kbps=9000.0), (False, "stream-rate", "packets-rate")),
        (report(bitrate_kbps=10.0), (False, "stream-rate", "packets-rate")),
        (report(bitrate_kbps=60.0), (True, None, "packets-ok")),  # a still scene
        (report(backward=9), (False, "stream-rate", "packets-jumps")),
        (report(keyframes=0, first_keyframe_s=None), (False, "stream-rate", "packets-no-keyframe")),
        (report(first_keyframe_s=14.0), (False, "stream-rate", "packets-keyframe-slow")),
        (report(seconds=0.4, fps=None, bitrate_kbps=None), (None, None, "packets-short")),
    ],
)
def test_packets(found: StreamReport, wanted: object) -> None:
    assert verdict(packets_check(found, MAIN, None)) == wanted


@pytest.mark.parametrize(
    ("oldest", "newest", "wanted"),
    [
        (30.0, 0.0, (True, None, "recordings-ok")),
        (29.6, 0.0, (True, None, "recordings-ok")),
        (29.0, 0.0, (False, "recordings", "recordings-short")),
        (40.0, 2.0, (False, "recordings", "recordings-stopped")),
        (None, None, (False, "recordings", "recordings-empty")),
    ],
)
def test_recordings(oldest: float | None, newest: float | None, wanted: object) -> None:
    def back(days: float | None) -> Any:
        return None if days is None else AT - timedelta(days=days)

    assert verdict(recordings_check(Recordings(back(oldest), back(newest)), 30 * DAY_S, AT)) == wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("192.0.2.1", ("192.0.2.1", 8554)),
        ("192.0.2.1:81", ("192.0.2.1", 81)),
        ("rtsp://camera.example/live", ("camera.example", 554)),
        ("http://192.0.2.1/onvif/device_service", ("192.0.2.1", 80)),
        ("https://[2001:db8::1]:8443/", ("2001:db8::1", 8443)),
    ],
)
def test_where_the_first_knock_goes(address: str, wanted: tuple[str, int]) -> None:
    assert place_of(settings("cam", 8554, address=address)) == wanted
