"""Inspections as the tests need them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from agent.config.models import CameraSettings
from agent.skyeye.model import Check, Inspection, Layer, Verdict
from agent.texts import say
from drivers.rtsp import Rtsp

AT = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
WORDS = say("inspect.signal-lost")
FAULT_OF: dict[str, Layer] = {
    "offline": "network",
    "login": "login",
    "camera-clock": "clock",
    "stream-format": "profile",
    "stream": "stream",
    "stream-rate": "packets",
    "recordings": "recordings",
}
PICTURES = ("picture-black", "picture-covered", "picture-blurred")


def inspection(*faults: str, camera: str = "gate", unknown: Iterable[str] = ()) -> Inspection:
    """One that found these faults, could not judge those, and found everything else in order."""
    unknown = set(unknown)
    checks = [
        Check(layer, fault not in faults, WORDS, fault if fault in faults else None)
        for fault, layer in FAULT_OF.items()
        if fault not in unknown
    ]
    if "offline" in faults:
        checks = [check for check in checks if check.layer == "network"]
    verdicts = [Verdict(one, one in faults, 1.0, 0.5, "x", WORDS) for one in PICTURES if one not in unknown]
    return Inspection(camera, AT, 0, tuple(checks), () if "offline" in faults else tuple(verdicts))


def settings(id_: str, port: int = 554, **fields: Any) -> CameraSettings:
    """One camera without ONVIF."""
    driver = Rtsp(port=port, path="/1/main")
    head: dict[str, Any] = {"id": id_, "name": id_, "driver": "rtsp", "address": "127.0.0.1", **fields}
    return CameraSettings(**head, points=(), settings=driver)
