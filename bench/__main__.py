"""`python -m bench` runs everything and writes RESULTS.md; `python -m bench latency` runs one and prints it, and with
`--write` puts it into RESULTS.md in the place of its last run."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from bench import cost, durable, latency, live
from bench.report import RESULTS, Result, assemble, machine, section, sections

Bench = Callable[[], Coroutine[Any, Any, list[Result]]]


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


async def run_streams() -> list[Result]:
    """A continuous watch beside cv2.VideoCapture, and clips."""
    from bench import streams

    return await streams.measure()


async def run_analysis() -> list[Result]:
    """People found, and false alarms, in made sequences."""
    from bench import analysis

    return await asyncio.to_thread(analysis.measure)


async def run_video() -> list[Result]:
    """Alarms with video at full load."""
    from bench import video

    return await video.measure()


async def run_evidence() -> list[Result]:
    """Much evidence at the start of the eye."""
    from bench import evidence

    return await asyncio.to_thread(evidence.measure)


async def run_dc09() -> list[Result]:
    """Fifty alarm hosts over IP."""
    from bench import dc09

    return await dc09.measure()


async def run_noise() -> list[Result]:
    """What drivers of lines make of noise."""
    from bench import noise

    return await asyncio.to_thread(noise.measure)


async def run_panels() -> list[Result]:
    """From a panel's report to its acknowledgement."""
    from bench import panels

    return await panels.measure()


async def run_rules() -> list[Result]:
    """A pass over 500 rules."""
    from bench import rules

    return await asyncio.to_thread(rules.measure)


BENCHES: Final[Mapping[str, Bench]] = {
    "latency": run_latency,
    "durable": run_durable,
    "idle": run_idle,
    "start": run_start,
    "video": run_video,
    "streams": run_streams,
    "inspection": run_inspection,
    "live": run_live,
    "quality": run_quality,
    "analysis": run_analysis,
    "evidence": run_evidence,
    "dc09": run_dc09,
    "panels": run_panels,
    "noise": run_noise,
    "rules": run_rules,
}


def write(name: str, about: list[str], results: list[Result], seconds: float) -> None:
    """Put one benchmark's section into the page, in the order of the table."""
    parts = sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    parts[name] = section(name, about, results, seconds)
    RESULTS.write_text(assemble(BENCHES, parts), encoding="utf-8")


def main() -> int:
    """Run what the command line names; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], help="which ones; all of them if none is named")
    parser.add_argument("--write", action="store_true", help="put the results into RESULTS.md")
    options = parser.parse_args()
    all_met = True
    for name in options.names or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        about, began = machine(), time.monotonic()
        results = asyncio.run(BENCHES[name]())
        if options.write or not options.names:
            write(name, about, results, time.monotonic() - began)
        print("\n".join(result.markdown() for result in results), flush=True)
        all_met = all_met and all(target.met for result in results for target in result.targets)
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
