"""Cameras without ONVIF: the RTSP addresses of their streams are configured."""

from typing import ClassVar

from agent.driver import CameraDriver, CameraLink, CameraSession, Field, Transport


class Rtsp(CameraDriver):
    """Cameras without ONVIF, by the RTSP addresses of their streams.

    Source: RFC 2326 (RTSP 1.0), RFC 7826 18 (its states), RFC 7616 (digest)
    """

    name: ClassVar[str] = "rtsp"

    port: int = Field(554, ge=1, le=65_535, description="port of the RTSP server")
    path: str = Field("/", description="path of the main stream, as the maker gives it")
    sub_path: str | None = Field(None, description="path of the small stream; the main one if left out")
    transport: Transport = Field("tcp", description="how packets come; udp is tried when tcp is refused")
    snapshot_url: str | None = Field(None, description="http address of a JPEG on the same host")

    async def open(self, link: CameraLink) -> CameraSession:
        from drivers._rtsp_session import open_session  # aiohttp, for the snapshot: the core has no use for it

        return open_session(
            link,
            port=self.port,
            path=self.path,
            sub_path=self.sub_path,
            transport=self.transport,
            snapshot=self.snapshot_url,
        )
