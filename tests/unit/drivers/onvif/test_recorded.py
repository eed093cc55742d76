"""Answers of real cameras (../shared/cameras, not part of the project): each is understood, or a camera error."""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from agent.driver import CameraError, Identity
from drivers.onvif import replies, soap, times, topics
from tests.contract.camera_peers import understand

RECORDED = Path(__file__).parents[5] / "shared" / "cameras" / "onvif"
FILES = sorted(RECORDED.glob("*.xml"))

pytestmark = pytest.mark.skipif(not FILES, reason="the recorded answers of real cameras are not here")


def answer(name: str) -> bytes:
    """One of them, with its template filled in."""
    raw = (RECORDED / f"{name}.xml").read_bytes()
    return re.sub(rb"\{\{[^}]*\}\}", b"", raw.replace(b"{{=it.hostname}}", b"192.168.68.111"))


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_it_is_understood_or_a_camera_error(name: str) -> None:
    with suppress(CameraError):
        understand(answer(name))


def test_what_it_is() -> None:
    found = replies.identity(soap.read(answer("GetDeviceInformation")))
    assert found != Identity()
    assert found.maker
    assert found.model
    assert replies.mac(soap.read(answer("device.GetNetworkInterfaces")), "192.168.68.111") == "28:57:be:65:7d:d5"


def test_its_clock() -> None:
    found = times.system_time(soap.read(answer("GetSystemDateAndTime")), None)
    assert found is not None
    assert found.isoformat() == "2014-12-24T19:14:37+00:00"


def test_its_streams() -> None:
    found = replies.profiles(soap.read(answer("GetProfiles")))
    assert [(one.token, one.codec, one.width, one.height, one.ptz) for one in found][:1] == [
        ("main", "h264", 1920, 1080, True)
    ]
    assert replies.uri(soap.read(answer("GetStreamUri")), "-") == "rtsp://192.168.68.111/h264main"
    assert replies.sources(soap.read(answer("media.GetVideoSources")))


def test_its_services() -> None:
    found, _ = replies.services(soap.read(answer("GetServices")))
    assert set(found) >= {"device", "media", "events", "ptz"}
    older, _ = replies.services(soap.read(answer("GetCapabilities")))
    assert {"media", "events"} <= set(older)


async def test_its_events_and_presets() -> None:
    messages = topics.messages(soap.read(answer("PullMessages")))
    event = await topics.meaning(messages[0], 7)
    assert (event.kind, event.active, event.topic) == ("motion", True, "tns1:RuleEngine/CellMotionDetector/Motion")
    assert len(replies.presets(soap.read(answer("ptz.GetPresets")))) > 3


def test_a_fault_with_prefixes_that_nobody_declared() -> None:
    with pytest.raises(soap.Fault) as caught:
        soap.read(answer("Error"))
    assert "fault reason" in str(caught.value)
