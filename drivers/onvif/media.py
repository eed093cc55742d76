"""Streams and pictures: Media 2 where there is one (H.265 shows only there), Media 1 otherwise."""

from agent.driver import BadReply, CameraError, LoginRefused, NotOffered, Profile, Unreachable
from drivers._camera_address import mended
from drivers.onvif import replies
from drivers.onvif.soap import Element
from drivers.onvif.wire import Wire


class Media:
    """The media services of one camera. What is asked once is kept for the session."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._profiles: tuple[Profile, ...] | None = None
        self._sources: tuple[str, ...] | None = None
        self._known: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._snapshots: dict[str, str] = {}
        self.second = False
        """The profiles are those of Media 2."""

    async def profiles(self) -> tuple[Profile, ...]:
        """All profiles with video, in the camera's order. Raises CameraError."""
        if self._profiles is None:
            reply = await self._second()
            if reply is None:
                reply = await self._wire.call("media", "GetProfiles")
            self._known, self._names = replies.source_configurations(reply), replies.source_names(reply)
            self._profiles = replies.profiles(reply)
        return self._profiles

    async def sources(self) -> tuple[str, ...]:
        """The video sources in the recorder's order; those that only profiles name come last. Raises CameraError."""
        if self._sources is None:
            found = await self.profiles()
            try:
                listed = replies.sources(await self._wire.call("media", "GetVideoSources"))
            except (NotOffered, BadReply, LoginRefused):
                listed = ()
            named = (one.source for one in found if one.source is not None)
            self._sources = tuple(dict.fromkeys((*listed, *named)))
        return self._sources

    async def source_names(self) -> dict[str, str]:
        """The names of video sources, as far as there are any. Raises CameraError."""
        await self.profiles()
        return self._names

    def known_sources(self) -> dict[str, str]:
        """What an event may call a video source, as far as it is known: its own token, or its configuration's."""
        return {**self._known, **{source: source for source in self._names}}

    async def stream_url(self, token: str) -> str:
        """Where a profile's stream is, on the enrolled host, without credentials. Raises CameraError."""
        given: str | None = None
        if self.second:
            for protocol in ("RTSP", "RtspUnicast"):  # over TCP, or else as the client likes
                try:
                    reply = await self._wire.call("media2", "GetStreamUri", Protocol=protocol, ProfileToken=token)
                    given = replies.uri(reply, self._wire.place)
                    break
                except (NotOffered, BadReply):
                    continue
        if given is None:
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            reply = await self._wire.call("media", "GetStreamUri", StreamSetup=setup, ProfileToken=token)
            given = replies.uri(reply, self._wire.place)
        return mended(given, self._wire.place, scheme="rtsp")

    async def snapshot_url(self, token: str) -> str:
        """Where a profile's picture is. Raises CameraError; NotOffered where there is none."""
        if token not in self._snapshots:
            given: str | None = None
            if self.second:
                try:
                    reply = await self._wire.call("media2", "GetSnapshotUri", ProfileToken=token)
                    given = replies.uri(reply, self._wire.place)
                except (NotOffered, BadReply):
                    given = None
            if given is None:
                reply = await self._wire.call("media", "GetSnapshotUri", ProfileToken=token)
                given = replies.uri(reply, self._wire.place)
            self._snapshots[token] = mended(given, self._wire.place)
        return self._snapshots[token]

    async def _second(self) -> Element | None:
        """The profiles of Media 2. `All` crashes some cameras, so the encoders alone are asked for; those that do not
        know the word are asked without."""
        if "media2" not in self._wire.xaddrs:
            return None
        for types in (["VideoSource", "VideoEncoder", "PTZ"], ["VideoEncoder"], []):
            try:
                reply = await self._wire.call("media2", "GetProfiles", Type=types)
            except (Unreachable, LoginRefused):
                raise
            except CameraError:
                continue
            if replies.profiles(reply):
                self.second = True
                return reply
        return None
