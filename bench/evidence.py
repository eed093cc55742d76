"""What much evidence costs at the start of the eye: seconds and memory until all of it is known again."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil
from ulid import ULID

from agent.clock import SystemClock
from agent.skyeye.evidence import EvidenceStore
from agent.skyeye.evidence.records import Record, encode_record, record_path
from agent.skyeye.model import Evidence
from bench.report import Result

PIECES: Final = 100_000
"""200 cameras, five pictures or clips of each a day, kept for a hundred days."""
DAYS: Final = 100
SECONDS_MOST: Final = 5.0
MEMORY_MOST_MIB: Final = 100.0
MIB: Final = 2**20


def fill(folder: Path) -> None:
    """Files of one byte and their records; not synced, which is not measured here."""
    first = datetime(2026, 8, 1, tzinfo=UTC)
    for number in range(PIECES):
        at = first + timedelta(days=number * DAYS / PIECES)
        id_, camera = str(ULID.from_datetime(at)), f"camera-{number % 200}"
        file = folder / f"{at:%Y-%m-%d}" / f"{id_}-{camera}-snapshot.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        evidence = Evidence(id_, "snapshot", camera, file, f"{number:064x}", 1, at, str(ULID()), alarm=number % 2 == 0)
        record_path(file, id_).write_bytes(encode_record(Record(evidence, "done")))


def start(folder: str) -> None:
    """Load it, in a process of its own; print what it took. Then the index is written."""
    store = EvidenceStore(Path(folder), SystemClock("UTC"), size_bytes=1 << 40, keep_s=1e10)
    process, began = psutil.Process(), time.perf_counter()
    before = process.memory_info().rss
    asyncio.run(store.load())
    seconds = time.perf_counter() - began
    print(json.dumps([seconds, (process.memory_info().rss - before) / MIB, store.size]), flush=True)
    asyncio.run(store.maintain())


def measure() -> list[Result]:
    """A first start, whose every record is read, and the next."""
    result = Result("Evidence: start of the eye", ("start", "s", "MiB", "pieces"))
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name))
        for what in ("the first, every record is read", "the next, with the index"):
            done = subprocess.run(
                [sys.executable, "-m", "bench.evidence", name], check=True, capture_output=True, text=True
            )
            seconds, mib, pieces = json.loads(done.stdout)
            result.rows.append([what, f"{seconds:.2f}", f"{mib:.0f}", str(pieces)])
    result.limit(f"{PIECES} pieces, with the index", seconds, SECONDS_MOST, "s")
    result.limit("memory that they take", mib, MEMORY_MOST_MIB, "MiB")
    result.notes.append(
        "On a warm cache: a cold disk adds the reading of 100,000 small files to a start without the index, and that "
        "of one file and of the folders to one with it."
    )
    return [result]


if __name__ == "__main__":
    start(sys.argv[1])
