"""Cameras and recorders that speak ONVIF; settings only, what speaks is loaded when a camera is opened."""

from typing import ClassVar

from agent.driver import CameraDriver, CameraLink, CameraSession, Field


class Onvif(CameraDriver):
    """ONVIF cameras and recorders, by their own services.

    Source: ONVIF Core 23.12, Media 1 and 2, PTZ, Recording Search, Event service (onvif.org/specs)
    """

    name: ClassVar[str] = "onvif"

    port: int = Field(80, ge=1, le=65_535, description="port of the device service")
    channel: int | None = Field(None, ge=1, le=512, description="channel of a recorder, counted from 1")
    profile: str | None = Field(None, min_length=1, description="token or name of the main stream's profile")
    sub_profile: str | None = Field(None, min_length=1, description="token or name of the small stream's profile")

    async def open(self, link: CameraLink) -> CameraSession:
        from drivers.onvif.session import open_session  # zeep and aiohttp: 40 MB that the core has no use for

        return await open_session(self, link)
