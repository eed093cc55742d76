"""A simulated GPIO chip (gpiochip.c, which is compiled here), and a driver in a process that sees it."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from agent.driver import BadFrame, DeviceError, Sample
from agent.texts import Text
from tests.sims.rig import RecordedLink

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = Path(__file__).with_name("gpiochip.c")
CHIP: Final = "/dev/gpiochip-sim"
LINES: Final = 32
REQUEST_BYTES: Final = 592
"""struct gpio_v2_line_request of linux/gpio.h: 64 offsets, name, configuration, number, buffer, padding, descriptor."""
NUM_LINES_AT: Final = 560
EVENT: Final = struct.Struct("=QIIII24x")
"""struct gpio_v2_line_event: time, id (1 rising, 2 falling), offset, two sequence numbers, padding."""
RISING, FALLING = 1, 2


class GpioChip:
    """One chip with 32 lines, in a folder of its own. `physical` values: an input with a pull-up rests at 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.library = folder / "gpiochip.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self.library), str(SOURCE), "-ldl"], check=True)
        (folder / "values").write_bytes(b"\x01" * LINES)
        self._path = folder / "chip.sock"
        self._server: socket.socket | None = None
        self._clients: list[tuple[socket.socket, tuple[int, ...]]] = []
        self._task: asyncio.Task[None] | None = None
        self._watches: set[asyncio.Task[None]] = set()
        self._count = 0
        self.taken = False
        """Somebody else has the lines."""
        self.loses_edges = False
        """The kernel's buffer overflows: values change, and no edge is told."""

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see the chip."""
        return {"LD_PRELOAD": str(self.library), "GPIO_SIM": str(self.folder)}

    def plug(self) -> None:
        """The chip is there."""
        self._path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server.bind(str(self._path))
        self._server.listen()
        self._server.setblocking(False)
        self._task = asyncio.create_task(self._accept(self._server))

    def unplug(self) -> None:
        """The chip is gone, and who has its lines is told."""
        self._path.unlink(missing_ok=True)
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            self._server.close()
        for client, _ in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    async def _accept(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(server)
            client.setblocking(False)
            request = await loop.sock_recv(client, REQUEST_BYTES)
            (count,) = struct.unpack_from("=I", request, NUM_LINES_AT)
            offsets = struct.unpack_from(f"={count}I", request)
            await loop.sock_sendall(client, b"-" if self.taken else b"+")
            self._clients.append((client, offsets))
            self._watches.add(asyncio.create_task(self._watch(client)))

    async def _watch(self, client: socket.socket) -> None:
        """Whoever had the lines lets go of them by closing."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(client, 1)
        self._clients = [known for known in self._clients if known[0] is not client]
        client.close()

    def set(self, line: int, value: bool) -> None:
        """Set a line's physical value, and tell the edge."""
        with (self.folder / "values").open("r+b") as file:
            file.seek(line)
            before = file.read(1)
            file.seek(line)
            file.write(bytes([value]))
        if before == bytes([value]) or self.loses_edges:
            return
        self._count += 1
        # active low, as the driver asks for by default: the kernel tells edges of the logical value
        event = EVENT.pack(time.monotonic_ns(), FALLING if value else RISING, line, self._count, self._count)
        for client, offsets in self._clients:
            if line in offsets:
                with contextlib.suppress(OSError):
                    client.send(event)

    def value(self, line: int) -> bool:
        """A line's physical value."""
        return bool((self.folder / "values").read_bytes()[line])


class Away:
    """A driver in a process of its own (tests.sims.gpio_child); `link` records what it does."""

    def __init__(self, name: str, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.link = RecordedLink(SystemClock("Asia/Shanghai"), None)
        self._arguments = (name, json.dumps(dict(settings)))
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._task = asyncio.create_task(self._run())

    async def want(self, values: Mapping[int, bool]) -> None:
        """Set the outputs that are wanted."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({str(k): v for k, v in values.items()}).encode() + b"\n")
        await self._process.stdin.drain()

    async def _run(self) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.sims.gpio_child", *self._arguments),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self._heard(json.loads(line))

    def _heard(self, word: dict[str, Any]) -> None:
        link = self.link
        match word.pop("word"):
            case "start":
                link.starts += 1
            case "alive":
                link.heard += 1
            case "emit":
                link.samples.extend(Sample(**sample) for sample in word["samples"])
                link.heard += 1
            case "wrote":
                link.written.append((word["output"], word["value"]))
            case "reject":
                link.rejected.append((bytes.fromhex(word["raw"]), BadFrame(word["expected"], b"")))
            case "error":
                link.errors.append(DeviceError(Text(word["key"], word["args"])))

    async def end(self) -> None:
        """Cancel the driver; it must end without an error."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            code = await self._process.wait()
            assert code == 0
        await self._task
