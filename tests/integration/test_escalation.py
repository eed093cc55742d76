"""Escalation through the real daemon: a button that nobody acknowledges reaches an alarm centre, phones and a group,
and what dies on the way is told; a restart forgets nothing, and a drill stays in the school."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.clock import NS_PER_S
from agent.demo.modem import SimModem
from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from tests.integration.test_webhook import Server, serving
from tests.sims.broker import Broker
from tests.sims.daemon import ROOT, Daemon
from tests.sims.district import District
from tests.sims.receiver import Receiver

SITE = Site("370812", "sy-primary")
WAIT_S = 60.0
KEY = bytes(range(32))
PANIC = {"device": "guardroom", "point": "panic"}
PHONE = "13800138000"


@dataclass
class School:
    """Everything of one test."""

    daemon: Daemon
    modules: Modules
    broker: Broker
    district: District
    centres: list[Receiver]
    modem: SimModem
    group: Server
    coils: list[tuple[float, int]] = field(default_factory=list)

    async def press(self) -> dict[str, Any]:
        self.modules.press(1, 0)
        return await self.district.event(type="campus.alarm.raised")

    def blinks_fast(self) -> bool:
        times = [at for at, coil in self.coils if coil == 0][-6:]
        return len(times) == 6 and (times[-1] - times[0]) / 5 < 0.3

    async def notified(self, path: str, *, ok: bool) -> dict[str, Any]:
        """The event that tells what became of a notice."""

        def found() -> list[dict[str, Any]]:
            rows = self.district.events(type="campus.alarm.notified")
            return [row for row in rows if (row["data"]["path"], row["data"]["ok"]) == (path, ok)]

        rows: list[dict[str, Any]] = await until(found, f"{path} notified {ok}")
        return rows[-1]

    async def path(self, id_: str, state: str) -> dict[str, Any]:
        """The state of a path as the district sees it."""

        def found() -> Any:
            told = self.district.last(f"inventory/{id_}")
            return told.value if told is not None and told.value["path"]["state"] == state else None

        found_: dict[str, Any] = await until(found, f"{id_} is {state}")
        return found_


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Look until something is true; for what no message announces."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not (value := condition()):  # noqa: ASYNC110 - coils, phones and sockets announce nothing
                await asyncio.sleep(0.02)
            return value
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_S} s: {what}") from None


async def command_line(school: School, *words: str) -> tuple[int | None, str]:
    """Run the command line beside the daemon."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.cli", "--config", str(school.daemon.config), "--lang", "en", *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


def config(folder: Path, broker: str, centres: list[Receiver], group: Server, plan: str) -> str:
    receivers = ", ".join(f'"{centre.tcp}"' for centre in centres)
    return f"""
    [uplink]
    brokers = ["{broker}"]
    [[bus]]
    id = "rs485-1"
    port = "{folder}/line"
    [[device]]
    id = "guardroom"
    name = "门卫室报警模块"
    driver = "modbus-io"
    bus = "rs485-1"
    unit = 1
    outputs = 8
    offline_after = "30s"
    reply_timeout = "1s"
      [[device.point]]
      id = "panic"
      name = "门卫室一键报警"
      kind = "panic"
      input = 0
      lamp = 0
      siren = 1
      zone = 7
    [[path]]
    id = "police"
    name = "接警中心"
    driver = "dc09-dialler"
    receivers = [{receivers}]
    account = "123456"
    key = {{ file = "{folder}/key" }}
    attempts = 1
    [[path]]
    id = "duty"
    name = "值班手机"
    driver = "sms"
    port = "{folder}/modem"
    recipients = {{ file = "{folder}/phones" }}
    [[path]]
    id = "group"
    name = "值班群"
    driver = "webhook"
    format = "dingtalk"
    url = {{ file = "{folder}/url" }}
    [[escalation]]
    id = "danger"
    kinds = ["panic"]
    {plan}
    """


ALL = """
      [[escalation.step]]
      after = "500ms"
      siren = true
      [[escalation.step]]
      after = "1s"
      paths = ["police", "duty", "group"]
"""


