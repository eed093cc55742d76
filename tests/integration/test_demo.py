"""The demo as a person or a pipeline starts it: every step happens, and nothing stays behind, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

ROOT: Final = Path(__file__).parents[2]
LIMIT_S: Final = 240.0
"""The script takes a minute and a half; tests share their machine."""
POLL_S: Final = 0.05
READ_BYTES: Final = 4096
SHOWN_CHARS: Final = 20_000
KEYS: Final = (
    ("", "agent started"),
    ("f", "fence is cut"),
    ("g", "gas leaks"),
    ("o", "answered in"),
    ("b", "the broker is gone"),
)
"""A key, and what is to be seen then."""


class Demo:
    """One run of `python -m agent.demo` with a temporary folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.demo", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), "LANG": "C.UTF-8"},
        )
        self.said: list[str] = []
        self.children: dict[str, psutil.Process] = {}

    def until(self, word: str) -> None:
        """Read what it says up to a line that holds `word`, and note its children by then."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.decode())
            if word in self.said[-1]:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    self.children[" ".join(child.cmdline())] = child
                return
        raise AssertionError("".join(self.said))

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        assert self.process.stdout
        self.said += [line.decode() for line in self.process.stdout]
        return self.process.wait(LIMIT_S)

    def child(self, module: str) -> psutil.Process:
        """The child process that runs a module."""
        return next(child for command, child in self.children.items() if f"-m {module}" in command)

    def left(self) -> list[str]:
        """The processes and files that are still there."""
        processes = [command for command, child in self.children.items() if child.is_running()]
        return processes + [path.name for path in self.folder.iterdir()]


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Demo]]:
    """Start demos; end what a failed test leaves running."""
    runs: list[Demo] = []

    def start(*arguments: str) -> Demo:
        runs.append(Demo(tmp_path_factory.mktemp("d"), *arguments))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.process.wait(LIMIT_S)
        if run.process.stdout:
            run.process.stdout.close()


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return condition()


@pytest.mark.timeout(300)
def test_every_step_of_the_script_happens_and_nothing_is_left(demo: Callable[..., Demo]) -> None:
    run = demo("--script", "--lang", "en")
    run.until("[ ok ]")
    for module in ("agent.demo.broker", "agent.demo.camera", "agent.runtime"):
        assert run.child(module).is_running()
    assert run.end() == 0, "".join(run.said)
    text = "".join(run.said)
    for step in (
        "blinks at 1 Hz",
        "nothing lit on site",
        "blinks at 4 Hz",
        "the siren sounds",
        "the broker is back",
        "a clip of",
        "the fan runs again",
        "the rule alarms",
        "reports by DC-09",
        "cut while armed",
        "brings the alarm to the alarm centre",
    ):
        assert step in text
    assert "FAIL" not in text
    assert run.left() == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scenario", "beats"),
    [
        ("gas-leak", ("the curve of the gas is at the district", "the gas valve shuts", "Canteen camera: a snapshot")),
        (
            "intruder",
            ("somebody cross the line", "the duty telephone has a short message", "the alarm centre hears of the end"),
        ),
        ("drill", ("alarm events are marked as a drill", "the alarm centre and the telephone got nothing")),
        ("outage", ("blinks at 4 Hz", "brings the alarm to the alarm centre", "with the time of the press")),
    ],
)
def test_a_scenario_plays_to_its_end(demo: Callable[..., Demo], scenario: str, beats: tuple[str, ...]) -> None:
    run = demo("--scenario", scenario, "--lang", "en")
    run.until("[ ok ]")
    assert run.end() == 0, "".join(run.said)
    text = "".join(run.said)
    assert all(beat in text for beat in (*beats, "are right", "stopped cleanly")), text
    assert run.left() == []


def test_a_beat_that_does_not_happen_ends_a_scenario_as_failed(demo: Callable[..., Demo]) -> None:
    run = demo("--scenario", "intruder", "--lang", "en")
    run.until("the gateway is online")
    run.child("agent.demo.camera").kill()
    assert run.end() == 1, "".join(run.said)
    assert "FAIL" in "".join(run.said)
    assert eventually(lambda: run.left() == []), run.left()


def test_on_a_terminal_it_shows_the_school_and_obeys_keys(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, 100))
    size = {"COLUMNS": "100", "LINES": "50"}  # what a test runner may have set counts for more than the terminal
    environment = {**os.environ, **size, "TMPDIR": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "agent.demo", "--lang", "en", "--seconds", str(LIMIT_S)]
    screen = ""
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        for key, wanted in KEYS:
            os.write(ours, key.encode())
            while wanted not in screen:
                screen += more(ours, f"{key!r} {wanted!r} {screen[-SHOWN_CHARS:]}")
        os.write(ours, b"q")
        draining = threading.Thread(target=drain, args=(ours,), daemon=True)  # what nobody reads would hold it up
        draining.start()
        assert process.wait(LIMIT_S) == 0
        draining.join()
    os.close(ours)
    assert list(tmp_path.iterdir()) == []


def more(terminal: int, wanted: str) -> str:
    """What a terminal shows next; fails when nothing more will come."""
    try:
        return os.read(terminal, READ_BYTES).decode(errors="replace")
    except OSError:  # EIO: nobody has its other side any more
        raise AssertionError(wanted) from None


def drain(terminal: int) -> None:
    """Read a terminal to its end."""
    with contextlib.suppress(OSError):  # EIO: nobody has its other side any more
        while os.read(terminal, READ_BYTES):
            pass


def test_without_a_terminal_it_runs_its_script_and_speaks_chinese_first(demo: Callable[..., Demo]) -> None:
    run = demo()
    run.until("网关已上线")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing(demo: Callable[..., Demo], number: signal.Signals) -> None:
    run = demo("--script", "--lang", "en")
    run.until("[ ok ]")
    run.process.send_signal(number)
    assert run.end() == 130
    assert run.left() == []


@pytest.mark.parametrize(("module", "name"), [("agent.runtime", "campus-agent"), ("agent.demo.broker", "broker")])
def test_a_child_that_dies_ends_the_demo_with_its_name(demo: Callable[..., Demo], module: str, name: str) -> None:
    run = demo("--script", "--lang", "en")
    run.until("[ ok ]")
    run.child(module).kill()
    assert run.end() == 1
    assert f"{name} ended unexpectedly with exit code -9" in "".join(run.said)
    # a killed daemon cannot wait for its eye and its console: they notice by themselves
    assert eventually(lambda: run.left() == []), run.left()


def test_a_killed_demo_takes_its_processes_along(demo: Callable[..., Demo]) -> None:
    run = demo("--script", "--lang", "en")
    run.until("[ ok ]")
    run.process.kill()
    run.end()
    assert eventually(lambda: not any(child.is_running() for child in run.children.values())), run.left()


def test_a_time_limit_ends_the_script_as_failed(demo: Callable[..., Demo]) -> None:
    run = demo("--script", "--lang", "en", "--seconds", "1")
    assert run.end() == 1
    assert "took more than its 1 s" in "".join(run.said)
    assert run.left() == []
