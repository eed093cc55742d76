"""What it costs to inspect 200 cameras in five minutes: CPU and memory of the process that does it."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import psutil

from bench.report import Result, percentile
from tests.sims.camera import SimCameras

ROOT: Final = Path(__file__).parents[1]
CAMERAS: Final = 200
ROUND_S: Final = 300
CPU_LIMIT: Final = 100.0
RSS_LIMIT_MIB: Final = 400.0
MIB: Final = 2**20
FILM: Final = {"codec": "h264", "width": 1920, "height": 1080, "fps": 25, "kbps": 4000, "gop": 50}
SAMPLE_S: Final = 1.0
TAIL_S: Final = 12
"""The last camera of the round begins at its very end."""


async def measure(seconds: float = ROUND_S + TAIL_S) -> list[Result]:
    """Inspect for so long at the pace of a round in five minutes."""
    spec: dict[str, Any] = {"id": "cam", "username": "admin", "password": "bench-pw", "onvif": False, "main": FILM}
    with tempfile.TemporaryDirectory(prefix="inspection-") as folder:
        async with SimCameras({**spec, "sub": None, "loop_s": 8}, copies=CAMERAS) as cameras:
            found = {id_: {"port": one["rtsp_port"], "url": cameras.url(id_)} for id_, one in cameras.cameras.items()}
            order = {
                "cameras": found,
                "username": "admin",
                "password": "bench-pw",
                "settings": {"inspect_every": ROUND_S, "streams": 8, "bandwidth_mbit": 60},
            }
            lines, cpu_s, rss, threads, wall_s = await follow(Path(folder), order, seconds)
    return [result(lines, cpu_s, rss, threads, wall_s)]


async def follow(
    folder: Path, order: dict[str, Any], seconds: float
) -> tuple[list[dict[str, Any]], float, list[float], int, float]:
    """Run the child, and look at it once a second."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.inspecting", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=4 * MIB,
    )
    assert child.stdin
    assert child.stdout
    child.stdin.write(json.dumps(order).encode() + b"\n")
    lines: list[dict[str, Any]] = []

    async def read() -> None:
        assert child.stdout
        while line := await child.stdout.readline():
            lines.append(json.loads(line))

    reading = asyncio.create_task(read())
    process, rss, threads, began = psutil.Process(child.pid), [], 0, time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(SAMPLE_S)
        rss.append(process.memory_info().rss / MIB)
        threads = max(threads, process.num_threads())
    times, wall_s = process.cpu_times(), time.monotonic() - began
    child.stdin.close()
    await child.wait()
    await reading
    return lines, times.user + times.system, rss, threads, wall_s


def result(lines: list[dict[str, Any]], cpu_s: float, rss: list[float], threads: int, wall_s: float) -> Result:
    """The table."""
    done = Counter(line["camera"] for line in lines)
    faults = Counter(fault for line in lines for fault in line["faults"])
    pictures = sum(line["picture"] for line in lines)
    took = [line["seconds"] for line in lines] or [0.0]
    cpu = 100 * cpu_s / wall_s
    table = Result("Inspection of 200 cameras", ("", "measured"))
    table.rows = [
        ["cameras", str(CAMERAS)],
        ["measured for, s", f"{wall_s:.0f}"],
        ["inspections done", str(len(lines))],
        ["cameras inspected at least once", str(len(done))],
        ["of the inspections, with a judged picture", str(pictures)],
        ["an inspection takes, s (p50, p99)", f"{statistics.median(took):.1f}, {percentile(took, 99):.1f}"],
        ["CPU, % of a core, start included", f"{cpu:.1f}"],
        ["CPU, ms per inspection", f"{1000 * cpu_s / max(1, len(lines)):.0f}"],
        ["resident memory, MiB (p50, largest)", f"{statistics.median(rss):.0f}, {max(rss):.0f}"],
        ["threads, most", str(threads)],
        ["found (before confirmation)", ", ".join(f"{name} {count}" for name, count in faults.items()) or "nothing"],
        ["raised", str(sum(len(line["raised"]) for line in lines))],
    ]
    table.limit("CPU of the inspecting process", cpu, CPU_LIMIT, "% of a core")
    table.limit("its resident memory", max(rss), RSS_LIMIT_MIB, "MiB")
    share = len(done) / (CAMERAS * min(1.0, wall_s / ROUND_S))
    table.aim("cameras done, of those that were due", share, least=0.95)
    table.notes = [
        f"RTSP only, digest login, H.264 {FILM['width']}x{FILM['height']} at {FILM['fps']} pictures and "
        f"{FILM['kbps']} kbit/s, a keyframe every 2 s: the films of one simulator process on the same machine. 5 s of "
        "each stream, two keyframes decoded, judged in all ten ways and learnt from; at most 8 streams and 60 Mbit/s.",
    ]
    return table
