"""The project's simulated cameras as a child process, for tests and benches.

    async with SimCameras({"id": "gate", "username": "admin", "password": "pw"}) as cameras:
        cameras.url("gate")                          # rtsp://127.0.0.1:PORT/1/main
        cameras.address("gate")                      # http://127.0.0.1:PORT, for the ONVIF driver
        await cameras.tell("gate", picture="black")  # any field of agent.demo.camera.spec.Command
        (await cameras.state("gate"))["wrong_logins"]

Each argument is a camera of agent.demo.camera.spec.CameraSpec; `copies=200` makes 200 of each in the one process.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[2]
READY_TIMEOUT_S: Final = 60.0
"""Films are drawn and encoded first: a second for small ones on a quiet machine, many for 1080p on a busy one."""
ANSWER_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
LINE_BYTES: Final = 4 << 20
"""The addresses of hundreds of cameras are one line."""


class SimCameras:
    """The process; it starts with the context and ends with it. `host`, `copies`, `discovery` are the process's."""

    def __init__(self, *cameras: dict[str, Any], **process: Any) -> None:
        self.spec = {"cameras": cameras or ({"id": "cam"},), **process}
        self.cameras: dict[str, dict[str, Any]] = {}
        """What each camera said of itself when it was ready: ports, streams, serial, mac."""
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int:
        assert self._process, "start it first"
        return self._process.pid

    @property
    def only(self) -> str:
        """The id of the first camera."""
        return next(iter(self.cameras))

    def url(self, camera: str | None = None, role: str = "main", channel: int = 1) -> str:
        """The RTSP address of a stream, without credentials."""
        return str(self.cameras[camera or self.only]["streams"][f"{channel}/{role}"])

    def login_url(self, camera: str | None = None, role: str = "main", channel: int = 1) -> str:
        """The same with credentials, for tools that take them so."""
        id_ = camera or self.only
        spec = next(spec for spec in self.spec["cameras"] if id_ == spec["id"] or id_.startswith(spec["id"] + "-"))
        login = f"{spec['username']}:{spec['password']}@" if spec.get("username") else ""
        return self.url(id_, role, channel).replace("rtsp://", f"rtsp://{login}")

    def address(self, camera: str | None = None) -> str:
        """The camera's ONVIF address: scheme, host and port."""
        return str(self.cameras[camera or self.only]["address"])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start, and wait until all listen."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "agent.demo.camera", "--spec", json.dumps(self.spec)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ},
            limit=LINE_BYTES,
        )
        self.cameras = (await self._line(READY_TIMEOUT_S))["ready"]

    async def stop(self) -> None:
        """End it."""
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def tell(self, camera: str | None = None, **changes: Any) -> dict[str, Any]:
        """Change something while it runs; `camera` None: all cameras. Raises ValueError when refused."""
        assert self._process, "start it first"
        assert self._process.stdin
        async with self._lock:
            self._process.stdin.write(json.dumps({"camera": camera, **changes}).encode() + b"\n")
            answer = await self._line(ANSWER_TIMEOUT_S)
        if not answer.pop("ok"):
            raise ValueError(answer["error"])
        return answer

    async def state(self, camera: str | None = None) -> dict[str, Any]:
        """What a camera has seen: requests, logins, connections, position."""
        id_ = camera or self.only
        state: dict[str, Any] = (await self.tell(id_, state=True))["state"][id_]
        return state

    async def _line(self, timeout_s: float) -> dict[str, Any]:
        assert self._process
        assert self._process.stdout
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        assert line, "the simulated cameras ended; see their standard error"
        answer: dict[str, Any] = json.loads(line)
        return answer
