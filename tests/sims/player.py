"""A hub of streams (agent.skyeye.streams) without a network: it repeats encoded files as the reader threads would."""

import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import av

from agent.camera import CameraError, Codec, StreamRole, Unreachable
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.texts import Text

RATE: Final = 90_000


@cache
def packets_of(path: Path) -> tuple[StreamInfo, tuple[Packet, ...]]:
    """The coded pictures of an Annex B file."""
    codec: Codec = "h265" if path.suffix in (".h265", ".hevc") else "h264"
    with av.open(str(path), format={"h264": "h264", "h265": "hevc"}[codec]) as file:
        stream = file.streams.video[0]
        fps = float(stream.average_rate or 25)
        made = [packet for packet in file.demux(stream) if packet.size]
        packets = tuple(
            Packet(bytes(one), round(i * RATE / fps), round(i * RATE / fps), one.is_keyframe, 0)
            for i, one in enumerate(made)
        )
        extradata = stream.codec_context.extradata or b""
        return StreamInfo(codec, stream.width, stream.height, fps, extradata, (1, RATE)), packets


class Member:
    """One who has joined."""

    def __init__(self, player: "Player", key: tuple[str, StreamRole], sink: PacketSink) -> None:
        self.sink = sink
        self._player = player
        self._key = key
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """No more."""
        self._stop.set()
        self._player.left(self)

    def _run(self) -> None:
        path = self._player.files.get(self._key)
        if path is None:
            error: CameraError = Unreachable(Text("live.push-unreachable"))
            self.sink.lost(error)
            return
        info, packets = packets_of(path)
        self.sink.opened(info)
        step = round(RATE / (info.fps or 25))
        count, begun = 0, time.monotonic()
        while not self._stop.is_set():
            one = packets[count % len(packets)]
            at = count * step
            self.sink.packet(Packet(one.data, at, at, one.keyframe, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))
            count += 1
            self._stop.wait(max(0.0, begun + count * step / RATE / self._player.speed - time.monotonic()))


class Player:
    """`files` by camera and role; what is not in there cannot be reached."""

    def __init__(self, files: Mapping[tuple[str, StreamRole], Path], *, speed: float = 1.0) -> None:
        self.files = dict(files)
        self.speed = speed
        self.members: list[Member] = []
        self.joined = 0

    def join(self, camera: str, role: StreamRole, sink: PacketSink, *, name: str) -> Member:
        """Let one hear a stream, from its first packet on."""
        self.joined += 1
        member = Member(self, (camera, role), sink)
        self.members.append(member)
        return member

    def left(self, member: Member) -> None:
        """One has gone."""
        if member in self.members:
            self.members.remove(member)
