"""Feeds an outlet process, and understands what it says."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from agent.clock import Clock
from agent.control.media import LENGTH_BYTES
from agent.skyeye.live.pace import Pace
from agent.skyeye.live.target import Target
from agent.texts import Text, say

OUTLET: Final = Path(__file__).with_name("outlet.py")
SRT: Final = Path(__file__).with_name("srt.py")
DEBIAN_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where Python's OpenSSL names no file: FFmpeg wants one."""
EARLY_LIMIT: Final = 256
"""Fragments that wait for the process to start: ten seconds."""
CONNECT_TIMEOUT_S: Final = 20.0
"""From the first byte to the server's consent, on a bad line to the district."""
GOODBYE_S: Final = 2.0
"""For a TEARDOWN; then the process is killed."""
SAID_LIMIT: Final = 4096
DETAIL_LIMIT: Final = 200
"""Characters of what OpenSSL says of a certificate; the server chooses some of them."""
REASONS: Final = {
    "ConnectionRefusedError": "live.push-refused",
    "TimeoutError": "live.push-unreachable",
    "HTTPUnauthorizedError": "live.push-login",
    "HTTPForbiddenError": "live.push-login",
    "PermissionError": "live.push-login",
    "HTTPNotFoundError": "live.push-path",
    "HTTPBadRequestError": "live.push-path",
    "HTTPOtherClientError": "live.push-path",
    "NoLibrary": "live.push-srt",
    "SrtUnreachable": "live.push-unreachable",
    "SrtSecret": "live.push-login",
    "SrtRejected": "live.push-srt-rejected",
}
"""What PyAV's errors (av.error) and those of our SRT (agent.skyeye.live.srt) mean here."""


class PipeViewer:
    """A viewer (agent.skyeye.live.channel) whose fragments go to a process's standard input."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pace = Pace()
        self._stdin: asyncio.StreamWriter | None = None
        self._early: list[bytes] = []
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.text: Text | None = None

    def attach(self, stdin: asyncio.StreamWriter, order: bytes) -> None:
        """The process is there."""
        self._stdin = stdin
        stdin.write(order + b"".join(self._early))
        self._early.clear()

    def begin(self, mime: str, start: Sequence[bytes]) -> None:
        """Keep what there is until the process is there."""
        self._early = [framed[LENGTH_BYTES:] for framed in start]
        self.begun.set()

    def data(self, framed: bytes, keyframe: bool) -> None:
        """Send, skip or cut."""
        if self.over.is_set() or not self.begun.is_set():
            return
        if self._stdin is None:
            self._early.append(framed[LENGTH_BYTES:])
            if len(self._early) > EARLY_LIMIT:
                self.end(say("live.push-slow"))
            return
        waiting = self._stdin.transport.get_write_buffer_size()
        turn = self._pace.turn(waiting, keyframe=keyframe, now_ns=self._clock.boottime_ns())
        if turn == "send" and not self._stdin.transport.is_closing():
            self._stdin.write(memoryview(framed)[LENGTH_BYTES:])
        elif turn == "cut":
            self.end(say("live.push-slow"))

    def end(self, text: Text | None) -> None:
        """The stream is over."""
        if not self.over.is_set():
            self.text = text
            self.over.set()


async def srt_available() -> bool:
    """Whether libsrt is installed: another process looks, so that it is not loaded into this one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(SRT), stdin=asyncio.subprocess.DEVNULL, env={"PATH": os.defpath}
    )
    return await process.wait() == 0


async def run_outlet(viewer: PipeViewer, target: Target, ca: Path | None, on_running: Callable[[], None]) -> Text:
    """Push what the viewer gets until something fails; returns the reason."""
    begun, over = asyncio.ensure_future(viewer.begun.wait()), asyncio.ensure_future(viewer.over.wait())
    try:
        await asyncio.wait({begun, over}, return_when=asyncio.FIRST_COMPLETED)
        if viewer.over.is_set():
            return viewer.text or say("live.push-source")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(OUTLET),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath},
        )
        try:
            return await _converse(process, viewer, order_of(target, ca), over, on_running)
        finally:
            await _part(process)
    except OSError as error:
        return say("live.push-process", error=error.strerror or type(error).__name__)
    finally:
        begun.cancel()
        over.cancel()


async def _converse(
    process: asyncio.subprocess.Process,
    viewer: PipeViewer,
    order: bytes,
    over: asyncio.Future[Literal[True]],
    on_running: Callable[[], None],
) -> Text:
    assert process.stdin is not None
    assert process.stdout is not None
    viewer.attach(process.stdin, order)
    timeout_s: float | None = CONNECT_TIMEOUT_S
    while True:
        said = asyncio.ensure_future(process.stdout.readline())
        either: set[asyncio.Future[Any]] = {said, over}
        done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if said not in done:
            said.cancel()
            return (viewer.text or say("live.push-source")) if done else say("live.push-unreachable")
        word = understood(said.result())
        if word is not None:
            return word
        timeout_s = None
        on_running()


def order_of(target: Target, ca: Path | None) -> bytes:
    """The first line that the process reads."""
    order = {
        "url": target.url,
        "scheme": target.scheme,
        "host": target.host,
        "port": target.port,
        "srt": dict(target.srt),
        "ca": str(ca or ssl.get_default_verify_paths().cafile or DEBIAN_CA),
    }
    return json.dumps(order).encode() + b"\n"


def understood(line: bytes) -> Text | None:
    """What the process says: a reason to end, or None when it runs."""
    with suppress(ValueError):
        said = json.loads(line[:SAID_LIMIT])
        if isinstance(said, dict):
            if said.get("state") == "running":
                return None
            kind = str(said.get("error", ""))
            if kind == "Certificate":
                return say("live.push-certificate", reason=str(said.get("detail", ""))[:DETAIL_LIMIT])
            if key := REASONS.get(kind):
                return Text(key)
            return say("live.push-broken", kind=kind[:40])
    return say("live.push-broken", kind="-")


async def _part(process: asyncio.subprocess.Process) -> None:
    """End the process: gently, then not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(GOODBYE_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
