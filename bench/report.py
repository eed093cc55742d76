"""Results: tables with targets and verdicts, and the page that they become."""

import os
import platform
import re
import sqlite3
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from agent import __version__

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
LIBRARIES: Final = ("paho-mqtt", "pymodbus", "pydantic", "av", "opencv-python-headless", "aiohttp")
MARK: Final = "<!-- {name} -->"
MARKED: Final = re.compile(r"<!-- ([a-z0-9]+) -->")
QUIET_LOAD: Final = 0.3
"""A load average above this when we begin means that somebody else is working, too."""


@dataclass(frozen=True)
class Target:
    """One promise and what became of it."""

    what: str
    measured: str
    target: str
    met: bool


@dataclass
class Result:
    """What one benchmark found. `notes` say what the numbers mean."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def aim(self, what: str, ratio: float, most: float | None = None, *, least: float | None = None) -> None:
        """Compare a ratio with what was promised."""
        if most is not None:
            self.targets.append(Target(what, f"{ratio:.2f}x", f"<= {most:g}x", ratio <= most))
        if least is not None:
            self.targets.append(Target(what, f"{ratio:.2f}x", f">= {least:g}x", ratio >= least))

    def limit(self, what: str, value: float, most: float, unit: str) -> None:
        """Compare a value with what was promised."""
        self.targets.append(Target(what, f"{value:.2f} {unit}", f"<= {most:g} {unit}", value <= most))

    def markdown(self) -> str:
        """One section of the page."""
        lines = [f"## {self.title}", "", *table(self.header, self.rows)]
        if self.targets:
            targets = [[t.what, t.measured, t.target, "met" if t.met else "**missed**"] for t in self.targets]
            lines += ["", *table(["target", "measured", "wanted", "verdict"], targets)]
        for note in self.notes:
            lines += ["", note]
        return "\n".join([*lines, ""])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is left-aligned, the others right."""
    aligned = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(row) + " |" for row in [header, aligned, *rows]]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def spread(values: Sequence[float]) -> list[str]:
    """p50, p99, largest and count, as cells in the unit that the values have."""
    p50, p99 = statistics.median(values), percentile(values, 99)
    return [f"{p50:.2f}", f"{p99:.2f}", f"{max(values):.2f}", str(len(values))]


def machine() -> list[str]:
    """What it ran on, and with which versions."""
    cpus, load = os.cpu_count(), os.getloadavg()[0]
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        f"- Date: {datetime.now().astimezone().isoformat(timespec='minutes')}",
        f"- Machine: {cpus} CPUs ({model}), {memory_gib:.0f} GiB, Linux {platform.release()}",
        f"- Load average at the start: {load:.2f}" + (" (**not quiet**)" if load > QUIET_LOAD else ""),
        f"- campus-agent {__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {mosquitto_version()}",
        f"- {libraries}",
    ]


def mosquitto_version() -> str:
    """`mosquitto version 2.0.11`."""
    done = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]


def section(name: str, about: Sequence[str], results: Sequence[Result], seconds: float) -> str:
    """What one benchmark adds to the page: between two marks, so that it can be run again by itself."""
    head = [MARK.format(name=name), f"Run by `python -m bench --write {name}` in {seconds:.0f} s.", "", *about, ""]
    return "\n".join(head) + "\n" + "\n".join(result.markdown() for result in results)


def sections(page: str) -> dict[str, str]:
    """The sections of a page by the names of their benchmarks."""
    parts = re.split(MARKED, page)[1:]
    return {name: MARK.format(name=name) + body for name, body in zip(parts[::2], parts[1::2], strict=True)}


def assemble(order: Iterable[str], parts: Mapping[str, str]) -> str:
    """All of RESULTS.md."""
    body = "\n".join(parts[name].rstrip() + "\n" for name in order if name in parts)
    met, missed = body.count("| met |"), body.count("| **missed** |")
    head = [
        "# Results of the last runs",
        "",
        "Written by `python -m bench --write NAME ...`; do not edit. How each number is made: [README](README.md).",
        "",
        f"**{met} of {met + missed} targets met.** Peers run in the same minutes on the same machine.",
        "",
    ]
    return "\n".join(head) + "\n" + body
