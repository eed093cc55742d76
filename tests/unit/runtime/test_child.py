"""Processes beside the core, with real ones: ended by force, hung, stopped, greedy, chatty, deaf."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from agent import childhood
from agent.clock import SystemClock
from agent.runtime.child import Child, ChildLimits, rss_bytes
from agent.runtime.childlog import BYTES_BURST, LINE_BYTES, LINES_BURST, ChildLog, read_line
from agent.texts import Text

ROOT: Final = Path(__file__).parents[3]
WAIT_S: Final = 60.0
QUICK: Final = ChildLimits(200 << 20, silence_s=WAIT_S, look_s=0.05, stop_s=0.5, steady_s=0.3)
CLOCK: Final = SystemClock("Asia/Shanghai")


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - processes announce nothing
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_S} s: {what}") from None


@asynccontextmanager
async def a_child(program: str, limits: ChildLimits = QUICK) -> AsyncIterator[tuple[Child, list[Text | None]]]:
    faults: list[Text | None] = []

    async def fault(text: Text | None) -> None:
        faults.append(text)

    child = Child("eye", lambda: (sys.executable, "-c", program), limits, CLOCK, fault)
    async with asyncio.TaskGroup() as group:
        child.start(group)
        yield child, faults
        await child.stop()
    assert child.state == "off"
    assert child.pid is None


def keys(faults: list[Text | None]) -> list[str | None]:
    return [text.key if text else None for text in faults]


async def test_a_child_that_is_killed_comes_back_and_its_fault_ends_when_it_has_lived_a_while() -> None:
    async with a_child("import time; time.sleep(60)") as (child, faults):
        await until(lambda: child.pid, "the first start")
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGSEGV)
        await until(lambda: child.pid not in {None, first}, "another start")
        child.beat()
        assert child.restarts == 1
        await until(lambda: faults[-1:] == [None], "the end of the fault")
        assert keys(faults) == ["runtime.child-signal", None]
        assert "SIGSEGV" in str(faults[0])
        assert child.error is None


async def test_a_child_that_ends_at_once_is_started_again_with_growing_pauses() -> None:
    async with a_child("raise SystemExit(7)") as (child, faults):
        await until(lambda: child.starts >= 3, "three starts")
        assert set(keys(faults)) == {"runtime.child-exited"}
        assert child.error is not None
        assert "7" in str(child.error)


async def test_a_program_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    faults: list[Text | None] = []

    async def fault(text: Text | None) -> None:
        faults.append(text)

    child = Child("eye", lambda: (str(tmp_path / "missing"),), QUICK, CLOCK, fault)
    async with asyncio.TaskGroup() as group:
        child.start(group)
        await until(lambda: len(faults) >= 2, "two tries")
        await child.stop()
    assert set(keys(faults)) == {"runtime.child-unstartable"}


async def test_too_much_memory_ends_it() -> None:
    greedy = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x') * (8 << 20))\n    time.sleep(0.1)"
    async with a_child(greedy, replace(QUICK, memory_bytes=100 << 20)) as (child, faults):
        await until(lambda: any(faults), "the fault")
        told = next(text for text in faults if text)
        assert told.key == "runtime.child-memory"
        assert int(str(told.args["mib"])) < 400
        assert child.restarts >= 1


async def test_a_leak_quicker_than_our_looks_meets_the_limit_that_the_child_has_set_itself() -> None:
    program = "from agent import childhood; childhood.begin()\nbytearray(4 << 30)"
    async with a_child(program, replace(QUICK, memory_bytes=64 << 20, look_s=30.0)) as (_, faults):
        await until(lambda: any(faults), "the fault")
        assert next(key for key in keys(faults) if key) == "runtime.child-exited"  # MemoryError


@pytest.mark.parametrize("hang", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGSTOP)"])
async def test_a_child_that_sends_no_heartbeats_is_ended(hang: str, caplog: pytest.LogCaptureFixture) -> None:
    program = f"import os, signal, time\nprint('up', flush=True)\n{hang}"
    async with a_child(program, replace(QUICK, silence_s=0.5, start_s=WAIT_S)) as (child, faults):
        with caplog.at_level(logging.INFO):
            await until(lambda: "eye: up" in caplog.text, "its first word")
            child.beat()
            assert child.state == "running"
            await until(lambda: any(faults), "the fault")
        assert next(key for key in keys(faults) if key) == "runtime.child-hung"
        await until(lambda: child.starts >= 2, "another start")
        assert child.state in {"starting", "waiting"}
    if hang.startswith("time"):
        assert "Current thread" in caplog.text, "a hung one shows where it hangs"


async def test_a_deaf_child_is_ended_by_force_at_a_stop() -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    async with a_child(deaf) as (child, faults):
        await until(lambda: child.pid, "the start")
        pid = child.pid
        assert pid is not None
        await asyncio.sleep(0.2)
    assert rss_bytes(pid) is None
    assert faults in ([], [None])


async def test_a_cancelled_group_leaves_no_process_behind() -> None:
    child = Child("eye", lambda: (sys.executable, "-c", "import time; time.sleep(60)"), QUICK, CLOCK, _nothing)
    pids: list[int | None] = []

    async def core() -> None:
        async with asyncio.TaskGroup() as group:
            child.start(group)
            await until(lambda: child.pid, "the start")
            pids.append(child.pid)
            raise RuntimeError("the core ends")

    with pytest.raises(ExceptionGroup):
        await core()
    (pid,) = pids
    assert pid is not None
    assert rss_bytes(pid) is None


async def _nothing(_text: Text | None) -> None:
    return


def test_a_child_ends_with_the_core_and_gives_way_to_it(tmp_path: Path) -> None:
    """The core here is a process that starts a child and is killed."""
    note = tmp_path / "note"
    child = (
        "import os, pathlib, resource, sys, time\nfrom agent import childhood\nchildhood.begin()\n"
        "score = pathlib.Path('/proc/self/oom_score_adj').read_text().strip()\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "whole = f'{os.getpid()} {os.nice(0)} {score} {resource.getrlimit(resource.RLIMIT_DATA)[0]}'\n"
        "path.with_suffix('.part').write_text(whole)\npath.with_suffix('.part').rename(path)\ntime.sleep(60)"
    )
    core = (
        "import os, subprocess, sys, time\nfrom agent import childhood\n"
        "env = {**os.environ, **childhood.environment(os.getpid(), 1 << 30)}\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]], env=env)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", core, child, str(note)], cwd=ROOT)

    async def run() -> int:
        await until(note.exists, "the child's note")
        pid, nice, score, data = map(int, note.read_text().split())
        assert (nice, score, data) == (childhood.NICENESS, int(childhood.OOM_SCORE), (1 << 30) * childhood.DATA_FACTOR)
        process.kill()
        await until(lambda: rss_bytes(pid) in {None, 0}, "the end of the child")
        return pid

    try:
        asyncio.run(run())
    finally:
        process.kill()
        process.wait()


def test_a_child_whose_core_is_gone_already_does_not_begin() -> None:
    env = {**os.environ, **childhood.environment(2**22 - 3, 1 << 30)}
    done = subprocess.run(
        [sys.executable, "-c", "from agent import childhood; childhood.begin(); print('began')"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_lines_of_a_child_keep_their_level_and_lose_what_a_terminal_would_obey() -> None:
    assert read_line(b'{"level": "error", "message": "\\u001b[2Jno picture"}') == (logging.ERROR, "?[2Jno picture")
    assert read_line(b"Segmentation fault") == (logging.WARNING, "Segmentation fault")
    assert read_line(b'{"level": "error"}')[0] == logging.WARNING
    assert read_line(b"{" * 5000)[0] == logging.WARNING
    assert read_line(b"\xff\xfe")[0] == logging.WARNING
    level, message = read_line(b'{"level": "info", "message": "a", "exception": "b"}')
    assert (level, message) == (logging.INFO, "a\nb")


def test_a_chatty_child_fills_neither_log_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    output = ChildLog("eye", CLOCK)
    with caplog.at_level(logging.INFO):
        output.feed(b"a" * 100_000)
        output.feed(b"b" * 100_000 + b"\n")
        for number in range(1000):
            output.feed(f"line {number}\n".encode())
    assert len(caplog.records) <= LINES_BURST + 20
    assert max(len(record.getMessage()) for record in caplog.records) <= LINE_BYTES + 10
    assert output.left_out > 500


async def test_a_flood_stops_the_child_and_not_us(caplog: pytest.LogCaptureFixture) -> None:
    """It may print no more than we read: the pipe is full, and it waits."""
    program = "import sys\nwhile True: sys.stdout.write('x' * 9999 + '\\n')"
    async with a_child(program) as (child, _):
        await until(lambda: child.pid, "the start")
        await until(lambda: len(caplog.records) >= BYTES_BURST / 20_000, "its lines")
        await asyncio.sleep(0.3)
        async with asyncio.timeout(WAIT_S):
            for _ in range(100):
                await asyncio.sleep(0)
    assert len(caplog.records) < LINES_BURST + 50


def test_a_stopped_process_shows() -> None:
    assert rss_bytes(2**22 - 3) is None
