"""The eye's way to the core, over a real socket that goes and comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.control import ControlClient, ControlServer, Methods, Peer
from agent.control.server import Params
from agent.model import JsonValue
from agent.skyeye.corelink import QUEUE_LIMIT, CoreLink
from agent.texts import Spoken, say

WAIT_S = 30.0


class TheCore:
    """A core that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Params]] = []
        self.refuses = False

    async def event(self, params: Params, _peer: Peer) -> JsonValue:
        if self.refuses:
            raise Spoken(say("skyeye.dropped", limit=1))
        self.heard.append(("event", params))
        return {"id": f"id{len(self.heard)}", "seq": len(self.heard)}

    async def fault(self, params: Params, _peer: Peer) -> JsonValue:
        self.heard.append(("fault", params))
        return {}

    def methods(self) -> Methods:
        return Methods(calls={"eye-event": self.event, "eye-fault": self.fault})


@asynccontextmanager
async def up(path: Path, core: TheCore) -> AsyncIterator[None]:
    server = ControlServer([path], core.methods())
    await server.start()
    try:
        yield
    finally:
        await server.close()


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[CoreLink]:
    one = CoreLink(lambda: ControlClient([tmp_path / "core.sock"]), SystemClock("Asia/Shanghai"))
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()


async def test_an_event_returns_once_it_is_in_the_chain(tmp_path: Path, link: CoreLink) -> None:
    core = TheCore()
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        assert await link.event_id("gate", "motion", {"active": True}) == "id1"
    assert core.heard[0][1]["type"] == "motion"


async def test_what_could_not_be_told_is_told_when_the_core_is_back(tmp_path: Path, link: CoreLink) -> None:
    core = TheCore()
    told = asyncio.create_task(link.event_id("gate", "evidence", {}))
    await asyncio.sleep(0)
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        assert await told == "id1"


async def test_of_one_fault_only_the_last_word_counts(tmp_path: Path, link: CoreLink) -> None:
    core = TheCore()
    words = [
        asyncio.create_task(link.fault("gate", "offline", text))
        for text in (say("skyeye.dropped", limit=1), None, say("skyeye.dropped", limit=2))
    ]
    await asyncio.sleep(0)
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        await asyncio.gather(*words)
    ((_, params),) = core.heard
    assert params["text"] == {"key": "skyeye.dropped", "args": {"limit": 2}}


async def test_a_refusal_is_no_event_and_does_not_hold_the_others_up(tmp_path: Path, link: CoreLink) -> None:
    core = TheCore()
    core.refuses = True
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        assert await link.event_id("gate", "motion", {}) is None
        core.refuses = False
        assert await link.event_id("gate", "motion", {}) == "id1"


async def test_the_queue_is_bounded_and_faults_stay(tmp_path: Path) -> None:
    link = CoreLink(lambda: ControlClient([tmp_path / "nobody.sock"]), SystemClock("Asia/Shanghai"))
    fault = asyncio.create_task(link.fault("gate", "offline", None))
    words = [asyncio.create_task(link.event_id("gate", "motion", {})) for _ in range(QUEUE_LIMIT + 50)]
    await asyncio.sleep(0)
    assert link.dropped == 51
    assert sum(word.done() for word in words) <= 51
    assert not fault.done()
    for task in (fault, *words):
        task.cancel()


@pytest.mark.parametrize("source", ["x" * 2_000_000, "\ud800", "\udfff gate"])
async def test_a_word_that_cannot_be_said_does_not_stand_before_the_others(
    tmp_path: Path, link: CoreLink, source: str
) -> None:
    core = TheCore()
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        assert await link.event_id("gate", "motion", {"source": source}) is None
        assert await link.event_id("gate", "motion", {"source": "门"}) == "id1"


async def test_an_event_of_a_drill_says_so_and_no_other(tmp_path: Path, link: CoreLink) -> None:
    core = TheCore()
    async with up(tmp_path / "core.sock", core), asyncio.timeout(WAIT_S):
        await link.event("gate", "evidence", {}, drill=True)
        await link.event("gate", "evidence", {})
    assert [params.get("drill") for _, params in core.heard] == [True, None]
