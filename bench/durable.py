"""How many events a second become durable."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.config.models import JournalSettings
from agent.journal import Journal
from agent.model import Lane, new_event
from bench import minimal
from bench.report import Result
from bench.rig import SITE, folder

ROUNDS: Final = 3
MANY: Final = 64
EACH_OF_MANY: Final = 200
ALONE: Final = 2_000


async def appended_per_s(path: Path, producers: int, each: int) -> float:
    """Append from so many producers at once, each waiting for its event before the next."""
    clock = SystemClock("Asia/Shanghai")
    journal = await Journal.open(JournalSettings(path=path), SITE, clock)

    async def produce() -> None:
        for _ in range(each):
            event = new_event(
                "campus.alarm.raised", Lane.ALARM, clock.moment(), device="m1", point="p0", name="x" * 200
            )
            await journal.append(event)

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(producers)))
    seconds = time.perf_counter() - began
    await journal.close()
    return producers * each / seconds


async def measure() -> Result:
    """The journal with one producer and with 64, and plain commits, by turns."""
    one: list[float] = []
    many: list[float] = []
    plain: list[float] = []
    for _ in range(ROUNDS):
        with folder() as name:
            place = Path(name)
            one.append(await appended_per_s(place / "one.db", 1, ALONE))
            plain.append(ALONE / minimal.commits(place / "plain.db", ALONE))
            many.append(await appended_per_s(place / "many.db", MANY, EACH_OF_MANY))
    result = Result("Durable events per second", ("", "events/s", "against plain"))
    base = statistics.median(plain)
    for what, values in (("agent, one producer", one), (f"agent, {MANY} producers", many), ("plain sqlite3", plain)):
        result.rows.append([what, f"{statistics.median(values):,.0f}", f"{statistics.median(values) / base:.2f}x"])
    result.notes = [
        f"Median of {ROUNDS} rounds by turns. Plain: one INSERT per commit, WAL, `synchronous=FULL`. The agent's rows "
        "carry the hash chain and an outbox row, and are written by a thread of their own."
    ]
    return result
