"""The rounds on a clock that the test moves."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.clock import SimClock
from agent.config.models import CameraSettings
from agent.config.skyeye import SkyeyeSettings
from agent.skyeye.inspect import Confirmer, Progress, Rounds
from agent.skyeye.model import Inspection
from tests.unit.skyeye.inspect.make import AT, inspection, settings

EVERY_S = 300.0
COST_S = 5.0


@dataclass
class School:
    """Cameras whose inspections take five seconds and find what the test says."""

    count: int
    clock: SimClock = field(default_factory=lambda: SimClock(AT))
    found: dict[str, tuple[str, ...]] = field(default_factory=dict)
    breaks: set[str] = field(default_factory=set)
    seen: list[tuple[float, str]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    told: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cameras = [settings(f"c{number}") for number in range(self.count)]
        self.confirmer = Confirmer()
        self.rounds = Rounds(
            lambda: self.cameras,
            self.inspect,
            self.clock,
            SkyeyeSettings(inspect_every_s=EVERY_S, streams=4),
            self.done,
            unsettled=self.confirmer.unsettled,
            rng=random.Random(7),
        )

    def now_s(self) -> float:
        return self.clock.boottime_ns() / 1e9

    async def inspect(self, camera: CameraSettings) -> Inspection:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        self.seen.append((self.now_s(), camera.id))
        try:
            await self.clock.sleep(COST_S)
            if camera.id in self.breaks:
                raise ZeroDivisionError
        finally:
            self.busy -= 1
        return inspection(*self.found.get(camera.id, ()), camera=camera.id)

    async def done(self, inspection: Inspection) -> None:
        for change in self.confirmer.feed(inspection):
            if change.text:
                self.told.append((self.now_s(), change.fault))

    def of(self, camera: str) -> list[float]:
        return [at for at, one in self.seen if one == camera]


@asynccontextmanager
async def running(school: School) -> AsyncIterator[School]:
    task = asyncio.create_task(school.rounds.run())
    try:
        yield school
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert school.busy == 0


async def take(school: School, cameras: list[str], into: list[Progress]) -> None:
    async for progress in school.rounds.ask(cameras):
        into.append(progress)


async def test_every_camera_is_inspected_in_every_round() -> None:
    async with running(School(30)) as school:
        await school.clock.advance(3 * EVERY_S + 30)
        assert {len(school.of(f"c{number}")) for number in range(30)} <= {3, 4}
        assert school.busiest <= 4


async def test_what_is_suspected_is_told_within_a_minute_of_the_first_look() -> None:
    async with running(School(10)) as school:
        school.found["c3"] = ("picture-covered",)
        await school.clock.advance(EVERY_S + 120)
        assert [fault for _, fault in school.told] == ["picture-covered"]
        assert school.told[0][0] - school.of("c3")[0] < 75


async def test_a_bug_in_one_inspection_ends_no_round(caplog: object) -> None:
    async with running(School(5)) as school:
        school.breaks = {"c1"}
        await school.clock.advance(2 * EVERY_S)
        assert all(school.of(f"c{number}") for number in range(5))
        progress: list[Progress] = []
        asking = asyncio.create_task(take(school, ["c1"], progress))
        await school.clock.advance(COST_S + 1)
        await asking
        assert [one.state for one in progress] == ["started", "failed"]


async def test_who_asks_is_served_first_and_hears_of_each() -> None:
    async with running(School(50)) as school:
        progress: list[Progress] = []
        asking = asyncio.create_task(take(school, ["c9", "c8", "gone", "c9"], progress))
        await school.clock.advance(COST_S + 1)
        await asking
        assert [(one.camera, one.state) for one in progress if one.state == "started"] == [
            ("c9", "started"),
            ("c8", "started"),
        ]
        assert ("gone", "failed") in [(one.camera, one.state) for one in progress]
        assert {one.camera for one in progress if one.state == "done" and one.inspection} == {"c9", "c8"}


async def test_two_who_ask_for_one_camera_share_its_inspection() -> None:
    async with running(School(3)) as school:
        first: list[Progress] = []
        second: list[Progress] = []
        before = len(school.of("c0"))
        one = asyncio.create_task(take(school, ["c0"], first))
        await school.clock.advance(1)
        other = asyncio.create_task(take(school, ["c0"], second))
        await school.clock.advance(COST_S + 1)
        await asyncio.gather(one, other)
        assert len(school.of("c0")) == before + 1
        assert [item.state for item in first] == [item.state for item in second] == ["started", "done"]


async def test_one_who_leaves_early_is_forgotten() -> None:
    async with running(School(3)) as school:
        asking = asyncio.create_task(take(school, ["c0", "c1"], []))
        await school.clock.advance(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await school.clock.advance(COST_S + 1)
        assert not school.rounds._asked


async def test_a_camera_that_is_not_inspected_is_when_it_is_asked_for() -> None:
    async with running(School(2)) as school:
        school.cameras[1] = settings("c1", inspect=False)
        await school.clock.advance(2 * EVERY_S)
        assert school.of("c1") == []
        progress: list[Progress] = []
        asking = asyncio.create_task(take(school, ["c1"], progress))
        await school.clock.advance(COST_S + 1)
        await asking
        assert [one.state for one in progress] == ["started", "done"]
        await school.clock.advance(2 * EVERY_S)
        assert len(school.of("c1")) == 1


async def test_a_camera_that_is_removed_while_somebody_waits_is_told() -> None:
    async with running(School(20)) as school:
        progress: list[Progress] = []
        asking = asyncio.create_task(take(school, [f"c{number}" for number in range(20)], progress))
        await school.clock.advance(1)
        del school.cameras[10:]
        await school.clock.advance(60)
        await asking
        assert {one.camera for one in progress if one.state == "failed"} == {f"c{number}" for number in range(10, 20)}


async def test_a_hint_brings_a_camera_forward() -> None:
    async with running(School(40)) as school:
        await school.clock.advance(EVERY_S)
        before = len(school.of("c5"))
        school.rounds.soon("c5")
        await school.clock.advance(COST_S + 2)
        assert len(school.of("c5")) >= before + 1
