"""`campus-agent camera ...` against a real control socket with canned answers, and a real media socket."""

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from agent.cli.layout import width
from agent.control.media import (
    EvidenceRequest,
    MediaAnswer,
    dump_media_answer,
    dump_media_refusal,
    frame,
    parse_media_request,
)
from agent.control.protocol import eye_sockets
from agent.texts import say
from tests.unit.cli.conftest import Run
from tests.unit.cli.sims import CONFIG, speaking

FACTS: Mapping[str, Any] = {
    "camera": "gate",
    "at": "2026-11-23T08:00:00+08:00",
    "address": "192.168.1.64",
    "driver": "onvif",
    "maker": "Hikvision",
    "model": "DS-2CD2032-I",
    "serial": "SN1",
    "streams": [{"name": "main", "codec": "h265", "width": 1920, "height": 1080}],
}
GATE: Mapping[str, Any] = {
    "id": "gate",
    "name": "校门口",
    "driver": "onvif",
    "address": "192.168.1.64",
    "gb_id": "37081200001320000001",
    "state": "fault",
    "faults": ["picture-black"],
    "inspected": "2026-11-23T08:00:00+08:00",
    "login_closed_s": 0,
    "facts": FACTS,
}
YARD = {**GATE, "id": "yard", "name": "操场", "gb_id": None, "state": "ok", "faults": [], "facts": None}
CAMERA = """
[[camera]]
id = "gate"
name = "校门口"
driver = "onvif"
address = "192.168.1.64"
"""


def replies(result: Any) -> dict[str, Any]:
    """A daemon that carries out every command, and remembers them."""
    orders: list[Mapping[str, Any]] = []

    def command(params: Mapping[str, Any]) -> Any:
        orders.append(params)
        return {"id": "1", "ok": True, "result": result, "reason": None}

    return {"command": command, "orders": orders}


def daemon(folder: Path, answers: Mapping[str, Any]) -> Any:
    return speaking(folder, {name: value for name, value in answers.items() if name != "orders"})


# --- list


def test_the_list_is_a_table_and_tells_of_faults(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"cameras": lambda _: [GATE, YARD]}) as config:
        ran = run("--config", str(config), "camera", "list")
        english = run("--config", str(config), "--lang", "en", "camera", "list")
    assert (ran.code, ran.err) == (1, "")
    whole = "".join(ran.out.split())
    for part in ("校门口", "有故障", "Hikvision", "操场", "正常"):
        assert part in whole
    assert "fault" in english.out
    assert [line for line in ran.out.splitlines() if width(line) > 80] == []


def test_a_school_without_faults_is_fine_and_json_is_what_the_daemon_said(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"cameras": lambda _: [YARD]}) as config:
        ran = run("--config", str(config), "camera", "list", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == [YARD]


def test_without_a_daemon_the_list_is_what_is_configured_and_known(run: Run, tmp_path: Path) -> None:
    (tmp_path / "skyeye" / "inventory").mkdir(parents=True)
    sheet = {"format": 1, "facts": FACTS, "history": [], "audited": None}
    (tmp_path / "skyeye" / "inventory" / "gate.json").write_text(json.dumps(sheet), encoding="utf-8")
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(folder=tmp_path) + CAMERA, encoding="utf-8")
    ran = run("--config", str(config), "camera", "list")
    assert ran.code == 0
    assert "守护程序没有运行" in ran.err
    assert "DS-2CD2032-I" in "".join(ran.out.split())


def test_while_the_eye_is_away_the_list_says_why(run: Run, tmp_path: Path) -> None:
    row = {**GATE, "state": "unknown", "why": {"key": "x", "zh-CN": "正在重启", "en": "starting again"}}
    with speaking(tmp_path, {"cameras": lambda _: [row]}) as config:
        ran = run("--config", str(config), "camera", "list")
    assert ran.code == 0
    assert "正在重启" in ran.err


def test_the_inventory_is_exported(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"cameras": lambda _: [GATE, YARD]}) as config:
        for name in ("c.csv", "c.xlsx"):
            ran = run("--config", str(config), "camera", "list", "--export", str(tmp_path / name))
            assert "2" in ran.out
        bad = run("--config", str(config), "camera", "list", "--export", "c.pdf")
    head, gate, _ = csv.reader(io.StringIO((tmp_path / "c.csv").read_text(encoding="utf-8-sig")))
    row = dict(zip(head, gate, strict=True))
    assert (row["编号"], row["序列号"], row["故障"], row["所属单位"]) == ("gate", "SN1", "画面全黑", "兖州区实验小学")
    sheet: Any = openpyxl.load_workbook(tmp_path / "c.xlsx").active
    assert [cell.value for cell in sheet["B"]] == ["编号", "gate", "yard"]
    assert bad.code == 2
    assert ".csv, .xlsx" in bad.err


