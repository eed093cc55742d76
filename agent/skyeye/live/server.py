"""Serves the media socket (agent.control.media): streams, the latest pictures, evidence files."""

import asyncio
import logging
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from agent.camera import CameraError, StreamRole
from agent.clock import Clock
from agent.config.models import CameraSettings
from agent.control.media import (
    FRAME_LIMIT,
    MEDIA_LINE_LIMIT,
    BadMedia,
    EvidenceRequest,
    LiveFormat,
    LiveRequest,
    MediaAnswer,
    MediaRequest,
    PictureRequest,
    dump_media_answer,
    dump_media_refusal,
    frame,
    parse_media_request,
)
from agent.control.server import bind
from agent.skyeye.live.channel import Channel, FragmentChannel, Hub
from agent.skyeye.live.jpegs import JPEG_MIME, JpegChannel
from agent.skyeye.live.pace import Pace
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

CONNECTION_LIMIT: Final = 64
"""Requests at once: a wall asks for its pictures one after another, a few browsers do."""
VIEWER_LIMIT: Final = 32
"""Streams at once: some 1 % of a core each."""
REQUEST_TIMEOUT_S: Final = 5.0
"""For the request line of a process on this machine."""
START_TIMEOUT_S: Final = 15.0
"""For the first keyframe: longer than the keyframe distance of any camera but the "smart" ones."""
SEND_TIMEOUT_S: Final = 15.0
"""A reader of a file that takes nothing for so long is hung."""
CHUNK_BYTES: Final = 256 << 10
"""Of a file, a frame."""

Key = tuple[str, StreamRole, LiveFormat]


class Refused(Spoken):
    """A request that is not fulfilled."""


class MediaServer:
    """One socket. Channels live as long as somebody watches."""

    def __init__(
        self,
        path: Path,
        hub: Hub,
        cameras: Callable[[], Mapping[str, CameraSettings]],
        picture: Callable[[str], bytes | None],
        evidence: Callable[[str], Path | None],
        clock: Clock,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._path = path
        self._hub = hub
        self._cameras = cameras
        self._picture = picture
        self._evidence = evidence
        self._clock = clock
        self._start_timeout_s = start_timeout_s
        self._channels: dict[Key, Channel] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="live-jpeg")

    async def start(self) -> None:
        """Listen, for the service's user and group. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._serve, sock=bind(self._path), limit=MEDIA_LINE_LIMIT)

    async def close(self) -> None:
        """Stop listening, and end what is open."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def viewers(self) -> int:
        """How many watch."""
        return sum(map(len, self._channels.values()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > CONNECTION_LIMIT:
                raise Refused(say("live.too-many", limit=CONNECTION_LIMIT))
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
            if line:
                await self._answer(parse_media_request(line), reader, writer)
        except (Refused, BadMedia, CameraError) as error:
            writer.write(dump_media_refusal(error.text))
        except (OSError, ValueError, TimeoutError) as error:  # ValueError: a line over the limit
            log.debug("media connection ended: %s", type(error).__name__)
        except asyncio.CancelledError:
            pass  # the server closes; a cancelled handler task would be reported as an error by asyncio
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, request: MediaRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match request:
            case LiveRequest():
                await self._live(request, reader, writer)
            case PictureRequest():
                self._known(request.camera)
                picture = self._picture(request.camera)
                if picture is None:
                    raise Refused(say("live.no-picture"))
                writer.write(dump_media_answer(MediaAnswer(JPEG_MIME, len(picture))) + frame(picture))
                await drain(writer)
            case EvidenceRequest():
                await self._file(request.id, writer)

    def _known(self, camera: str) -> None:
        if camera not in self._cameras():
            raise Refused(say("live.no-camera", camera=camera))

    async def _file(self, id_: str, writer: asyncio.StreamWriter) -> None:
        path = self._evidence(id_)
        try:
            if path is None:
                raise FileNotFoundError
            file = await asyncio.to_thread(path.open, "rb")
        except OSError:
            raise Refused(say("live.no-evidence", id=id_)) from None
        with file:
            size = (await asyncio.to_thread(path.stat)).st_size
            mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            writer.write(dump_media_answer(MediaAnswer(mime, size, path.name)))
            while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
                writer.write(frame(data))
                await drain(writer)

    async def _live(self, request: LiveRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._known(request.camera)
        if self.viewers >= VIEWER_LIMIT:
            raise Refused(say("live.too-many-viewers", limit=VIEWER_LIMIT))
        key = (request.camera, request.role, request.format)
        channel = self._channels.get(key) or self._channels.setdefault(key, self._make(key))
        viewer = SocketViewer(writer, self._clock)
        gone = asyncio.ensure_future(reader.read(1))
        try:
            channel.add(viewer)
            await self._watch(viewer, gone)
        finally:
            gone.cancel()
            channel.remove(viewer)
            if not len(channel):
                self._channels.pop(key, None)

    async def _watch(self, viewer: "SocketViewer", gone: asyncio.Future[bytes]) -> None:
        """Until the stream ends or nobody is on the other side."""
        begun = asyncio.ensure_future(viewer.begun.wait())
        over = asyncio.ensure_future(viewer.over.wait())
        ends: set[asyncio.Future[Any]] = {over, gone}
        try:
            await asyncio.wait({begun, *ends}, timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if viewer.begun.is_set():
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            elif viewer.text:
                raise Refused(viewer.text)
            elif not gone.done():
                raise Refused(say("live.no-start", seconds=round(self._start_timeout_s)))
        finally:
            begun.cancel()
            over.cancel()

    def _make(self, key: Key) -> Channel:
        camera, role, format_ = key
        if format_ == "fmp4":
            return FragmentChannel(self._hub, camera, role)
        return JpegChannel(self._hub, camera, role, self._executor)


class SocketViewer:
    """A viewer on the media socket. What waits for it is in its connection's buffer, which `Pace` bounds."""

    def __init__(self, writer: asyncio.StreamWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._pace = Pace()
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.text: Text | None = None

    def begin(self, mime: str, start: Sequence[bytes]) -> None:
        """Answer, and send what there is."""
        if self.over.is_set():
            return
        self.begun.set()
        self._writer.write(b"".join((dump_media_answer(MediaAnswer(mime)), *start)))

    def data(self, framed: bytes, keyframe: bool) -> None:
        """Send, skip or cut."""
        if self.over.is_set() or not self.begun.is_set() or len(framed) > FRAME_LIMIT:
            return
        waiting = self._writer.transport.get_write_buffer_size()
        turn = self._pace.turn(waiting, keyframe=keyframe, now_ns=self._clock.boottime_ns())
        if turn == "send":
            self._writer.write(framed)
        elif turn == "cut":
            self._writer.transport.abort()
            self.over.set()

    def end(self, text: Text | None) -> None:
        """The stream is over."""
        self.text = text
        self.over.set()


async def drain(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has taken what there is. Raises TimeoutError."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await writer.drain()
