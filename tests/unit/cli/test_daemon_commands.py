"""Commands that ask the daemon: what they print of its answers, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.layout import width
from tests.unit.cli.conftest import Run, has_chinese
from tests.unit.cli.sims import FINE, sick, speaking

WAITING = {"device": "guardroom", "point": "panic", "name": "门卫室", "state": "waiting", "latency_ms": None}
PRESSED = {**WAITING, "state": "pressed", "latency_ms": 41.7}


def test_a_fine_status_is_a_page_and_exit_code_0(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"status": FINE}) as config:
        ran = run("--config", str(config), "status")
    assert (ran.code, ran.err) == (0, "")
    for part in ("兖州区实验小学", "3 天 4 小时", "1.5 MiB / 1.0 GiB", "门卫室一键报警", "mqtts://mq1.example.cn:8883"):
        assert part in ran.out
    assert "27 / 27 / 61" in ran.out


def test_a_sick_status_names_everything_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"status": sick()}) as config:
        chinese = run("--config", str(config), "status")
        english = run("--config", str(config), "--lang", "en", "status")
    assert chinese.code == english.code == 1
    for part in ("未同步", "仅在内存", "被服务器拒绝", "从未收到", "未连接", "离线", "设备没有应答", "打不开"):
        assert part in "".join(chinese.out.split())
    assert "NEVER RECEIVED" in english.out
    assert (
        "the device does not answer" in english.out.replace("\n", " ").replace("  ", " ") or "does not" in english.out
    )


@pytest.mark.parametrize("status", [FINE, sick()], ids=["fine", "sick"])
def test_the_status_page_fits_into_80_columns(run: Run, tmp_path: Path, status: Any) -> None:
    with speaking(tmp_path, {"status": status}) as config:
        for language in ("zh-CN", "en"):
            page = run("--config", str(config), "--lang", language, "status").out
            assert [line for line in page.splitlines() if width(line) > 80] == []


def camera(id_: str, state: str) -> dict[str, Any]:
    return {"id": id_, "name": id_, "state": state, "since": None, "inspected": None, "faults": [], "why": None}


def test_the_status_page_has_the_processes_beside_the_core_and_counts_cameras(run: Run, tmp_path: Path) -> None:
    up = {"state": "running", "pid": 7, "rss_bytes": 120 << 20, "restarts": 0, "error": None}
    off = {"state": "off", "pid": None, "rss_bytes": None, "restarts": 0, "error": None}
    cameras = [camera("a", "ok"), camera("b", "ok"), camera("c", "offline")]
    with speaking(tmp_path, {"status": {**FINE, "eye": up, "console": off, "cameras": cameras}}) as config:
        ran = run("--config", str(config), "status")
    assert ran.code == 0
    for part in ("天眼", "120.0 MiB", "正常 2", "离线 1"):
        assert part in ran.out
    assert "网页" not in ran.out
    error = {"key": "runtime.child-hung", "zh-CN": "天眼进程没有应答", "en": "the camera process did not answer"}
    down = {**up, "state": "waiting", "restarts": 3, "error": error}
    with speaking(tmp_path, {"status": {**FINE, "eye": down, "console": off, "cameras": []}}) as config:
        ran = run("--config", str(config), "status")
    assert ran.code == 1
    assert "天眼进程没有应答" in ran.out
    assert "等待重启" in ran.out


def test_status_json_is_what_the_daemon_said(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"status": sick()}) as config:
        ran = run("--config", str(config), "status", "--json")
    assert json.loads(ran.out) == sick()
    assert ran.code == 1


def test_no_colours_go_into_a_pipe(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"status": sick()}) as config:
        assert "\x1b" not in run("--config", str(config), "status").out


def test_without_a_daemon_the_command_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {}) as config:
        pass
    for argv in (("status",), ("queue", "show"), ("queue", "retry"), ("test", "buttons"), ("events", "tail", "-f")):
        ran = run("--config", str(config), *argv)
        assert (ran.code, ran.out) == (1, "")
        assert "systemctl status campus-agent" in ran.err


def test_a_daemon_without_the_method_is_an_error_in_the_users_language(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {}) as config:
        ran = run("--config", str(config), "status")
    assert ran.code == 1
    assert has_chinese(ran.err)


def test_a_bad_configuration_is_exit_code_2_with_every_problem(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[site]\ndistrict = "1"\nschool = "X"\nname = ""\n[uplink]\nbrokers = []\n', encoding="utf-8")
    ran = run("--config", str(config), "status")
    assert ran.code == 2
    for key in ("site.district", "site.school", "site.name", "uplink.brokers"):
        assert key in ran.err


def test_a_missing_configuration_is_exit_code_2(run: Run, tmp_path: Path) -> None:
    ran = run("--config", str(tmp_path / "none.toml"), "status")
    assert ran.code == 2
    assert "none.toml" in ran.err


def test_queue_show_counts_and_warns_of_refused(run: Run, tmp_path: Path) -> None:
    answer = {"due": {"alarm": 1, "fault": 0, "event": 7}, "oldest_due": "2026-11-23T07:00:00.000+08:00", "refused": 2}
    with speaking(tmp_path, {"queue-show": answer}) as config:
        ran = run("--config", str(config), "queue", "show")
    assert ran.code == 1
    assert "2026-11-23 07:00:00" in ran.out
    assert "--refused" in ran.out


def test_queue_list_refused_shows_code_and_reason(run: Run, tmp_path: Path) -> None:
    rows = [
        {
            "seq": 7,
            "id": "01JD",
            "type": "campus.alarm.raised",
            "lane": "alarm",
            "device": "guardroom",
            "point": "panic",
            "time": "2026-11-23T07:00:00.000+08:00",
            "state": "refused",
            "code": 0x87,
            "reason": "Not authorized",
        }
    ]
    with speaking(tmp_path, {"queue-list": lambda params: rows if params["state"] == "refused" else []}) as config:
        refused = run("--config", str(config), "queue", "list", "--refused")
        due = run("--config", str(config), "queue", "list")
        other = run("--config", str(config), "queue", "list", "--refused", "--lane", "event")
    assert refused.code == 1
    assert all(part in refused.out for part in ("0x87", "Not authorized", "guardroom/panic", "报警"))
    assert (due.code, other.code) == (0, 0)


def test_queue_retry_without_numbers_asks_for_all(run: Run, tmp_path: Path) -> None:
    asked: list[Any] = []

    def retry(params: Any) -> Any:
        asked.append(params.get("seqs"))
        return {"retried": 2}

    with speaking(tmp_path, {"queue-retry": retry}) as config:
        everything = run("--config", str(config), "queue", "retry")
        some = run("--config", str(config), "queue", "retry", "5", "6", "7")
    assert asked == [None, [5, 6, 7]]
    assert everything.code == 0
    assert some.code == 1  # one of the three was not refused


def test_buttons_pass_when_all_were_pressed(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"test-buttons": [WAITING, PRESSED]}) as config:
        ran = run("--config", str(config), "test", "buttons")
    assert ran.code == 0
    assert "42 ms" in ran.out
    assert "全部 1 个按钮正常" in ran.out


def test_buttons_that_were_not_pressed_are_named(run: Run, tmp_path: Path) -> None:
    other = {**WAITING, "point": "gate"}
    with speaking(tmp_path, {"test-buttons": [WAITING, other, PRESSED]}) as config:
        ran = run("--config", str(config), "test", "buttons")
    assert ran.code == 1
    assert "guardroom/gate" in ran.out.splitlines()[-1]


def test_buttons_as_json_lines(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"test-buttons": [WAITING, PRESSED]}) as config:
        ran = run("--config", str(config), "test", "buttons", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == [WAITING, PRESSED]


def test_a_school_without_buttons_is_a_finding(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"test-buttons": []}) as config:
        assert run("--config", str(config), "test", "buttons").code == 1


def test_the_uplink_test_tells_puback_from_receipt(run: Run, tmp_path: Path) -> None:
    answer = {"broker": "mqtts://mq1.example.cn:8883", "puback_ms": 12.5, "receipt_ms": None}
    with speaking(tmp_path, {"test-uplink": answer}) as config:
        ran = run("--config", str(config), "test", "uplink")
    assert ran.code == 0
    assert "PUBACK" in ran.out
    assert "没有收到区平台回执" in ran.out


def test_a_file_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"status": FINE, "events-list": lambda _params: []}) as config:
        ran = run("--config", str(config), "events", "export", str(tmp_path / "none" / "export.jsonl"))
    assert ran.code == 1
    assert "export.jsonl" in ran.err
    assert has_chinese(ran.err)
