"""The settings of the eye: cameras, what is analysed in their pictures, patrols, and the eye's own limits."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, SerializeAsAny

from agent.camera import Codec
from agent.config.base import Settings
from agent.config.calendar import EVERY_DAY, Day
from agent.config.points import PointSettings
from agent.config.values import AbsolutePath, CameraAddress, ClockSpan, ClockTime, GbId, Id, MediaHost, UploadUrl
from agent.driver import CameraDriver
from agent.secrets import Secret
from agent.units import Duration, Size

Fraction = Annotated[float, Field(ge=0, le=1)]
Place = tuple[Fraction, Fraction]
"""A place in the picture, from the upper left corner: parts of its width and height."""
Sought = Literal["motion", "intrusion", "loitering", "crowd", "object-left"]
Names = tuple[Annotated[str, Field(min_length=1, max_length=64)], ...]
DEFAULT_PREROLL_S: Final = 10.0
"""Of a camera that a point names: what led to an alarm is worth more than what follows it."""


class ExpectSettings(Settings):
    """[camera.expect]: what the main stream should be; inspection compares."""

    table: ClassVar[str] = "camera-expect"
    codec: Codec | None = None
    width: int | None = Field(None, ge=16, le=16_384)
    height: int | None = Field(None, ge=16, le=16_384)
    fps: float | None = Field(None, gt=0, le=120)


class ZoneSettings(Settings):
    """[[camera.zone]]: a part of the picture that is watched."""

    table: ClassVar[str] = "camera-zone"
    id: Id
    name: str | None = Field(None, min_length=1, max_length=100)
    polygon: tuple[Place, ...] = Field(min_length=3, max_length=32)
    detect: tuple[Sought, ...] = Field(("intrusion",), min_length=1)
    classes: Names | None = Field(None, min_length=1)
    loiter_s: Duration = Field(30.0, alias="loiter", gt=0, le=3600)
    left_s: Duration = Field(60.0, alias="left", gt=0, le=3600)
    crowd: int = Field(8, ge=2, le=500)
    times: tuple[ClockSpan, ...] = ()
    days: tuple[Day, ...] = EVERY_DAY


class LineSettings(Settings):
    """[[camera.line]]: a line whose crossing is told."""

    table: ClassVar[str] = "camera-line"
    id: Id
    name: str | None = Field(None, min_length=1, max_length=100)
    start: Place
    end: Place
    direction: Literal["both", "left-to-right", "right-to-left"] = "both"
    classes: Names | None = Field(None, min_length=1)
    times: tuple[ClockSpan, ...] = ()
    days: tuple[Day, ...] = EVERY_DAY


class CameraHead(Settings):
    """[[camera]]: one camera; its remaining keys are its driver's."""

    table: ClassVar[str] = "camera"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    driver: str
    address: CameraAddress
    username: str | None = Field(None, min_length=1)
    password: Secret | None = None
    preroll_s: Duration | None = Field(None, alias="preroll", ge=0, le=60)
    inspect: bool = True
    events: bool = True
    recordings_s: Duration | None = Field(None, alias="recordings", gt=0, le=366 * 86_400)
    analysis_fps: float = Field(3.0, ge=1, le=10)
    expect: ExpectSettings | None = None
    zones: tuple[ZoneSettings, ...] = Field((), alias="zone", max_length=16)
    lines: tuple[LineSettings, ...] = Field((), alias="line", max_length=16)
    gb_id: GbId | None = None


class CameraSettings(CameraHead):
    """A camera with its points and its driver, ready to be watched."""

    points: tuple[PointSettings, ...] = Field((), alias="point")
    settings: SerializeAsAny[CameraDriver]


class StopSettings(Settings):
    """[[patrol.stop]]: one look of a patrol."""

    table: ClassVar[str] = "patrol-stop"
    camera: Id
    preset: str | None = Field(None, min_length=1, max_length=64)
    dwell_s: Duration = Field(10.0, alias="dwell", ge=1, le=600)


class PatrolSettings(Settings):
    """[[patrol]]: a round over cameras and presets, by the clock or by hand."""

    table: ClassVar[str] = "patrol"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    at: tuple[ClockTime, ...] = ()
    days: tuple[Day, ...] = EVERY_DAY
    stops: tuple[StopSettings, ...] = Field(alias="stop", min_length=1, max_length=100)


class UploadSettings(Settings):
    """[skyeye.upload]: where evidence is sent by HTTP PUT (WebDAV, S3)."""

    table: ClassVar[str] = "skyeye-upload"
    url: UploadUrl
    username: str | None = Field(None, min_length=1)
    password: Secret | None = None
    ca: AbsolutePath | None = None


class SkyeyeSettings(Settings):
    """[skyeye]: the process that watches the cameras, and its limits."""

    table: ClassVar[str] = "skyeye"
    path: AbsolutePath | None = None
    memory_bytes: Size = Field(400 << 20, alias="memory", ge=128 << 20)
    inspect_every_s: Duration = Field(300.0, alias="inspect_every", ge=10, le=86_400)
    streams: int = Field(8, ge=1, le=64)
    bandwidth_mbit: int = Field(60, alias="bandwidth_mbit", ge=1, le=10_000)
    ring_bytes: Size = Field(128 << 20, alias="ring", ge=1 << 20)
    clip_after_s: Duration = Field(20.0, alias="clip_after", ge=1, le=300)
    evidence_size_bytes: Size = Field(4 << 30, alias="evidence_size", ge=16 << 20)
    evidence_keep_s: Duration = Field(30 * 86_400.0, alias="evidence_keep", gt=0)
    media_hosts: tuple[MediaHost, ...] = ()
    media_ca: AbsolutePath | None = None
    detector: AbsolutePath | None = None
    detector_classes: Names = ("person",)
    upload: UploadSettings | None = None
