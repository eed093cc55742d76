"""From pictures to packets: feeds have pictures at their pace, players send them to one client each, one pacer drives
all feeds that somebody looks at."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

from agent.demo.camera.film import Film
from agent.demo.camera.rtp import (
    CLOCK_HZ,
    H264_FU_A,
    MARKER,
    PAYLOAD_TYPE,
    RTP,
    VERSION,
    Frame,
    Parameters,
    sender_report,
)
from agent.demo.camera.spec import RtspMode, StreamSpec

TICK_S: Final = 0.01
"""The pacer's finest step: a picture is at most so late, as in a real camera's jitter."""
LATE_S: Final = 1.0
"""A process that stood still for longer goes on from now, without a burst."""
REPORT_S: Final = 5.0
"""Between sender reports (RFC 3550 6.2's minimum)."""
BUFFER_BYTES: Final = 4 << 20
"""A client that reads too slowly loses whole pictures beyond this."""
LEAP: Final = 3600 * CLOCK_HZ
BACK: Final = 5 * CLOCK_HZ
SPOILT_FOR_S: Final = 1.0
"""How long a leap of timestamps lasts before the next."""


def junk(payload: bytes) -> bytes:
    """A payload of ones behind its headers (RFC 6184 5.4, 5.8): a slice of the wrong kind, which no decoder mends.
    Random bytes make a grey picture now and then."""
    head = 2 if payload[0] & 0x1F == H264_FU_A else 1
    return payload[:head] + b"\xff" * (len(payload) - head)


class Feed:
    """One stream of one camera, live for all who look at it."""

    def __init__(self, stream: StreamSpec, pacer: "Pacer", source: "Source") -> None:
        self.stream = stream
        self.source = source
        self.players: set[Player] = set()
        self.number = 0
        """The picture that is next; it never runs back."""
        self._pacer = pacer
        self._began_s = time.monotonic() - random.random()

    @property
    def sets(self) -> Parameters:
        return self.source.sets

    def catch_up(self) -> None:
        """Nobody looked: go on from now."""
        if not self.players:
            self.number = self._due(time.monotonic()) + 1

    def join(self, player: "Player") -> None:
        self.players.add(player)
        self._pacer.wake(self)

    def leave(self, player: "Player") -> None:
        self.players.discard(player)
        if not self.players:
            self._pacer.rest(self)

    def tick(self, now_s: float) -> None:
        """Send what is due."""
        due = self._due(now_s)
        if due - self.number > LATE_S * self.stream.fps:
            self.number = due
        while self.number <= due:
            timestamp = self.number * CLOCK_HZ // self.stream.fps
            for frame in self.source.pictures(self.number):
                for player in tuple(self.players):
                    player.send(frame, timestamp, now_s)
            self.number += 1

    def _due(self, now_s: float) -> int:
        return int((now_s - self._began_s) * self.stream.fps)


class Source(Protocol):
    """Where a feed's pictures come from."""

    @property
    def sets(self) -> Parameters: ...

    def pictures(self, number: int) -> tuple[Frame, ...]:
        """The picture of that number; none, if the encoder keeps it back."""
        ...


class Looped:
    """A film, over and over; another film begins with its keyframe at once."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self._new: Film | None = film
        self._first = 0

    @property
    def sets(self) -> Parameters:
        return (self._new or self.film).sets

    def change(self, film: Film) -> None:
        self._new = film

    def pictures(self, number: int) -> tuple[Frame, ...]:
        if self._new:
            self.film, self._new, self._first = self._new, None, number
        frames = self.film.frames
        return (frames[(number - self._first) % len(frames)],)


class Pacer:
    """Drives the feeds that are looked at."""

    def __init__(self) -> None:
        self._feeds: set[Feed] = set()
        self._task: asyncio.Task[None] | None = None

    def wake(self, feed: Feed) -> None:
        self._feeds.add(feed)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def rest(self, feed: Feed) -> None:
        self._feeds.discard(feed)

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._feeds:
            now_s = time.monotonic()
            for feed in tuple(self._feeds):
                feed.tick(now_s)
            await asyncio.sleep(TICK_S)


class Player:
    """One client's view of one feed: numbers, times and the way out. Begins with a keyframe."""

    def __init__(self, feed: Feed, after_s: float, mode: Callable[[], RtspMode]) -> None:
        self.ssrc = secrets.randbits(32)
        self._feed = feed
        self._mode = mode
        self._after_s = after_s
        self._sequence = secrets.randbits(15)
        self._base = secrets.randbits(31)
        self._began_s: float | None = None
        self._waiting = True
        self._playing = False
        self._packets = 0
        self._octets = 0
        self._reported_s = 0.0
        self._stood: int | None = None
        self._out: Callable[[list[bytes]], None] = lambda _packets: None
        self._control: Callable[[bytes], None] = lambda _packet: None
        self._full: Callable[[], bool] = lambda: False
        self._hang_up: Callable[[], None] = lambda: None

    # the way out

    def over_connection(self, transport: asyncio.WriteTransport, channels: tuple[int, int]) -> None:
        """RTP between the answers (RFC 2326 10.12)."""
        head = b"$" + bytes([channels[0]])

        def out(packets: list[bytes]) -> None:
            pieces = []
            for packet in packets:
                pieces += [head, len(packet).to_bytes(2, "big"), packet]
            transport.write(b"".join(pieces))

        self._out = out
        self._control = lambda packet: transport.write(
            b"$" + bytes([channels[1]]) + len(packet).to_bytes(2, "big") + packet
        )
        self._full = lambda: transport.is_closing() or transport.get_write_buffer_size() > BUFFER_BYTES
        self._hang_up = transport.close

    def over_datagrams(self, data: asyncio.DatagramTransport, control: asyncio.DatagramTransport) -> None:
        def out(packets: list[bytes]) -> None:
            for packet in packets:
                data.sendto(packet)

        self._out = out
        self._control = control.sendto

    # playing

    @property
    def rtp_info(self) -> str:
        """For PLAY's answer (RFC 2326 12.33)."""
        timestamp = self._feed.number * CLOCK_HZ // self._feed.stream.fps
        return f"seq={self._sequence & 0xFFFF};rtptime={timestamp + self._base & 0xFFFFFFFF}"

    def begin(self) -> None:
        """Be ready to play."""
        self._waiting = True
        self._feed.catch_up()

    def play(self) -> None:
        """Send from the next keyframe on."""
        self._playing = True
        self._feed.join(self)

    def leave(self) -> None:
        self._playing = False
        self._feed.leave(self)

    def send(self, frame: Frame, timestamp: int, now_s: float) -> None:
        """Send one picture."""
        mode = self._mode()
        if mode == "hang" or self._full():
            return
        if self._waiting and not frame.keyframe and mode != "no-keyframe":
            return
        self._waiting = False
        self._began_s = self._began_s or now_s
        spoilt = now_s - self._began_s >= self._after_s
        if spoilt and not self._spoil(mode, frame):
            return
        shift = self._shift(mode, now_s - self._began_s - self._after_s) if spoilt else 0
        stamp = self._stand(timestamp) if spoilt and mode == "repeat" else timestamp + self._base + shift
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            report = sender_report(self.ssrc, time.time(), stamp, self._packets, self._octets)  # the camera's clock
            self._control(report)
        payloads = frame.payloads
        if spoilt and mode == "junk":
            payloads = tuple(map(junk, payloads))
        self._write(payloads, stamp & 0xFFFFFFFF)

    def _write(self, payloads: tuple[bytes, ...], stamp: int) -> None:
        sequence, ssrc, packets = self._sequence, self.ssrc, []
        last = len(payloads) - 1
        for number, payload in enumerate(payloads):
            kind = PAYLOAD_TYPE | (MARKER if number == last else 0)
            packets.append(RTP.pack(VERSION, kind, sequence & 0xFFFF, stamp, ssrc) + payload)
            sequence += 1
            self._octets += len(payload)
        self._sequence = sequence
        self._packets += len(packets)
        self._out(packets)

    # what bad cameras do

    def _spoil(self, mode: RtspMode, frame: Frame) -> bool:
        """Whether a picture is sent at all."""
        if mode == "stop":
            return False
        if mode == "cut":
            self._hang_up()
            return False
        return not (mode == "no-keyframe" and frame.keyframe)

    def _shift(self, mode: RtspMode, since_s: float) -> int:
        if mode == "jump":
            return LEAP * (1 + int(since_s / SPOILT_FOR_S))
        if mode == "backward":
            return -BACK * (1 + int(since_s / SPOILT_FOR_S))
        return 0

    def _stand(self, timestamp: int) -> int:
        if self._stood is None:
            self._stood = timestamp + self._base
        return self._stood
