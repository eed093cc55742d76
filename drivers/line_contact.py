"""A contact on the modem lines of a serial port (CTS, DSR, DCD, RI against RTS or DTR): a button without any module.

Source: TIA-232-F (RTS and DTR on are +5..+15 V, an input above +3 V is on); ioctl_tty(2), TIOCMGET. For a port behind a
network, RFC 2217, NOTIFY-MODEMSTATE.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from agent.driver import (
    NS_PER_S,
    BadFrame,
    DeviceError,
    Duration,
    Field,
    Input,
    Link,
    Modem,
    Sample,
    SerialDriver,
    SerialLine,
)

Wire = Literal["cts", "dsr", "dcd", "ri"]
WIRES: Final[tuple[Wire, ...]] = ("cts", "dsr", "dcd", "ri")
CHANGES_KEPT: Final = 4096
"""Changes that wait for the journal: a bouncing contact makes a hundred, a stuck disk may take seconds."""
FIRST_S: Final = 3.0
"""A serial server tells its lines by itself, some time after the connection."""
JOIN_S: Final = 1.0
"""The thread ends after its present look; one that hangs in a dying adapter is left behind."""


class LineContact(SerialDriver):
    """Contacts on the modem lines of a serial port.

    Source: TIA-232-F; ioctl_tty(2), TIOCMGET; RFC 2217.
    """

    name: ClassVar[str] = "line-contact"
    retry_cap_s: ClassVar[float] = 2.0
    """Opening a port costs nobody anything, and a button hangs on it."""

    lines: tuple[Wire, ...] = Field(WIRES, min_length=1, max_length=4, description="which lines have a contact")
    poll_every_s: Duration = Field(
        0.01, alias="poll_every", ge=0.002, le=1.0, description="how often they are looked at"
    )

    def inputs_available(self) -> Container[Input]:
        return list(dict.fromkeys(self.lines))

    async def run(self, link: Link) -> None:
        async with link.serial(self) as line:
            line.set_modem(rts=True, dtr=True)  # they are the supply of the contacts
            await _Port(self, link, line).serve()


@dataclass(frozen=True, slots=True)
class _Look:
    """The lines as they were seen, and the look before."""

    modem: Modem
    seen_ns: int
    previous_ns: int | None


class _Port:
    """One run. A thread looks at the lines: on USB adapters that may block for a millisecond or more, and the loop
    has other buttons to serve."""

    def __init__(self, driver: LineContact, link: Link, line: SerialLine) -> None:
        self.driver = driver
        self.link = link
        self.line = line
        self.loop = asyncio.get_running_loop()
        self.ended = threading.Event()
        self.came = asyncio.Event()
        self.looks: deque[_Look] = deque(maxlen=CHANGES_KEPT)
        self.error: DeviceError | None = None
        self.values: dict[Wire, bool] = {}

    async def serve(self) -> None:
        """Hand over what changes until cancelled. Raises DeviceError."""
        thread = threading.Thread(target=self._watch, name=f"{self.driver.port} lines", daemon=True)
        thread.start()
        listening = self.loop.create_task(self._listen())
        try:
            while True:
                await self.came.wait()
                self.came.clear()
                while self.looks:
                    await self._tell(self.looks.popleft())
                if self.error is not None:
                    raise self.error
                self.link.alive()
        finally:
            self.ended.set()
            listening.cancel()
            with suppress(asyncio.CancelledError, DeviceError):
                await listening
            await asyncio.to_thread(thread.join, JOIN_S)

    async def _tell(self, look: _Look) -> None:
        samples = []
        for wire in self.driver.lines:
            value = bool(getattr(look.modem, wire))
            if self.values.get(wire) is not value:
                previous_ns = look.previous_ns if wire in self.values else None
                self.values[wire] = value
                samples.append(Sample(wire, value, look.seen_ns, previous_ns))
        if samples:
            await self.link.emit(*samples)

    async def _listen(self) -> None:
        """Nothing is wired to the data line; what comes there is noise."""
        while True:
            data = await self.line.read()
            self.link.reject(data, BadFrame("-", data))

    def _watch(self) -> None:
        """Look at the lines until the end; in a thread."""
        began_ns = self.link.clock.boottime_ns()
        last: Modem | None = None
        previous_ns: int | None = None
        woken_ns = 0
        while not self.ended.is_set():
            try:
                modem = self.line.modem()
            except DeviceError as error:
                if last is None and self.link.clock.boottime_ns() - began_ns < FIRST_S * NS_PER_S:
                    self.ended.wait(self.driver.poll_every_s)
                    continue
                self.error = error
                self._wake()
                return
            now_ns = self.link.clock.boottime_ns()
            if modem != last:
                self.looks.append(_Look(modem, now_ns, previous_ns))
            if modem != last or now_ns - woken_ns >= NS_PER_S:
                woken_ns = now_ns
                self._wake()
            last, previous_ns = modem, now_ns
            self.ended.wait(self.driver.poll_every_s)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.came.set)
