"""What every benchmark stands on: a real mosquitto, simulated modules, the daemon, and a second MQTT client."""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.control import ControlClient
from agent.demo.processes import DaemonProcess, free_port
from agent.model import Site
from bench.minimal import BAUDRATE, INPUTS, boottime_ns

T = TypeVar("T")

WAIT_S: Final = 15.0
"""For what takes milliseconds; what takes longer has failed."""
SITE: Final = Site("370812", "bench")
MOSQUITTO: Final = "/usr/sbin/mosquitto"
QUIET: Final = "allow_anonymous true\nlog_type error\nmax_queued_messages 0\n"


@dataclass
class Helper:
    """A helper process that says `ready`, and answers a line with a line."""

    process: asyncio.subprocess.Process

    async def ask(self, *words: object) -> str:
        """Send one line, and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        return await self.line()

    async def line(self) -> str:
        """Wait for one line."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def helper(*arguments: object, ready: bool = True) -> AsyncIterator[Helper]:
    """Run `python -m arguments...` for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    found = Helper(process)
    try:
        if ready and (said := await asyncio.wait_for(found.line(), WAIT_S)) != "ready":
            raise RuntimeError(f"{arguments}: {said}")
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[int]:
    """Run a real broker, without persistence and with a quiet log; yield its port."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\n{QUIET}")
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.kill()
        await process.wait()


@dataclass
class Receiver:
    """The second client: every message with the boot clock of its arrival. It can send commands, too."""

    port: int
    topics: tuple[str, ...]
    arrived: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> "Receiver":
        self._subscribed = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._take
        self._client.on_subscribe = self._note_subscribed
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in self.topics])
        deadline = time.monotonic() + WAIT_S
        while not self._subscribed:
            if time.monotonic() > deadline:
                raise TimeoutError("no SUBACK")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(self, verb: str, id_: str, args: dict[str, object]) -> None:
        """Send a command to the school."""
        self._client.publish(f"{SITE.root}/command/{verb}", json.dumps({"id": id_, "args": args}), 1)

    def events(self, type_: str, after_ns: int) -> dict[str, tuple[int, dict[str, Any]]]:
        """The events of one type since `after_ns` by their point."""
        return {
            event["data"]["point"]: (at_ns, event)
            for at_ns, _, event in list(self.arrived)
            if at_ns >= after_ns and event.get("type") == type_
        }

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        at_ns = boottime_ns()
        self.arrived.append((at_ns, message.topic, json.loads(message.payload)))

    def _note_subscribed(self, *_: object) -> None:
        self._subscribed = True


async def until(look: Callable[[], T], what: str, *, wait_s: float = WAIT_S, every_s: float = 0.005) -> T:
    """Wait until `look` returns something true, and return that."""
    deadline = time.monotonic() + wait_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(every_s)
    return found


def config(folder: Path, port: int, line: Path, units: int, *, more: str = "", cameras: tuple[str, ...] = ()) -> str:
    """A school with so many modules of eight panic buttons with lamps on one line; `cameras` look at the buttons."""
    text = f"""
[site]
district = "{SITE.district}"
school = "{SITE.school}"
name = "bench"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/control.sock"
[uplink]
brokers = ["mqtt://127.0.0.1:{port}"]
receipts = false
ack_timeout = "3600s"
[[bus]]
id = "line"
port = "{line}"
baudrate = {BAUDRATE}
poll_interval = "50ms"
"""
    for unit in range(1, units + 1):
        text += f"""
[[device]]
id = "m{unit}"
name = "m{unit}"
driver = "modbus-io"
bus = "line"
unit = {unit}
inputs = {INPUTS}
outputs = {INPUTS}
"""
        for number in range(INPUTS):
            text += f"""
  [[device.point]]
  id = "p{number}"
  name = "p{number}"
  kind = "panic"
  input = {number}
  lamp = {number}
"""
            text += f"  cameras = {json.dumps(cameras)}\n" if cameras else ""
    return text + more


@contextlib.asynccontextmanager
async def daemon(
    folder: Path, port: int, line: Path, units: int, *, more: str = "", cameras: tuple[str, ...] = ()
) -> AsyncIterator[DaemonProcess]:
    """Run the real daemon for the time of the block, from READY on."""
    path = folder / "agent.toml"
    path.write_text(config(folder, port, line, units, more=more, cameras=cameras))
    process = DaemonProcess(path, folder)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def status(folder: Path) -> dict[str, Any]:
    """Ask the daemon how it is."""
    async with ControlClient([folder / "control.sock"]) as client:
        answer = await client.call("status")
        assert isinstance(answer, dict)
        return answer


async def connected(folder: Path) -> None:
    """Wait until the daemon has its broker and all its devices."""
    async with asyncio.timeout(WAIT_S):
        while True:
            now = await status(folder)
            if now["uplink"]["connected"] and all(device["state"] == "online" for device in now["devices"]):
                return
            await asyncio.sleep(0.05)


def folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for one benchmark, on the disk that /tmp is on."""
    return tempfile.TemporaryDirectory(prefix="campus-bench-")
