"""The real daemon as a child process, with a manager's socket that hears its READY."""

import asyncio
import os
import signal
import socket
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from agent.config.load import load
from agent.control import ControlClient
from agent.demo.processes import hear_ready
from agent.model import JsonValue

READY_TIMEOUT_S: Final = 60.0
"""Far over the 1.5 s that a start may take: tests share their machine."""
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02
ROOT: Final = Path(__file__).parents[2]
SITE: Final = """
    [site]
    district = "370812"
    school = "sy-primary"
    name = "兖州区实验小学"
    language = "zh-CN"
"""


class Daemon:
    """`async with Daemon(folder, toml) as daemon`: started to READY, and stopped at the end."""

    def __init__(
        self, folder: Path, toml: str, *, env: Mapping[str, str] | None = None, program: str = "agent.runtime"
    ) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.journal = folder / "journal.db"
        self.log = folder / "daemon.log"
        self._program = program
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.write(toml)

    def write(self, toml: str) -> None:
        """Write the configuration: `[site]` and `[journal]` are put before what the test says."""
        journal = f'\n[journal]\npath = "{self.journal}"\n'
        text = textwrap.dedent(SITE) + (journal if "[journal]" not in toml else "") + textwrap.dedent(toml)
        self.config.write_text(text, encoding="utf-8")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start, and wait for READY; raise with the log when it does not come."""
        path = self.folder / "notify.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.setblocking(False)
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", self._program, "--config", str(self.config), "--log-level", "debug"),
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    env={**self._env, "NOTIFY_SOCKET": str(path)},
                )
            ready = asyncio.ensure_future(hear_ready(manager))
            ended = asyncio.ensure_future(self._process.wait())
            try:
                await asyncio.wait([ready, ended], timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
                heard = ready.done()
            finally:
                ready.cancel()
                ended.cancel()
        if not heard:
            code = await self.stop(signal.SIGKILL)
            raise AssertionError(f"not ready, exit {code}:\n{self.said()}")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def said(self) -> str:
        """The log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop by a signal, and return the exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise AssertionError(f"no stop within {STOP_TIMEOUT_S} s:\n{self.said()}") from None

    async def kill(self) -> None:
        """A power cut, as far as a process can have one."""
        await self.stop(signal.SIGKILL)

    def hang_up(self) -> None:
        """SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def client(self) -> ControlClient:
        """The control socket's other end."""
        return ControlClient.connect(load(self.config))

    async def call(self, method: str, **params: JsonValue) -> JsonValue:
        """One call on a connection of its own."""
        async with self.client() as client:
            return await client.call(method, **params)

    async def status(self) -> Any:
        """What `status --json` prints."""
        return await self.call("status")
