"""Backoff, log lines, sd_notify: each by itself."""

import asyncio
import json
import logging
import random
import resource
import socket
from pathlib import Path

import pytest

from agent.backoff import HEALTHY_S, SHORTEST_S, Backoff
from agent.clock import NS_PER_S
from agent.logs import JsonFormatter, Loudness, SiteFormatter, set_up
from agent.runtime.devices import probe_cap_s
from agent.runtime.notify import Notifier
from agent.texts import say


def record(message: object, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("agent.x", level, "x.py", 1, message, args, None)


def test_waits_grow_to_the_cap_with_full_jitter_and_never_spin() -> None:
    backoff = Backoff(60.0, random.Random(7))
    waits = []
    for second in range(200):
        backoff.started(second * NS_PER_S)
        waits.append(backoff.failed(second * NS_PER_S))
    assert all(SHORTEST_S <= wait <= 60.0 for wait in waits)
    assert waits[0] <= 1.0
    assert max(waits[20:]) > 45
    assert min(waits[20:]) < 15


def test_after_a_healthy_while_a_failure_is_a_first_one_again() -> None:
    backoff = Backoff(60.0, random.Random(7))
    for _ in range(20):
        backoff.started(0)
        backoff.failed(0)
    backoff.started(0)
    assert backoff.failed(round(HEALTHY_S * NS_PER_S)) <= 1.0


def test_waits_on_a_bus_leave_little_to_chance() -> None:
    backoff = Backoff(2.0, random.Random(7), spread=0.2)
    waits = [backoff.failed(0) for _ in range(50)]
    assert 0.8 <= waits[0] <= 1.0
    assert all(1.6 <= wait <= 2.0 for wait in waits[1:])


@pytest.mark.parametrize(
    ("online", "cap_s"),
    [
        ([False, True, True, True], 2.0),
        ([False, False, True, True], 4.0),
        ([False] * 5 + [True], 10.0),
        ([False] * 20 + [True], 10.0),
        ([False] * 20, 2.0),  # nobody is there whom a question could disturb
        ([], 2.0),  # not on a bus
    ],
)
def test_the_more_units_are_silent_the_less_often_each_is_asked(online: list[bool], cap_s: float) -> None:
    assert probe_cap_s(2.0, online) == cap_s


def test_a_failure_is_loud_once_and_again_when_it_says_something_new() -> None:
    loudness = Loudness()
    levels = [loudness.level("gate", what) for what in ("a", "a", "b", "b", "a")]
    assert levels == [logging.WARNING, logging.DEBUG, logging.WARNING, logging.DEBUG, logging.WARNING]
    assert loudness.over("gate")
    assert not loudness.over("gate")
    assert loudness.level("gate", "a") == logging.WARNING


def test_journald_lines_carry_a_priority_and_stay_one_line() -> None:
    line = SiteFormatter("zh-CN", journald=True).format(record("a\nb"))
    assert line == "<4>a\\nb"


async def test_an_exception_that_nobody_took_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        set_up("en")
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0.01)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_texts_are_rendered_in_the_sites_language() -> None:
    text = say("runtime.no-output", device="guardroom", output=9, known="0..7")
    chinese, english = SiteFormatter("zh-CN", journald=True), SiteFormatter("en", journald=True)
    assert chinese.format(record(text)) == "<4>设备 guardroom 没有输出 9；它有的输出：0..7"
    assert english.format(record("%s!", text)) == "<4>device guardroom has no output 9; it has 0..7!"


def test_json_lines_name_what_happened_by_its_key() -> None:
    entry = json.loads(JsonFormatter("en").format(record(say("runtime.stopped"), level=logging.INFO)))
    assert entry["key"] == "runtime.stopped"
    assert entry["message"] == "stopped"
    assert entry["level"] == "info"


def test_systemd_hears_ready(tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "30000000"})
        assert notifier.watchdog_interval_s == 10.0
        notifier.send(READY="1", STATUS="好")
        assert manager.recv(1000).decode() == "READY=1\nSTATUS=好"


def test_the_watchdog_is_fed_also_without_a_free_file_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "30000000"})
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            notifier.send(WATCHDOG="1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert manager.recv(1000).decode() == "WATCHDOG=1"


def test_without_systemd_nothing_is_sent_and_another_processes_watchdog_is_not_ours(tmp_path: Path) -> None:
    Notifier({}).send(READY="1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY="1")
    assert Notifier({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).watchdog_interval_s is None
