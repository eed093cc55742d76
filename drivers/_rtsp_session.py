"""A conversation with a camera without ONVIF: its addresses are known, there is nothing to ask."""

from dataclasses import replace

from agent.driver import (
    BadReply,
    CameraLink,
    CameraSession,
    Features,
    Identity,
    NotOffered,
    StreamRole,
    StreamSource,
    Transport,
    say,
)
from drivers._camera_address import enrolled
from drivers._camera_http import Account, CameraHttp


class RtspSession(CameraSession):
    """See agent.camera.CameraSession."""

    def __init__(
        self, link: CameraLink, urls: dict[StreamRole, str], transport: Transport, snapshot: str | None
    ) -> None:
        self._link = link
        self._urls = urls
        self._transport: Transport = transport
        self._snapshot = snapshot
        self._http: CameraHttp | None = None
        self._account: Account | None = None

    async def identity(self) -> Identity:
        return Identity()

    async def features(self) -> Features:
        return Features(snapshot=self._snapshot is not None)

    async def stream(self, role: StreamRole) -> StreamSource:
        return StreamSource(self._urls[role], self._link.username, self._link.password(), self._transport)

    async def snapshot(self) -> bytes:
        if self._snapshot is None:
            raise NotOffered(say("camera.not-offered"))
        if self._http is None:
            self._http = CameraHttp(self._link, str(enrolled(self._snapshot, scheme="http", port=80, path="/")))
        if self._account is None and self._link.username is not None:
            self._account = Account(self._link.username, self._link.password() or "")
        return await self._http.picture(self._snapshot, self._account)

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()


def open_session(
    link: CameraLink, *, port: int, path: str, sub_path: str | None, transport: Transport, snapshot: str | None
) -> RtspSession:
    """Put the addresses together. Raises CameraError; does not speak to the camera: its streams and its inspection do,
    and one login more would count."""
    place = enrolled(link.address, scheme="rtsp", port=port, path="/")
    main = _rooted(path) if path != "/" else place.path
    urls: dict[StreamRole, str] = {
        "main": replace(place, path=main).url,
        "sub": replace(place, path=_rooted(sub_path) if sub_path is not None else main).url,
    }
    if snapshot is not None:
        where = enrolled(snapshot, scheme="http", port=80, path="/")
        if where.host.lower() != place.host.lower():
            raise BadReply(say("camera.other-host"))
        snapshot = where.url
    return RtspSession(link, urls, transport, snapshot)


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
