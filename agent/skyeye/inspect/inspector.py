"""One camera inspected, layer by layer: from the cable to the picture, and what its recorder has kept.

Whatever a camera does becomes a check with a text that says what was found and what to do; an inspection never raises
for a camera's sake, and ends in bounded time. What fails below ends it: what stands above is unknown then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import cv2
import numpy as np

from agent.camera import BadReply, CameraError, CameraSession, LoginRefused, NotOffered, StreamRole, Unreachable
from agent.clock import NS_PER_S, Clock
from agent.config.models import CameraSettings
from agent.config.skyeye import SkyeyeSettings
from agent.skyeye.inspect.layers import (
    clock_check,
    failed_check,
    identity_check,
    packets_check,
    picture_check,
    profile_check,
    recordings_check,
    stream_check,
)
from agent.skyeye.inspect.network import Knocker
from agent.skyeye.model import Check, Image, Inspection, Layer, StreamReport, Verdict
from agent.skyeye.quality import Judged, Rest, Shelf, examine
from agent.skyeye.quality.features import Print
from agent.texts import say

log = logging.getLogger(__name__)

DEADLINE_S: Final = 60.0
"""A camera that takes longer is told as too slow. Its parts have shorter limits of their own; this is for a camera that
is slow in each of them."""
LOOK_S: Final = 5.0
"""Two keyframes where the interval is 2 s, as makers set it; 200 cameras fit into 5 min at 4 at a time."""
LOOK_DEADLINE_S: Final = 20.0
"""Opening (TCP, RTSP, digest) takes a second, the next keyframe up to 10 s where the interval is long."""
THUMB_WIDTH: Final = 320
THUMB_QUALITY: Final = 75
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)
BUGS: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError, cv2.error)
"""What a driver may trip over in an odd answer, though it should raise CameraError only."""

OpenSession = Callable[[], Awaitable[CameraSession]]
OnCheck = Callable[[Check], None]


class Looks(Protocol):
    """The part of the stream hub that is used."""

    async def look(
        self, camera: str, role: StreamRole, *, seconds: float, deadline_s: float, pictures: Literal[0, 1, 2] = 1
    ) -> StreamReport: ...


class Inspector:
    """Inspects cameras, and keeps what their pictures usually look like."""

    def __init__(
        self, hub: Looks, clock: Clock, _settings: SkyeyeSettings, folder: Path, *, look_s: float = LOOK_S
    ) -> None:
        cv2.setNumThreads(1)  # its own threads would take the core that alarms need
        self._hub = hub
        self.look_s = look_s
        self._clock = clock
        self.shelf = Shelf(folder / "baselines", clock)
        self._judge = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._knocker = Knocker()
        self._prints: dict[str, Print] = {}
        """Of the last inspection of each camera: 32 KB."""
        self._rests: dict[str, Rest] = {}
        """Since when each camera's picture is the same; a restart of the eye forgets it."""

    async def inspect(
        self, camera: CameraSettings, open_session: OpenSession, *, on_check: OnCheck | None = None
    ) -> Inspection:
        """Inspect one camera. Never raises for the camera's sake."""
        one = _One(self, camera, open_session, on_check or (lambda _check: None), self._clock)
        began_ns, at = self._clock.boottime_ns(), self._clock.wall()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await one.run(self._hub, self._knocker)
        except TimeoutError:
            one.add(Check(one.layer, False, say("inspect.too-slow", seconds=DEADLINE_S), "camera-reply"))
        seconds = (self._clock.boottime_ns() - began_ns) / NS_PER_S
        checks = tuple(sorted(one.checks, key=lambda check: LAYERS.index(check.layer)))
        return Inspection(camera.id, at, began_ns, checks, one.verdicts, one.thumbnail, seconds)

    async def judge_picture(
        self, camera: str, image: Image, earlier: Image | None, *, moves: bool
    ) -> tuple[Judged, bytes | None]:
        """Judge a picture, learn from it if it is undisturbed, and make it small. In the judge's thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._judge, self._judge_now, camera, image, earlier, moves
        )

    async def judge_jpeg(self, camera: str, preset: str | None, data: bytes) -> Sequence[Verdict]:
        """Judge a single picture at a preset (a patrol's stop), against what is usual there. Raises CameraError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._judge, self._judge_bytes, camera, preset or "", data)

    async def relearn(self, camera: str) -> None:
        """Forget what the camera looked like: it was moved or exchanged on purpose."""
        self._prints.pop(camera, None)
        self._rests.pop(camera, None)
        await asyncio.get_running_loop().run_in_executor(self._judge, self.shelf.forget, camera)

    async def close(self) -> None:
        """Save what was learnt."""
        await asyncio.get_running_loop().run_in_executor(self._judge, self.shelf.save_all)
        self._judge.shutdown(wait=False)
        self._knocker.close()

    def _judge_bytes(self, camera: str, preset: str, data: bytes) -> Sequence[Verdict]:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise BadReply(say("inspect.no-picture-data"))
        image, now = np.asarray(decoded, np.uint8), self._clock.wall()
        baseline = self.shelf.get(camera, preset)
        judged = examine(image, None, baseline, now, moves=not preset)
        if preset and judged.clean:
            self.shelf.put(camera, baseline.learn(judged.features, now), preset)
        return judged.verdicts

    def _judge_now(self, camera: str, image: Image, earlier: Image | None, moves: bool) -> tuple[Judged, bytes | None]:
        now = self._clock.wall()
        previous, baseline = self._prints.get(camera), self.shelf.get(camera)
        rest, now_ns = self._rests.get(camera), self._clock.boottime_ns()
        judged = examine(image, earlier, baseline, now, previous, moves=moves, rest=rest, now_ns=now_ns)
        self._prints[camera], self._rests[camera] = judged.features.print, judged.rest
        if judged.clean and (earlier is not None or previous is not None):  # else it may be a frozen one
            self.shelf.put(camera, baseline.learn(judged.features, now, judged.stir))
        return judged, thumbnail(image)


def thumbnail(image: Image) -> bytes | None:
    """The picture as a small JPEG."""
    height = max(1, round(image.shape[0] * THUMB_WIDTH / image.shape[1]))
    small = cv2.resize(image, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, THUMB_QUALITY])
    return bytes(data) if done else None


