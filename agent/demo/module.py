"""Simulated Modbus RTU modules at the wire: a pty (and a TCP port) behind which units answer, or misbehave.

The framing here is its own, on purpose: a mistake in the driver's must not be mirrored. Source: MODBUS Application
Protocol V1.1b3, 6.1, 6.2, 6.5, 6.11; MODBUS over Serial Line V1.02, 2.5.1 and 6.2.2 (CRC).
"""

import asyncio
import contextlib
import os
import termios
import time
import tty
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

READ_BYTES: Final = 4096
PENDING_BYTES: Final = 1024
"""What an unfinished request may take; more is noise."""
REQUEST_GAP_S: Final = 0.1
"""Bytes of a request that are so far apart belong to different ones (generous: a pty knows no baud rate)."""
TURNAROUND_S: Final = 0.003
"""What a common module needs before it answers; counted only with line time."""
BITS_PER_CHAR: Final = 10
"""8N1."""
COIL_ON: Final = 0xFF00
ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3

CoilHook = Callable[[int, int, bool, int], None]
"""Called with unit, coil, new value, and `time.monotonic_ns()` when a coil changes."""


def crc16(data: bytes) -> bytes:
    """Return the CRC of a frame as it goes over the line, low byte first (V1.02, 6.2.2), bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


@dataclass
class Faults:
    """What is wrong with a unit. Bytes and times apply to every reply until they are taken back."""

    dead: bool = False
    ignores_writes: bool = False
    delay_s: float = 0.0
    garbage: bytes = b""
    """Comes before the reply."""
    keep: int | None = None
    """Only so many bytes of the reply come."""
    wrong_crc: bool = False
    answers_as: int | None = None
    """The address that it puts into its replies."""
    byte_gap_s: float | None = None
    """The reply comes byte by byte, with such pauses."""


@dataclass
class Unit:
    """One module: inputs that a test sets, and coils that a master sets."""

    inputs: list[bool]
    coils: list[bool]
    registers: dict[int, int] = field(default_factory=dict)
    """Input and holding registers alike, by address; others are not there."""
    faults: Faults = field(default_factory=Faults)
    polls: int = 0
    """How often its inputs were read."""

    def power_cycle(self) -> None:
        """Lose the coils, as a module does that was without power for an instant."""
        self.coils = [False] * len(self.coils)


class Modules:
    """Units on one line. `open` makes the pty and a stable symlink to it; all runs on the event loop."""

    def __init__(
        self,
        link: Path,
        units: Iterable[int],
        *,
        inputs: int = 8,
        coils: int = 8,
        baudrate: int | None = None,
        on_coil: CoilHook | None = None,
    ) -> None:
        """`baudrate` makes bytes take their time; without it replies come at once."""
        self.link = link
        self.units = {unit: Unit([False] * inputs, [False] * coils) for unit in units}
        self.on_coil = on_coil
        self._char_s = BITS_PER_CHAR / baudrate if baudrate else 0.0
        self._turnaround_s = TURNAROUND_S if baudrate else 0.0
        self._cache: dict[bytes, bytes] = {}
        self._pty: _Pty | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def plug(self) -> None:
        """Make a new pty and point the symlink at it, as an adapter that is plugged in appears under its name."""
        self.unplug()
        self._pty = _Pty(self)
        aside = self.link.with_name(self.link.name + ".new")
        aside.symlink_to(self._pty.path)
        aside.replace(self.link)

    def unplug(self) -> None:
        """Take the pty away: whoever has it open gets an error; the symlink goes too."""
        if self._pty is not None:
            self._pty.close()
            self._pty = None
            self.link.unlink(missing_ok=True)

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Also answer on TCP, as a serial server in transparent mode does; return the port number."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), host, port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    def hang_up(self) -> None:
        """Close every TCP connection, and go on listening."""
        for client in tuple(self._clients):
            client.close()

    async def close(self) -> None:
        """Take everything away."""
        self.unplug()
        self.hang_up()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def press(self, unit: int, number: int) -> None:
        """Close an input's contact."""
        self.units[unit].inputs[number] = True

    def release(self, unit: int, number: int) -> None:
        """Open an input's contact."""
        self.units[unit].inputs[number] = False

    def inject(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for."""
        if self._pty is not None:
            self._pty.write(data)
        for client in self._clients:
            client.write(data)

    def take(self, request: bytes, wire: "_Wire") -> None:
        """Answer a request whose CRC is right, after the time that it takes."""
        unit = self.units.get(request[0])
        if unit is None or unit.faults.dead:
            return
        heard_s = len(request) * self._char_s
        delay_s = heard_s + self._turnaround_s + unit.faults.delay_s
        if not delay_s:
            self._answer(request, unit, wire)
        else:
            # looked at as late as it answers: nothing that happened meanwhile may be missing
            asyncio.get_running_loop().call_later(delay_s, self._answer, request, unit, wire)

    def _answer(self, request: bytes, unit: Unit, wire: "_Wire") -> None:
        faults = unit.faults
        body = self.reply(request, unit)
        if body is None:
            return
        if faults.answers_as is not None:
            body = bytes((faults.answers_as,)) + body[1:]
        if (reply := self._cache.get(body)) is None:
            if len(self._cache) > PENDING_BYTES:
                self._cache.clear()
            reply = self._cache[body] = body + crc16(body)
        if faults.wrong_crc:
            reply = reply[:-1] + bytes((reply[-1] ^ 0x55,))
        reply = faults.garbage + reply[: faults.keep]
        line_s = len(reply) * self._char_s
        if faults.byte_gap_s is not None:
            gap_s = max(self._char_s, faults.byte_gap_s)
            for number in range(len(reply)):
                asyncio.get_running_loop().call_later(number * gap_s, wire.write, reply[number : number + 1])
        elif line_s:
            asyncio.get_running_loop().call_later(line_s, wire.write, reply)
        else:
            wire.write(reply)

    def reply(self, request: bytes, unit: Unit) -> bytes | None:
        """Carry out a request; return the reply without CRC, or None for silence."""
        function = request[1]
        first, value = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if function in (1, 2):
            bits = unit.coils if function == 1 else unit.inputs
            unit.polls += 1
            if first + value > len(bits) or not value:
                return refuse(request, ILLEGAL_ADDRESS)
            packed = pack(bits[first : first + value])
            return request[:2] + bytes((len(packed),)) + packed
        if function in (3, 4):
            unit.polls += 1
            words = [unit.registers.get(address) for address in range(first, first + value)]
            if not words or None in words:
                return refuse(request, ILLEGAL_ADDRESS)
            packed = b"".join((word or 0).to_bytes(2, "big") for word in words)
            return request[:2] + bytes((len(packed),)) + packed
        if function not in (5, 15):
            return refuse(request, ILLEGAL_FUNCTION)
        if unit.faults.ignores_writes:
            return None
        count = 1 if function == 5 else value
        if first + count > len(unit.coils):
            return refuse(request, ILLEGAL_ADDRESS)
        if function == 5:
            if value not in (0, COIL_ON):
                return refuse(request, ILLEGAL_VALUE)
            new = [value == COIL_ON]
        else:
            new = [bool(request[7 + number // 8] >> number % 8 & 1) for number in range(count)]
        for coil, on in enumerate(new, first):
            self._set_coil(request[0], unit, coil, on)
        return request[:6]

    def _set_coil(self, address: int, unit: Unit, coil: int, on: bool) -> None:
        if unit.coils[coil] is not on:
            unit.coils[coil] = on
            if self.on_coil is not None:
                self.on_coil(address, coil, on, time.monotonic_ns())


def refuse(request: bytes, code: int) -> bytes:
    """Return an exception reply without CRC (V1.1b3, 7)."""
    return bytes((request[0], request[1] | 0x80, code))


def pack(bits: list[bool]) -> bytes:
    """Pack bits, the first into the lowest bit of the first byte (V1.1b3, 6.1)."""
    number = sum(bit << position for position, bit in enumerate(bits))
    return number.to_bytes((len(bits) + 7) // 8, "little")


class _Wire:
    """Cuts what a master sends into requests."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._pending = b""
        self._last = 0.0
        self._good: set[bytes] = set()
        """Requests whose CRC was checked before; a master sends the same few all the time."""

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Take bytes from the line."""
        now = time.monotonic()
        if now - self._last > REQUEST_GAP_S:
            self._pending = b""
        self._last = now
        pending = self._pending + data
        while len(pending) >= 8:
            size = 9 + pending[6] if pending[1] in (15, 16) else 8
            if len(pending) < size:
                break
            request, pending = pending[:size], pending[size:]
            if not self._is_good(request):
                pending = b""
                break
            self._modules.take(request, self)
        self._pending = pending[:PENDING_BYTES]

    def _is_good(self, request: bytes) -> bool:
        if request in self._good:
            return True
        if crc16(request[:-2]) != request[-2:]:
            return False
        if len(self._good) > PENDING_BYTES:
            self._good.clear()
        self._good.add(request)
        return True


class _Pty(_Wire):
    """The master's side of a pty. The other side is kept open as well, so that masters may come and go."""

    def __init__(self, modules: Modules) -> None:
        super().__init__(modules)
        self._loop = asyncio.get_running_loop()
        self._fd, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._fd, False)
        self.path = os.ttyname(self._slave)
        self._loop.add_reader(self._fd, self._readable)
        self._closed = False

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.feed(os.read(self._fd, READ_BYTES))

    def write(self, data: bytes) -> None:
        if not self._closed:
            with contextlib.suppress(BlockingIOError):  # nobody reads: lost, as on a wire
                os.write(self._fd, data)

    def close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        os.close(self._slave)


class _Client(_Wire, asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, modules: Modules) -> None:
        super().__init__(modules)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._modules._clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._modules._clients.discard(self)

    def data_received(self, data: bytes) -> None:
        self.feed(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


if __name__ == "__main__":
    from agent.demo.module_process import main

    main()
