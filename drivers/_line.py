"""What drivers of devices that speak by themselves on a line of their own have in common: frames out of bytes, and
what is told once of what comes many times.

A host sends a report until it hears that somebody has it. So each report is told once, and every copy of it is
acknowledged, or the host goes on. One that goes on all the same is counted and reported, and costs no disk.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from re import Pattern
from typing import Final, Protocol

from agent.driver import NS_PER_S, BadFrame, DeviceError, Link, SerialLine, say

RETRY_CAP_S: Final = 5.0
"""A port that is opened in vain costs nobody anything, and a host that is not heard may have an alarm."""
SUBJECTS_KEPT: Final = 1_024
"""Zones, users or buttons whose last report is remembered, to know its copies."""
FRAMES_AT_ONCE: Final = 32
"""Frames that are looked at before others have their turn: some milliseconds, on a line that never pauses."""
REJECTED_BYTES: Final = 512
"""How much of what cannot be read is handed on at once."""

Reject = Callable[[bytes, BadFrame], None]
"""`Link.reject`."""


class Framer(Protocol):
    """Finds frames in bytes as they come. It holds back one frame at most; what is none is rejected."""

    def feed(self, data: bytes, reject: Reject) -> Iterable[bytes]: ...


class Terminated:
    """Frames that end with `end`. Of what is too long to be one, the last bytes may still be one if `tail`: a host
    that was cut off, or noise, has no end. Otherwise all up to the next end is dropped."""

    def __init__(self, end: bytes, longest: int, *, tail: bool) -> None:
        self._end = end
        self._longest = longest
        self._tail = tail
        self._buffer = b""
        self._dropping = False

    def feed(self, data: bytes, reject: Reject) -> Iterator[bytes]:
        """Return the frames that are whole now, without their ends."""
        *whole, self._buffer = (self._buffer + data).split(self._end)
        for frame in whole:
            if fitting := self._fit(frame, reject):
                yield fitting
            self._dropping = False
        self._buffer = self._fit(self._buffer, reject)

    def _fit(self, frame: bytes, reject: Reject) -> bytes:
        if self._dropping:
            return b""
        if (excess := len(frame) - self._longest) <= 0:
            return frame
        junk = frame[:excess] if self._tail else frame
        reject(junk[:REJECTED_BYTES], BadFrame(f"<= {self._longest} bytes", junk))
        self._dropping = not self._tail
        return frame[excess:] if self._tail else b""


class Matched:
    """Frames that a pattern finds; what stands between them is rejected. `longest` is the longest that it can match."""

    def __init__(self, pattern: Pattern[bytes], longest: int, expected: str, *, blank: bytes = b"") -> None:
        self._pattern = pattern
        self._longest = longest
        self._expected = expected
        self._blank = blank
        self._buffer = b""

    def feed(self, data: bytes, reject: Reject) -> Iterator[bytes]:
        """Return the frames that are whole now."""
        buffer, done = self._buffer + data, 0
        self._buffer = b""
        for match in self._pattern.finditer(buffer):
            self._between(buffer[done : match.start()], reject)
            done = match.end()
            yield match[0]
        rest = buffer[done:]
        self._buffer = rest[-self._longest :]
        self._between(rest[: -self._longest], reject)

    def _between(self, junk: bytes, reject: Reject) -> None:
        if junk.strip(self._blank or None):
            reject(junk[:REJECTED_BYTES], BadFrame(self._expected, junk))


class Repeating(BadFrame):
    """A report that comes again and again, though it is acknowledged."""

    def __init__(self, count: int, frame: bytes) -> None:
        super().__init__("-", frame)
        self.text = say("line.repeating", count=count, frame=frame.decode("ascii", "replace").strip())
        self.args = (self.text,)


class Silent(DeviceError):
    """Nothing was heard for longer than the device's own heartbeat allows; opening the line again may help."""

    def __init__(self, seconds: float) -> None:
        super().__init__(say("line.silent", seconds=f"{seconds:g}"))


class Copies:
    """Tells a copy of a report from a new one. `subject` is what a report is about, `report` what it says: of one
    subject only the last report can have copies, since they come in order. The window slides, so that a device that
    never stops makes one event."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = round(window_s * NS_PER_S)
        self._last: OrderedDict[Hashable, tuple[Hashable, int, int]] = OrderedDict()

    def count(self, subject: Hashable, report: Hashable, now_ns: int) -> int:
        """Return how many have come by now, this one included: 1 is a new report."""
        known, count, seen_ns = self._last.pop(subject, (None, 0, 0))
        count = count + 1 if known == report and now_ns - seen_ns <= self._window_ns else 1
        self._last[subject] = report, count, now_ns
        if len(self._last) > SUBJECTS_KEPT:
            self._last.popitem(last=False)
        return count


async def serve(
    link: Link,
    line: SerialLine,
    framer: Framer,
    take: Callable[[bytes], Awaitable[None]],
    *,
    silence_s: float | None = None,
) -> None:
    """Give every frame to `take`, which raises BadFrame for what it cannot read. Raises DeviceError when the port is
    lost, or no good frame came for `silence_s`."""
    loop = asyncio.get_running_loop()
    heard = loop.time()
    while True:
        try:
            async with asyncio.timeout_at(None if silence_s is None else heard + silence_s):
                data = await line.read()
        except TimeoutError:
            assert silence_s is not None, "without a limit there is no timeout"
            raise Silent(silence_s) from None
        for number, frame in enumerate(framer.feed(data, link.reject), 1):
            try:
                await take(frame)
            except BadFrame as error:
                link.reject(frame, error)
            else:
                heard = loop.time()
            if number % FRAMES_AT_ONCE == 0:
                await asyncio.sleep(0)
