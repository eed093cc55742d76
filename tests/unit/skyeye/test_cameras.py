"""The cameras as they are configured: conversations end with their settings, bugs of drivers are theirs."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from agent.camera import BadReply, CameraLink, CameraSession, LoginRefused
from agent.clock import SystemClock
from agent.config.models import CameraSettings
from agent.skyeye.cameras import Cameras, NoCamera

Opened = Callable[[CameraLink], Any]


class Session:
    """A conversation that can be seen to end."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Driver:
    """Opens when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.sessions: list[Session] = []

    async def open(self, _link: CameraLink) -> CameraSession:
        session = Session()
        self.sessions.append(session)
        await self.let.wait()
        return cast(CameraSession, session)


def settings(driver: Driver, **changes: Any) -> CameraSettings:
    fields: dict[str, Any] = {
        "id": "gate",
        "name": "东门",
        "driver": "onvif",
        "address": "192.0.2.1",
        "username": "agent",
        "password": None,
        "settings": driver,
    }
    return CameraSettings.model_construct(**{**fields, **changes})


@pytest.fixture
def driver() -> Driver:
    return Driver()


async def test_a_conversation_that_is_opened_while_its_camera_goes_is_closed(driver: Driver) -> None:
    cameras = Cameras([settings(driver)], SystemClock("UTC"))
    driver.let.clear()
    opening = [asyncio.create_task(cameras.open("gate")) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await cameras.reconfigure([]) == {"gate"}
    driver.let.set()
    for task in opening:
        with pytest.raises(NoCamera):
            await task
    assert [session.closed for session in driver.sessions] == [True]


async def test_refusals_count_on_where_only_the_name_has_changed(driver: Driver) -> None:
    cameras = Cameras([settings(driver)], SystemClock("UTC"))
    for _ in range(2):
        async with cameras["gate"].gate.trying("http") as login:
            login.refused()
    await cameras.reconfigure([settings(driver, name="西门")])
    with pytest.raises(LoginRefused):
        cameras["gate"].gate.check("rtsp")
    await cameras.reconfigure([settings(driver, name="西门", username="admin")])
    cameras["gate"].gate.check("rtsp")


@pytest.mark.parametrize("error", [KeyError("Profiles"), OSError(24, "Too many open files"), AttributeError("x")])
async def test_what_a_driver_trips_over_is_the_camera_s_fault_and_ends_the_conversation(
    driver: Driver, error: Exception
) -> None:
    cameras = Cameras([settings(driver)], SystemClock("UTC"))
    with pytest.raises(BadReply):
        async with cameras.use("gate"):
            raise error
    assert driver.sessions[0].closed
    async with cameras.use("gate"):
        pass
    assert len(driver.sessions) == 2
