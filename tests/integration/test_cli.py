"""The command line as a technician uses it: real processes against a real daemon, and with the daemon dead."""

import asyncio
import base64
import json
import os
import signal
import sys
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.test_spine import School, a_school
from tests.sims.buttons import press_and_release

ROOT: Final = Path(__file__).parents[2]
RUN_S: Final = 60.0
PASSWORD: Final = 'geheim "密码" 7/+'


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def argv(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "agent.cli", "--config", str(config), *words]


async def start(config: Path, *words: str) -> asyncio.subprocess.Process:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *argv(config, *words), cwd=ROOT, stdout=pipe, stderr=pipe, env={**env, "COLUMNS": "120"}
    )


async def cli(config: Path, *words: str) -> Ran:
    process = await start(config, *words)
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path, units=(1,)) as school:
        yield school


async def test_status_queue_and_events_of_a_living_daemon(school: School) -> None:
    config = school.daemon.config
    school.press()
    raised = await school.raised()

    status = await cli(config, "status")
    assert "门卫室一键报警" in status.out, status
    assert (await cli(config, "status", "--json")).json["seq"] >= raised["seq"]
    shown = await cli(config, "queue", "show", "--json")
    assert (shown.code, shown.json["refused"]) == (0, 0)
    retried = await cli(config, "queue", "retry")
    assert retried.code == 0, retried

    listed = await cli(config, "events", "list", "--type", "alarm.raised", "--json")
    assert [event["id"] for event in listed.json] == [raised["id"]]
    assert (await cli(config, "events", "list", "--device", "nobody", "--json")).json == []
    tailed = await cli(config, "events", "tail", "--lane", "alarm", "--json")
    assert raised["hash"] in [json.loads(line)["hash"] for line in tailed.out.splitlines()]  # it may have escalated


async def test_tail_follows_and_ends_at_ctrl_c(school: School) -> None:
    process = await start(school.daemon.config, "events", "tail", "-n", "0", "-f")
    assert process.stdout is not None
    line = asyncio.create_task(process.stdout.readline())
    async with asyncio.timeout(RUN_S):
        while not line.done():  # it does not say when it begins to follow
            await press_and_release(school.modules, 1, 0)
    assert "guardroom/panic" in line.result().decode()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(RUN_S):
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_an_export_verifies_and_an_altered_one_does_not(school: School, tmp_path: Path) -> None:
    config, export = school.daemon.config, tmp_path / "export.jsonl"
    school.press()
    await school.raised()
    school.release()
    await school.district.event(type="campus.alarm.restored")
    done = await cli(config, "events", "export", str(export))
    assert done.code == 0, done
    assert (await cli(config, "events", "verify", str(export))).code == 0
    report = await cli(config, "events", "verify", str(school.daemon.journal), "--json")
    assert report.json["ok"], report

    lines = export.read_text(encoding="utf-8").splitlines()
    altered = tmp_path / "altered.jsonl"
    altered.write_text("\n".join(line.replace("门卫室", "传达室") for line in lines), encoding="utf-8")
    found = await cli(config, "events", "verify", str(altered))
    assert found.code == 1
    gone = tmp_path / "gone.jsonl"
    gone.write_text("\n".join(lines[:1] + lines[2:]), encoding="utf-8")
    assert (await cli(config, "events", "verify", str(gone), "--json")).json["problem_count"] > 0
    assert (await cli(config, "events", "verify", str(tmp_path / "none"))).code == 1


async def test_without_the_daemon_events_come_from_the_file(school: School, tmp_path: Path) -> None:
    config = school.daemon.config
    school.press()
    raised = await school.raised()
    await school.daemon.stop()

    listed = await cli(config, "events", "list", "--type", "campus.alarm.raised", "--json")
    assert [event["hash"] for event in listed.json] == [raised["hash"]]
    assert "只读" in listed.err
    export = tmp_path / "export.jsonl"
    assert (await cli(config, "events", "export", str(export))).code == 0
    assert (await cli(config, "events", "tail", "-f")).code == 1


