"""What a camera is: asked of it part by part, kept as plain values, and compared with what it was."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Final, Literal, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from agent.camera import (
    CameraError,
    CameraSession,
    Channel,
    Features,
    Identity,
    LoginRefused,
    NotOffered,
    Preset,
    Profile,
    Recordings,
    Unreachable,
)
from agent.clock import Clock
from agent.config.models import CameraSettings
from agent.control.protocol import text_json
from agent.model import JsonValue
from agent.texts import Spoken, say

T = TypeVar("T")

WORD_LIMIT: Final = 100
LIST_LIMIT: Final = 256
"""Profiles, channels, presets: the largest recorders have 128 channels, and cameras up to 256 presets."""

Part = Literal["features", "profiles", "channels", "clock", "recordings", "presets"]
What = Literal["swapped", "maker", "model", "firmware", "address", "channels", "profiles", "features"]
WHATS: Final[tuple[What, ...]] = get_args(What)


class BadFacts(Spoken):
    """A kept file that holds no facts."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream that the camera offers."""

    name: str
    codec: str
    width: int
    height: int
    fps: int | None = None
    bitrate_kbps: int | None = None
    channel: str | None = None

    def __str__(self) -> str:
        rate = f"@{self.fps}" if self.fps else ""
        return f"{self.codec} {self.width}x{self.height}{rate}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What one camera is, as it said itself. None is what it did not say; `failed` has why, by part."""

    camera: str
    at: str
    """When it was asked; ISO 8601 with offset."""
    address: str
    driver: str
    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    mac: str | None = None
    hardware: str | None = None
    streams: tuple[StreamFacts, ...] | None = None
    channels: tuple[str, ...] | None = None
    """Names of a recorder's channels, in order."""
    presets: tuple[str, ...] | None = None
    ptz: bool | None = None
    events: bool | None = None
    snapshot: bool | None = None
    clock_offset_ms: int | None = None
    recorded_from: str | None = None
    recorded_to: str | None = None
    failed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def as_data(self) -> dict[str, JsonValue]:
        """As JSON."""
        data: dict[str, JsonValue] = asdict(self)
        for name, value in data.items():
            if isinstance(value, tuple):
                data[name] = [*value]
        return data

    @staticmethod
    def from_data(data: object) -> "Facts":
        """Read what `as_data` wrote, also of a version that knew less or more. Raises BadFacts."""
        try:
            return _adapter().validate_python(data)
        except (ValidationError, RecursionError):
            raise BadFacts(say("inventory.bad-facts")) from None


@cache
def _adapter() -> TypeAdapter[Facts]:
    return TypeAdapter(Facts)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what a camera was and what it is. `what` swapped: it is another device."""

    what: What
    old: str
    new: str

    def as_data(self) -> dict[str, JsonValue]:
        """As JSON, for the event campus.camera.changed."""
        return {"what": self.what, "old": self.old, "new": self.new}


async def collect(camera: CameraSettings, session: CameraSession, clock: Clock) -> Facts:
    """Ask a camera what it is. Raises CameraError only if it does not even say who it is; what else fails is noted.
    After a refused login nothing more is asked, as the camera counts."""
    failed: dict[str, Mapping[str, str]] = {}
    identity: Identity = await session.identity()
    stopped = False

    async def part(name: Part, ask: Callable[[], Awaitable[T]]) -> T | None:
        nonlocal stopped
        if stopped:
            return None
        try:
            return await ask()
        except NotOffered:
            return None
        except CameraError as error:
            failed[name] = {language: str(said) for language, said in text_json(error.text).items()}
            stopped = isinstance(error, LoginRefused | Unreachable)
            return None

    features: Features | None = await part("features", session.features)
    profiles: tuple[Profile, ...] | None = await part("profiles", session.profiles)
    channels: tuple[Channel, ...] | None = await part("channels", session.channels)
    offset_s: float | None = await part("clock", session.clock_offset_s)
    recordings: Recordings | None = await part("recordings", session.recordings)
    presets: tuple[Preset, ...] | None = await part("presets", session.presets) if features and features.ptz else None
    span = (recordings.oldest, recordings.newest) if recordings else (None, None)
    return Facts(
        camera=camera.id,
        at=clock.wall().isoformat(timespec="seconds"),
        address=camera.address,
        driver=camera.driver,
        maker=word(identity.maker),
        model=word(identity.model),
        firmware=word(identity.firmware),
        serial=word(identity.serial),
        mac=word(identity.mac),
        hardware=word(identity.hardware),
        streams=None if profiles is None else tuple(map(stream_facts, profiles[:LIST_LIMIT])),
        channels=None
        if channels is None
        else tuple(word(one.name) or str(one.number) for one in channels[:LIST_LIMIT]),
        presets=None if presets is None else tuple(word(one.name) or one.token for one in presets[:LIST_LIMIT]),
        ptz=features.ptz if features else None,
        events=features.events if features else None,
        snapshot=features.snapshot if features else None,
        clock_offset_ms=None if offset_s is None else round(offset_s * 1000),
        recorded_from=span[0].isoformat(timespec="seconds") if span[0] else None,
        recorded_to=span[1].isoformat(timespec="seconds") if span[1] else None,
        failed=failed,
    )


def stream_facts(profile: Profile) -> StreamFacts:
    """A profile, without its token: those change at every start of some cameras."""
    fps = None if profile.fps is None else round(profile.fps)
    name = word(profile.name) or "-"
    return StreamFacts(
        name, profile.codec, profile.width, profile.height, fps, profile.bitrate_kbps, word(profile.source)
    )


def word(text: str | None) -> str | None:
    """A camera's own word, on one line and not too long."""
    if text is None:
        return None
    return "".join(c for c in text if c.isprintable()).strip()[:WORD_LIMIT] or None


def changes(old: Facts, new: Facts) -> tuple[Change, ...]:
    """What is different. What either did not say is no change. Another serial number or MAC address means another
    device, whose other differences go without saying."""
    if _differs(old.serial, new.serial) or _differs(old.mac, new.mac):
        return (Change("swapped", who(old), who(new)),)
    found: list[Change] = []
    plain: tuple[What, ...] = ("maker", "model", "firmware", "address")
    for what in plain:
        before, after = getattr(old, what), getattr(new, what)
        if _differs(before, after):
            found.append(Change(what, before, after))
    if old.channels is not None and new.channels is not None and len(old.channels) != len(new.channels):
        found.append(Change("channels", str(len(old.channels)), str(len(new.channels))))
    if old.streams is not None and new.streams is not None and (before := formats(old)) != (after := formats(new)):
        found.append(Change("profiles", before, after))
    if (before := abilities(old, new)) != (after := abilities(new, old)):
        found.append(Change("features", before, after))
    return tuple(found)


def who(facts: Facts) -> str:
    """A device in one line."""
    return " ".join(part for part in (facts.maker, facts.model, facts.serial, facts.mac) if part) or "-"


def formats(facts: Facts) -> str:
    """The formats of its streams, whatever their order and names."""
    return ", ".join(sorted(map(str, facts.streams or ()))) or "-"


def abilities(facts: Facts, other: Facts) -> str:
    """What it can do, of that which both have said."""
    names = ("ptz", "events", "snapshot")
    both = [name for name in names if getattr(facts, name) is not None and getattr(other, name) is not None]
    return ", ".join(name for name in both if getattr(facts, name)) or "-"


def _differs(old: str | None, new: str | None) -> bool:
    return bool(old and new and old.casefold() != new.casefold())
