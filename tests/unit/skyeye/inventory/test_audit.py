"""Factory passwords: few tries, far apart, remembered, and never shown."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.camera import CameraError, LoginRefused, Unreachable
from agent.clock import SimClock
from agent.config.models import CameraSettings
from agent.skyeye.inventory import Account, Finding, Store, audit
from agent.skyeye.inventory.audit import ACCOUNTS, COMMON, TRIES_LIMIT
from agent.texts import say
from tests.unit.skyeye.inventory.cameras import camera

REFUSED = say("inventory.audit-fine", camera="gate", tries=1)
START = datetime.fromisoformat("2026-11-23T08:00:00+08:00")


class WalkingClock(SimClock):
    """Goes on by itself while somebody sleeps."""

    def __init__(self, wall: datetime) -> None:
        super().__init__(wall)
        self.slept_s: list[float] = []
        self.start = wall

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)

    def wall(self) -> datetime:
        return self.start


class Door:
    """A camera that opens for one password, or raises."""

    def __init__(self, opens: Account | None = None, error: CameraError | None = None, *, ajar: bool = False) -> None:
        self.opens = opens
        self.ajar = ajar
        self.error = error or LoginRefused(REFUSED)
        self.tried: list[Account] = []

    async def __call__(self, _camera: CameraSettings, account: Account | None) -> None:
        if account is None:
            if not self.ajar:
                raise LoginRefused(REFUSED)
            return
        self.tried.append(account)
        if account != self.opens:
            raise self.error


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


async def run(store: Store, door: Door, clock: SimClock | None = None, maker: str | None = "Hikvision") -> Finding:
    return await audit(camera(), maker, store, clock or WalkingClock(START), door)


async def test_a_factory_password_is_found(store: Store) -> None:
    found = await run(store, Door(ACCOUNTS["hikvision"][1]))
    assert (found.state, found.tries, found.username, found.bad) == ("weak", 2, "admin", True)


async def test_a_camera_that_refuses_is_fine_after_two_tries_with_a_wait(store: Store) -> None:
    clock, door = WalkingClock(START), Door()
    found = await run(store, door, clock)
    assert (found.state, found.tries) == ("fine", TRIES_LIMIT)
    assert len(door.tried) == len({*door.tried}) == TRIES_LIMIT
    assert clock.slept_s == [10.0]


@pytest.mark.parametrize("maker", [*ACCOUNTS, None, "somebody"])
async def test_never_more_than_two_tries(store: Store, maker: str | None) -> None:
    door = Door()
    await run(store, door, maker=maker)
    assert 1 <= len(door.tried) <= TRIES_LIMIT


async def test_it_is_not_done_again_within_a_day(store: Store) -> None:
    await run(store, Door())
    door = Door()
    again = await run(store, door, WalkingClock(START + timedelta(hours=20)))
    assert (again.state, door.tried) == ("recent", [])
    assert "4.0" in again.text.render("en")
    assert (await run(store, door, WalkingClock(START - timedelta(days=300)))).state == "recent"  # a clock set back
    assert (await run(store, door, WalkingClock(START + timedelta(hours=25)))).state == "fine"


async def test_it_ends_at_the_first_sign_of_a_lock(store: Store) -> None:
    door = Door(error=LoginRefused(say("inventory.audit-stopped", camera="gate", why="-")))  # "... lock us out"
    found = await run(store, door)
    assert (found.state, len(door.tried)) == ("stopped", 1)


async def test_a_camera_that_asks_for_no_password_is_told_and_not_tried(store: Store) -> None:
    door = Door(ajar=True)
    found = await run(store, door)
    assert (found.state, found.bad, door.tried) == ("open", True, [])


async def test_a_camera_that_is_away_is_not_tried_further(store: Store) -> None:
    door = Door(error=Unreachable(REFUSED))
    found = await run(store, door)
    assert (found.state, len(door.tried)) == ("unreachable", 1)


async def test_a_configured_factory_password_needs_no_try(store: Store) -> None:
    door = Door()
    weak = COMMON[0]
    one = camera(username=weak.username, password=weak.password)
    found = await audit(one, "Hikvision", store, WalkingClock(START), door)
    assert (found.state, found.tries, door.tried) == ("configured", 0, [])


async def test_what_cannot_be_remembered_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    door = Door()
    with pytest.raises(OSError):  # noqa: PT011 - the command prints it
        await run(Store(tmp_path / "file" / "x"), door)
    assert door.tried == []


async def test_passwords_are_shown_nowhere(store: Store) -> None:
    secret = Account("admin", "never-shown")
    assert "never-shown" not in repr(secret)
    found = await run(store, Door(ACCOUNTS["hikvision"][0]))
    said = f"{found} {found.as_data()} {found.text}"
    assert all(account.password not in said for account in ACCOUNTS["hikvision"])
