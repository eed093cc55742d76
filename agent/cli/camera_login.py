"""Conversations with cameras that the command line holds by itself, each with one try of its login."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.cli.help import UsageProblem
from agent.cli.shared import Environment
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.camera import Channel
    from agent.clock import Clock
    from agent.config.models import CameraSettings, Config
    from agent.skyeye.discovery import Found
    from agent.skyeye.login import Gate

PASSWORD_LIMIT: Final = 1024
TIMEOUT_S: Final = 30.0
"""As the eye gives a camera for opening."""


def one_try(clock: "Clock") -> "Gate":
    """A gate that lets a camera refuse us once: a technician who mistypes must not lock the camera (FACTS 5)."""
    from agent.skyeye.login import Gate

    return Gate(clock, tries=1, closed=say("camcli.gate-closed"))


def ask_password(env: Environment, username: str, file: Path | None) -> str:
    """A password out of a file, or typed without echo. Raises UsageProblem, OSError."""
    import getpass

    if file is not None:
        with file.open("rb") as handle:
            raw = handle.read(PASSWORD_LIMIT + 1)
        text = raw.decode("utf-8", errors="replace").rstrip("\r\n")
        if not 0 < len(text) <= PASSWORD_LIMIT:
            raise UsageProblem(say("camcli.password-file", path=str(file)))
        return text
    if not sys.stdin.isatty():
        raise UsageProblem(say("camcli.password-needed"))
    return getpass.getpass(env.render(say("camcli.password-prompt", username=username)), stream=sys.stderr)


def settings_for(
    address: str,
    driver: str = "onvif",
    username: str | None = None,
    password: str | None = None,
    id_: str = "camera",
    **driver_settings: Any,
) -> "CameraSettings":
    """Settings of a camera that is not configured. Raises NoDriver, UsageProblem."""
    from pydantic import ValidationError

    from agent.config.drivers import find_camera_driver
    from agent.config.models import CameraSettings
    from agent.secrets import Secret

    kind = find_camera_driver(driver)
    known = {name: value for name, value in driver_settings.items() if value is not None}
    try:
        return CameraSettings.model_validate(
            {
                "id": id_,
                "name": address,
                "driver": driver,
                "address": address,
                "username": username,
                "password": Secret("literal", "", password) if password else None,
                "settings": kind.model_validate(known),
            }
        )
    except ValidationError:
        raise UsageProblem(say("camcli.bad-address", address=address[:100])) from None


def with_login(camera: "CameraSettings", username: str | None, password: str | None) -> "CameraSettings":
    """The same camera with another login."""
    from agent.secrets import Secret

    secret = Secret("literal", "", password) if password else None
    return camera.model_copy(update={"username": username, "password": secret})


async def channels_of(env: Environment, found: "Found", username: str, password: str) -> "tuple[Channel, ...]":
    """The channels of a recorder; none where it cannot be asked, which is told. One try."""
    from agent.camera import CameraError, NotOffered

    settings = settings_for(found.address, "onvif", username, password, port=found.port)
    try:
        async with one_session(settings) as session:
            channels: tuple[Channel, ...] = await session.channels()
            return channels
    except NotOffered:
        return ()
    except CameraError as error:
        env.complain(say("camcli.channels-failed", address=found.address, why=error.text))
        return ()


def one_session(settings: "CameraSettings") -> Any:
    """A conversation that ends with its block. Entering raises CameraError."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opened() -> Any:
        import asyncio

        from agent.camera import Unreachable
        from agent.clock import SystemClock
        from agent.skyeye.cameras import Link, close_session

        clock = SystemClock("Asia/Shanghai")
        link = Link(settings, clock, one_try(clock))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                session = await settings.settings.open(link)
        except TimeoutError:
            raise Unreachable(say("skyeye.open-timeout", camera=settings.address, seconds=TIMEOUT_S)) from None
        try:
            yield session
        finally:
            await close_session(session)

    return opened()


class NoSuchCamera(Spoken):
    """No camera of the configuration has this id."""


def camera_of(config: "Config", id_: str) -> "CameraSettings":
    """One camera by its id. Raises NoSuchCamera."""
    for camera in config.cameras:
        if camera.id == id_:
            return camera
    known = ", ".join(camera.id for camera in config.cameras) or "-"
    raise NoSuchCamera(say("camcli.no-camera", camera=id_[:64], known=known))
