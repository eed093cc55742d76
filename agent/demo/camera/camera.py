"""One simulated camera: its state, what it shows, and its ports."""

import asyncio
import hashlib
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import cv2

from agent.demo.camera.degrade import degrade
from agent.demo.camera.digest import Door
from agent.demo.camera.feed import Feed, Looped, Pacer
from agent.demo.camera.film import Encoder, FilmKey, Films
from agent.demo.camera.pictures import Image, View, draw
from agent.demo.camera.rtp import Frame, Parameters
from agent.demo.camera.rtsp import RtspServer
from agent.demo.camera.spec import CameraSpec, Command, Light, OnvifMode, PictureMode, RtspMode, SceneName, StreamSpec
from agent.demo.camera.turret import Turret

SCENES: Final[tuple[SceneName, ...]] = ("gate", "canteen", "corridor", "yard")
ROLES: Final = ("main", "sub")
PERIOD_S: Final = 12.0
"""How long the figures of a live picture walk before they do it again."""
JPEG_QUALITY: Final = 80
DAY_PRESETS: Final = {
    "1": ("大门", View(-0.8, 0.3, 0.1)),
    "2": ("操场", View(0.0, -0.4, 0.0)),
    "3": ("篮球架", View(0.8, 0.0, 0.4)),
}


class Channel:
    """One video source: what it looks at, and how well."""

    def __init__(self, scene: SceneName, light: Light, picture: PictureMode, label: str) -> None:
        self.scene = scene
        self.light = light
        self.picture = picture
        self.level = 4
        self.label = label
        self.small = False
        """Half the size it was, in the middle of the stream."""
        self.frozen_s = time.monotonic()


