"""One conversation with one ONVIF camera, or with one channel of a recorder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent.driver import (
    BadReply,
    CameraError,
    CameraEvent,
    CameraLink,
    CameraSession,
    Channel,
    Features,
    Identity,
    LoginRefused,
    Move,
    NotOffered,
    Preset,
    Profile,
    Recordings,
    StreamFailed,
    StreamRole,
    StreamSource,
    Unreachable,
    say,
)
from drivers._camera_address import enrolled, mended
from drivers.onvif import replies
from drivers.onvif.events import PullPoint
from drivers.onvif.media import Media
from drivers.onvif.ptz import Ptz
from drivers.onvif.requests import Service
from drivers.onvif.topics import Message
from drivers.onvif.wire import Wire

if TYPE_CHECKING:
    from drivers.onvif import Onvif

DEVICE_PATH: Final = "/onvif/device_service"
"""ONVIF Core 23.12, 5.1: where the device service is."""
_CHANNEL_ITEMS: Final = frozenset(
    {"videosourcetoken", "videosourceconfigurationtoken", "videosource", "source", "channel", "vsctoken"}
)
"""Which items of an event's source name a channel of a recorder."""


async def open_session(settings: "Onvif", link: CameraLink) -> "OnvifSession":
    """Begin: its clock, one login, what services it has. Raises CameraError, and leaves nothing open then."""
    place = enrolled(link.address, scheme="http", port=settings.port, path=DEVICE_PATH)
    if place.path == "/":
        place = replace(place, path=DEVICE_PATH)
    link.gate.check("http")
    session = OnvifSession(settings, link, Wire(link, place))
    try:
        await session.begin()
    except BaseException:
        await session.close()
        raise
    return session


