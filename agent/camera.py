"""The contract with camera drivers, in words and frozen values; `agent.driver` hands it on to them.

A camera driver is a frozen model like any driver: its fields are its configuration. It runs in the eye process only.
`open` gives a session; every method of a session is one bounded exchange with the camera, raises `CameraError` and
nothing else, and may be cancelled. What a camera says is never trusted: replies are capped, redirects refused, and
an address is taken only if it is the host that was enrolled. Importing a driver's module must load nothing heavy (no
zeep, no av): the core reads the settings too.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal, Protocol

from agent.clock import Clock
from agent.texts import Spoken, Text

Codec = Literal["h264", "h265", "mjpeg", "mpeg4", "other"]
StreamRole = Literal["main", "sub"]
"""main: what is recorded and proven; sub: the small stream for analysis and the wall. A camera with one has both."""
Transport = Literal["tcp", "udp"]
Door = Literal["http", "rtsp"]
"""Where a camera asks for a login: some have accounts of their own for each."""
CameraEventKind = Literal[
    "motion",
    "tamper",
    "input",
    "line-crossed",
    "intrusion",
    "loitering",
    "crowd",
    "sound",
    "object-left",
    "picture",
    "signal-lost",
    "other",
]
"""What cameras (and our own analysis) tell, normalised. `picture`: the camera's own doubt about its picture (blurred,
dark, covered, moved); `signal-lost`: a recorder's channel without a camera."""
CAMERA_EVENT_KINDS: Final[tuple[CameraEventKind, ...]] = CameraEventKind.__args__  # type: ignore[attr-defined]


class CameraError(Spoken):
    """Something between us and the picture failed. `fault` is the name of the fault that it becomes (agent.kinds)."""

    fault: ClassVar[str] = "offline"


class Unreachable(CameraError):
    """No answer: address, cable, power, a closed port."""

    fault = "offline"


class LoginRefused(CameraError):
    """The camera refused name or password, or the gate is closed after too many tries."""

    fault = "login"


class BadReply(CameraError):
    """An answer that cannot be used: malformed, too large, too slow, pointing to another host."""

    fault = "camera-reply"


class StreamFailed(CameraError):
    """RTSP or its packets failed."""

    fault = "stream"


class NotOffered(CameraError):
    """The camera has no such function. No fault by itself."""

    fault = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the camera says it is. `mac` is `aa:bb:cc:dd:ee:ff` in lower case."""

    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    mac: str | None = None
    hardware: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream that the camera offers. `source` is the token of its video source: a recorder's channel."""

    token: str
    name: str
    codec: Codec
    width: int
    height: int
    fps: float | None = None
    bitrate_kbps: int | None = None
    gop: int | None = None
    """Frames from keyframe to keyframe."""
    source: str | None = None
    ptz: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """One video source of a recorder, counted from 1 in the order that the recorder gives."""

    number: int
    source: str
    name: str
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, slots=True)
class Features:
    """What the camera can do beside giving a picture."""

    ptz: bool = False
    events: bool = False
    snapshot: bool = False
    recordings: bool = False
    media2: bool = False
    analytics: bool = False


@dataclass(frozen=True, slots=True)
class Recordings:
    """The span that the camera or recorder has on its disk; gaps do not show (ONVIF GetRecordingSummary)."""

    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class StreamSource:
    """Where a stream is. `url` has no credentials; whoever opens it adds them and never shows them."""

    url: str
    username: str | None = None
    password: str | None = None
    transport: Transport = "tcp"
    codec: Codec | None = None
    """As the camera promises it."""

    def __repr__(self) -> str:
        return f"StreamSource({self.url!r}, {self.transport}, {self.codec})"


@dataclass(frozen=True, slots=True)
class Preset:
    """One stored position of a moving camera."""

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class Move:
    """A continuous move: speeds from -1 to 1 (right, up, in are positive), for so long."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """What a camera tells by itself. `active` is None for a kind without an end. `source` names the input, rule or
    zone inside the camera; `topic` is the vendor's own, kept as it came."""

    kind: CameraEventKind
    active: bool | None
    source: str
    topic: str
    seen_ns: int
    """Boot clock when we received it."""


class LoginTry(Protocol):
    """One login on its way. Whoever leaves it without a word was not answered, and it counts for nothing; whoever is
    cancelled in it, or says so, has not waited for the answer, and it counts as refused unless the login is proven."""

    def refused(self) -> None:
        """The camera has refused it."""
        ...

    def accepted(self) -> None:
        """The camera has accepted it."""
        ...

    def abandoned(self) -> None:
        """Nobody waits for the answer any more."""
        ...


class LoginGate(Protocol):
    """Guards a camera's lock-out counter: at most 2 refused tries, then a long cool-off (FACTS 5)."""

    def check(self, door: Door) -> None:
        """Raise LoginRefused while the gate is closed."""
        ...

    def trying(self, door: Door) -> AbstractAsyncContextManager[LoginTry]:
        """Send what carries the password within this only. Waits while other tries are on their way and their refusal
        would leave none; raises LoginRefused while the gate is closed."""
        ...


class CameraLink(Protocol):
    """What the eye offers one session."""

    @property
    def camera(self) -> str:
        """Its id."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def address(self) -> str:
        """As configured: a host, a host with a port, or a URL; never with credentials."""
        ...

    @property
    def username(self) -> str | None: ...

    @property
    def gate(self) -> LoginGate: ...

    def password(self) -> str | None:
        """Read anew at each call. Raises LoginRefused when the secret cannot be had."""
        ...


class CameraSession(ABC):
    """One conversation with one camera. Methods that a protocol does not have raise NotOffered (the default)."""

    @abstractmethod
    async def identity(self) -> Identity: ...

    @abstractmethod
    async def stream(self, role: StreamRole) -> StreamSource: ...

    @abstractmethod
    async def close(self) -> None:
        """Give everything back: connections, event slots. Never raises, bounded in time."""

    @abstractmethod
    async def features(self) -> Features: ...

    async def profiles(self) -> tuple[Profile, ...]:
        """The streams of this camera (of this channel of a recorder), best first."""
        return ()

    async def channels(self) -> tuple[Channel, ...]:
        """The video sources; a camera has one, a recorder many."""
        return ()

    async def clock_offset_s(self) -> float:
        """The camera's clock minus ours, in seconds, read without credentials."""
        raise NotOffered(_no())

    async def recordings(self) -> Recordings:
        raise NotOffered(_no())

    async def snapshot(self) -> bytes:
        """A JPEG."""
        raise NotOffered(_no())

    async def move(self, move: Move) -> None:
        """Start to move; the camera stops by itself after `move.seconds`, or the session stops it."""
        raise NotOffered(_no())

    async def stop(self) -> None:
        raise NotOffered(_no())

    async def presets(self) -> tuple[Preset, ...]:
        raise NotOffered(_no())

    async def goto(self, preset: str) -> None:
        """Move to a preset by its token or name."""
        raise NotOffered(_no())

    async def save_preset(self, name: str) -> Preset:
        raise NotOffered(_no())

    def events(self) -> AsyncIterator[CameraEvent]:
        """What the camera tells, until cancelled or failed; renews and gives back its slot by itself."""
        raise NotOffered(_no())


def _no() -> Text:
    return Text("camera.not-offered")
