"""Coded pictures to a playable MP4, by copy: its index first, so that a browser may seek before it has all of it."""

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.stream import Stream

from agent.camera import StreamFailed
from agent.skyeye.model import Packet, StreamInfo
from agent.skyeye.streams.opening import FFMPEG_NAMES
from agent.skyeye.streams.ring import FrozenRing
from agent.texts import say

CHUNK_BYTES: Final = 1 << 20
_TAGS: Final = {"h264": "avc1", "h265": "hvc1"}
"""hvc1, not hev1: Apple's players take no other (HLS authoring specification 1.10)."""
LAST_FRAME_S: Final = 0.04
"""How long the last picture is shown when the clip has no other to measure by: 25 a second."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip turned out to be."""

    seconds: float
    frames: int
    bytes: int
    sha256: str


class ClipWriter:
    """Writes one clip as its packets come, under another name until it is whole. Blocks: for worker threads."""

    def __init__(self, path: Path, info: StreamInfo) -> None:
        if info.codec == "other":
            raise StreamFailed(say("streams.cannot-clip", codec=info.codec))
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._info = info
        self._base = Fraction(*info.time_base)
        self._waiting: Packet | None = None
        self._first: int | None = None
        self._frames = 0
        self._step = max(1, round(LAST_FRAME_S / self._base))
        self._length = 0
        self._lock = threading.Lock()  # a cancelled clip is abandoned while its last packets are still being written
        self._output: OutputContainer = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        try:
            self._stream = _described(self._output, info)
        except (av.FFmpegError, ValueError, IndexError) as error:
            self.abandon()
            raise StreamFailed(say("streams.cannot-clip", codec=info.codec)) from error

    def write(self, packets: Sequence[Packet]) -> None:
        """Append packets; the first of all is a keyframe."""
        with self._lock:
            for packet in packets:
                if (before := self._waiting) is not None:
                    self._step = max(1, packet.dts - before.dts)
                    self._mux(before)
                self._waiting = packet

    def finish(self) -> ClipFacts:
        """Close the file, put it on the disk and give it its name."""
        with self._lock:
            if self._waiting is None:
                raise StreamFailed(say("streams.clip-empty"))
            self._mux(self._waiting)
            self._output.close()
        digest, size = _settle(self._part)
        self._part.replace(self._path)
        _sync(self._path.parent)
        return ClipFacts(float(self._length * self._base), self._frames, size, digest)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with self._lock, suppress(av.FFmpegError, OSError, ValueError):
            self._output.close()
        self._part.unlink(missing_ok=True)

    def _mux(self, packet: Packet) -> None:
        if self._first is None:
            self._first = packet.dts
        coded: av.Packet[Stream] = av.Packet(packet.data)
        coded.stream = self._stream
        coded.time_base = self._base
        coded.dts, coded.pts = packet.dts - self._first, packet.pts - self._first
        coded.duration = self._step
        coded.is_keyframe = packet.keyframe
        self._output.mux_one(coded)
        self._frames += 1
        self._length = packet.dts - self._first + self._step


def _described(output: OutputContainer, info: StreamInfo) -> Stream:
    """Make the stream of a clip. PyAV takes parameter sets only from another stream: a file of nothing else is one."""
    name = FFMPEG_NAMES[info.codec]
    if info.codec not in _TAGS:
        return output.add_mux_stream(name, width=info.width, height=info.height, time_base=Fraction(*info.time_base))
    options = {"probesize": "32", "analyzeduration": "1"}
    with av.open(io.BytesIO(info.extradata), format=name, options=options) as template:
        stream = output.add_stream_from_template(template.streams.video[0], opaque=False)
    context = stream.codec_context
    context.extradata, context.codec_tag = info.extradata, _TAGS[info.codec]
    context.width, context.height = info.width, info.height
    stream.time_base = Fraction(*info.time_base)
    return stream


async def write_clip(path: Path, frozen: FrozenRing) -> ClipFacts:
    """Write what a ring held as MP4. Raises StreamFailed, OSError."""
    return await asyncio.to_thread(_write, path, frozen)


def _write(path: Path, frozen: FrozenRing) -> ClipFacts:
    writer = open_writer(path, frozen.info)
    try:
        writer.write(frozen.packets)
        return writer.finish()
    except BaseException:
        writer.abandon()
        raise


def open_writer(path: Path, info: StreamInfo) -> ClipWriter:
    """Begin a clip. Raises StreamFailed, OSError."""
    return ClipWriter(path, info)


def _settle(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