async def test_a_closed_pipe_is_quiet(school: School) -> None:
    words = " ".join(f"'{word}'" for word in argv(school.daemon.config, "events", "list", "--from", "1"))
    process = await asyncio.create_subprocess_shell(
        f"{words} | true", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert err == b""


async def test_the_walk_test_sees_a_press(school: School) -> None:
    process = await start(school.daemon.config, "test", "buttons", "--json", "--timeout", "30")
    assert process.stdout is not None
    async with asyncio.timeout(RUN_S):
        assert json.loads(await process.stdout.readline())["state"] == "waiting"
        school.press()
        pressed = json.loads(await process.stdout.readline())
        await process.communicate()
    assert pressed["state"] == "pressed"
    assert pressed["latency_ms"] >= 0
    assert process.returncode == 0
    await school.district.event(type="campus.test.passed")


async def test_lamp_and_uplink_are_tested(school: School) -> None:
    config = school.daemon.config
    lamp = await cli(config, "test", "lamp", "guardroom", "panic", "--seconds", "2")
    assert lamp.code == 0, lamp
    assert any(on for _, on in school.lamps.of(1, 0))
    uplink = await cli(config, "test", "uplink", "--json")
    assert uplink.code == 0, uplink
    assert uplink.json["puback_ms"] > 0
    wrong = await cli(config, "test", "lamp", "guardroom", "nothing")
    assert wrong.code == 1
    assert "lamp" in wrong.err


def levels(ran: Ran) -> dict[str, set[str]]:
    """The levels of a doctor's report by the first word of each check's name."""
    found: dict[str, set[str]] = {}
    for check in ran.json["checks"]:
        found.setdefault(check["name"].split()[0], set()).add(check["level"])
    return found


async def test_the_doctor_finds_a_living_daemon_well(school: School) -> None:
    await school.district.status("online")
    found = levels(await cli(school.daemon.config, "doctor", "--json"))
    for name in ("daemon", "control-socket", "journal-store", "journal-chain", "uplink", "device", "port", "disk"):
        assert found[name] == {"ok"}, (name, found)
    for step in ("dns", "tcp", "login", "subscribe", "publish"):
        assert found[f"broker-{step}"] == {"ok"}, (step, found)


async def test_the_doctor_asks_the_devices_itself_when_the_daemon_is_dead(school: School) -> None:
    await school.daemon.stop()
    dead = await cli(school.daemon.config, "doctor", "--full", "--json")
    found = levels(dead)
    assert dead.code == 1
    assert found["daemon"] == {"fail"}
    assert found["device"] == {"ok"}
    assert found["journal-chain"] == {"ok"}
    school.modules.units[1].faults.dead = True
    school.broker.kill()
    found = levels(await cli(school.daemon.config, "doctor", "--json"))
    assert found["device"] == {"fail"}
    assert found["broker-tcp"] == {"fail"}


async def test_a_support_bundle_holds_no_secret_in_any_form(school: School, tmp_path: Path) -> None:
    config = school.daemon.config
    literal = json.dumps(PASSWORD, ensure_ascii=False)
    text = config.read_text(encoding="utf-8").replace("[uplink]", f'[uplink]\nusername = "u"\npassword = {literal}')
    config.write_text(text, encoding="utf-8")
    school.press()
    await school.raised()
    target = tmp_path / "bundle.tar.gz"
    ran = await cli(config, "support-bundle", "--output", str(target), "--with-journal")
    assert ran.code == 0, ran
    assert target.stat().st_mode & 0o077 == 0

    with tarfile.open(target) as archive:
        files = {member.name.split("/", 1)[1]: archive.extractfile(member) for member in archive.getmembers()}
        contents = {name: file.read() for name, file in files.items() if file is not None}
    expected = {"config/agent.toml", "check-config.json", "doctor.json", "status.json", "events.jsonl", "journal.json"}
    assert expected | {"versions.json", "service.log", "journal.db"} <= set(contents)
    assert b"campus.alarm.raised" in contents["events.jsonl"]
    assert contents["journal.db"].startswith(b"SQLite format 3")
    assert b"370812" in contents["config/agent.toml"]
    for name, data in contents.items():
        for form in (PASSWORD, json.dumps(PASSWORD)[1:-1], literal[1:-1], repr(PASSWORD)[1:-1]):
            assert form.encode() not in data, name
        for shift in range(3):
            assert base64.b64encode(b"x" * shift + PASSWORD.encode())[4:-4] not in data, name


def loaded_files(pid: int) -> str:
    """What a process was started as, and what it has mapped."""
    proc = Path(f"/proc/{pid}")
    return (proc / "cmdline").read_text().replace("\0", " ") + (proc / "maps").read_text()


async def test_run_becomes_the_daemon_without_the_command_lines_libraries(school: School, tmp_path: Path) -> None:
    await school.daemon.stop()
    process = await start(school.daemon.config, "run", "--log-format", "json")
    try:
        async with asyncio.timeout(RUN_S):
            while (status := await cli(school.daemon.config, "status", "--json")).out == "":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        assert status.json["pid"] == process.pid
        assert "agent.runtime" in loaded_files(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(RUN_S):
            await process.communicate()
    assert process.returncode == 0
