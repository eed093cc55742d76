"""Sessions that say what they are told to: the camera contract without a camera."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.camera import (
    CameraSession,
    Channel,
    Features,
    Identity,
    Preset,
    Profile,
    Recordings,
    StreamRole,
    StreamSource,
)
from agent.config.models import CameraSettings
from agent.secrets import Secret
from drivers.onvif import Onvif

FINE: Mapping[str, Any] = {
    "identity": Identity("Hikvision", "DS-2CD2032-I", "V5.4.1", "SN1", "44:19:b6:00:11:22"),
    "features": Features(ptz=True, events=True, snapshot=True, recordings=True),
    "profiles": (
        Profile("main", "mainStream", "h265", 1920, 1080, 25.0, 4096, 50, "src1"),
        Profile("sub", "subStream", "h264", 640, 360, 12.5, 512, 25, "src1"),
    ),
    "channels": (Channel(1, "src1", "校门口"),),
    "clock_offset_s": -12.4,
    "recordings": Recordings(
        datetime.fromisoformat("2026-10-01T00:00:00+08:00"), datetime.fromisoformat("2026-11-01T00:00:00+08:00")
    ),
    "presets": (Preset("1", "大门"),),
}


def camera(id_: str = "gate", **more: Any) -> CameraSettings:
    """A configured camera."""
    fields: dict[str, Any] = {"name": "校门口", "driver": "onvif", "address": "192.168.1.64", "settings": Onvif()}
    if isinstance(password := more.get("password"), str):
        more["password"] = Secret("literal", "", password)
    return CameraSettings.model_validate({"id": id_, **fields, **more})


class ToldSession(CameraSession):
    """Answers each question with a value, or raises it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {**FINE, **answers}
        self.asked: list[str] = []

    def _say(self, name: str) -> Any:
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def identity(self) -> Identity:
        return self._say("identity")  # type: ignore[no-any-return]

    async def features(self) -> Features:
        return self._say("features")  # type: ignore[no-any-return]

    async def profiles(self) -> tuple[Profile, ...]:
        return self._say("profiles")  # type: ignore[no-any-return]

    async def channels(self) -> tuple[Channel, ...]:
        return self._say("channels")  # type: ignore[no-any-return]

    async def clock_offset_s(self) -> float:
        return self._say("clock_offset_s")  # type: ignore[no-any-return]

    async def recordings(self) -> Recordings:
        return self._say("recordings")  # type: ignore[no-any-return]

    async def presets(self) -> tuple[Preset, ...]:
        return self._say("presets")  # type: ignore[no-any-return]

    async def stream(self, role: StreamRole) -> StreamSource:
        return StreamSource("rtsp://192.168.1.64/")

    async def close(self) -> None:
        pass
