"""The words of the eye as frozen values, and what its rooms offer each other. Nothing here opens or waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.camera import CameraError, Codec, StreamRole
from agent.model import JsonValue
from agent.texts import Text

Image: TypeAlias = NDArray[np.uint8]
"""A picture as OpenCV has it: height x width x 3, blue-green-red."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What an open stream turned out to be. `extradata` is FFmpeg's (avcC/hvcC or Annex B parameter sets)."""

    codec: Codec
    width: int
    height: int
    fps: float | None
    extradata: bytes
    time_base: tuple[int, int]
    """Numerator and denominator of the unit of `Packet.pts` and `dts`, in seconds."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded picture, as it came. Times in units of the stream's time base, made to run forward."""

    data: bytes
    pts: int
    dts: int
    keyframe: bool
    arrived_ns: int
    """Boot clock."""


class PacketSink(Protocol):
    """Hears one stream. All three are called in the reader's thread, one after another, and must not wait."""

    def opened(self, info: StreamInfo) -> None:
        """The stream (re)starts; also called first thing to a sink that joins a running stream, and again when codec
        or size change in the middle."""
        ...

    def packet(self, packet: Packet) -> None: ...

    def lost(self, error: CameraError) -> None:
        """The stream has ended; the hub tries again by itself as long as anybody listens."""
        ...


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What some seconds of one stream showed."""

    info: StreamInfo | None
    seconds: float
    """From the first packet to the last."""
    packets: int
    bytes: int
    keyframes: int
    first_packet_s: float | None
    """From the request to the first packet."""
    first_keyframe_s: float | None
    fps: float | None
    bitrate_kbps: float | None
    backward: int = 0
    """Timestamps that jumped or ran backward."""
    picture: Image | None = None
    """The last keyframe, decoded."""
    earlier: Image | None = None
    """A keyframe some seconds before it, where there was one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement of a picture or stream. `fault` is a name of agent.kinds.FAULTS."""

    fault: str
    bad: bool
    measure: float
    threshold: float
    measured: str
    """What `measure` is, as an identifier: "dark-share", "sharpness-ratio" ..."""
    text: Text


Layer = Literal["network", "service", "login", "clock", "profile", "stream", "packets", "picture", "recordings"]
"""In the order of a diagnosis: what fails below makes what is above unknown."""


@dataclass(frozen=True, slots=True)
class Check:
    """One step of an inspection. `ok` is None where it could not be judged or is not asked for."""

    layer: Layer
    ok: bool | None
    text: Text
    """What was found, and what to do."""
    fault: str | None = None
    """The fault that it is when not ok."""
    data: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """One inspection of one camera."""

    camera: str
    at: datetime
    boottime_ns: int
    checks: tuple[Check, ...]
    verdicts: tuple[Verdict, ...] = ()
    thumbnail: bytes | None = None
    """JPEG, 320 wide."""
    seconds: float = 0.0

    @property
    def faults(self) -> frozenset[str]:
        """The faults that it found (not yet confirmed)."""
        return frozenset(
            {check.fault for check in self.checks if check.ok is False and check.fault}
            | {verdict.fault for verdict in self.verdicts if verdict.bad}
        )


EvidenceKind = Literal["snapshot", "clip", "patrol", "fault"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file that proves something. `event` is the id of the event that it belongs to, if any."""

    id: str
    kind: EvidenceKind
    camera: str
    path: Path
    sha256: str
    bytes: int
    at: datetime
    event: str | None = None
    alarm: bool = False
    """Of an alarm: the last to be evicted."""
    seconds: float | None = None
    """Length of a clip."""
    content_type: str = "image/jpeg"
    put_url: str | None = field(default=None, repr=False)
    """A pre-signed address to send it to, instead of the configured folder. Is a secret."""


class Core(Protocol):
    """What the eye tells the core. Never raises for a lost connection; bounded; what matters is told again."""

    async def event(self, camera: str | None, type_: str, data: Mapping[str, JsonValue]) -> None:
        """An event for the chain; `type_` is what follows `campus.camera.`; returns when it is durable, or kept to be
        told as soon as the core is back."""
        ...

    async def fault(self, camera: str | None, fault: str, text: Text | None) -> None:
        """Raise a fault, or clear it (None)."""
        ...

    async def sample(self, camera: str, inputs: Sequence[str], active: bool) -> None:
        """Set inputs of a camera's points (`line-crossed`, `line-crossed/fence`)."""
        ...

    async def inventory(self, camera: str, facts: Mapping[str, JsonValue]) -> None:
        """What the camera is, for `inventory/{camera}`."""
        ...


__all__ = [
    "Check",
    "Core",
    "Evidence",
    "EvidenceKind",
    "Image",
    "Inspection",
    "Layer",
    "Packet",
    "PacketSink",
    "StreamInfo",
    "StreamReport",
    "StreamRole",
    "Verdict",
]
