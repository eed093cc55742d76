"""A card reader at the wire: libosdp's own peripheral device behind a pty."""

import asyncio
import contextlib
import os
import termios
import tty
from pathlib import Path
from typing import Any, Final, Self

import osdp  # type: ignore[import-untyped]  # it has none

REFRESH_S: Final = 0.01


class _Channel:
    """Bytes between the library and the pty; what is dead or garbled happens here."""

    def __init__(self) -> None:
        self.fd = -1
        self.dead = False
        self.garbage = b""

    def read(self, max_bytes: int) -> bytes:
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self.fd, max_bytes)
            return b"" if self.dead else data
        return b""

    def write(self, data: bytes) -> int:
        if not self.dead:
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self.fd, self.garbage or bytes(data))
        return len(data)

    def flush(self) -> None:
        """A pty holds nothing back."""


class CardReader:
    """One reader with a door contact on input 0 and a lock on output 0. `commands` is what it was told."""

    def __init__(self, link: Path, *, address: int = 1, key: bytes | None = None) -> None:
        self.link = link
        self.commands: list[dict[str, Any]] = []
        self._reports: dict[int, dict[str, Any]] = {}
        self._channel = _Channel()
        self._slave = -1
        self._task: asyncio.Task[None] | None = None
        flags = [osdp.LibFlag.EnforceSecure] if key else []
        capabilities = osdp.PDCapabilities(
            [
                (osdp.Capability.OutputControl, 1, 2),
                (osdp.Capability.ContactStatusMonitoring, 1, 4),
                (osdp.Capability.LEDControl, 1, 1),
                (osdp.Capability.AudibleControl, 1, 1),
            ]
        )
        info = osdp.PDInfo(address, self._channel, scbk=key, flags=flags)
        self._device = osdp.PeripheralDevice(info, capabilities, log_level=osdp.LogLevel.Emergency)
        self._device.ctx.set_command_callback(self._command)

    def _command(self, command: dict[str, Any]) -> tuple[int, None]:
        self.commands.append(command)
        return 0, None

    async def __aenter__(self) -> Self:
        self.plug()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.unplug()

    async def _run(self) -> None:
        online = False
        while True:
            self._device.ctx.refresh()
            if self._device.ctx.is_online() and not online:  # as many do, it tells its state to a panel that is new
                for report in self._reports.values():
                    self._device.ctx.submit_event(report)
            online = self._device.ctx.is_online()
            await asyncio.sleep(REFRESH_S)

    def plug(self) -> None:
        """Make a pty and point the link at it."""
        self._channel.fd, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._channel.fd, False)
        self.link.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """Take the pty away."""
        if self._channel.fd >= 0:
            os.close(self._channel.fd)
            os.close(self._slave)
            self._channel.fd = -1
            self.link.unlink(missing_ok=True)

    def card(self, data: bytes, bits: int) -> None:
        """Somebody holds a card to it."""
        event = {"event": osdp.Event.CardRead, "reader_no": 0, "direction": 0, "format": osdp.CardFormat.Wiegand}
        self._device.ctx.submit_event({**event, "length": bits, "data": data})

    def inputs(self, *values: int) -> None:
        """Its inputs show this."""
        self._report(osdp.StatusReportType.Input, bytes(values))

    def local(self, *, tamper: bool = False, power: bool = False) -> None:
        """Its own state: opened, and without mains."""
        self._report(osdp.StatusReportType.Local, bytes([tamper, power]))

    def _report(self, type_: int, report: bytes) -> None:
        event = {"event": osdp.Event.Status, "type": type_, "report": report}
        self._reports[type_] = event
        self._device.ctx.submit_event(event)

    def silence(self) -> None:
        """It answers nothing."""
        self._channel.dead = True

    def speak(self) -> None:
        """It answers again."""
        self._channel.dead = False

    def inject(self, data: bytes) -> None:
        """Put bytes on the line that are no packet, now and in place of each of its packets."""
        self._channel.garbage = data
        if self._channel.fd >= 0 and data:
            with contextlib.suppress(BlockingIOError):
                os.write(self._channel.fd, data)
