"""A simulated GSM modem on a pty: it takes short messages, or misbehaves as modems do.

What it is given it reads by its own decoder, on purpose: a mistake in the driver's encoder must not be mirrored.
Source: 3GPP TS 27.005 (AT+CMGS, +CDS), TS 23.040, 9.2.2.2 (SUBMIT) and 9.2.2.3 (STATUS-REPORT).
"""

import asyncio
import os
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

READ_BYTES: Final = 4096
PENDING_BYTES: Final = 2048
CTRL_Z: Final = 0x1A
ESCAPE: Final = 0x1B
UCS2: Final = 0x08
HEADER_BIT: Final = 0x40
REPORT_BIT: Final = 0x20
GOOD_STATUS: Final = 0x00
NO_SUBSCRIBER: Final = 0x41
"""9.2.3.15: incompatible destination, no more tries."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message as the network got it. `parts` and `position` are (1, 1) for a whole one."""

    number: str
    text: str
    wants_report: bool
    reference: int = 0
    parts: int = 1
    position: int = 1


@dataclass
class Habits:
    """How this modem is, and what is wrong with it."""

    echo: bool = True
    silent: bool = False
    """It answers nothing at all."""
    pin: str = ""
    """The PIN that the SIM card wants."""
    no_sim: bool = False
    registered: int = 1
    signal: int = 21
    refuses: dict[str, int] = field(default_factory=dict)
    """+CMS ERROR by number."""
    dies_in_prompt: bool = False
    """It shows the prompt and hangs then."""
    chatter: bool = False
    """It throws words of its own into every answer."""
    reports: bool = True
    stores_reports: bool = False
    """It tells only where a report is (+CDSI)."""
    failed_numbers: tuple[str, ...] = ()
    """Phones that the network reports as lost for good."""


