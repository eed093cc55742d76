"""One open stream: a thread that reads it, because FFmpeg waits where it likes.

The thread is never waited for. Whoever started it stops to listen, and it ends at its next packet or when FFmpeg's own
time is up; if neither happens it is a hung one, and those are counted (agent.skyeye.streams.hung).
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from agent.camera import CameraError, StreamFailed, StreamSource, Transport
from agent.clock import NS_PER_S
from agent.skyeye.model import Packet, StreamInfo
from agent.skyeye.streams.nal import BadParameterSet, NalCodec, other_codec, parameter_sets, picture_size, plausible
from agent.skyeye.streams.opening import (
    CODECS,
    OPEN_TIMEOUT_S,
    SILENCE_S,
    Silent,
    address_of,
    explained,
    info_of,
    open_input,
)
from agent.skyeye.streams.times import Forward
from agent.texts import say

LIE_PACKETS: Final = 50
"""So many packets without a unit that the promised codec has, and the promise is a lie: two seconds of video."""


class Listener(Protocol):
    """Hears a reader, in the reader's thread. It ignores readers that it no longer listens to."""

    def begun(self, reader: "Reader", info: StreamInfo) -> None: ...
    def packet(self, reader: "Reader", packet: Packet) -> None: ...
    def ended(self, reader: "Reader", error: CameraError) -> None: ...


class Reader:
    """Reads one stream once. `packets`, `bytes` and the times are written by its thread, and may be read by others."""

    def __init__(
        self,
        source: StreamSource,
        transport: Transport,
        times: Callable[[tuple[int, int]], Forward],
        listener: Listener,
        now_ns: Callable[[], int],
    ) -> None:
        self.packets = 0
        self.bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.opened = False
        """The camera has taken the login and has begun to play."""
        self.error: CameraError | None = None
        """Why it ended."""
        self.since_ns = now_ns()
        self._source = source
        self._transport = transport
        self._times = times
        self._listener = listener
        self._now_ns = now_ns
        host, port = address_of(source)
        self.place = f"{host}:{port}"
        self._stopped = False
        self._before_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"stream {host}", daemon=True)

    def start(self) -> None:
        """Begin, and count the time from now on. Raises StreamFailed if the system has no thread left."""
        self.since_ns = self._now_ns()
        try:
            self._thread.start()
        except RuntimeError as error:
            raise StreamFailed(say("streams.no-thread")) from error

    def stop(self) -> None:
        """Ask it to end; it does so at its next packet."""
        self._stopped = True

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read()
        except CameraError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - the last frame of a thread: whatever it is, this stream has failed
            self._end(StreamFailed(say("streams.failed", place=self.place, error=type(error).__name__, number=0)))

    def _end(self, error: CameraError) -> None:
        self.error = error
        self._listener.ended(self, error)

    def _read(self) -> None:
        container, stream = open_input(self._source, self._transport)
        self.opened = True
        try:
            if (self._now_ns() - self.since_ns) / NS_PER_S > OPEN_TIMEOUT_S - 0.5:
                raise Silent(say("streams.no-answer", place=self.place, seconds=OPEN_TIMEOUT_S))
            if not self._stopped:
                self._flow(container, stream)
        except av.FFmpegError as error:
            raise self._broken(explained(error, self._source)) from None
        finally:
            with suppress(av.FFmpegError, OSError):
                container.close()
        if not self._stopped:
            raise self._broken(None)

    def _broken(self, error: CameraError | None) -> CameraError:
        # FFmpeg may call it an end when its time was up.
        quiet_s = (self._now_ns() - (self._before_ns or self.since_ns)) / NS_PER_S
        if error is None and quiet_s < SILENCE_S - 1:
            return StreamFailed(say("streams.ended", place=self.place))
        if not self.packets:
            return error or Silent(say("streams.no-answer", place=self.place, seconds=SILENCE_S))
        if error is None or isinstance(error, Silent):
            return StreamFailed(say("streams.silent", place=self.place, seconds=SILENCE_S))
        return error

    def _flow(self, container: InputContainer, stream: VideoStream) -> None:
        """Hand packets on. Runs 25 times a second for each camera: keep it small."""
        codec = CODECS.get(stream.codec_context.name, "other")
        units: NalCodec | None = codec if codec == "h264" or codec == "h265" else None
        base = stream.time_base
        forward = self._times((base.numerator, base.denominator) if base else (1, 90_000))
        info, odd = info_of(stream), 0
        if units and info is None and other_codec(units, bytes(stream.codec_context.extradata or b"")):
            raise StreamFailed(say("streams.codec-lie", codec=codec))
        if info:
            self._listener.begun(self, info)
        for coded in container.demux(stream):
            if self._stopped:
                return
            if not coded.size:
                continue
            arrived_ns, keyframe, data = self._now_ns(), coded.is_keyframe, bytes(coded)
            self._count(arrived_ns, len(data))
            if self._before_ns is not None and arrived_ns - self._before_ns > (SILENCE_S - 1) * NS_PER_S:
                # FFmpeg's time was up: it gives the picture that its parser had kept back, and would wait once more.
                raise StreamFailed(say("streams.silent", place=self.place, seconds=SILENCE_S))
            if units and odd >= 0:
                odd = -1 if plausible(units, data) else odd + 1
                if odd >= LIE_PACKETS:
                    raise StreamFailed(say("streams.codec-lie", codec=codec))
            if keyframe and units:
                info = self._parameters(units, data, info, stream)
            elif keyframe and info is None and (info := info_of(stream)):
                self._listener.begun(self, info)
            if info is None:
                continue
            pts, dts = forward.repair(coded.pts, coded.dts, arrived_ns)
            self._listener.packet(self, Packet(data, pts, dts, keyframe, arrived_ns))

    def _count(self, arrived_ns: int, size: int) -> None:
        self._before_ns = self.last_ns
        self.packets += 1
        self.bytes += size
        self.last_ns = arrived_ns
        if self.first_ns is None:
            self.first_ns = arrived_ns

    def _parameters(
        self, codec: NalCodec, data: bytes, info: StreamInfo | None, stream: VideoStream
    ) -> StreamInfo | None:
        """What a keyframe carries of itself counts more than what the SDP says, and may change in the middle."""
        sets = parameter_sets(codec, data)
        if not sets or (info and info.extradata == sets):
            return info
        try:
            width, height = picture_size(codec, sets)
        except BadParameterSet:
            return info
        rate, base = stream.average_rate, stream.time_base
        fps = float(rate) if rate and 0 < rate <= 240 else None
        info = StreamInfo(codec, width, height, fps, sets, (base.numerator, base.denominator) if base else (1, 90_000))
        self._listener.begun(self, info)
        return info
