"""What simulated cameras are told: their specification at the start, and commands while they run. Pure."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Light = Literal["day", "night"]
SceneName = Literal["gate", "canteen", "corridor", "yard"]
PictureMode = Literal[
    "ok",
    "black",
    "white",
    "frozen",
    "blurred",
    "covered",
    "cast",
    "snow",
    "stripes",
    "moved",
    "low-contrast",
    "dark",
    "bright",
]
RtspMode = Literal[
    "ok",
    "closed",
    "silent",
    "endless",
    "huge",
    "garbage",
    "redirect",
    "unauthorized",
    "hang",
    "stop",
    "cut",
    "lie",
    "resize",
    "jump",
    "backward",
    "repeat",
    "no-keyframe",
    "junk",
]
"""closed: nobody listens. silent: accepts, and never answers. endless: a header without end. huge: a description of 64
MiB. garbage: an answer that is no RTSP. redirect: 302 to another host. unauthorized: 401 whatever comes. hang: answers
PLAY, sends nothing. The rest plays well for `after_s` first, then stop: no more packets; cut: closes; resize: another
size, in new parameter sets; jump, backward, repeat: timestamps leap an hour ahead, run back, or stand; no-keyframe: a
group of pictures that does not end; junk: payloads of random bytes. lie: the description names the other codec."""
OnvifMode = Literal[
    "ok",
    "closed",
    "silent",
    "slow",
    "huge",
    "endless",
    "drip",
    "malformed",
    "utf8",
    "bomb",
    "redirect",
    "content-type",
    "cut",
    "fault",
    "empty",
    "xaddr-host",
    "xaddr-zero",
    "xaddr-ports",
    "rtsp-host",
    "rtsp-twice",
]
"""closed: nobody listens. silent: accepts, and never answers. slow: answers after `after_s`. huge: 64 MiB. endless: a
body that never ends. drip: a byte every tenth of a second. malformed, utf8, bomb: XML that ends early, has bytes that
are no UTF-8, or entities that grow. redirect: 307 to another host. content-type: a web page. cut: half an answer.
fault: a SOAP fault. empty: nothing in the body. xaddr-*: service addresses on another host, on 0.0.0.0, or as
host:port:port. rtsp-*: stream addresses on another host, or as rtsp://rtsp://."""
EventKind = Literal[
    "motion", "tamper", "input", "line-crossed", "intrusion", "loitering", "crowd", "sound", "signal-lost", "blurred"
]


class BadSpec(ValueError):
    """A specification or a command that cannot be understood."""


class Part(BaseModel):
    """Base of what follows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class StreamSpec(Part):
    """One encoded stream."""

    codec: Literal["h264", "h265"] = "h264"
    width: int = Field(640, ge=64, le=4096, multiple_of=2)
    height: int = Field(360, ge=64, le=4096, multiple_of=2)
    fps: int = Field(10, ge=1, le=60)
    kbps: int = Field(600, ge=16, le=50_000)
    gop: int = Field(10, ge=1, le=600)


SUB: Final = StreamSpec(width=320, height=180, fps=5, kbps=150, gop=5)


class IdentitySpec(Part):
    """What the camera says it is."""

    maker: str = "Campus"
    model: str = "SIM-2004"
    firmware: str = "1.0.0"
    serial: str | None = None
    """Made of the camera's id when missing."""
    hardware: str = "1"
    mac: str | None = None