class OnvifSession(CameraSession):
    """See agent.camera.CameraSession."""

    def __init__(self, settings: "Onvif", link: CameraLink, wire: Wire) -> None:
        self._settings = settings
        self._link = link
        self._wire = wire
        self._media = Media(wire)
        self._ptz = Ptz(link, wire, self._moving_token)
        self._pull = PullPoint(link, wire, self._ours)
        self._identity = Identity()
        self._told_identity = False
        self._analytics = False
        self._own_source: str | None = None

    async def begin(self) -> None:
        """Read the clock, log in, ask for the services. Raises CameraError."""
        try:
            await self._wire.read_clock()
        except (Unreachable, NotOffered):
            raise
        except BadReply as error:
            if error.text.key in ("onvif.no-such-page", "onvif.not-onvif", "camera.redirect", "camera.not-http"):
                raise
        except LoginRefused:
            pass  # it tells not even the time to strangers
        with suppress(NotOffered):
            self._identity = replies.identity(await self._wire.call("device", "GetDeviceInformation"))
        if self._wire.shift_s is None and self._wire.way is not None:
            with suppress(CameraError):  # clock_offset_s says so when it is asked
                await self._wire.read_clock()
        await self._find_services()

    async def identity(self) -> Identity:
        if self._told_identity:  # a conversation may last for weeks, and a camera be exchanged within minutes
            with suppress(NotOffered):
                now = replies.identity(await self._wire.call("device", "GetDeviceInformation"))
                if replace(now, mac=self._identity.mac) != self._identity:
                    self._identity = now
        self._told_identity = True
        if self._identity.mac is None:
            with suppress(NotOffered, BadReply, LoginRefused):  # many allow it to administrators only
                reply = await self._wire.call("device", "GetNetworkInterfaces")
                self._identity = replace(self._identity, mac=replies.mac(reply, self._wire.place.host))
        return self._identity

    async def clock_offset_s(self) -> float:
        return await self._wire.read_clock()

    async def features(self) -> Features:
        xaddrs = self._wire.xaddrs
        ptz = snapshot = False
        with suppress(NotOffered, BadReply, StreamFailed):
            # Fixed cameras have the service too; what moves has a configuration of it in a profile.
            ptz = "ptz" in xaddrs and any(one.ptz for one in await self.profiles())
            main = await self._profile("main")
            snapshot = bool(await self._media.snapshot_url(main.token))
        return Features(
            ptz=ptz,
            events="events" in xaddrs,
            snapshot=snapshot,
            recordings="search" in xaddrs,
            media2=self._media.second,
            analytics=self._analytics,
        )

    async def profiles(self) -> tuple[Profile, ...]:
        source = await self._source()
        found = await self._media.profiles()
        own = [one for one in found if source is None or one.source in (source, None)]
        return tuple(sorted(own, key=lambda one: (-one.width * one.height, one.codec not in ("h264", "h265"))))

    async def channels(self) -> tuple[Channel, ...]:
        found = await self._media.profiles()
        names = await self._media.source_names()
        return tuple(
            Channel(number, source, names.get(source, source), tuple(one for one in found if one.source == source))
            for number, source in enumerate(await self._media.sources(), 1)
        )

    async def stream(self, role: StreamRole) -> StreamSource:
        profile = await self._profile(role)
        account = self._wire.account()
        return StreamSource(
            url=await self._media.stream_url(profile.token),
            username=account.username if account else None,
            password=account.password if account else None,
            codec=profile.codec,
        )

    async def snapshot(self) -> bytes:
        url = await self._media.snapshot_url((await self._profile("main")).token)
        return await self._wire.http.picture(url, self._wire.account())

    async def recordings(self) -> Recordings:
        return replies.recordings(await self._wire.call("search", "GetRecordingSummary"))

    async def move(self, move: Move) -> None:
        await self._ptz.move(move)

    async def stop(self) -> None:
        await self._ptz.stop()

    async def presets(self) -> tuple[Preset, ...]:
        return await self._ptz.presets()

    async def goto(self, preset: str) -> None:
        await self._ptz.goto(preset)

    async def save_preset(self, name: str) -> Preset:
        return await self._ptz.save(name)

    async def events(self) -> AsyncIterator[CameraEvent]:
        # Whether it says that it can or not: capabilities are wrong on many.
        self._wire.xaddrs.setdefault("events", self._wire.place.url)
        with suppress(NotOffered, BadReply):
            self._own_source = await self._source()
        async for event in self._pull.events():
            yield event

    async def close(self) -> None:
        try:
            await asyncio.gather(self._ptz.leave(), self._pull.leave())
        finally:
            await self._wire.close()

    async def _find_services(self) -> None:
        """GetServices, or GetCapabilities of older ones; every address on the enrolled host."""
        given: dict[Service, str] = {}
        for operation, arguments in (
            ("GetServices", {"IncludeCapability": False}),
            ("GetCapabilities", {"Category": "All"}),
        ):
            try:
                reply = await self._wire.call("device", operation, **arguments)
            except (NotOffered, BadReply):
                continue
            more, analytics = replies.services(reply)
            given |= {service: where for service, where in more.items() if service not in given}
            self._analytics = self._analytics or analytics
            if "media" in given or "media2" in given:
                break
        for service, where in given.items():
            if service != "device":
                try:
                    self._wire.xaddrs[service] = mended(where, self._wire.place)
                except BadReply:
                    self._wire.xaddrs[service] = self._wire.place.url
        if not given.keys() & {"media", "media2"}:
            self._wire.xaddrs["media"] = self._wire.place.url  # most answer everything at one address

    async def _source(self) -> str | None:
        """The video source of the configured channel; None where there is no choice to be made."""
        if (channel := self._settings.channel) is None:
            found = await self._media.sources()
            return found[0] if len(found) > 1 else None
        found = await self._media.sources()
        if channel > len(found):
            raise BadReply(say("onvif.no-channel", place=self._wire.place, channel=channel, count=len(found)))
        return found[channel - 1]

    async def _profile(self, role: StreamRole) -> Profile:
        """The profile of a stream: the one that is configured, or the largest and the smallest. Raises CameraError."""
        found = await self.profiles()
        wanted = self._settings.profile if role == "main" else self._settings.sub_profile
        if wanted is not None:
            if (named := next((one for one in found if wanted in (one.token, one.name)), None)) is not None:
                return named
            known = ", ".join(one.token for one in found) or "-"
            raise BadReply(say("onvif.no-such-profile", place=self._wire.place, profile=wanted, known=known[:200]))
        if not found:
            raise StreamFailed(say("onvif.no-profile", place=self._wire.place))
        coded = [one for one in found if one.codec in ("h264", "h265")] or found
        if role == "main":
            return coded[0]
        sized = [one for one in coded if one.width * one.height > 0] or coded
        return sized[-1]

    async def _moving_token(self) -> str | None:
        """The profile by which the camera is moved."""
        found = await self.profiles()
        return next((one.token for one in found if one.ptz), found[0].token if found else None)

    def _ours(self, message: Message) -> bool:
        """Whether an event is of our channel; what names no channel is everybody's."""
        if self._settings.channel is None or self._own_source is None:
            return True
        known = self._media.known_sources()
        values = [value for key, value in message.source.items() if key.lower() in _CHANNEL_ITEMS]
        named = {known[value] for value in values if value in known}
        return not named or self._own_source in named
