"""Live pictures: how soon the first one is there, and what viewers cost the eye and the console.

A real RTSP server repeats an encoded 1080p25 stream of 4 Mbit/s with a keyframe every 2 s. The eye's side (hub of
streams and media server) and the console are processes of their own, as in service; the viewers are WebSocket clients
in this one, and take the same bytes as a browser.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import psutil
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from bench.report import Result
from bench.rig import folder
from tests.sims.gst import GstServer, GstStream

VIEWERS: Final = (1, 8, 16)
SETTLE_S: Final = 2.0
MEASURE_S: Final = 10.0
STARTS: Final = 7
FIRST_LIMIT_S: Final = 1.0
VIEWER_LIMIT_PERCENT: Final = 3.0
CAMERA: Final = "gate"
MIB: Final = 2**20


@asynccontextmanager
async def process(*args: str) -> AsyncIterator[tuple[psutil.Process, str]]:
    """One of ours; yields it with its first line."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.live", *args, stdout=asyncio.subprocess.PIPE
    )
    assert made.stdout
    try:
        async with asyncio.timeout(60):
            line = (await made.stdout.readline()).decode().strip()
        yield psutil.Process(made.pid), line
    finally:
        made.kill()
        await made.wait()


class Viewer:
    """One browser's socket."""

    def __init__(self, session: ClientSession, port: str) -> None:
        self._session = session
        self._url = f"ws://127.0.0.1:{port}/live/{CAMERA}?role=main"
        self.pictures = self.bytes = 0
        self._socket: ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    async def first(self) -> float:
        """Open, and wait for head and first picture; return the seconds that it took."""
        began = time.perf_counter()
        self._socket = await self._session.ws_connect(self._url, max_msg_size=0)
        word = await self._socket.receive_json(timeout=30)
        assert "mime" in word, word
        for _ in range(2):
            await self._socket.receive_bytes(timeout=30)
        took = time.perf_counter() - began
        self._task = asyncio.get_running_loop().create_task(self._look())
        return took

    async def _look(self) -> None:
        assert self._socket
        async for message in self._socket:
            self.pictures += message.type is WSMsgType.BINARY
            self.bytes += len(message.data)

    async def close(self) -> None:
        """Go away."""
        if self._task:
            self._task.cancel()
        if self._socket:
            await self._socket.close()


def seconds_of(one: psutil.Process) -> float:
    """CPU that its threads have used, to the nanosecond (proc(5), schedstat): short work hides between the ticks that
    utime and stime count."""
    files = Path(f"/proc/{one.pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


async def measure() -> list[Result]:
    """All of it."""
    stream = GstStream.loop("h264", width=1920, height=1080, fps=25, kbps=4000, gop=50)
    with folder() as name:
        place = Path(name)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(GstServer({"main": stream}))
            media = str(place / "media.sock")
            eye, _ = await stack.enter_async_context(process("eye", media, server.url("main")))
            console, port = await stack.enter_async_context(process("console", str(place / "core.sock"), media))
            session = await stack.enter_async_context(ClientSession())
            first = await measure_first(session, port)
            return [first, await measure_viewers(session, port, eye, console)]


async def measure_first(session: ClientSession, port: str) -> Result:
    """The first viewer opens the camera's stream; a second finds it open."""
    cold, warm = [], []
    for _ in range(STARTS):
        one, two = Viewer(session, port), Viewer(session, port)
        cold.append(await one.first())
        await asyncio.sleep(1.3)  # somewhere between two keyframes
        warm.append(await two.first())
        await one.close()
        await two.close()
        await asyncio.sleep(0.5)
    result = Result("Live: the first picture", ("", "median s", "worst s"))
    for what, times in (("stream not open yet", cold), ("stream open, keyframe every 2 s", warm)):
        result.rows.append((what, f"{statistics.median(times):.2f}", f"{max(times):.2f}"))
        result.limit(f"first picture, {what}", statistics.median(times), FIRST_LIMIT_S, "s")
    result.notes.append(
        f"{STARTS} times each, from opening the WebSocket to holding the first picture's bytes. The RTSP server begins "
        "with a keyframe, as most cameras do; where one does not, its keyframe distance is added."
    )
    return result


async def measure_viewers(session: ClientSession, port: str, eye: psutil.Process, console: psutil.Process) -> Result:
    """CPU of the eye's side and of the console."""
    result = Result(
        "Live: what viewers cost", ("viewers", "eye %", "console %", "pictures/s each", "Mbit/s in all", "eye MiB")
    )
    viewers: list[Viewer] = []
    used: dict[int, tuple[float, float]] = {}
    for count in VIEWERS:
        while len(viewers) < count:
            viewers.append(Viewer(session, port))
            await viewers[-1].first()
        await asyncio.sleep(SETTLE_S)
        before = look(eye, console, viewers)
        await asyncio.sleep(MEASURE_S)
        took, eye_s, console_s, pictures, bytes_ = (
            b - a for a, b in zip(before, look(eye, console, viewers), strict=True)
        )
        used[count] = (100 * eye_s / took, 100 * console_s / took)
        cells = [f"{used[count][0]:.1f}", f"{used[count][1]:.1f}", f"{pictures / took / count:.1f}"]
        cells.append(f"{bytes_ * 8 / took / 1e6:.0f}")
        result.rows.append((str(count), *cells, f"{eye.memory_info().rss / MIB:.0f}"))
    for one in viewers:
        await one.close()
    least, most = VIEWERS[0], VIEWERS[-1]
    for number, what in enumerate(("eye", "console")):
        each = (used[most][number] - used[least][number]) / (most - least)
        result.limit(f"{what}, each further viewer", each, VIEWER_LIMIT_PERCENT, "% of a core")
    both = sum(used[most]) / most
    result.limit(f"eye and console together, of {most} viewers each", both, VIEWER_LIMIT_PERCENT, "% of a core")
    result.notes.append(
        "One stream of 1080p25, 4 Mbit/s. The first viewer's share of the eye is the RTSP stream and the muxer; "
        "further ones are copies."
    )
    return result


def look(eye: psutil.Process, console: psutil.Process, viewers: list[Viewer]) -> tuple[float, ...]:
    """Everything that counts up, now."""
    return (
        time.perf_counter(),
        seconds_of(eye),
        seconds_of(console),
        sum(one.pictures for one in viewers),
        sum(one.bytes for one in viewers),
    )


async def serve_eye(media: str, url: str) -> None:
    """The eye's side."""
    from agent.camera import StreamRole, StreamSource
    from agent.clock import SystemClock
    from agent.config.models import CameraSettings
    from agent.skyeye.live import MediaServer
    from agent.skyeye.streams import StreamHub
    from drivers.rtsp import Rtsp

    async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
        return StreamSource(url)

    clock = SystemClock("UTC")
    known = {CAMERA: CameraSettings(id=CAMERA, name=CAMERA, driver="rtsp", address="192.0.2.1", settings=Rtsp())}
    hub = StreamHub(resolve, clock)
    server = MediaServer(Path(media), hub, lambda: known, lambda _id: None, lambda _id: None, clock)
    await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def serve_console(core: str, media: str) -> None:
    """The console."""
    from agent.clock import SystemClock
    from agent.config.models import ConsoleSettings
    from agent.console.serve import serve

    settings = ConsoleSettings.model_construct(listen="127.0.0.1:0")
    await serve(
        settings, Path(core), Path(media), SystemClock("UTC"), "en", on_ready=lambda port: print(port, flush=True)
    )


if __name__ == "__main__":
    asyncio.run({"eye": serve_eye, "console": serve_console}[sys.argv[1]](*sys.argv[2:]))
