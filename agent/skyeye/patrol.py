"""Patrols (鼠标巡逻): rounds over cameras and presets. Every stop leaves a picture, its judgement and a record, so that
a round that was made can be proven, and one that was not is missed.

Cameras are told where to go one stop at a time; preset tours of the camera itself are not in ONVIF Profile S or T.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

from ulid import ULID

from agent.camera import CameraError
from agent.clock import Clock
from agent.config.calendar import EVERY_DAY
from agent.config.models import PatrolSettings
from agent.config.skyeye import StopSettings
from agent.model import JsonValue
from agent.skyeye.cameras import Cameras, NoCamera
from agent.skyeye.corelink import CoreLink
from agent.skyeye.evidence.store import NoRoom
from agent.skyeye.evidence.taker import Cause, Taker
from agent.skyeye.model import Evidence, Verdict
from agent.skyeye.wire import evidence_json, verdict_json
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

SETTLE_S: Final = 3.0
"""A dome needs a second or two for half a turn, and then focuses."""
LOOK_EVERY_S: Final = 20.0
"""How often the clock is looked at: a patrol starts within its minute."""
MISSED_AFTER: Final = timedelta(minutes=10)
"""A start that was passed by longer ago (the gateway was off) is not made up for."""


class PatrolError(Spoken):
    """No such patrol, or not now."""


def starts(patrol: PatrolSettings, after: datetime, until: datetime) -> Iterator[datetime]:
    """The starts of a patrol in (after, until], by the wall clock of `until`'s zone."""
    day: date = after.astimezone(until.tzinfo).date()
    while day <= until.date():
        if EVERY_DAY[day.weekday()] in patrol.days:
            for at in sorted(patrol.at):
                moment = datetime.combine(day, time.fromisoformat(at), until.tzinfo)
                if after < moment <= until:
                    yield moment
        day += timedelta(days=1)


def due(patrol: PatrolSettings, after: datetime, until: datetime) -> bool:
    """Whether a patrol is to start now that the clock has gone from `after` to `until`. A clock that was set back
    starts nothing again, one that was set ahead starts nothing that is long past."""
    return any(True for _ in starts(patrol, max(after, until - MISSED_AFTER), until))


@dataclass(slots=True)
class Round:
    """One patrol under way."""

    id: str
    patrol: PatrolSettings
    actor: str | None
    began: datetime
    task: asyncio.Task[None] | None = None
    stop: int = 0
    faults: list[str] = field(default_factory=list)
    why_ended: Text | None = None


Judge = Callable[[str, str | None, bytes], Awaitable[Sequence[Verdict]]]
"""Judges a picture of a camera at a preset."""


