"""The cameras as they are configured, each with its conversation, its login gate and the addresses of its streams."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from agent.camera import (
    BadReply,
    CameraError,
    CameraSession,
    LoginGate,
    LoginRefused,
    LoginTry,
    NotOffered,
    StreamRole,
    StreamSource,
    Unreachable,
)
from agent.clock import Clock
from agent.config.models import CameraSettings
from agent.secrets import SecretError
from agent.skyeye.login import Gate, NoLogin
from agent.texts import Spoken, say

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 30.0
"""Opening is some five requests of some seconds each; a camera that takes longer is not worth waiting for."""
LOGIN_SETTINGS: Final = ("driver", "address", "username", "password")
BUGS: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError)
"""What a driver may trip over in an odd answer, though it should raise CameraError only."""
CLOSE_TIMEOUT_S: Final = 5.0
"""Giving an event slot back is one request; whoever hangs there is left behind."""


class NoCamera(Spoken):
    """There is no such camera."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a driver gets of one camera (agent.camera.CameraLink)."""

    settings: CameraSettings
    clock: Clock
    gate: LoginGate

    @property
    def camera(self) -> str:
        return self.settings.id

    @property
    def address(self) -> str:
        return self.settings.address

    @property
    def username(self) -> str | None:
        return self.settings.username

    def password(self) -> str | None:
        try:
            return self.settings.password.reveal() if self.settings.password else None
        except SecretError as error:
            raise LoginRefused(error.text) from None


@dataclass(slots=True)
class Camera:
    """One configured camera."""

    settings: CameraSettings
    gate: Gate
    session: CameraSession | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sources: dict[StreamRole, StreamSource] = field(default_factory=dict)
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever moves it for longer: a patrol."""
    gone: bool = False
    """Taken out of the configuration, or begun anew: nothing is opened with it any more."""

    def logs_in_as(self, settings: CameraSettings) -> bool:
        """Whether other settings knock at the same door with the same key: what was refused there still counts."""
        return all(getattr(self.settings, name) == getattr(settings, name) for name in LOGIN_SETTINGS)


class Cameras:
    """All cameras by id. A conversation is opened when it is needed, and again after it has failed."""

    def __init__(self, settings: Sequence[CameraSettings], clock: Clock) -> None:
        self._clock = clock
        self._cameras = {one.id: Camera(one, Gate(clock)) for one in settings}

    def __getitem__(self, camera: str) -> Camera:
        """Return one; raise NoCamera."""
        if (found := self._cameras.get(camera)) is None:
            known = ", ".join(sorted(self._cameras)) or "-"
            raise NoCamera(say("skyeye.no-camera", camera=camera[:64], known=known))
        return found

    def __contains__(self, camera: object) -> bool:
        return camera in self._cameras

    @property
    def settings(self) -> tuple[CameraSettings, ...]:
        """What is configured."""
        return tuple(one.settings for one in self._cameras.values())

    async def reconfigure(self, settings: Sequence[CameraSettings]) -> frozenset[str]:
        """Take new settings; return the ids of those that changed, came or went. Those begin anew."""
        wanted = {one.id: one for one in settings}
        touched = {
            id_
            for id_ in {*wanted, *self._cameras}
            if (now := self._cameras.get(id_)) is None or now.settings != wanted.get(id_)
        }
        old = self._cameras
        self._cameras = {id_: self._begin(one, old.get(id_), anew=id_ in touched) for id_, one in wanted.items()}
        gone = [old[id_] for id_ in touched if id_ in old]
        for one in gone:
            one.gone = True
        await asyncio.gather(*(self._close(one) for one in gone))
        return frozenset(touched)

    def _begin(self, settings: CameraSettings, old: Camera | None, *, anew: bool) -> Camera:
        if old is not None and not anew:
            return old
        return Camera(settings, old.gate if old is not None and old.logs_in_as(settings) else Gate(self._clock))

    @asynccontextmanager
    async def use(self, camera: str) -> AsyncIterator[CameraSession]:
        """Offer the conversation with a camera. An error of the camera ends it, so that the next use opens a fresh one.
        Raises CameraError, NoCamera."""
        one = self[camera]
        session = await self._open(one)
        try:
            yield session
        except NotOffered:
            raise
        except CameraError:
            await self._drop(one, session)
            raise
        except BUGS as error:
            await self._drop(one, session)
            raise tripped(one, error) from error

    async def open(self, camera: str) -> CameraSession:
        """Return the conversation with a camera. Raises CameraError, NoCamera."""
        return await self._open(self[camera])

    async def source(self, camera: str, role: StreamRole) -> StreamSource:
        """Return where a stream is, remembered until the stream fails. Raises CameraError, NoCamera."""
        one = self[camera]
        one.gate.check("rtsp")  # a stream logs in as well: the camera counts both
        if (known := one.sources.get(role)) is None:
            async with self.use(camera) as session:
                known = one.sources[role] = await session.stream(role)
        return known

    @asynccontextmanager
    async def admit(self, camera: str, source: StreamSource) -> AsyncIterator[LoginTry]:
        """Let a stream log in: its try is the gate's, held until the camera has answered. Raises LoginRefused."""
        if source.username is None or camera not in self._cameras:
            yield NoLogin()
            return
        async with self._cameras[camera].gate.trying("rtsp") as login:
            yield login

    def stream_state(self, camera: str, _role: StreamRole, error: CameraError | None) -> None:
        """Hear from the streams: after a failure the address is asked for again."""
        if error is None or camera not in self._cameras:
            return
        self._cameras[camera].sources.clear()

    async def renew(self, camera: str) -> None:
        """End the conversation with a camera that has failed, so that the next use begins a fresh one."""
        if (one := self._cameras.get(camera)) is not None and one.session is not None:
            await self._drop(one, one.session)

    async def close(self) -> None:
        """End every conversation."""
        await asyncio.gather(*(self._close(one) for one in self._cameras.values()))

    async def _drop(self, one: Camera, session: CameraSession) -> None:
        if one.session is session:
            one.session = None
            one.sources.clear()
            await close_session(session)

    async def _open(self, one: Camera) -> CameraSession:
        async with one.lock:
            if one.gone:
                raise NoCamera(say("skyeye.no-camera", camera=one.settings.id, known="-"))
            if one.session is None:
                link = Link(one.settings, self._clock, one.gate)
                try:
                    async with asyncio.timeout(OPEN_TIMEOUT_S):
                        one.session = await one.settings.settings.open(link)
                except TimeoutError:
                    text = say("skyeye.open-timeout", camera=one.settings.id, seconds=OPEN_TIMEOUT_S)
                    raise Unreachable(text) from None
                except CameraError:
                    raise
                except BUGS as error:
                    raise tripped(one, error) from error
            if one.gone:  # while it was opened: an event slot of the camera would stay taken
                await self._close(one)
                raise NoCamera(say("skyeye.no-camera", camera=one.settings.id, known="-"))
            return one.session

    async def _close(self, one: Camera) -> None:
        session, one.session = one.session, None
        one.sources.clear()
        if session:
            await close_session(session)


def tripped(one: Camera, error: Exception) -> BadReply:
    """A driver that trips over an odd answer: that camera's fault, told with what it tripped over."""
    log.debug("the driver of %s", one.settings.id, exc_info=error)
    return BadReply(say("skyeye.open-bug", camera=one.settings.id, error=f"{type(error).__name__}: {error}"[:200]))


async def close_session(session: CameraSession) -> None:
    """End a conversation; one that hangs is left behind."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await session.close()
    except (TimeoutError, CameraError, *BUGS) as error:
        log.debug("a session did not close: %s", error)
