"""The fallback for a browser that cannot play the stream: its keyframes as JPEGs, decoded once for all viewers."""

import asyncio
from concurrent.futures import Executor
from typing import Final

from agent.camera import CameraError, StreamRole
from agent.skyeye.live.channel import Channel, Feed, Hub
from agent.skyeye.model import Packet, StreamInfo
from agent.skyeye.streams import decode_keyframe, jpeg

JPEG_MIME: Final = "image/jpeg"
EVERY_NS: Final = 200_000_000
"""Five pictures a second are enough for a fallback; every packet of an MJPEG camera is a keyframe."""
WIDTH: Final = 1280
QUALITY: Final = 75


class JpegChannel(Channel):
    """JPEGs, one a frame."""

    def __init__(self, hub: Hub, camera: str, role: StreamRole, executor: Executor) -> None:
        super().__init__(hub, camera, role)
        self._executor = executor
        self._task: asyncio.Task[None] | None = None

    def make_feed(self, loop: asyncio.AbstractEventLoop) -> Feed:
        """Make the end that picks keyframes."""
        return JpegFeed(self, loop)

    def picked(self, info: StreamInfo, packet: Packet) -> None:
        """Show a keyframe, unless the one before is still being decoded."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._show(info, packet))

    async def _show(self, info: StreamInfo, packet: Packet) -> None:
        loop = asyncio.get_running_loop()
        try:
            picture = await loop.run_in_executor(self._executor, picture_of, info, packet)
        except CameraError as error:
            self.ended(error.text)
            return
        except RuntimeError:  # the executor is shut down: the server closes
            return
        if len(self):
            self.begun(JPEG_MIME, b"")
            self.send(picture, keyframe=True)


class JpegFeed(Feed):
    """Picks keyframes, not too many."""

    def __init__(self, channel: JpegChannel, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(channel, loop)
        self._jpegs = channel
        self._info: StreamInfo | None = None
        self._next_ns = 0

    def opened(self, info: StreamInfo) -> None:
        """From here on packets are of this stream."""
        self._info = info

    def packet(self, packet: Packet) -> None:
        """Pick it, or let it pass."""
        if self._info and packet.keyframe and packet.arrived_ns >= self._next_ns and not self.full():
            info, self._next_ns = self._info, packet.arrived_ns + EVERY_NS
            self.post(lambda: self._jpegs.picked(info, packet))


def picture_of(info: StreamInfo, packet: Packet) -> bytes:
    """One keyframe as a JPEG. Raises StreamFailed."""
    if info.codec == "mjpeg":
        return packet.data
    return jpeg(decode_keyframe(info, packet), width=min(WIDTH, info.width or WIDTH), quality=QUALITY)
