"""What watching cameras costs: our streams beside cv2.VideoCapture, on the same server, in the same minutes.

A watch keeps a stream open and has a picture of it every ten seconds. OpenCV has no other way than to decode every
frame; we demux, and decode one keyframe in ten seconds. Each watcher is a process of its own, so that its CPU time
(all of its threads) and its memory are its own as well. Both watch at the same time: whatever else the machine does
then, and however fast it happens to be, it does to both.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

from agent.camera import CameraError, StreamRole, StreamSource
from agent.clock import NS_PER_S, SystemClock
from bench.report import Result
from tests.sims.gst import CACHE, GstServer, GstStream, encode

Codec = Literal["h264", "h265"]
ROOT: Final = Path(__file__).parents[1]
STREAMS: Final = 4
WATCH_S: Final = 40.0
"""Four pictures of each stream."""
SETTLE_S: Final = 8.0
"""Until all streams flow and the first pictures are decoded."""
PICTURE_EVERY_S: Final = 10.0
CLIPS: Final = 20
CLIP_S: Final = 9.0
CODECS: Final[tuple[Codec, ...]] = ("h264", "h265")


def film(codec: Codec) -> GstStream:
    """1080p25 at 4 Mbit/s as cameras encode it: main or high profile with CABAC and deblocking, which `ultrafast`
    leaves out; two seconds from keyframe to keyframe, no reordered pictures."""
    file = CACHE / f"bench-{codec}.{codec}"
    if not file.exists():
        command = encode(codec, 1920, 1080, 25, 4000, 50, file.with_suffix(".part"))
        command[command.index("ultrafast")] = "fast" if codec == "h264" else "ultrafast"
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        file.with_suffix(".part").rename(file)
    return GstStream(codec, 1920, 1080, 25, 4000, 50, file=file)


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def watch_ours(url: str, streams: int, seconds: float) -> dict[str, float]:
    """Our hub with a listener per stream that wants a picture every ten seconds."""
    from agent.skyeye.model import Packet, PacketSink, StreamInfo
    from agent.skyeye.streams import StreamHub, decode_keyframe

    worker = ThreadPoolExecutor(1)
    counted = {"packets": 0, "pictures": 0}

    class Watch(PacketSink):
        def __init__(self) -> None:
            self.info: StreamInfo | None = None
            self.due_ns = 0

        def opened(self, info: StreamInfo) -> None:
            self.info = info

        def packet(self, packet: Packet) -> None:
            counted["packets"] += 1
            if packet.keyframe and packet.arrived_ns >= self.due_ns and self.info:
                self.due_ns = packet.arrived_ns + int((PICTURE_EVERY_S - 1) * NS_PER_S)
                worker.submit(self.picture, self.info, packet)

        def picture(self, info: StreamInfo, packet: Packet) -> None:
            decode_keyframe(info, packet)
            counted["pictures"] += 1

        def lost(self, error: CameraError) -> None:
            print(error, file=sys.stderr)

    async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
        return StreamSource(url)

    hub = StreamHub(resolve, SystemClock("UTC"))
    before = rss_bytes()
    for number in range(streams):
        hub.join(f"camera-{number}", "main", Watch(), name="watch")
    await asyncio.sleep(SETTLE_S)
    found = await measured(seconds, lambda: counted["packets"])
    await hub.close()
    return {**found, "rss_before": before, "pictures": counted["pictures"]}


async def watch_cv2(url: str, streams: int, seconds: float) -> dict[str, float]:
    """A VideoCapture per stream, each in its thread, as tutorials and NVRs have it."""
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # it would tell of each frame before the first keyframe
    counted = {"packets": 0}
    over = threading.Event()
    cv2.setNumThreads(1)

    def watch() -> None:
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
        while not over.is_set():
            done, _picture = capture.read()
            counted["packets"] += done
        capture.release()

    before = rss_bytes()
    threads = [threading.Thread(target=watch, daemon=True) for _ in range(streams)]
    for thread in threads:
        thread.start()
    await asyncio.sleep(SETTLE_S)
    found = await measured(seconds, lambda: counted["packets"])
    over.set()
    for thread in threads:  # a thread that is killed inside OpenCV takes the process with it
        await asyncio.to_thread(thread.join)
    return {**found, "rss_before": before}


async def measured(seconds: float, packets: Any) -> dict[str, float]:
    """CPU, frames and memory over so many seconds."""
    cpu, began, first = time.process_time(), time.monotonic(), packets()
    memory = []
    while time.monotonic() - began < seconds:
        await asyncio.sleep(0.5)
        memory.append(rss_bytes())
    return {
        "cpu_s": time.process_time() - cpu,
        "seconds": time.monotonic() - began,
        "packets": packets() - first,
        "rss": statistics.median(memory),
        "rss_max": max(memory),
    }


async def cut_clips(url: str, _streams: int, seconds: float) -> dict[str, float]:
    """Clips of nine seconds out of a ring."""
    from agent.skyeye.streams import FrozenRing, Ring, RingBudget, StreamHub, write_clip

    async def resolve(_camera: str, _role: StreamRole) -> StreamSource:
        return StreamSource(url)

    clock = SystemClock("UTC")
    hub, ring = StreamHub(resolve, clock), Ring(CLIP_S + 2, RingBudget(64 << 20))
    member = hub.join("camera", "main", ring, name="ring")
    await asyncio.sleep(CLIP_S + 2)
    frozen = ring.freeze(clock.boottime_ns() - int(CLIP_S * NS_PER_S))
    assert frozen
    frozen = FrozenRing(frozen.info, frozen.packets[: round(CLIP_S * 25)])
    member.leave()
    await hub.close()
    used, taken = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CLIPS):
            cpu, began = time.process_time(), time.monotonic()
            facts = await write_clip(Path(folder) / f"{number}.mp4", frozen)
            used.append(time.process_time() - cpu)
            taken.append(time.monotonic() - began)
    return {
        "cpu_s": statistics.median(used),
        "cpu_max_s": max(used),
        "wall_s": statistics.median(taken),
        "bytes": facts.bytes,
        "seconds": facts.seconds,
    }


TASKS: Final = {"ours": watch_ours, "cv2": watch_cv2, "clips": cut_clips}


async def child(task: str, url: str, streams: int = STREAMS, seconds: float = WATCH_S) -> dict[str, float]:
    """Run one task in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.streams", task, url, str(streams), str(seconds),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{task} ended with {process.returncode}")
    found: dict[str, float] = json.loads(out)
    return found


