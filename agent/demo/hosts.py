"""Simulated devices that speak by themselves on a serial line: a Sur-Gard receiver, an alarm host that prints Contact
ID, a printer of a fire panel, a receiver of radio buttons. Each behind a pty, and each may misbehave.

What they send is put together here from the manuals, and not by the drivers' code, so that a mistake of theirs is not
mirrored. Source: MLR2-E Installation Manual, section 9 (acknowledgement within 4 s, three more tries, then storing
until a heartbeat is acknowledged); SIA DC-05-1999.09 (checksum); what drivers/text.py and drivers/ev1527.py name.
"""

import asyncio
import contextlib
import os
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

READ_BYTES: Final = 4096
ACK: Final = b"\x06"
RESEND_S: Final = 4.0
RESENDS: Final = 3
"""MLR2-E, 9.2."""
HEARTBEAT_S: Final = 30.0
HEARTBEAT: Final = b"1011           @    \x14"
GARBAGE_EVERY_S: Final = 0.01


class Pty:
    """The device's side of a pty, and a stable symlink to the other side."""

    def __init__(self, link: Path, take: Callable[[bytes], None]) -> None:
        self.link = link
        self._take = take
        self._fds: tuple[int, int] | None = None

    def plug(self) -> None:
        """Make a new pty and point the symlink at it."""
        self.unplug()
        self._fds = ours, theirs = os.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        os.set_blocking(ours, False)
        asyncio.get_running_loop().add_reader(ours, self._readable)
        aside = self.link.with_name(self.link.name + ".new")
        aside.symlink_to(os.ttyname(theirs))
        aside.replace(self.link)

    def unplug(self) -> None:
        """Take it away: whoever has it open gets an error."""
        if self._fds is None:
            return
        asyncio.get_running_loop().remove_reader(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self._fds = None
        self.link.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Send. What nobody reads is lost, as on a wire."""
        if self._fds is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._fds[0], data)

    def _readable(self) -> None:
        assert self._fds is not None, "the reader goes with the pty"
        with contextlib.suppress(BlockingIOError):
            self._take(os.read(self._fds[0], READ_BYTES))


class Talker:
    """A device that speaks by itself. `async with Talker(path) as talker`: plugged in, and taken away at the end."""

    def __init__(self, link: Path) -> None:
        self.pty = Pty(link, self.heard)
        self.silent = False
        """Nothing that it sends arrives."""
        self.garbage = b""
        """Comes all the time, and before everything it sends."""
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self.pty.plug()
        self._tasks = [asyncio.create_task(work) for work in (self._babble(), self.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pty.unplug()

    async def run(self) -> None:
        """What it does besides answering."""

    def heard(self, data: bytes) -> None:
        """Bytes that came to it."""

    def send(self, data: bytes) -> None:
        """Put bytes on the line."""
        if not self.silent:
            self.pty.write(self.garbage + data)

    async def _babble(self) -> None:
        while True:
            await asyncio.sleep(GARBAGE_EVERY_S)
            if self.garbage:
                self.send(b"")


class Reporter(Talker):
    """A device that sends reports one after another, each until it is acknowledged: after three more tries it pauses,
    and begins again."""

    def __init__(self, link: Path, *, resend_s: float = RESEND_S, heartbeat_s: float | None = None) -> None:
        super().__init__(link)
        self.resend_s = resend_s
        self.heartbeat_s = heartbeat_s
        self.acks = 0
        self.sent = 0
        """Frames that went out, copies included."""
        self.latencies_ms: list[float] = []
        """From the first sending to the acknowledgement, of reports that needed no second."""
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._acked = asyncio.Event()

    def heard(self, data: bytes) -> None:
        self.acks += data.count(ACK)
        if ACK in data:
            self._acked.set()

    def put(self, frame: bytes) -> None:
        """Queue a frame to be sent."""
        self._queue.put_nowait(frame)

    @property
    def waiting(self) -> int:
        """Reports that nobody has acknowledged."""
        return self._queue.qsize()

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.heartbeat_s):
                    frame = await self._queue.get()
            except TimeoutError:
                await self._deliver(HEARTBEAT)
                continue
            while not await self._deliver(frame):  # noqa: ASYNC110 - the report is sent again
                await asyncio.sleep(self.resend_s)

    async def _deliver(self, frame: bytes) -> bool:
        began = time.monotonic()
        for number in range(1 + RESENDS):
            self._acked.clear()
            self.send(frame)
            self.sent += 1
            try:
                async with asyncio.timeout(self.resend_s):
                    await self._acked.wait()
            except TimeoutError:
                continue
            if number == 0 and frame != HEARTBEAT:
                self.latencies_ms.append((time.monotonic() - began) * 1e3)
            return True
        return False


class SurGardReceiver(Reporter):
    """A receiver with one line."""

    def __init__(self, link: Path, *, resend_s: float = RESEND_S, heartbeat_s: float = HEARTBEAT_S) -> None:
        super().__init__(link, resend_s=resend_s, heartbeat_s=heartbeat_s)

    @staticmethod
    def frame(account: str, event: str) -> bytes:
        """A report: `event` is `E13001003`."""
        return f"5011 18{account}{event}\x14".encode("ascii")

    def report(self, account: str, event: str) -> None:
        """Send a report until it is acknowledged."""
        self.put(self.frame(account, event))


class ContactIdHost(Reporter):
    """A host that prints its blocks."""

    def __init__(self, link: Path, *, resend_s: float = RESEND_S, spaced: bool = True) -> None:
        super().__init__(link, resend_s=resend_s)
        self.spaced = spaced

    def frame(self, account: str, event: str) -> bytes:
        """A block with its checksum: `event` is `113001003`."""
        digits = f"{account}18{event}"
        total = sum(10 if digit == "0" else int(digit, 16) for digit in digits)
        last = "FEDCBA987654321"[total % 15 - 15]
        text = digits + ("0" if last == "A" else last)
        if self.spaced:
            text = " ".join((text[:4], text[4:6], text[6:10], text[10:12], text[12:15], text[15])) + "\r\n"
        return text.encode("ascii")

    def report(self, account: str, event: str) -> None:
        """Send a report until it is acknowledged."""
        self.put(self.frame(account, event))


class RadioReceiver(Talker):
    """A 433 MHz receiver that prints each word as `LC:A1B2C1`."""

    WORDS: Final = 3

    def press(self, transmitter: str, keys: str) -> None:
        """A short press: the transmitter sends its word three times."""
        for _ in range(self.WORDS):
            self.send(f"LC:{transmitter}{keys}\r\n".encode("ascii"))


class Printer(Talker):
    """A panel that prints."""

    def print(self, text: str, *, encoding: str = "gb18030") -> None:
        """Print, with the line ends that `text` has."""
        self.send(text.encode(encoding))
