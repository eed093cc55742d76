"""From what was seen to what is said."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli.doctor import judge
from agent.cli.doctor.finding import Check, Finding, ok
from agent.cli.doctor.ports import Port
from agent.cli.doctor.ports import judge as judge_port
from agent.cli.doctor.runner import in_thread, run_checks
from agent.texts import Language, Spoken, say
from tests.unit.cli.sims import FINE, sick

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def level(finding: Finding) -> str:
    """Its level; and see that it can be read, with a remedy wherever something is wrong."""
    languages: tuple[Language, ...] = ("zh-CN", "en")
    for language in languages:
        shown = finding.as_json(language)
        assert shown["message"]
        assert bool(shown["remedy"]) is (finding.level != "ok")
    return finding.level


def test_the_clock() -> None:
    assert level(judge.clock("clock", True, NOW, NOW - timedelta(days=1))) == "ok"
    assert level(judge.clock("clock", False, NOW, None)) == "warn"
    assert level(judge.clock("clock", True, datetime(1970, 1, 1, tzinfo=UTC), NOW)) == "fail"


def test_a_drill_that_goes_on_is_worth_a_word() -> None:
    assert level(judge.drill("drill", {"left_s": 61, "scope": [], "actor": None})) == "warn"
    found = judge.drill("drill", {"left_s": 61, "scope": ["guardroom/panic"], "actor": "校长"})
    assert "2 分钟" in (said := found.message.render("zh-CN"))
    assert "guardroom/panic" in said


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (judge.Disk("/var", 10 << 30, 1_000_000, 2_000_000, read_only=False), "ok"),
        (judge.Disk("/var", 500 << 20, 1_000_000, 2_000_000, read_only=False), "warn"),
        (judge.Disk("/var", 1 << 20, 1_000_000, 2_000_000, read_only=False), "fail"),
        (judge.Disk("/var", 10 << 30, 5, 2_000_000, read_only=False), "warn"),
        (judge.Disk("/var", 10 << 30, 0, 0, read_only=False), "ok"),  # btrfs counts no inodes
        (judge.Disk("/var", 10 << 30, 1_000_000, 2_000_000, read_only=True), "fail"),
    ],
)
def test_the_disk(disk: judge.Disk, expected: str) -> None:
    assert level(judge.disk("disk", disk, journal_bytes=1 << 20, max_bytes=1 << 30)) == expected


@pytest.mark.parametrize(("store", "expected"), [("file", "ok"), ("fresh", "warn"), ("memory", "fail")])
def test_the_store(store: str, expected: str) -> None:
    assert level(judge.store("journal-store", {**FINE["journal"], "store": store})) == expected
    assert level(judge.store("journal-store", {**sick()["journal"], "store": store})) == expected


def test_the_uplink_and_its_receipts() -> None:
    assert level(judge.uplink("uplink", FINE["uplink"])) == "ok"
    assert level(judge.uplink("uplink", sick()["uplink"])) == "fail"
    assert [level(judge.receipts("receipts", state)) for state in ("live", "off", "never")] == ["ok", "ok", "warn"]


def test_devices_by_status() -> None:
    assert level(judge.device("device guardroom", FINE["devices"][0])) == "ok"
    offline = judge.device("device guardroom", sick()["devices"][0])
    assert level(offline) == "fail"
    assert "设备没有应答" in offline.message.render("zh-CN")


@pytest.mark.parametrize(
    ("days_left", "expected"), [(400, "ok"), (31, "ok"), (29, "warn"), (0.5, "warn"), (-1, "fail")]
)
def test_certificates_by_their_end(days_left: float, expected: str) -> None:
    finding = judge.certificate("certificate", "x", NOW - timedelta(days=1), NOW + timedelta(days=days_left), NOW)
    assert level(finding) == expected


def test_a_certificate_that_is_not_yet_valid_points_to_the_clock() -> None:
    finding = judge.certificate("certificate", "x", NOW + timedelta(days=1), NOW + timedelta(days=9), NOW)
    assert level(finding) == "fail"


@pytest.mark.parametrize(
    ("shown", "levels"),
    [
        ("LoadState=not-found\n", ["warn"]),
        ("LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nNRestarts=0\n", ["ok"]),
        ("LoadState=loaded\nUnitFileState=disabled\nActiveState=active\n", ["warn"]),
        ("LoadState=loaded\nUnitFileState=enabled\nActiveState=failed\nResult=exit-code\n", ["ok", "fail"]),
        ("LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nNRestarts=12\n", ["ok", "warn"]),
    ],
)
def test_the_unit(shown: str, levels: list[str]) -> None:
    assert [level(finding) for finding in judge.unit("systemd-unit", judge.properties(shown))] == levels


@pytest.mark.parametrize(("limit", "expected"), [("30s", "ok"), ("0", "warn"), ("infinity", "warn"), ("", "warn")])
def test_the_watchdog(limit: str, expected: str) -> None:
    assert level(judge.watchdog("watchdog", {"WatchdogUSec": limit})) == expected


@pytest.mark.parametrize(
    ("port", "alive", "expected"),
    [
        (Port("/dev/x", exists=False), False, "fail"),
        (Port("/dev/x", exists=True), False, "fail"),
        (Port("/dev/x", exists=True, character_device=True), False, "fail"),
        (Port("/dev/x", exists=True, character_device=True), True, "warn"),
        (Port("/dev/x", exists=True, character_device=True, may_use=True), False, "ok"),
        (Port("/dev/x", exists=True, character_device=True, may_use=True, holder="minicom (9)"), False, "fail"),
        (Port("/dev/x", exists=True, character_device=True, may_use=True, holder="minicom (9)"), True, "fail"),
    ],
)
def test_ports(port: Port, alive: bool, expected: str) -> None:
    assert level(judge_port("port rs485-1", port, daemon_alive=alive)) == expected


def check(name: str, work: Any, deadline_s: float = 5.0) -> Check:
    async def probe() -> Sequence[Finding]:
        return [ok(name, say("doctor.secrets-ok"))] if work is None else await work()

    return Check(name, probe, deadline_s)


async def test_a_hung_check_is_a_finding_and_holds_up_no_other() -> None:
    async def hang() -> Any:
        await asyncio.Event().wait()

    found = await run_checks([check("hangs", hang, 0.01), check("fine", None)])
    assert [(finding.name, level(finding)) for finding in found] == [("hangs", "fail"), ("fine", "ok")]


async def test_a_check_that_blocks_its_thread_still_ends() -> None:
    async def block() -> Any:
        return await in_thread(lambda: time.sleep(5))

    found = await run_checks([check("blocks", block, 0.05)])
    assert [level(finding) for finding in found] == ["fail"]


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error", "/x"), Spoken(say("doctor.secrets-ok")), KeyError()]
)
async def test_an_error_is_a_finding(error: Exception) -> None:
    async def raising() -> Any:
        raise error

    found = await run_checks([check("raises", raising)])
    assert [level(finding) for finding in found] == ["fail"]


async def test_an_error_in_a_thread_comes_back() -> None:
    def work() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await in_thread(work)
