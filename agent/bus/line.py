"""One open line: a request goes out when the line is silent, and its reply is collected.

Source of the silence between frames: MODBUS over Serial Line V1.02, 2.5.1.1. The silence belongs to the wire. A reply
that is complete sooner than its bytes and those of the request take at this baud rate has come over no such wire, but
from a gateway that keeps the silence on its own side, a module with USB, or a simulation: there the next request need
not wait, which halves what a poll costs (each wait is a wake-up of the process, 60-100 us, whatever it does then).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from agent.bus.port import BytePort, PortSettings
from agent.bus.timing import bits_per_char, silence_s
from agent.driver import BadFrame, DeviceError, NoReply
from agent.texts import say

T = TypeVar("T")

BUFFER_BYTES: Final = 512
"""What one reply may take: twice the longest RTU frame. More is noise."""
LONGEST_FRAME_BYTES: Final = 256
"""MODBUS over Serial Line V1.02, 2.5.1: the longest RTU frame."""
REPLY_GAP_S: Final = 0.05
"""A reply that has begun may pause so long: USB adapters deliver every 16 ms, serial servers every 20-50 ms."""
NOISE_WAIT_S: Final = 0.05
"""On a line that is never silent a request goes out after so long all the same: four dozen characters at 9600."""
SHOWN_BYTES: Final = 16
"""How much of an incomplete reply the error repeats."""


@dataclass(slots=True)
class LineCounts:
    """What has passed over a line since the start."""

    exchanges: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    stray_bytes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Line:
    """The traffic on one open port, one exchange at a time. Used once: a port that is opened again is a new line."""

    def __init__(
        self, port: BytePort, settings: PortSettings, counts: LineCounts, on_lost: Callable[[DeviceError], None]
    ) -> None:
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._counts = counts
        bits = bits_per_char(settings.bytesize, settings.parity, settings.stopbits)
        self._char_s = bits / settings.baudrate
        self._silence_s = silence_s(baudrate=settings.baudrate, bits_per_char=bits)

        self._wake: asyncio.Future[None] | None = None
        """Set while an exchange is under way; resolved when bytes have come."""
        self._name = ""
        self._request = b""
        self._reply = b""
        self._timeout_s = 0.0
        self._sent = False
        self._send_timer: asyncio.TimerHandle | None = None
        self._send_latest = 0.0
        self._quiet_at = self._loop.time() + self._silence_s
        self._sent_at = self._came_at = 0.0
        self._deadline = 0.0
        self._last_deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = self._loop.time()
        """When the last exchange ended, on the loop's clock."""

    @property
    def busy(self) -> bool:
        """Whether an exchange is under way."""
        return self._wake is not None

    async def exchange(self, name: str, request: bytes, decode: Callable[[bytes], T | None], timeout_s: float) -> T:
        """See agent.driver.Seat.exchange; `name` is the device's, for errors."""
        loop, counts = self._loop, self._counts
        self._name = name
        self._request = request
        self._timeout_s = timeout_s
        self._reply = b""
        self._sent = False
        self._wake = wake = loop.create_future()
        now = loop.time()
        self._send_latest = now + self._silence_s + NOISE_WAIT_S
        try:
            if self._quiet_at <= now:
                self._send()
            else:
                self._send_timer = loop.call_at(self._quiet_at, self._send)
            while True:
                await wake
                if (value := decode(self._reply)) is not None:
                    counts.exchanges += 1
                    if self._came_at < self._sent_at + (len(request) + len(self._reply)) * self._char_s:
                        self._quiet_at = 0.0  # see the module's text
                    return value
                if len(self._reply) >= BUFFER_BYTES:
                    raise BadFrame(f"<= {LONGEST_FRAME_BYTES} bytes", self._reply)
                self._wake = wake = loop.create_future()
        except NoReply:
            counts.timeouts += 1
            raise
        except BadFrame:
            counts.bad_frames += 1
            raise
        except asyncio.CancelledError:
            if self._sent:
                self._quiet_at = self._deadline  # the reply is still to come
            raise
        finally:
            self._wake = None
            self.idle_since = loop.time()
            if self._send_timer is not None:
                self._send_timer.cancel()
                self._send_timer = None

    def _send(self) -> None:
        """Write the request, as soon as the line has been silent for long enough."""
        self._send_timer = None
        assert self._wake is not None
        now = self._loop.time()
        if now < self._quiet_at and now < self._send_latest:
            self._send_timer = self._loop.call_at(min(self._quiet_at, self._send_latest), self._send)
            return
        stale = len(self._port.drain())
        self._counts.bytes_in += stale
        self._counts.stray_bytes += stale
        try:
            self._port.write(self._request)
        except DeviceError as error:
            self._on_lost(error)
            return
        self._sent = True
        self._counts.bytes_out += len(self._request)
        self._sent_at = now
        ends_at = now + len(self._request) * self._char_s
        self._quiet_at = ends_at + self._silence_s
        self._deadline = ends_at + self._timeout_s
        self._last_deadline = self._deadline + LONGEST_FRAME_BYTES * self._char_s
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._check)

    def start(self) -> None:
        """Begin to listen."""
        self._port.start(self._on_bytes, self._on_lost)

    def _on_bytes(self, data: bytes) -> None:
        """Take what the port has read."""
        now = self._came_at = self._loop.time()
        self._quiet_at = now + self._silence_s
        self._counts.bytes_in += len(data)
        wake = self._wake
        if wake is None or not self._sent:
            self._counts.stray_bytes += len(data)
            return
        self._reply = (self._reply + data)[:BUFFER_BYTES]
        if self._deadline < now + REPLY_GAP_S:
            self._deadline = min(now + REPLY_GAP_S, self._last_deadline)
        if not wake.done():
            wake.set_result(None)

    def _check(self) -> None:
        """End an exchange whose time is over. One timer serves all exchanges: when it comes too early for the one
        under way it is set again, which is far cheaper than a timer for each."""
        self._timer = None
        wake = self._wake
        if wake is None or not self._sent:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check)
        elif not wake.done():
            wake.set_exception(self._no_reply())

    def _no_reply(self) -> NoReply:
        timeout_ms = self._timeout_s * 1e3
        if not self._reply:
            return NoReply(say("bus.no-reply", device=self._name, timeout_ms=timeout_ms))
        got = self._reply[:SHOWN_BYTES].hex(" ")
        return NoReply(
            say("bus.half-reply", device=self._name, timeout_ms=timeout_ms, length=len(self._reply), got=got),
            self._reply,
        )

    def close(self, error: DeviceError) -> None:
        """Give the port back; an exchange that is under way fails with `error`."""
        for timer in (self._send_timer, self._timer):
            if timer is not None:
                timer.cancel()
        self._send_timer = self._timer = None
        self._port.close()
        if self._wake is not None and not self._wake.done():
            self._wake.set_exception(error)