class CameraSpec(Part):
    """One camera, or a recorder with some channels."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    name: str | None = None
    scene: SceneName = "gate"
    light: Light = "day"
    channels: int = Field(1, ge=1, le=64)
    main: StreamSpec = StreamSpec()
    sub: StreamSpec | None = SUB
    loop_s: int = Field(4, ge=1, le=60)
    """How long the made film is before it repeats."""
    live: bool = False
    """Draw and encode while it plays, which a moving camera does anyway: a true clock in the picture, for more CPU."""
    username: str | None = None
    password: str | None = None
    onvif: bool = True
    onvif_port: int = Field(0, ge=0, le=65_535)
    rtsp_port: int = Field(0, ge=0, le=65_535)
    onvif_login: Literal["wsse", "digest", "both"] = "both"
    onvif_digest: Literal["MD5", "SHA-256"] = "MD5"
    rtsp_digest: Literal["MD5", "SHA-256", "both"] = "MD5"
    transports: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
    ptz: bool = False
    events: bool = True
    event_slots: int = Field(4, ge=0)
    media2: bool = True
    media1_hides_h265: bool = False
    """Media1 calls H.265 H264, as some do."""
    snapshot: bool = True
    recordings_days: float | None = Field(30.0, ge=0)
    max_skew_s: float = Field(20.0, gt=0)
    """How far the time in a login may be from the camera's clock."""
    clock_offset_s: float = 0.0
    lock_after: int = Field(5, ge=1)
    lock_s: float = Field(1800.0, ge=0)
    identity: IdentitySpec = IdentitySpec()
    picture: PictureMode = "ok"
    onvif_mode: OnvifMode = "ok"
    rtsp_mode: RtspMode = "ok"
    after_s: float = Field(2.0, ge=0)


class Spec(Part):
    """All cameras of a process. `copies` makes so many of each, with ids `ID-001` and so on, sharing their films."""

    host: str = "127.0.0.1"
    cameras: tuple[CameraSpec, ...] = Field(min_length=1)
    copies: int = Field(1, ge=1, le=1000)
    discovery: bool = False
    """Answer WS-Discovery on `host`'s interface."""
    discovery_port: int = Field(3702, ge=0, le=65_535)

    def every(self) -> tuple[CameraSpec, ...]:
        """The cameras, copies and all."""
        if self.copies == 1:
            return self.cameras
        return tuple(
            camera.model_copy(update={"id": f"{camera.id}-{number:03d}", "onvif_port": 0, "rtsp_port": 0})
            for camera in self.cameras
            for number in range(1, self.copies + 1)
        )


class EventSpec(Part):
    """One event: of a kind, in the words of ONVIF, or with a topic and items of one's own."""

    kind: EventKind | None = None
    active: bool | None = True
    source: str = "1"
    """A rule, an input or a zone; where the kind has one."""
    topic: str | None = None
    sources: dict[str, str] = {}
    data: dict[str, str] = {}


class Command(Part):
    """What is changed while it runs; `camera` is an id, or None for all of them."""

    camera: str | None = None
    channel: int | None = None
    """Of a recorder, for `picture`; None is every channel."""
    picture: PictureMode | None = None
    level: Annotated[int, Field(ge=1, le=5)] = 4
    light: Light | None = None
    onvif_mode: OnvifMode | None = None
    operations: tuple[str, ...] = ()
    """The ONVIF operations that `onvif_mode` is about; empty: all."""
    rtsp_mode: RtspMode | None = None
    after_s: float | None = Field(None, ge=0)
    event: EventSpec | None = None
    clock_offset_s: float | None = None
    password: str | None = None
    unlock: bool = False
    """Forget refused logins."""
    identity: dict[str, str] | None = None
    """Another firmware, or another camera: fields of the identity that change."""
    recordings_days: float | None = None
    state: bool = False
    """Answer with what the camera has seen."""


COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Command)
SPECS: Final[TypeAdapter[Spec]] = TypeAdapter(Spec)


def parse_spec(raw: bytes | str | dict[str, Any]) -> Spec:
    """Read a specification. Raises BadSpec."""
    try:
        return SPECS.validate_python(raw) if isinstance(raw, dict) else SPECS.validate_json(raw)
    except ValidationError as error:
        raise BadSpec(str(error)) from None


def parse_command(raw: bytes | str) -> Command:
    """Read one line of the control protocol. Raises BadSpec."""
    try:
        return COMMANDS.validate_json(raw)
    except ValidationError as error:
        raise BadSpec(str(error)) from None