async def watch(url: str, codec: Codec, result: Result) -> None:
    """Both watchers at once, on one stream."""
    ours, cv2 = await asyncio.gather(child("ours", url), child("cv2", url))
    cost = []
    for name, found in (("ours", ours), ("cv2", cv2)):
        cost.append(found["cpu_s"] * 60 / found["seconds"] / STREAMS)
        memory = (found["rss_max"] - found["rss_before"]) / STREAMS / 1e6
        rate = found["packets"] / found["seconds"] / STREAMS
        result.rows.append([name, codec, f"{cost[-1]:.2f}", f"{memory:.1f}", f"{rate:.1f}"])
        if name == "ours":
            result.limit(f"{codec}: RSS per stream (the most, decoding included)", memory, 8, "MB")
    result.aim(f"{codec}: CPU of cv2 over ours", cost[1] / cost[0], least=15)


async def cut(url: str, codec: Codec, result: Result) -> None:
    """Clips of one stream."""
    found = await child("clips", url)
    figures = [found["seconds"], found["bytes"] / 1e6, found["cpu_s"] * 1e3, found["cpu_max_s"] * 1e3]
    result.rows.append([codec, *(f"{figure:.1f}" for figure in figures), f"{found['wall_s'] * 1e3:.1f}"])
    result.limit(f"{codec}: CPU of a clip of {CLIP_S:g} s", found["cpu_s"] * 1e3, 50, "ms")


async def measure() -> list[Result]:
    """All of it."""
    watched = Result(
        f"Watching {STREAMS} streams, 1080p25, 4 Mbit/s, a picture every 10 s",
        ["watcher", "codec", "CPU-s per stream-minute", "RSS MB per stream", "frames a second"],
    )
    clips = Result(
        "A clip out of the ring, with its SHA-256 and fsync",
        ["codec", "seconds", "MB", "CPU ms p50", "CPU ms max", "ms p50"],
    )
    async with GstServer({codec: film(codec) for codec in CODECS}) as server:
        for codec in CODECS:
            await watch(server.url(codec), codec, watched)
            await cut(server.url(codec), codec, clips)
    watched.notes.append(
        f"Both watch at the same time, for {WATCH_S:g} s. CPU is that of the watching process with all its threads."
        " Memory is the most that was resident, less what was resident before the first stream, for each stream."
    )
    return [watched, clips]


if __name__ == "__main__":
    name, address, count, length = sys.argv[1:]
    print(json.dumps(asyncio.run(TASKS[name](address, int(count), float(length)))))
