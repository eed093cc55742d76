"""`check-config` and `drivers` as a technician sees them, in both languages and as data."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, has_chinese

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "config" / "agent.toml")
GOLDEN = ROOT / "tests" / "golden" / "config"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_a_good_configuration_shows_what_would_run(run: Run) -> None:
    ran = run("--config", EXAMPLE, "check-config", "--no-files")
    assert ran.code == 0
    assert ran.err == ""
    for said in (
        "学校：兖州区实验小学（370812/sy-primary，Asia/Shanghai）",
        "服务器：mqtts://mq1.example.cn:8883, mqtts://mq2.example.cn:8883（账号 370812-sy-primary）",
        "9600 8N1，1 个模块",
        "最慢一轮：正常 32ms，同时写输出 68ms，有一个模块无应答 112ms",
        "guardroom：按满 50ms 一定能看到（写输出时 78ms，有模块无应答时 122ms）",
        "设备 guardroom：门卫室报警模块（驱动 modbus-io，总线 rs485-1）",
        "一键报警 (panic)",
        f"配置可以使用：{EXAMPLE}。提醒 0 条",
    ):
        assert said in ran.out


def test_english_output_has_no_chinese_of_ours(run: Run) -> None:
    ran = run("--config", EXAMPLE, "--lang", "en", "check-config", "--no-files")
    names = ("兖州区实验小学", "门卫室报警模块", "门卫室一键报警", "校门")
    said = ran.out
    for name in names:
        said = said.replace(name, "")
    assert "a press of 50ms is sure to be seen" in said
    assert not has_chinese(said)


def test_the_same_as_data(run: Run) -> None:
    ran = run("--config", EXAMPLE, "check-config", "--no-files", "--json")
    data = json.loads(ran.out)
    assert ran.code == 0
    assert data["ok"] is True
    assert data["warnings"] == []
    assert data["config"]["site"]["name"] == "兖州区实验小学"
    assert data["config"]["uplink"]["password"] == {"credential": "mqtt-password"}
    (bus,) = data["buses"]
    assert (bus["id"], bus["units"]) == ("rs485-1", 1)
    assert bus["sure_press"] == {"guardroom": {"healthy_ms": 50.0, "writing_ms": 77.9, "probing_ms": 122.0}}


def test_all_problems_are_numbered_and_counted_and_the_code_is_2(run: Run) -> None:
    ran = run("--config", str(GOLDEN / "missing-keys.toml"), "check-config")
    assert ran.code == 2
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines[0].startswith(f"1. {GOLDEN}/missing-keys.toml：site.district：应为：必填项")
    assert lines[-1].startswith(f"配置 {GOLDEN}/missing-keys.toml 不能使用，共有 {len(lines) - 1} 处错误")


def test_problems_as_data(run: Run) -> None:
    ran = run("--config", str(GOLDEN / "no-broker.toml"), "check-config", "--json")
    assert ran.code == 2
    data = json.loads(ran.out)
    assert data["ok"] is False
    (problem,) = data["problems"]
    assert problem["key"] == "uplink.brokers"
    assert problem["expected"] == {"zh-CN": "至少一项", "en": "at least one"}
    assert problem["found"] == "[]"


def test_warnings_are_shown_and_the_code_is_0(run: Run) -> None:
    ran = run("--config", str(GOLDEN / "warnings.toml"), "check-config")
    assert ran.code == 0
    assert "提醒 1：" in ran.out
    assert "提醒 15 条" in ran.out
    assert "hunter2" not in ran.out + ran.err


def test_files_of_the_machine_are_looked_for(run: Run) -> None:
    ran = run("--config", EXAMPLE, "check-config")
    assert ran.code == 2
    assert "uplink.tls.ca" in ran.err


def test_the_drivers_are_listed(run: Run) -> None:
    ran = run("drivers")
    assert ran.code == 0
    assert "modbus-io  Modbus RTU 开关量模块" in ran.out
    assert "reply_timeout" in ran.out
    listed = json.loads(run("drivers", "--json").out)
    of = {driver["name"]: driver["of"] for driver in listed}
    assert of.items() >= {"modbus-io": "device", "onvif": "camera", "rtsp": "camera"}.items()


def test_one_driver_in_full(run: Run) -> None:
    ran = run("drivers", "modbus-io", "--lang", "en")
    assert ran.code == 0
    assert "1 .. 247" in ran.out
    assert "Source: MODBUS Application Protocol" in ran.out
    assert 'driver = "modbus-io"\nbus = "..."\nunit = ...\n# inputs = 8\n' in ran.out
    data = json.loads(run("drivers", "modbus-io", "--json").out)
    assert data["needs_bus"] is True
    (unit, *_) = data["fields"]
    assert (unit["name"], unit["required"], unit["limits"]) == ("unit", True, {"ge": "1", "le": "247"})
    assert data["schema"]["unit"]["maximum"] == 247


def test_a_driver_in_full_shows_the_tables_inside_its_own(run: Run) -> None:
    result = run("drivers", "modbus-sensor")
    assert result.code == 0
    assert "[[device.channel]]" in result.out
    assert "alarm_above" in result.out
    described = json.loads(run("drivers", "modbus-sensor", "--json").out)
    assert "alarm_above" in [field["name"] for field in described["tables"]["channel"]]


def test_an_unknown_driver_is_wrong_usage(run: Run) -> None:
    ran = run("drivers", "modbus")
    assert ran.code == 2
    assert "是不是想写 modbus-io" in ran.err
