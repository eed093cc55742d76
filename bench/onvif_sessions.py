"""Many ONVIF sessions in one process, against a camera made of files in another: time, and memory per camera.

That camera answers polls for events at once, which is the worst case: honest ones wait 20 s for an event.

    python -m bench.onvif_sessions [SESSIONS ...]
"""

import asyncio
import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from agent.camera import CameraSession
from agent.clock import SystemClock

ZONE = "Asia/Shanghai"
DEFAULT = (50, 200)
AT_ONCE = 8
"""Cameras that are opened at the same time, as the eye does."""


def rss_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def serve(pipe: Connection) -> None:
    """The camera."""
    from tests.sims.onvif_replay import BASE, Replay

    async def run() -> None:
        async with Replay(BASE, SystemClock(ZONE)) as replay:
            pipe.send(replay.port)
            while True:
                replay.requests.clear()
                replay.counts["PullMessages"] = 1  # nothing more to tell
                await asyncio.sleep(0.1)

    asyncio.run(run())


async def measure(sessions: int, port: int) -> str:
    """Open so many, ask what an inspection asks, listen to the events of all, close."""
    from drivers.onvif import Onvif
    from tests.sims.onvif_replay import TestLink

    clock, gate = SystemClock(ZONE), asyncio.Semaphore(AT_ONCE)
    began, cpu, before = time.perf_counter(), time.process_time(), rss_mb()

    async def one() -> CameraSession:
        async with gate:
            session = await Onvif(port=port).open(TestLink("127.0.0.1", clock))
            await session.identity()
            await session.features()
            await session.stream("main")
            await session.recordings()
            return session

    found: list[CameraSession] = await asyncio.gather(*(one() for _ in range(sessions)))
    opened_s, opened_cpu, opened_mb = time.perf_counter() - began, time.process_time() - cpu, rss_mb()

    async def hear(session: CameraSession) -> None:
        async for _ in session.events():
            pass

    listeners = [asyncio.create_task(hear(session)) for session in found]
    await asyncio.sleep(10)
    cpu = time.process_time()
    await asyncio.sleep(10)
    polling, listening_mb = (time.process_time() - cpu) / 10, rss_mb()
    for task in listeners:
        task.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    await asyncio.gather(*(session.close() for session in found))
    return (
        f"{sessions:4} sessions: opened and asked in {opened_s:.2f} s ({opened_cpu:.2f} s CPU), "
        f"RSS {before:.0f} -> {opened_mb:.0f} MB, listening {listening_mb:.0f} MB "
        f"({(listening_mb - before) / sessions:.2f} MB each with the libraries), {polling:.1%} of a core"
    )


def main() -> None:
    """Print one line per count, each in a process of its own."""
    for sessions in [int(word) for word in sys.argv[1:]] or DEFAULT:
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
        server.start()
        port = ours.recv()
        worker = multiprocessing.get_context("spawn").Process(target=report, args=(sessions, port))
        worker.start()
        worker.join()
        server.terminate()


def report(sessions: int, port: int) -> None:
    """Measure in a fresh process."""
    print(asyncio.run(measure(sessions, port)), flush=True)


if __name__ == "__main__":
    main()
