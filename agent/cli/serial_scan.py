"""Find Modbus modules on a line: at which settings somebody answers, at which addresses, with how many inputs.

Source: MODBUS Application Protocol V1.1b3, 6.1, 6.2, 7; MODBUS over Serial Line V1.02, 2.5.1. Nothing is written.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.bus.line import Line, LineCounts
from agent.bus.port import OpenPort, SerialSettings
from agent.driver import BadFrame, DeviceError, NoReply
from agent.texts import say

READ_COILS: Final = 1
READ_INPUTS: Final = 2
EXCEPTION_BIT: Final = 0x80
REPLY_MIN: Final = 5
COUNTS: Final = (64, 32, 24, 16, 12, 8, 6, 4, 2, 1)
"""How many inputs or coils a module may have: the largest of these that it accepts."""
BAUDRATES: Final = (9600, 19200, 38400, 115200, 57600, 4800, 2400)
"""In the order of how often modules come with them."""
PARITIES: Final = ("N", "E")


@dataclass(frozen=True, slots=True)
class Found:
    """One unit. `function` is that of the inputs: "discrete", "coil", or None if it lets us read neither."""

    unit: int
    function: str | None
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, and at which settings; None if nobody answered at any."""

    settings: SerialSettings | None
    units: tuple[Found, ...]
    noise: int
    """Bytes that came and were no replies: a line that lives at other settings, or swapped wires."""


def line_settings(port: str, baudrates: Sequence[int], parities: Sequence[str]) -> Iterator[SerialSettings]:
    """Give every way to open the port, the likeliest first. Even and odd parity go with one stop bit, as does none:
    V1.02, 2.5.1 asks for two without parity, and hardly a module does."""
    if port.startswith("socket://"):  # its baud rate is set in the serial server
        yield SerialSettings(port)
        return
    for parity, baudrate in itertools.product(parities, baudrates):
        yield SerialSettings(port, baudrate=baudrate, parity=parity)


def request(unit: int, function: int, count: int) -> bytes:
    """Return a request to read `count` bits from address 0."""
    from pymodbus.framer.rtu import FramerRTU

    body = bytes((unit, function, 0, 0)) + count.to_bytes(2, "big")
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def reply(data: bytes, unit: int, function: int) -> int | None:
    """Return the bytes of bits in a reply, minus the code if it refuses; None while it is incomplete. Raises
    BadFrame."""
    from pymodbus.framer.rtu import FramerRTU

    if len(data) < REPLY_MIN:
        return None
    refused = data[1] == function | EXCEPTION_BIT
    size = REPLY_MIN if refused else REPLY_MIN + data[2]
    if data[0] != unit or not (refused or data[1] == function):
        raise BadFrame(f"{unit:02X} {function:02X} ...", data)
    if len(data) < size:
        return None
    if not FramerRTU.check_CRC(data[: size - 2], int.from_bytes(data[size - 2 : size], "big")):
        raise BadFrame("CRC", data)
    return -data[2] if refused else data[2]


class Scanner:
    """One scan of one port."""

    def __init__(self, opener: OpenPort, timeout_s: float, on_step: Callable[[SerialSettings, int], None]) -> None:
        self._opener = opener
        self._timeout_s = timeout_s
        self._on_step = on_step
        self._noise = 0

    async def run(self, candidates: Iterator[SerialSettings], units: Sequence[int]) -> Scan:
        """Try settings until somebody answers. Raises DeviceError if the port cannot be opened or is lost."""
        refused: DeviceError | None = None
        tried = 0
        for settings in candidates:
            try:
                found = await self.try_settings(settings, units)
            except DeviceError as error:
                if error.text.key != "bus.open-failed":
                    raise
                refused = error  # a port that does not know this baud rate or parity may know others
                continue
            tried += 1
            if found:
                return Scan(settings, tuple(found), self._noise)
        if refused is not None and not tried:
            raise refused
        return Scan(None, (), self._noise)

    async def try_settings(self, settings: SerialSettings, units: Sequence[int]) -> list[Found]:
        """Ask every unit at one baud rate and parity."""
        counts = LineCounts()

        def lost(error: DeviceError) -> None:
            line.close(error)

        line = Line(await self._opener(settings), settings, counts, lost)
        line.start()
        found = []
        try:
            for unit in units:
                self._on_step(settings, unit)
                if await self.ask(line, unit, READ_INPUTS, 1) is not None:
                    found.append(await self.describe(line, unit))
        finally:
            line.close(DeviceError(say("bus.stopped", port=settings.port)))
        self._noise += counts.stray_bytes if not found else 0
        return found

    async def ask(self, line: Line, unit: int, function: int, count: int) -> int | None:
        """Return what `reply` does, or None if nobody answered that can be understood."""
        try:
            return await line.exchange(
                str(unit),
                request(unit, function, count),
                lambda data: reply(data, unit, function),
                self._timeout_s,
            )
        except NoReply:
            return None
        except BadFrame as error:
            self._noise += len(error.got)
            return None

    async def describe(self, line: Line, unit: int) -> Found:
        """Find out how many inputs and coils a unit has."""
        inputs = await self.largest(line, unit, READ_INPUTS)
        coils = await self.largest(line, unit, READ_COILS)
        if inputs:
            return Found(unit, "discrete", inputs, coils)
        return Found(unit, "coil", coils, 0) if coils else Found(unit, None, 0, 0)

    async def largest(self, line: Line, unit: int, function: int) -> int:
        """Return the largest of `COUNTS` that a unit lets us read; 0 if it lets us read none."""
        for count in COUNTS:
            answer = await self.ask(line, unit, function, count)
            if answer is not None and answer == (count + 7) // 8:
                return count
            if answer == -1:  # it does not know the function at all
                return 0
        return 0


def as_toml(scan: Scan, port: str) -> str:
    """Write what was found as configuration, ready to paste."""
    settings = scan.settings
    assert settings is not None
    lines = ["[[bus]]", 'id = "rs485-1"', f'port = "{port}"']
    if not port.startswith("socket://"):
        lines.append(f"baudrate = {settings.baudrate}")
        lines += [f'parity = "{settings.parity}"'] if settings.parity != "N" else []
    for found in scan.units:
        if found.function is None:
            continue
        lines += ["", "[[device]]", f'id = "module-{found.unit}"', f'name = "{found.unit}号模块"']
        lines += ['driver = "modbus-io"', 'bus = "rs485-1"', f"unit = {found.unit}", f"inputs = {found.inputs}"]
        lines += [f"outputs = {found.outputs}"] if found.outputs else []
        lines += ['function = "coil"'] if found.function == "coil" else []
    return "\n".join(lines)
