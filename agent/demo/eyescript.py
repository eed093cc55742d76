"""The steps of the unattended demo that are about cameras."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, Protocol

from agent.control.client import ControlError, DaemonDown
from agent.demo.district import Event
from agent.demo.eyes import COVERED, EYES, PATROL, PREROLL_S, Eye
from agent.demo.school import School
from agent.texts import Text, say

FIRST_LOOK_S: Final = 60.0
"""The eye loads for a second or two, and looks at each camera for some; a small board needs several times that."""
ASK_EVERY_S: Final = 0.2
PICTURE_S: Final = 60.0
"""A picture fault is raised after three inspections in a row, and cleared after two."""

Kind = Literal["snapshot", "clip"]


class Steps(Protocol):
    """What the script offers to its parts."""

    async def until(self, step: Text, condition: Callable[[], bool], *, wait_s: float) -> None: ...

    def verify(self, step: Text, holds: bool, why: object) -> None: ...

    async def command(self, step: Text, work: Awaitable[dict[str, Any]]) -> dict[str, Any]: ...


class EyeScript:
    """Cameras are fine, an alarm leaves proof, a covered camera is found, a patrol is walked."""

    def __init__(self, school: School, steps: Steps) -> None:
        self._school = school
        self._steps = steps

    async def fine(self) -> None:
        """Every camera has been inspected, and nothing is wrong."""

        def all_fine() -> bool:
            return [camera["state"] for camera in self._school.cameras] == ["ok"] * len(EYES)

        await self._steps.until(say("democam.step-cameras", count=len(EYES)), all_fine, wait_s=FIRST_LOOK_S)

    async def proof(self, eye: Eye, event_id: str | None, kinds: Sequence[Kind] = ("snapshot", "clip")) -> None:
        """An alarm has left a snapshot and a clip, and the files are what their events say."""
        for kind in kinds:
            step = say(f"democam.step-{kind}", name=eye.name, before_s=PREROLL_S)
            found: list[Event] = []

            def arrived(kind: str = kind, found: list[Event] = found) -> bool:
                found[:] = [
                    event
                    for event in self._told("campus.camera.evidence")
                    if (event["data"]["evidence"]["kind"], event["data"]["evidence"]["event"]) == (kind, event_id)
                ]
                return bool(found)

            await self._steps.until(step, arrived, wait_s=FIRST_LOOK_S)
            self._check(step, found[0]["data"]["evidence"])

    async def listened_to(self, step: Text, eye: Eye) -> None:
        """The eye hears of what a camera sees by itself."""
        listeners = 0

        async def look() -> None:
            nonlocal listeners
            while not listeners:
                answer = await self._school.eyes.tell(eye.id, state=True)
                listeners = answer["state"][eye.id]["event_slots"]
                await asyncio.sleep(ASK_EVERY_S)

        looking = asyncio.ensure_future(look())
        try:
            await self._steps.until(step, lambda: listeners > 0, wait_s=FIRST_LOOK_S)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def covered(self) -> None:
        """Somebody covers a camera, and uncovers it."""
        school = self._school
        raised: list[Event] = []

        def found() -> bool:
            raised[:] = [
                event
                for event in self._told("campus.fault.raised")
                if event["data"].get("device") == COVERED.id and str(event["data"]["fault"]).startswith("picture-")
            ]
            return bool(raised)

        def cleared() -> bool:
            ended = {event["data"].get("event") for event in self._told("campus.fault.cleared")}
            return ended.issuperset(event["id"] for event in raised)

        looking = asyncio.ensure_future(self._keep_looking())
        try:
            await school.toggle_cover()
            await self._steps.until(say("democam.step-covered", name=COVERED.name), found, wait_s=PICTURE_S)
            await school.toggle_cover()
            await self._steps.until(say("democam.step-uncovered", name=COVERED.name), cleared, wait_s=PICTURE_S)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def patrol(self) -> None:
        """A patrol is walked on command."""
        step = say("democam.step-patrol", count=2)
        await self._steps.command(step, self._school.patrol())

        def ended() -> bool:
            return any(event["data"].get("patrol") == PATROL for event in self._told("campus.camera.patrol-ended"))

        await self._steps.until(step, ended, wait_s=FIRST_LOOK_S)
        (end,) = self._told("campus.camera.patrol-ended")
        self._steps.verify(step, end["data"]["complete"] is True, end["data"])
        for stop in self._told("campus.camera.patrol-stop"):
            self._check(step, stop["data"]["evidence"])

    def _check(self, step: Text, evidence: dict[str, Any]) -> None:
        """Compare a file with what its event says of it."""
        name = evidence["file"]
        files = list(self._school.folder.glob(f"skyeye/evidence/*/{name}"))
        self._steps.verify(step, len(files) == 1, say("democam.no-file", file=name))
        digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
        self._steps.verify(step, digest == evidence["sha256"], say("democam.wrong-hash", file=name))

    def _told(self, type_: str) -> list[Event]:
        return [event for event in self._school.district.events.values() if event["type"] == type_]

    async def _keep_looking(self) -> None:
        """Have the covered camera inspected at once, again and again, instead of waiting for its turn."""
        with contextlib.suppress(DaemonDown, ControlError):
            async with self._school.control() as client:
                while True:
                    async for _ in client.stream("camera-inspect", cameras=[COVERED.id]):
                        pass