class Patrols:
    """Starts rounds by the clock and by hand."""

    def __init__(
        self,
        settings: Callable[[], Sequence[PatrolSettings]],
        cameras: Cameras,
        taker: Taker,
        judge: Judge,
        core: CoreLink,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._cameras = cameras
        self._taker = taker
        self._judge = judge
        self._core = core
        self._clock = clock
        self._rounds: dict[str, Round] = {}

    def list(self) -> list[JsonValue]:
        """Every patrol, and how far those under way are."""
        return [self._as_json(patrol) for patrol in self._settings()]

    def _as_json(self, patrol: PatrolSettings) -> JsonValue:
        now = self._clock.wall()
        following = next(starts(patrol, now, now + timedelta(days=8)), None)
        round_ = self._rounds.get(patrol.id)
        return {
            "id": patrol.id,
            "name": patrol.name,
            "stops": [{"camera": stop.camera, "preset": stop.preset} for stop in patrol.stops],
            "at": [*patrol.at],
            "next": following.isoformat(timespec="seconds") if following else None,
            "running": round_.id if round_ else None,
            "stop": round_.stop if round_ else None,
        }

    async def run(self) -> None:
        """Watch the clock until cancelled; ends the rounds under way with it."""
        before = self._clock.wall()
        try:
            while True:
                await self._clock.sleep(LOOK_EVERY_S)
                now = self._clock.wall()
                for patrol in self._settings():
                    if due(patrol, before, now) and patrol.id not in self._rounds:
                        self.start(patrol.id, None)
                before = now
        finally:
            for round_ in [*self._rounds.values()]:
                if round_.task:
                    round_.task.cancel()

    def start(self, patrol: str, actor: str | None) -> Round:
        """Begin a round. Raises PatrolError."""
        found = next((one for one in self._settings() if one.id == patrol), None)
        if found is None:
            known = ", ".join(one.id for one in self._settings()) or "-"
            raise PatrolError(say("patrol.unknown", patrol=patrol[:64], known=known))
        if patrol in self._rounds:
            raise PatrolError(say("patrol.running", patrol=found.name))
        round_ = Round(str(ULID.from_datetime(self._clock.wall())), found, actor, self._clock.wall())
        self._rounds[patrol] = round_
        round_.task = asyncio.get_running_loop().create_task(self._walk(round_), name=f"patrol {patrol}")
        return round_

    def stop(self, patrol: str, why: Text) -> None:
        """End a round early. Raises PatrolError."""
        if (round_ := self._rounds.get(patrol)) is None or round_.task is None:
            raise PatrolError(say("patrol.not-running", patrol=patrol[:64]))
        round_.why_ended = why
        round_.task.cancel()

    def take_over(self, camera: str) -> None:
        """Somebody moves this camera by hand: a round that holds it ends, as its pictures would show something else."""
        for id_, round_ in [*self._rounds.items()]:
            stop = round_.patrol.stops[min(round_.stop, len(round_.patrol.stops) - 1)]
            if stop.camera == camera and stop.preset:
                self.stop(id_, say("patrol.taken-over", camera=camera))

    async def _walk(self, round_: Round) -> None:
        patrol = round_.patrol
        told: dict[str, JsonValue] = {"patrol": patrol.id, "name": patrol.name, "round": round_.id}
        try:
            await self._core.event(None, "patrol-started", {**told, "actor": round_.actor, "stops": len(patrol.stops)})
            for number, stop in enumerate(patrol.stops):
                round_.stop = number
                await self._visit(round_, stop, {**told, "stop": number + 1, "of": len(patrol.stops)})
        except asyncio.CancelledError:
            if round_.why_ended is None:
                raise  # the eye stops
        finally:
            self._rounds.pop(patrol.id, None)
        made = round_.stop + (0 if round_.why_ended else 1)
        reason = round_.why_ended.render("zh-CN") if round_.why_ended else None
        ended: dict[str, JsonValue] = {
            **told,
            "made": made,
            "of": len(patrol.stops),
            "complete": round_.why_ended is None,
            "faults": [*round_.faults],
            "reason": reason,
        }
        await self._core.event(None, "patrol-ended", ended)

    async def _visit(self, round_: Round, stop: StopSettings, told: dict[str, JsonValue]) -> None:
        """Go there, stay, and leave with a picture; a camera that fails is noted and passed."""
        told = {**told, "preset": stop.preset}
        try:
            evidence, verdicts = await self._look(stop, round_)
        except (CameraError, NoCamera, NoRoom) as error:
            round_.faults.append(f"{stop.camera}: {error.text.key}")
            problem: dict[str, JsonValue] = {
                "key": error.text.key,
                "zh-CN": error.text.render("zh-CN"),
                "en": error.text.render("en"),
            }
            await self._core.event(stop.camera, "patrol-stop", {**told, "ok": False, "reason": problem})
            return
        bad = [verdict for verdict in verdicts if verdict.bad]
        round_.faults += [f"{stop.camera}: {verdict.fault}" for verdict in bad]
        seen: dict[str, JsonValue] = {
            **told,
            "ok": not bad,
            "evidence": dict(evidence_json(evidence)),
            "verdicts": [verdict_json(verdict) for verdict in bad],
        }
        await self._core.event(stop.camera, "patrol-stop", seen)

    async def _look(self, stop: StopSettings, round_: Round) -> tuple[Evidence, Sequence[Verdict]]:
        if stop.preset:
            async with self._cameras.use(stop.camera) as session:
                await session.goto(stop.preset)
            await self._clock.sleep(min(SETTLE_S, stop.dwell_s))
        began_ns = self._clock.boottime_ns()
        cause = Cause("patrol", None, data={"round": round_.id})
        evidence = await self._taker.snapshot(stop.camera, cause)
        data = await asyncio.to_thread(evidence.path.read_bytes)
        verdicts = await self._judge(stop.camera, stop.preset, data)
        settled_s = min(SETTLE_S, stop.dwell_s) if stop.preset else 0.0
        left_s = stop.dwell_s - settled_s - (self._clock.boottime_ns() - began_ns) / 1e9
        await self._clock.sleep(max(0.0, left_s))
        return evidence, verdicts
