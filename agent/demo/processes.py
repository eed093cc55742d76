"""The processes of the demo: started until they are ready, and ended whatever happens."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from agent.demo.broker import READY
from agent.texts import Spoken, Text, say

READY_TIMEOUT_S: Final = 20.0
"""Broker and daemon need a second; a small board with a busy disk ten."""
STOP_TIMEOUT_S: Final = 10.0
"""The daemon drains its alarms for up to 5 s (agent.runtime.core.DRAIN_S) before it ends by itself."""
DATAGRAM_BYTES: Final = 4096
LOG_TAIL_BYTES: Final = 2000
"""What an error shows of a log: its last twenty lines or so."""


class ChildFailed(Spoken):
    """A process of the demo did not start, or ended."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One Python process with a log file. `start` again after it has ended."""

    def __init__(self, name: Text | str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.meant_to_end = False
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start, and wait until it is ready. Raises ChildFailed."""
        self.meant_to_end = False
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._start()
        except TimeoutError:
            await self.kill()
            raise ChildFailed(
                say("demo.child-slow", name=self.name, seconds=READY_TIMEOUT_S, log=self.tail())
            ) from None

    async def _start(self) -> None:
        raise NotImplementedError

    async def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        assert self._process is not None, "start it first"
        return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to end (SIGTERM), and insist after a while; return the exit code."""
        if self._process is None:
            return 0
        self.meant_to_end = True
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it at once (SIGKILL); return the exit code."""
        if self._process is None:
            return 0
        self.meant_to_end = True
        self._signal(signal.SIGKILL)
        return await self._process.wait()

    def tail(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def ended(self) -> ChildFailed:
        """The error that says so."""
        code = self._process.returncode if self._process else None
        return ChildFailed(say("demo.child-ended", name=self.name, code=code, log=self.tail()))

    async def _spawn(self, *, stdin: int, stdout: int | None, **environment: str) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "agent.demo.leash", str(os.getpid()), *self._arguments),
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, which then ends the others in order
            )
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(number)


class BrokerProcess(Child):
    """The embedded broker."""

    def __init__(self, port: int, log: Path) -> None:
        super().__init__(say("demo.child-broker"), ("-m", "agent.demo.broker", str(port)), log)

    async def _start(self) -> None:
        process = await self._spawn(stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        if await process.stdout.readline() != READY:
            await process.wait()
            raise self.ended()


class CamerasProcess(Child):
    """The simulated cameras (agent.demo.camera)."""

    def __init__(self, spec: Path, log: Path) -> None:
        super().__init__(say("democam.child"), ("-m", "agent.demo.camera", "--spec", str(spec)), log)
        self.cameras: dict[str, dict[str, Any]] = {}
        """Where each of them listens."""
        self._lock = asyncio.Lock()

    async def _start(self) -> None:
        process = await self._spawn(stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            raise self.ended()
        self.cameras = json.loads(line)["ready"]

    async def tell(self, camera: str, **changes: Any) -> dict[str, Any]:
        """Change a camera while it runs, or ask for its state (agent.demo.camera.spec.Command); return its answer."""
        assert self._process is not None, "start it first"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps({"camera": camera, **changes}).encode() + b"\n")
            if not (line := await self._process.stdout.readline()):
                raise self.ended()
            answer: dict[str, Any] = json.loads(line)
            return answer


class DaemonProcess(Child):
    """The real daemon, as systemd would start it."""

    def __init__(self, config: Path, folder: Path, *, log_level: str = "info") -> None:
        super().__init__(
            "campus-agent",
            ("-m", "agent.runtime", "--config", str(config), "--log-level", log_level),
            folder / "daemon.log",
        )
        self._notify = folder / "notify.sock"

    async def _start(self) -> None:
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self._notify))
            manager.setblocking(False)
            process = await self._spawn(stdin=asyncio.subprocess.DEVNULL, stdout=None, NOTIFY_SOCKET=str(self._notify))
            ready = asyncio.ensure_future(hear_ready(manager))
            ended = asyncio.ensure_future(process.wait())
            try:
                await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
                if not ready.done():
                    raise self.ended()
            finally:
                ready.cancel()
                ended.cancel()


async def hear_ready(manager: socket.socket) -> None:
    """Return when READY=1 has come (sd_notify(3))."""
    loop = asyncio.get_running_loop()
    while b"READY=1" not in (await loop.sock_recv(manager, DATAGRAM_BYTES)).split(b"\n"):
        pass
