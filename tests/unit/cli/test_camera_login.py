"""Conversations of the command line with cameras: one try each, and passwords that appear nowhere."""

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent.camera import LoginRefused
from agent.cli.camera_audit import attempt
from agent.cli.camera_login import one_session, one_try, settings_for, with_login
from agent.config.models import CameraSettings
from agent.driver import CameraDriver, CameraLink, CameraSession, Field
from agent.skyeye.inventory import Store, accounts_for, audit
from agent.texts import say
from tests.unit.skyeye.inventory.cameras import ToldSession, camera
from tests.unit.skyeye.inventory.test_audit import WalkingClock


class Locking(CameraDriver):
    """A camera that takes one password, counts, and logs in with every request."""

    name: ClassVar[str] = "locking"
    takes: str = "right"
    anonymous: bool = False
    tried: list[str | None] = Field(default_factory=list)

    async def open(self, link: CameraLink) -> CameraSession:
        async with link.gate.trying("http") as login:
            password = link.password()
            self.tried.append(password)
            if password == self.takes or (password is None and self.anonymous):
                login.accepted()
                return ToldSession()
            login.refused()
        raise LoginRefused(say("inventory.none"))


def locking(**settings: Any) -> tuple[CameraSettings, Locking]:
    driver = Locking(**settings)
    return camera(driver="locking", settings=driver), driver


async def test_one_login_is_one_try() -> None:
    one, driver = locking()
    async with one_session(with_login(one, "admin", "right")) as session:
        assert (await session.identity()).maker == "Hikvision"
    with pytest.raises(LoginRefused):
        async with one_session(with_login(one, "admin", "wrong")):
            pass
    assert driver.tried == ["right", "wrong"]


async def test_a_gate_of_one_try_closes_at_the_first_refusal() -> None:
    gate = one_try(WalkingClock(datetime.fromisoformat("2026-11-23T08:00:00+08:00")))
    async with gate.trying("http") as login:
        login.accepted()
    async with gate.trying("rtsp") as login:
        login.refused()
    with pytest.raises(LoginRefused) as caught:
        gate.check("rtsp")
    assert caught.value.text.key == "camcli.gate-closed"


@pytest.mark.parametrize(
    ("settings", "state", "tries"),
    [({"takes": accounts_for("Hikvision")[1].password}, "weak", 3), ({}, "fine", 3), ({"anonymous": True}, "open", 1)],
)
async def test_an_audit_tries_what_it_says(tmp_path: Path, settings: dict[str, Any], state: str, tries: int) -> None:
    """The first is without any password, and no login."""
    one, driver = locking(**settings)
    clock = WalkingClock(datetime.fromisoformat("2026-11-23T08:00:00+08:00"))
    found = await audit(one, "Hikvision", Store(tmp_path), clock, attempt)
    assert found.state == state
    assert driver.tried[0] is None
    assert len(driver.tried) == tries
    assert found.tries == tries - 1


def test_settings_for_an_address_show_no_password() -> None:
    one = settings_for("192.168.1.64", "onvif", "agent", "never-shown", port=8000)
    assert (one.settings.port, one.username) == (8000, "agent")  # type: ignore[attr-defined]  # an Onvif
    assert "never-shown" not in f"{one} {one!r} {one.model_dump(mode='json')}"