class _One:
    """One inspection under way."""

    def __init__(
        self, inspector: Inspector, camera: CameraSettings, open_session: OpenSession, on_check: OnCheck, clock: Clock
    ) -> None:
        self._inspector = inspector
        self._camera = camera
        self._open = open_session
        self._on_check = on_check
        self._clock = clock
        self.layer: Layer = "network"
        self.checks: list[Check] = []
        self.verdicts: tuple[Verdict, ...] = ()
        self.thumbnail: bytes | None = None

    def add(self, check: Check) -> None:
        """Note a check, and tell it."""
        self.checks.append(check)
        self._on_check(check)

    async def run(self, hub: Looks, knocker: Knocker) -> None:
        """Go up the layers as far as it goes."""
        reached = await knocker.knock(self._camera)
        self.add(reached.check)
        if not reached.there:
            return
        self.layer = "service"
        try:
            session = await self._open()
        except CameraError as error:
            self._failed(error)
            return
        except BUGS as error:
            self._failed(_bug(error))
            return
        if not await self._ask("service", self._identity(session)):
            return
        await self._ask("clock", self._clock_offset(session))
        moves = await self._stream(session, hub)
        if moves is not None:
            await self._ask("recordings", self._recordings(session))

    async def _ask(self, layer: Layer, step: Awaitable[None]) -> bool:
        """Take one step; False if the camera is gone or has refused us."""
        self.layer = layer
        try:
            await step
        except NotOffered:
            self.add(Check(layer, None, say(f"inspect.{layer}-not-offered")))
        except (LoginRefused, Unreachable) as error:
            self._failed(error)
            return False
        except CameraError as error:
            self._failed(error)
        except BUGS as error:
            self._failed(_bug(error))
        return True

    def _failed(self, error: CameraError) -> None:
        self.add(failed_check(self.layer, error))

    async def _identity(self, session: CameraSession) -> None:
        identity = await session.identity()
        self.add(identity_check(identity))
        self.layer = "login"
        if self._camera.username is None:
            self.add(Check("login", None, say("inspect.login-none")))
        elif identity.model or identity.firmware or identity.serial:
            self.add(Check("login", True, say("inspect.login-ok", username=self._camera.username)))

    async def _clock_offset(self, session: CameraSession) -> None:
        offset_s = await session.clock_offset_s()
        self.add(clock_check(offset_s, synced=self._clock.quality() == "synced"))

    async def _recordings(self, session: CameraSession) -> None:
        if (wanted_s := self._camera.recordings_s) is None:
            self.add(Check("recordings", None, say("inspect.recordings-unasked")))
            return
        self.add(recordings_check(await session.recordings(), wanted_s, self._clock.wall()))

    async def _stream(self, session: CameraSession, hub: Looks) -> bool | None:
        """Look at the stream and judge its picture; whether the camera moves, or None if it is gone."""
        self.layer = "profile"
        profile = None
        try:
            profile = next(iter(await session.profiles()), None)
        except NotOffered:
            pass
        except CameraError as error:
            self._failed(error)
            if isinstance(error, LoginRefused | Unreachable):
                return None
        except BUGS as error:
            self._failed(_bug(error))
        moves = profile is not None and profile.ptz
        self.layer = "stream"
        try:
            report = await hub.look(
                self._camera.id, "main", seconds=self._inspector.look_s, deadline_s=LOOK_DEADLINE_S, pictures=2
            )
        except NotOffered:
            self.add(Check("stream", None, say("inspect.stream-not-offered")))
            return moves
        except CameraError as error:
            self._failed(error)
            return None if isinstance(error, LoginRefused) else moves
        if self._camera.username and not any(check.layer == "login" for check in self.checks):
            self.add(Check("login", True, say("inspect.login-ok", username=self._camera.username)))
        self.add(profile_check(report, profile, self._camera.expect))
        self.add(stream_check(report))
        self.add(packets_check(report, profile, self._camera.expect))
        await self._picture(report, moves)
        return moves

    async def _picture(self, report: StreamReport, moves: bool) -> None:
        self.layer = "picture"
        if report.picture is None:
            self.add(Check("picture", None, say("inspect.picture-none", seconds=LOOK_DEADLINE_S)))
            return
        try:
            judged, self.thumbnail = await self._inspector.judge_picture(
                self._camera.id, report.picture, report.earlier, moves=moves
            )
        except BUGS as error:
            log.warning("picture of %s", self._camera.id, exc_info=True)
            self._failed(_bug(error))
            return
        self.verdicts = judged.verdicts
        self.add(picture_check(judged))


def _bug(error: BaseException) -> BadReply:
    log.debug("inspection", exc_info=error)
    return BadReply(say("inspect.odd-answer", error=f"{type(error).__name__}: {error}"[:200]))