class SimModem:
    """`async with SimModem(path) as modem`: a pty behind the symlink `path`."""

    def __init__(self, link: Path, habits: Habits | None = None) -> None:
        self.link = link
        self.habits = habits or Habits()
        self.sent: list[Part] = []
        self.commands: list[str] = []
        self.on_sent: Callable[[Part], None] = lambda _part: None
        self.pin_tries = 0
        self._unlocked = False
        self._prompt: int | None = None
        self._pending = bytearray()
        self._reference = 0
        self._stored: dict[int, str] = {}
        self._master = -1

    async def __aenter__(self) -> Self:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        self._slave = slave  # kept open: a pty whose last user closes it reports a hang-up
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self.link.unlink(missing_ok=True)

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Whole messages as phones show them, by number."""
        found: dict[tuple[str, int, int], dict[int, str]] = {}
        for order, part in enumerate(self.sent):
            key = (part.number, part.reference, order if part.parts == 1 else -1)
            found.setdefault(key, {})[part.position] = part.text
        return [(key[0], "".join(parts[position] for position in sorted(parts))) for key, parts in found.items()]

    def _readable(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except (BlockingIOError, OSError):
            return
        if self.habits.silent:
            return
        for byte in data:
            self._byte(byte)

    def _byte(self, byte: int) -> None:
        if self._prompt is not None and byte == CTRL_Z:
            self._submit(self._pending.decode("ascii"))
        elif byte == ESCAPE:
            self._prompt = None
            self._pending.clear()
        elif self._prompt is None and byte in b"\r\n":
            command = self._pending.decode("ascii", "replace")
            self._pending.clear()
            if command:
                self._command(command)
        else:
            self._pending.append(byte)
            del self._pending[:-PENDING_BYTES]

    def _say(self, *lines: str) -> None:
        for line in lines:
            os.write(self._master, f"\r\n{line}\r\n".encode("ascii"))

    def _command(self, command: str) -> None:
        self.commands.append(command)
        if self.habits.echo:
            os.write(self._master, command.encode("ascii") + b"\r")
        if self.habits.chatter:
            self._say('+CMTI: "SM",3', "^RSSI: 19", "RING")
        name = command.upper().removeprefix("AT").partition("=")[0]
        answers = {
            "": [],
            "E0": [],
            "+CGMI": ["ACME"],
            "+CGMM": ["SIM-1"],
            "+CGMR": ["Revision: 1.0"],
            "+CSQ": [f"+CSQ: {self.habits.signal},0"],
            "+CREG?": [f"+CREG: 0,{self.habits.registered}"],
            "+CMEE": [],
            "+CMGF": [],
            "+CNMI": [],
            "+CSCA": [],
        }
        if name == "E0":
            self.habits.echo = False
        if name == "+CMGS":
            self._prompt = int(command.partition("=")[2])
            os.write(self._master, b"\r\n> ")
            if self.habits.dies_in_prompt:
                self.habits.silent = True
        elif name.startswith("+CPIN"):
            self._pin(command)
        elif name == "+CMGR" and (report := self._stored.get(int(command.partition("=")[2]))):
            self._say("+CMGR: ,25", report, "OK")
        elif name == "+CMGD":
            self._stored.pop(int(command.partition("=")[2]), None)
            self._say("OK")
        elif name in answers:
            self._say(*answers[name], "OK")
        else:
            self._say("+CME ERROR: 4")

    def _pin(self, command: str) -> None:
        locked = bool(self.habits.pin) and not self._unlocked
        if command.endswith("?"):
            self._say("+CME ERROR: 10") if self.habits.no_sim else self._say(
                "+CPIN: SIM PIN" if locked else "+CPIN: READY", "OK"
            )
            return
        self.pin_tries += 1
        self._unlocked = command.partition("=")[2].strip('"') == self.habits.pin
        self._say("OK" if self._unlocked else "+CME ERROR: 16")

    def _submit(self, digits: str) -> None:
        length, self._prompt = self._prompt, None
        self._pending.clear()
        if self.habits.silent:
            return
        data = bytes.fromhex(digits)
        tpdu = data[1 + data[0] :]
        if len(tpdu) != length:
            self._say("+CMS ERROR: 304")  # invalid PDU mode parameter
            return
        part = read_submit(tpdu)
        if code := self.habits.refuses.get(part.number):
            self._say(f"+CMS ERROR: {code}")
            return
        self.sent.append(part)
        self.on_sent(part)
        self._reference = (self._reference + 1) % 256
        self._say(f"+CMGS: {self._reference}", "OK")
        if part.wants_report and self.habits.reports:
            status = NO_SUBSCRIBER if part.number in self.habits.failed_numbers else GOOD_STATUS
            self._report(status_report(self._reference, part.number, status))

    def _report(self, digits: str) -> None:
        if self.habits.stores_reports:
            place = len(self._stored) + 1
            self._stored[place] = digits
            self._say(f'+CDSI: "SR",{place}')
        else:
            self._say(f"+CDS: {len(digits) // 2 - 1}", digits)


def read_submit(tpdu: bytes) -> Part:
    """Read an SMS-SUBMIT with a relative validity."""
    first, digits = tpdu[0], tpdu[2]
    end = 4 + (digits + 1) // 2
    number = "".join(f"{byte & 0xF}{byte >> 4:x}" for byte in tpdu[4:end])[:digits]
    number = ("+" if tpdu[3] == 0x91 else "") + number
    coding, length, data = tpdu[end + 1], tpdu[end + 3], tpdu[end + 4 :]
    reference, parts, position, skip = 0, 1, 1, 0
    if first & HEADER_BIT:
        skip = 1 + data[0]
        reference, parts, position = data[3], data[4], data[5]
    if coding == UCS2:
        text = data[skip:length].decode("utf-16-be")
    else:
        bits = int.from_bytes(data, "little")
        start = -(-skip * 8 // 7)
        text = "".join(chr(bits >> position * 7 & 0x7F) for position in range(start, length))
    return Part(number, text, bool(first & REPORT_BIT), reference, parts, position)


def status_report(reference: int, number: str, status: int) -> str:
    """An SMS-STATUS-REPORT as a modem shows it."""
    digits = number.lstrip("+")
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[place + 1] + padded[place] for place in range(0, len(padded), 2))
    kind = "91" if number.startswith("+") else "81"
    moment = "62113280000023"
    return f"0006{reference:02X}{len(digits):02X}{kind}{swapped}{moment}{moment}{status:02X}"
