"""Leases of pushes, on a simulated clock; the camera cannot be reached, so no process is started."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agent.clock import SimClock, settle
from agent.model import JsonValue
from agent.skyeye.live import BadTarget, Pusher, PushRefused
from agent.skyeye.live.push import PUSH_LIMIT
from tests.sims.player import Player

URL = "rtmp://pub:s3cret@media.example.cn/live/gate?key=s3cret"
SRT_URL = "srt://media.example.cn:8890?streamid=publish:gate:pub:s3cret&passphrase=s3cret-s3cret"


class Told(list[tuple[str, Mapping[str, JsonValue]]]):
    """What the pusher told."""

    def __call__(self, what: str, data: Mapping[str, JsonValue]) -> None:
        self.append((what, data))

    @property
    def names(self) -> list[str]:
        return [what for what, _ in self]


class Rig:
    """A pusher with its surroundings."""

    def __init__(self) -> None:
        self.clock = SimClock(datetime(2026, 11, 24, 8, tzinfo=UTC))
        self.told = Told()
        self.hosts = ["media.example.cn"]
        self.player = Player({})
        self.srt = True
        self.pusher = Pusher(self.player, lambda: self.hosts, self.clock, self.told, can_srt=self.can_srt)

    async def can_srt(self) -> bool:
        return self.srt


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    try:
        yield made
    finally:
        await made.pusher.close()


async def test_a_push_ends_by_itself_with_its_lease() -> None:
    async with rig() as r:
        view = await r.pusher.start("gate", "main", URL, 60)
        assert view["expires"] == "2026-11-24T08:01:00.000+00:00"
        await r.clock.advance(59)
        assert [one["stream"] for one in r.pusher.list()] == [view["stream"]]
        await r.clock.advance(2)
        assert r.pusher.list() == []
        assert r.told.names == ["stream-started", "stream-stopped"]
        assert r.told[-1][1]["reason"] == "lease"


async def test_the_same_push_again_renews_and_tells_nothing() -> None:
    async with rig() as r:
        first = await r.pusher.start("gate", "main", URL, 60)
        await r.clock.advance(50)
        again = await r.pusher.start("gate", "main", URL, 60)
        assert again["stream"] == first["stream"]
        await r.clock.advance(50)
        assert len(r.pusher.list()) == 1
        await r.clock.advance(11)
        assert r.pusher.list() == []
        assert r.told.names == ["stream-started", "stream-stopped"]


async def test_a_renewal_may_shorten_the_lease() -> None:
    async with rig() as r:
        await r.pusher.start("gate", "main", URL, 3600)
        await r.pusher.start("gate", "main", URL, 10)
        for _ in range(12):
            await r.clock.advance(1)
        assert r.pusher.list() == []


async def test_a_failing_push_is_tried_again_with_growing_waits() -> None:
    async with rig() as r:
        await r.pusher.start("gate", "main", URL, 3600)
        for _ in range(30):
            await r.clock.advance(2)
            while r.player.members:  # its thread has not told yet
                await settle()
        failures = r.pusher.list()[0]["failures"]
        assert isinstance(failures, int)
        assert 2 <= failures <= 20
        assert r.pusher.list()[0]["error"]


async def test_stop_by_id_or_by_camera() -> None:
    async with rig() as r:
        view = await r.pusher.start("gate", "main", URL, 60)
        await r.pusher.start("yard", "main", URL, 60)
        await r.pusher.start("yard", "sub", URL, 60)
        assert await r.pusher.stop(str(view["stream"])) == [view["stream"]]
        assert len(await r.pusher.stop("yard")) == 2
        assert r.told[-1][1]["reason"] == "stopped"
        with pytest.raises(PushRefused):
            await r.pusher.stop("yard")


async def test_there_is_a_limit() -> None:
    async with rig() as r:
        for number in range(PUSH_LIMIT):
            await r.pusher.start(f"camera-{number}", "main", URL, 60)
        with pytest.raises(PushRefused) as refused:
            await r.pusher.start("one-more", "main", URL, 60)
        assert refused.value.text.key == "live.push-too-many"


async def test_a_host_that_is_not_listed_is_refused_and_a_listed_one_may_be_taken_away() -> None:
    async with rig() as r:
        with pytest.raises(BadTarget):
            await r.pusher.start("gate", "main", "rtmp://elsewhere.example/live", 60)
        await r.pusher.start("gate", "main", URL, 3600)
        r.hosts.clear()
        for _ in range(60):
            await r.clock.advance(2)
        assert r.pusher.list() == []
        assert r.told[-1][1]["reason"] == "not-allowed"


async def test_srt_is_refused_clearly_where_its_library_is_not_installed() -> None:
    async with rig() as r:
        r.srt = False
        with pytest.raises(PushRefused) as refused:
            await r.pusher.start("gate", "main", SRT_URL, 60)
        assert refused.value.text.key == "live.push-srt"
        r.srt = True
        view = await r.pusher.start("gate", "main", SRT_URL, 60)
        await r.clock.advance(1)
        assert view["url"] == "srt://media.example.cn:8890"
        assert "s3cret" not in repr((view, r.told, r.pusher.list()))


async def test_no_secret_is_told() -> None:
    async with rig() as r:
        view = await r.pusher.start("gate", "main", URL, 60)
        await r.clock.advance(1)
        await r.pusher.stop("gate")
        assert "s3cret" not in repr((view, r.told, r.pusher.list()))
        assert view["url"] == "rtmp://media.example.cn/live/..."