# --- inspect

CHECK = {
    "layer": "clock",
    "ok": False,
    "text": {"zh-CN": "时钟偏差 90 秒", "en": "the clock is 90 s off"},
    "fault": "camera-clock",
}
INSPECTED = {"camera": "gate", "state": "done", "done": 1, "of": 2, "inspection": {"checks": [CHECK], "verdicts": []}}
FINE = {"camera": "yard", "state": "done", "done": 2, "of": 2, "inspection": {"checks": [], "verdicts": []}}
STARTED = {"camera": "gate", "state": "started", "done": 0, "of": 2}


def test_an_inspection_is_shown_as_it_goes(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"camera-inspect": [STARTED, INSPECTED, FINE]}) as config:
        ran = run("--config", str(config), "camera", "inspect")
        lines = run("--config", str(config), "camera", "inspect", "gate", "--json")
    assert ran.code == lines.code == 1
    assert "失败  gate\n      时钟偏差 90 秒\n正常  yard\n" in ran.out
    assert "已巡检 2 台，其中 1 台有问题" in ran.out
    assert [json.loads(line)["camera"] for line in lines.out.splitlines()] == ["gate", "gate", "yard"]


def test_cameras_without_trouble_are_fine_and_one_that_failed_is_not(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"camera-inspect": [FINE]}) as config:
        assert run("--config", str(config), "camera", "inspect").code == 0
    failed = {"camera": "gate", "state": "failed", "done": 1, "of": 1}
    with speaking(tmp_path, {"camera-inspect": [failed]}) as config:
        ran = run("--config", str(config), "camera", "inspect")
    assert ran.code == 1
    assert "没有巡检成" in ran.out


# --- what is journaled: ptz, clip, patrol, snapshot


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (["left"], {"move": {"pan": -0.5, "seconds": 0.5}}),
        (["up", "--speed", "1", "--seconds", "2"], {"move": {"tilt": 1.0, "seconds": 2.0}}),
        (["in"], {"move": {"zoom": 0.5, "seconds": 0.5}}),
        (["stop"], {"stop": True}),
        (["goto", "大门"], {"goto": "大门"}),
        (["save", "操场"], {"save": "操场"}),
    ],
)
def test_a_move_is_ordered(run: Run, tmp_path: Path, words: list[str], args: Mapping[str, Any]) -> None:
    from agent.skyeye.ptz import parse_ptz

    answers = replies({})
    with daemon(tmp_path, answers) as config:
        ran = run("--config", str(config), "camera", "ptz", "gate", *words)
    assert ran.code == 0, ran.err
    (order,) = answers["orders"]
    assert (order["verb"], order["args"]) == ("ptz", {"camera": "gate", **args})
    parse_ptz(order["args"])  # the eye takes it


def test_presets_are_listed(run: Run, tmp_path: Path) -> None:
    with daemon(tmp_path, replies({"presets": [{"token": "1", "name": "大门"}]})) as config:
        ran = run("--config", str(config), "camera", "ptz", "gate", "presets")
    assert "大门" in ran.out


@pytest.mark.parametrize("words", [["goto"], ["left", "大门"], ["spin"], ["left", "--seconds", "60"]])
def test_a_move_that_makes_no_sense_is_refused_here(run: Run, tmp_path: Path, words: list[str]) -> None:
    answers = replies({})
    with daemon(tmp_path, answers) as config:
        ran = run("--config", str(config), "camera", "ptz", "gate", *words)
    assert ran.code == 2
    assert answers["orders"] == []


def test_a_refusal_is_told(run: Run, tmp_path: Path) -> None:
    refusal = {"id": "1", "ok": False, "result": {}, "reason": "摄像机没有这项功能"}
    with speaking(tmp_path, {"command": refusal}) as config:
        ran = run("--config", str(config), "camera", "ptz", "gate", "left")
    assert (ran.code, ran.out) == (1, "")
    assert "没有执行：摄像机没有这项功能" in ran.err


def test_a_clip_is_ordered(run: Run, tmp_path: Path) -> None:
    answers = replies({"clip": "01J", "ready_s": 31})
    with daemon(tmp_path, answers) as config:
        ran = run("--config", str(config), "camera", "clip", "gate", "--after", "30")
    assert answers["orders"][0]["args"] == {"camera": "gate", "after_s": 30.0}
    assert "01J" in ran.out
    assert "31" in ran.out


PATROL = {
    "id": "evening",
    "name": "放学巡逻",
    "stops": [{"camera": "gate", "preset": None}, {"camera": "yard", "preset": "1"}],
    "at": ["16:30"],
    "next": "2026-11-23T16:30:00+08:00",
    "running": "01J",
    "stop": 1,
}


