"""Subscriptions: renewed in time, replaced where that does not work, and given back."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.clock import NS_PER_S, SimClock
from drivers.onvif import Onvif
from tests.sims.onvif_replay import BASE, GOLDEN, Replay, morning

MINUTES_12 = 12 * 60
STEP_S = 40


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[Replay, SimClock]]:
    """A session that hears events, until the end of the block."""
    clock = morning()
    async with Replay(folder, clock) as replay:
        session = await Onvif().model_copy(update={"port": replay.port}).open(replay.link())

        async def listen() -> None:
            async for _ in session.events():
                pass

        task = asyncio.create_task(listen())
        try:
            yield replay, clock
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await session.close()


async def go(clock: SimClock, seconds: float) -> None:
    """Let time pass in steps, with a poll of the camera in each: its pause is what waits for the clock."""
    end_ns = clock.boottime_ns() + round(seconds * NS_PER_S)
    while clock.boottime_ns() < end_ns:
        await until(lambda: clock.sleepers > 0)
        await clock.advance(STEP_S)
    await until(lambda: clock.sleepers > 0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - real sockets announce nothing
            await asyncio.sleep(0.001)


async def test_it_is_renewed_at_eight_minutes_and_given_back_at_the_end() -> None:
    async with listening(BASE) as (replay, clock):
        await until(lambda: replay.counts["PullMessages"] > 0)
        await go(clock, 7 * 60)
        assert replay.counts["Renew"] == 0
        await go(clock, MINUTES_12 - 7 * 60)
        assert replay.counts["Renew"] == 1
    assert replay.counts["CreatePullPointSubscription"] == 1
    assert replay.counts["Unsubscribe"] == 1


async def test_a_cancelled_listener_gives_its_slot_back() -> None:
    async with listening(BASE) as (replay, _):
        await until(lambda: replay.counts["PullMessages"] > 0)
    assert replay.counts["Unsubscribe"] == 1


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('contains = "PT600S"', Counter(Renew=2, CreatePullPointSubscription=1)),
        ("", Counter(Renew=2, CreatePullPointSubscription=2)),
    ],
    ids=["only-absolute-times", "cannot-renew"],
)
async def test_those_that_cannot_renew_as_asked(rule: str, expected: Counter[str], tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(GOLDEN / "clean", folder)
    (folder / "case.toml").write_text(f'quirk = "-"\n[[refuse]]\noperation = "Renew"\n{rule}\n')
    async with listening(folder) as (replay, clock):
        await until(lambda: replay.counts["PullMessages"] > 0)
        await go(clock, MINUTES_12)
        assert {name: replay.counts[name] for name in expected} == dict(expected)
    assert replay.counts["Unsubscribe"] == expected["CreatePullPointSubscription"]


async def test_its_reference_parameters_go_with_every_request() -> None:
    async with listening(BASE) as (replay, _):
        await until(lambda: replay.counts["PullMessages"] > 0)
    for path, operation, body in replay.requests:
        if operation in ("PullMessages", "Unsubscribe", "SetSynchronizationPoint"):
            assert path == "/onvif/sub/7"
            assert b">77</" in body
            assert b"/onvif/sub/7</wsa:To>" in body


async def test_a_camera_that_does_not_wait_is_not_asked_without_end() -> None:
    async with listening(BASE) as (replay, clock):
        await until(lambda: replay.counts["PullMessages"] > 0)
        await until(lambda: clock.sleepers > 0)  # the clock stands, so the pause between polls does not end
        assert replay.counts["PullMessages"] == 1
