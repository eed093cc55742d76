"""What the daemon costs when nothing happens, how fast it starts, and how fast the command line answers."""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import psutil

from bench.report import Result
from bench.rig import Helper, connected, daemon, folder, helper, mosquitto

UNITS: Final = (1, 8, 32)
SETTLE_S: Final = 2.0
MEASURE_S: Final = 8.0
STARTS: Final = 5
HELPS: Final = 7
MIB: Final = 2**20
RSS_LIMIT_MIB: Final = 60
READY_LIMIT_S: Final = 1.5
HELP_LIMIT_S: Final = 0.3
CPU_RATIO: Final = 1.4
CPU_UNITS: Final = 8
"""The number of units that the target speaks of."""


async def cpu(pid: int, modules: Helper, line: str) -> tuple[float, float]:
    """Percent of a core that a process uses, and looks at inputs per second meanwhile."""
    process = psutil.Process(pid)
    await asyncio.sleep(SETTLE_S)
    before, polls_before, began = process.cpu_times(), int(await modules.ask("polls", line)), time.perf_counter()
    await asyncio.sleep(MEASURE_S)
    after, polls_after, seconds = (
        process.cpu_times(),
        int(await modules.ask("polls", line)),
        time.perf_counter() - began,
    )
    used = after.user + after.system - before.user - before.system
    return 100 * used / seconds, (polls_after - polls_before) / seconds


async def measure_idle() -> tuple[Result, Result]:
    """CPU with 1, 8 and 32 units beside the polling loop; memory with 8."""
    result = Result("CPU at idle", ("units", "agent %", "minimal %", "ratio", "agent looks/s", "minimal looks/s"))
    memory = Result("Memory at idle", ("", "MiB"))
    for units in UNITS:
        with folder() as name:
            place = Path(name)
            async with mosquitto(place) as port, helper("bench.modules", place, f"line={units}") as modules:
                async with helper("bench.minimal", "poll", place / "line", units) as peer:
                    theirs, their_looks = await cpu(peer.process.pid, modules, "line")
                async with daemon(place, port, place / "line", units) as agent:
                    await connected(place)
                    assert agent.pid is not None
                    ours, our_looks = await cpu(agent.pid, modules, "line")
                    rss_mib = psutil.Process(agent.pid).memory_info().rss / MIB
        ratio = ours / theirs
        result.rows.append(
            [str(units), f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}x", f"{our_looks:.0f}", f"{their_looks:.0f}"]
        )
        if units == CPU_UNITS:
            result.aim(f"{units} units, CPU against pymodbus", ratio, CPU_RATIO)
            memory.rows.append([f"resident, {units} units, connected", f"{rss_mib:.1f}"])
            memory.limit("resident memory of the core", rss_mib, RSS_LIMIT_MIB, "MiB")
    result.notes = [
        f"Percent of one core over {MEASURE_S:.0f} s. The peer is a bare pymodbus asyncio loop: FC02 of each unit "
        "every 50 ms. The agent begins a round every 35 ms, so that a press of 50 ms always meets a look. A pty knows "
        "no line time: a real line bounds the rounds of both."
    ]
    return result, memory


async def measure_start() -> Result:
    """Start to READY, and `campus-agent --help`."""
    ready: list[float] = []
    with folder() as name:
        place = Path(name)
        async with mosquitto(place) as port, helper("bench.modules", place, "line=8"):
            for _ in range(STARTS):
                began = time.perf_counter()
                async with daemon(place, port, place / "line", 8):
                    ready.append(time.perf_counter() - began)
    helps = [await asyncio.to_thread(help_s) for _ in range(HELPS)]
    result = Result("Start", ("s", "median", "max", "n"))
    for what, values, limit in (
        ("start of the daemon to READY", ready, READY_LIMIT_S),
        ("campus-agent --help", helps, HELP_LIMIT_S),
    ):
        median = statistics.median(values)
        result.rows.append([what, f"{median:.3f}", f"{max(values):.3f}", str(len(values))])
        result.limit(what, median, limit, "s")
    return result


def help_s() -> float:
    """How long `campus-agent --help` takes."""
    began = time.perf_counter()
    script = Path(sys.executable).with_name("campus-agent")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "agent.cli"]
    subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