def test_patrols_are_listed_started_and_stopped(run: Run, tmp_path: Path) -> None:
    answers = {**replies({}), "patrols": lambda _: [PATROL]}
    with daemon(tmp_path, answers) as config:
        listed = run("--config", str(config), "camera", "patrol")
        started = run("--config", str(config), "camera", "patrol", "evening")
        stopped = run("--config", str(config), "camera", "patrol", "evening", "--stop")
        nameless = run("--config", str(config), "camera", "patrol", "--stop")
    assert "第 2 站，共 2 站" in listed.out
    assert "2026-11-23 16:30:00" in listed.out
    assert [order["args"]["action"] for order in answers["orders"]] == ["start", "stop"]
    assert (started.code, stopped.code, nameless.code) == (0, 0, 2)


@contextmanager
def media(folder: Path, answer: bytes) -> Iterator[None]:
    """An eye that answers one request with the same bytes always."""
    _, path = eye_sockets(folder / "control.sock")
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert parse_media_request(await reader.readline()) == EvidenceRequest("01E")
        writer.write(answer)
        writer.close()

    def work() -> None:
        server = loop.run_until_complete(asyncio.start_unix_server(serve, str(path)))
        started.set()
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


TAKEN = {"evidence": {"id": "01E", "sha256": "ab"}}


def test_a_snapshot_is_saved(run: Run, tmp_path: Path) -> None:
    answer = dump_media_answer(MediaAnswer("image/jpeg", 6, "x.jpg")) + frame(b"\xff\xd8one") + frame(b"two")
    with daemon(tmp_path, replies(TAKEN)) as config, media(tmp_path, answer):
        ran = run("--config", str(config), "camera", "snapshot", "gate", str(tmp_path / "gate.jpg"))
        as_json = run("--config", str(config), "camera", "snapshot", "gate", str(tmp_path / "gate.jpg"), "--json")
    assert ran.code == 0, ran.err
    assert (tmp_path / "gate.jpg").read_bytes() == b"\xff\xd8onetwo"
    assert "01E" in ran.out
    assert json.loads(as_json.out)["evidence"]["id"] == "01E"


def test_a_snapshot_that_cannot_be_had_is_told(run: Run, tmp_path: Path) -> None:
    refusal = dump_media_refusal(say("discovery.gone"))
    with daemon(tmp_path, replies(TAKEN)) as config:
        away = run("--config", str(config), "camera", "snapshot", "gate", str(tmp_path / "gate.jpg"))
        with media(tmp_path, refusal):
            refused = run("--config", str(config), "camera", "snapshot", "gate", str(tmp_path / "gate.jpg"))
    assert (away.code, refused.code) == (1, 1)
    assert "证据 01E 已保存在网关上" in away.err
    assert not (tmp_path / "gate.jpg").exists()


# --- without a daemon


@pytest.mark.parametrize(
    "words", [["ptz", "gate", "left"], ["clip", "gate"], ["inspect"], ["patrol"], ["snapshot", "gate"]]
)
def test_what_needs_the_daemon_says_so(run: Run, tmp_path: Path, words: list[str]) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(folder=tmp_path) + CAMERA, encoding="utf-8")
    ran = run("--config", str(config), "camera", *words)
    assert ran.code == 1
    assert "control.sock" in ran.err


def test_an_audit_of_a_camera_that_is_not_there_names_those_that_are(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(folder=tmp_path) + CAMERA, encoding="utf-8")
    ran = run("--config", str(config), "camera", "audit", "yard")
    assert ran.code == 1
    assert "gate" in ran.err


def test_a_factory_password_in_the_configuration_is_found_without_asking(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    login = 'username = "admin"\npassword = "12345"\n'
    config.write_text(CONFIG.format(folder=tmp_path) + CAMERA + login, encoding="utf-8")
    sheet = {"format": 1, "facts": FACTS, "history": [], "audited": None}
    (tmp_path / "skyeye" / "inventory").mkdir(parents=True)
    (tmp_path / "skyeye" / "inventory" / "gate.json").write_text(json.dumps(sheet), encoding="utf-8")
    ran = run("--config", str(config), "camera", "audit")
    assert ran.code == 1
    assert "出厂密码" in ran.out
    assert "12345" not in ran.out + ran.err


def test_one_camera_that_was_moved_on_purpose_is_learnt_anew(run: Run, tmp_path: Path) -> None:
    with speaking(tmp_path, {"camera-inspect": [FINE]}) as config:
        assert run("--config", str(config), "camera", "inspect", "--relearn").code == 2
        assert run("--config", str(config), "camera", "inspect", "gate", "yard", "--relearn").code == 2