@asynccontextmanager
async def a_school(folder: Path, plan: str = ALL) -> AsyncIterator[School]:
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker", persistent=True))
        coils: list[tuple[float, int]] = []
        modules = await stack.enter_async_context(
            Modules(folder / "line", (1,), on_coil=lambda _u, coil, _on, at: coils.append((at / NS_PER_S, coil)))
        )
        centres = [await stack.enter_async_context(Receiver(KEY)) for _ in range(2)]
        modem = await stack.enter_async_context(SimModem(folder / "modem"))
        group = await stack.enter_async_context(serving())
        for name, secret in (("key", KEY.hex()), ("phones", PHONE), ("url", group.url)):
            (folder / name).write_text(secret, encoding="utf-8")
        district = await stack.enter_async_context(District(broker.port, SITE))
        daemon = await stack.enter_async_context(Daemon(folder, config(folder, broker.url, centres, group, plan)))
        await district.status("online")
        yield School(daemon, modules, broker, district, centres, modem, group, coils)
    report = verify_path(folder / "journal.db")
    assert report.ok, report
    said = daemon.said()
    assert PHONE not in said
    assert KEY.hex() not in said
    assert "access_token" not in said


async def test_a_press_that_nobody_acknowledges_goes_step_by_step_to_everybody(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        raised = await school.press()
        await until(lambda: school.modules.units[1].coils[1], "the siren sounds")
        for path in ("police", "duty", "group"):
            event = await school.notified(path, ok=True)
            assert (event["data"]["event"], event["data"]["what"]) == (raised["id"], "alarm")
        (heard,) = school.centres[0].events
        assert (heard.id, heard.data, heard.encrypted) == ("ADM-CID", "#123456|1120 01 007", True)
        ((number, text),) = school.modem.texts
        assert number == PHONE
        assert text.startswith("【兖州区实验小学】门卫室一键报警：一键报警触发 ")
        (said,) = [json.loads(body)["text"]["content"] for _, _, body in school.group.requests]
        assert said.startswith("【兖州区实验小学】门卫室一键报警：一键报警触发\n")
        steps = school.district.events(type="campus.alarm.escalated")
        assert [step["data"]["actions"] for step in steps] == [["siren"], ["path:police", "path:duty", "path:group"]]
        assert (await school.district.command("ack", {"event": raised["id"]}))["ok"]
        school.modules.release(1, 0)
        await school.district.event(type="campus.alarm.restored")
        assert (await school.district.command("reset", PANIC))["ok"]
        await until(lambda: len(school.centres[0].events) > 1, "the centre hears of the end")
        assert school.centres[0].events[-1].data == "#123456|3120 01 007"
        await until(lambda: len(school.modem.texts) > 2, "the phone hears of both")
        assert ["确认" in school.modem.texts[1][1], "复位" in school.modem.texts[2][1]] == [True, True]
        await until(lambda: len(school.group.requests) > 2, "so does the group")
        status = await school.daemon.status()
        assert [(path["id"], path["state"]) for path in status["paths"]] == [
            ("police", "ok"),
            ("duty", "ok"),
            ("group", "ok"),
        ]
        assert (await school.path("police", "ok"))["path"]["facts"]["role"] == "primary"


async def test_a_dead_receiver_means_the_backup_and_all_dead_a_fault_and_a_fast_lamp(tmp_path: Path) -> None:
    plan = '[[escalation.step]]\n    after = "0s"\n    paths = ["police"]'
    async with a_school(tmp_path, plan) as school:
        first, second = school.centres
        await school.path("police", "ok")
        await first.stop()
        await school.press()
        assert (await school.notified("police", ok=True))["data"]["by"] == second.tcp
        school.modules.release(1, 0)
        await school.district.event(type="campus.alarm.restored")
        assert (await school.district.command("reset", PANIC))["ok"]
        await until(lambda: len(second.events) == 2, "the backup hears of the end")
        await second.stop()
        school.broker.kill()
        school.modules.press(1, 0)
        await until(school.blinks_fast, "the lamp blinks fast: neither the district nor the centre has it")
        asked = school.broker.log.count("SUBSCRIBE from district")
        os.kill(school.daemon.pid, signal.SIGSTOP)  # the district, which has no session there, must be the first back
        school.broker.start()
        await until(lambda: school.broker.log.count("SUBSCRIBE from district") > asked + 1, "the district is back")
        os.kill(school.daemon.pid, signal.SIGCONT)
        await school.notified("police", ok=False)
        faults = await until(
            lambda: [
                row for row in school.district.events(type="campus.fault.raised") if row["data"]["fault"] == "path"
            ],
            "the fault",
        )
        assert (faults[0]["data"]["device"], faults[0]["data"]["name"]) == ("police", "接警中心")
        await school.path("police", "failing")
        await first.start()
        await until(lambda: first.events, "the first receiver gets it when it is back")
        await school.district.event(type="campus.fault.cleared")
        await school.path("police", "ok")
        await second.start()


async def test_a_power_cut_in_the_middle_forgets_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    plan = """
      [[escalation.step]]
      after = "0s"
      paths = ["group"]
      [[escalation.step]]
      after = "1s"
      paths = ["police"]
      [[escalation.step]]
      after = "6s"
      paths = ["duty"]
    """
    async with a_school(tmp_path, plan) as school:
        for centre in school.centres:
            centre.habit = "silent"
        await school.press()
        await school.notified("group", ok=True)
        await until(lambda: school.centres[0].events, "the centre was dialled")
        await school.daemon.kill()
        for centre in school.centres:
            centre.habit = "ack"
        await school.daemon.start()
        await school.notified("police", ok=True)
        await school.notified("duty", ok=True)
        tried = {heard.sequence for centre in school.centres for heard in centre.events}
        assert len(tried) == 1, "a repeat has the number of what it repeats"
        assert len(school.group.requests) == 1
        assert len(school.modem.texts) == 1
        steps = school.district.events(type="campus.alarm.escalated")
        assert [step["data"]["step"] for step in steps] == [1, 2, 3]


async def test_nothing_of_a_drill_is_seen_on_any_wire(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        await school.path("police", "ok")
        await school.path("duty", "ok")
        assert (await school.district.command("drill-start", {"minutes": 10}))["ok"]
        raised = await school.press()
        assert raised["drill"]
        steps = await until(
            lambda: [one for one in school.district.events(type="campus.alarm.escalated") if one["data"]["step"] == 2],
            "the second step",
        )
        assert steps[0]["data"]["withheld"] == ["police", "duty", "group"]
        assert (await school.district.command("ack", {"event": raised["id"]}))["ok"]
        school.modules.release(1, 0)
        await school.district.event(type="campus.alarm.restored")
        assert (await school.district.command("reset", PANIC))["ok"]
        await school.district.event(type="campus.alarm.reset")
        status = await school.daemon.status()
        assert [path["waiting"] for path in status["paths"]] == [0, 0, 0]
        assert [heard.data for centre in school.centres for heard in centre.events] == []
        assert school.modem.sent == []
        assert school.group.requests == []
        assert school.district.events(type="campus.alarm.notified") == []


async def test_a_test_of_a_path_tells_each_step_and_is_no_alarm(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        steps: dict[str, list[Any]] = {}
        async with school.daemon.client() as client:
            for path in ("police", "duty", "group"):
                steps[path] = [step async for step in client.stream("test-path", path=path)]
        assert [told[-1]["state"] for told in steps.values()] == ["passed", "passed", "passed"]
        assert any("127.0.0.1" in step["text"]["zh-CN"] for step in steps["police"])
        assert school.centres[0].events[0].data == "#123456|1602 01 000"
        assert "不是报警" in school.modem.texts[0][1]
        code, said = await command_line(school, "test", "path", "group")
        assert code == 0, said
        assert said.splitlines()[-1].startswith("OK  brought over to 127.0.0.1 in ")
        _, said = await command_line(school, "status")
        assert "Second paths" in said
        assert "dc09-dialler" in said
        for centre in school.centres:
            centre.habit = "duh"
        code, said = await command_line(school, "test", "path", "police")
        assert code == 1, said
        assert "DUH" in said
        async with school.daemon.client() as client:
            told: list[Any] = [step async for step in client.stream("test-path", path="police")]
        assert told[-1]["state"] == "failed"
        assert "DUH" in told[-1]["text"]["zh-CN"]
        assert school.district.events(type="campus.alarm.raised") == []
