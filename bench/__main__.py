"""`python -m bench` runs everything and writes RESULTS.md; `python -m bench latency` runs one and prints it."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bench import cost, durable, latency, live
from bench.report import RESULTS, Result, machine, page

Bench = Callable[[], Awaitable[list[Result]]]


async def run_latency() -> list[Result]:
    """Press to subscriber, idle and while a backlog drains, and the rate of the drain."""
    return await latency.measure()


async def run_durable() -> list[Result]:
    """Events that become durable."""
    return [await durable.measure()]


async def run_idle() -> list[Result]:
    """CPU and memory."""
    return [*await cost.measure_idle()]


async def run_start() -> list[Result]:
    """READY, and the command line."""
    return [await cost.measure_start()]


async def run_quality() -> list[Result]:
    """What is said of spoilt and of undisturbed pictures."""
    from bench import quality  # loads OpenCV, which the others must not have in their process

    return await quality.measure()


async def run_inspection() -> list[Result]:
    """200 cameras in five minutes."""
    from bench import inspection

    return await inspection.measure()


async def run_live() -> list[Result]:
    """First picture, and what viewers cost."""
    return await live.measure()


BENCHES: Final[Mapping[str, Bench]] = {
    "latency": run_latency,
    "durable": run_durable,
    "idle": run_idle,
    "start": run_start,
    "quality": run_quality,
    "inspection": run_inspection,
    "live": run_live,
}


async def run(names: list[str]) -> list[Result]:
    """Run benchmarks one after another."""
    results: list[Result] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results += await BENCHES[name]()
    return results


def main() -> int:
    """Run what the command line names; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], help="which ones; all of them if none is named")
    names = parser.parse_args().names
    about, began = machine(), time.monotonic()
    results = asyncio.run(run(names or list(BENCHES)))
    if names:
        print("\n".join(result.markdown() for result in results))
    else:
        RESULTS.write_text(page("python -m bench", about, results, time.monotonic() - began), encoding="utf-8")
        print(RESULTS.read_text(encoding="utf-8"))
    return 0 if all(target.met for result in results for target in result.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