class Camera:
    """A camera, or a recorder. `async start()`, `async stop()`."""

    def __init__(self, spec: CameraSpec, host: str, films: Films, pacer: Pacer) -> None:
        self.spec = spec
        self.host = host
        self.door = Door(spec.username, spec.password, spec.lock_after, spec.lock_s, time.monotonic)
        self.clock_offset_s = spec.clock_offset_s
        self.recordings_days = spec.recordings_days
        self.identity = spec.identity.model_dump()
        self.identity["serial"] = spec.identity.serial or made_up(spec.id, 12)
        self.identity["mac"] = spec.identity.mac or mac_of(spec.id)
        self.onvif_mode: OnvifMode = spec.onvif_mode
        self.operations: tuple[str, ...] = ()
        self.rtsp_mode: RtspMode = spec.rtsp_mode
        self.after_s = spec.after_s
        self.turret = Turret(time.monotonic, dict(DAY_PRESETS) if spec.ptz else {})
        first = SCENES.index(spec.scene)
        self.channels = [
            Channel(SCENES[(first + number) % len(SCENES)], spec.light, spec.picture, self._label(number))
            for number in range(spec.channels)
        ]
        self.counts: Counter[str] = Counter()
        self.rtsp = RtspServer(self, host, spec.rtsp_port)
        self._films = films
        self._pacer = pacer
        self._feeds: dict[str, Feed] = {}
        self._lock = asyncio.Lock()

    def _label(self, number: int) -> str:
        return self.spec.id if self.spec.channels == 1 else f"{self.spec.id} D{number + 1}"

    @property
    def name(self) -> str:
        return self.spec.name or self.spec.id

    def now(self) -> datetime:
        """The camera's own clock."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset_s)

    def counted(self, what: str) -> None:
        self.counts[what] += 1

    async def start(self) -> None:
        """Make the films, and listen."""
        for number in range(len(self.channels)):
            for role in ROLES:
                await self.feed(f"/{number + 1}/{role}")
        await self._open()

    async def stop(self) -> None:
        await self.rtsp.stop()

    async def _open(self) -> None:
        if self.rtsp_mode == "closed":
            await self.rtsp.stop()
        else:
            await self.rtsp.start()

    # streams

    def stream(self, role: str) -> StreamSpec | None:
        return self.spec.main if role == "main" else self.spec.sub

    def rtsp_url(self, channel: int, role: str) -> str:
        return f"rtsp://{self.host}:{self.rtsp.port}/{channel}/{role}"

    async def feed(self, path: str) -> Feed | None:
        """The feed of `/CHANNEL/main` or `/CHANNEL/sub`; None where there is none."""
        _, _, rest = path.partition("/")
        number, _, role = rest.partition("/")
        if not (number.isdecimal() and len(number) < 4 and 1 <= int(number) <= len(self.channels)):
            return None
        stream = self.stream(role) if role in ROLES else None
        if stream is None:
            return None
        async with self._lock:
            if path not in self._feeds:
                self._feeds[path] = await self._new_feed(int(number) - 1, role, stream)
            return self._feeds[path]

    async def _new_feed(self, number: int, role: str, stream: StreamSpec) -> Feed:
        if self.spec.live or self.spec.ptz:
            return Feed(stream, self._pacer, Live(self, number, stream))
        return Feed(stream, self._pacer, Looped(await self._films.get(self._key(number, stream))))

    def _key(self, number: int, stream: StreamSpec) -> FilmKey:
        channel = self.channels[number]
        spec = self.spec
        if channel.small:
            stream = stream.model_copy(update={"width": stream.width // 4 * 2, "height": stream.height // 4 * 2})
        level = channel.level if channel.picture not in ("ok", "frozen") else 4
        return FilmKey(stream, channel.scene, channel.light, channel.picture, level, spec.loop_s, "")

    async def _change_pictures(self) -> None:
        for path, feed in self._feeds.items():
            number = int(path.split("/")[1]) - 1
            if isinstance(feed.source, Looped):
                feed.source.change(await self._films.get(self._key(number, feed.stream)))
            elif isinstance(feed.source, Live):
                feed.source.renew()

    # pictures

    def image(self, number: int, size: tuple[int, int]) -> Image:
        """What a channel shows now."""
        channel = self.channels[number]
        seconds = channel.frozen_s if channel.picture == "frozen" else time.monotonic()
        today = self.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        clock_s = (self.now() - today).total_seconds() if channel.picture != "frozen" else seconds
        image = draw(
            channel.scene,
            clock_s,
            size,
            period_s=PERIOD_S,
            light=channel.light,
            view=self.turret.view() if self.spec.ptz else None,
            label=channel.label,
        )
        return degrade(image, channel.picture, channel.level, seed=int(seconds * 100))

    def jpeg(self, number: int) -> bytes:
        """A snapshot."""
        main = self.spec.main
        image = self.image(number, (main.width, main.height))
        return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])

    # commands

    async def obey(self, command: Command) -> None:
        """Change what a command says (the event is the ONVIF side's)."""
        for number, channel in enumerate(self.channels):
            if command.channel not in (None, number + 1):
                continue
            if command.picture:
                channel.picture, channel.level, channel.frozen_s = command.picture, command.level, time.monotonic()
            channel.light = command.light or channel.light
        self.after_s = self.after_s if command.after_s is None else command.after_s
        if command.rtsp_mode:
            self.rtsp_mode = command.rtsp_mode
            for channel in self.channels:
                channel.small = command.rtsp_mode == "resize"
            await self._open()
        if command.picture or command.light or command.rtsp_mode:
            await self._change_pictures()
        if command.onvif_mode:
            self.onvif_mode, self.operations = command.onvif_mode, command.operations
        if command.clock_offset_s is not None:
            self.clock_offset_s = command.clock_offset_s
        if command.password is not None:
            self.door.password = command.password
        if command.unlock:
            self.door.unlock()
        if command.identity:
            self.identity.update(command.identity)
        if command.recordings_days is not None:
            self.recordings_days = command.recordings_days

    def state(self) -> dict[str, Any]:
        """What the camera has seen."""
        view = self.turret.view()
        return {
            "camera": self.spec.id,
            "counts": dict(self.counts),
            "rtsp_connections": self.rtsp.connections,
            "players": sum(len(feed.players) for feed in self._feeds.values()),
            "wrong_logins": self.door.wrong,
            "right_logins": self.door.right,
            "locked": self.door.locked,
            "ptz": {"pan": view.pan, "tilt": view.tilt, "zoom": view.zoom, "moves": self.turret.moves},
        }


class Live:
    """Pictures that are drawn and encoded while they play."""

    def __init__(self, camera: Camera, number: int, stream: StreamSpec) -> None:
        self._camera = camera
        self._number = number
        self._stream = stream
        self._ready: list[Frame] = []
        self._begin()

    @property
    def sets(self) -> Parameters:
        assert self._encoder.sets is not None
        return self._encoder.sets

    def renew(self) -> None:
        """Begin anew when the size has changed."""
        if self._size() != (self._encoder.stream.width, self._encoder.stream.height):
            self._begin()

    def pictures(self, _number: int) -> tuple[Frame, ...]:
        ready, self._ready = self._ready, []
        coded = self._encoder.encode(self._camera.image(self._number, self._size()))
        return (*ready, *self._encoder.frames(coded))

    def _size(self) -> tuple[int, int]:
        if self._camera.channels[self._number].small:
            return self._stream.width // 4 * 2, self._stream.height // 4 * 2
        return self._stream.width, self._stream.height

    def _begin(self) -> None:
        width, height = self._size()
        encoder = Encoder(self._stream.model_copy(update={"width": width, "height": height}))
        self._encoder = encoder
        self._ready = encoder.frames(encoder.encode(self._camera.image(self._number, (width, height))))


def made_up(name: str, digits: int) -> str:
    """A number that is always the same for a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:digits].upper()


def mac_of(name: str) -> str:
    """A locally administered address (IEEE 802: the second bit of the first byte)."""
    return ":".join(["02", *(made_up(f"mac {name}", 10)[at : at + 2].lower() for at in range(0, 10, 2))])
