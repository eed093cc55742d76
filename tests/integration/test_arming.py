"""Arming, drills, walk tests and self-tests through the real daemon: simulated modules, mosquitto, a district."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from tests.sims.broker import Broker
from tests.sims.buttons import press_and_release, seen
from tests.sims.daemon import ROOT, Daemon
from tests.sims.district import District

SITE: Final = Site("370812", "sy-primary")
WAIT_S: Final = 60.0
PANIC, YARD, KEY, DRILL_KEY, GAS, DURESS = range(6)
"""Inputs of the module."""
FENCE: Final = """
    [[partition]]
    id = "fence"
    name = "围墙"
    points = ["guardroom/yard"]
    key = "guardroom/key"
    key_mode = "momentary"
"""


@dataclass
class School:
    """Everything of one test."""

    daemon: Daemon
    modules: Modules
    district: District

    async def cli(self, *args: str) -> tuple[int, str]:
        """Run the command line; its exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent.cli", "--config", str(self.daemon.config), "--lang", "zh-CN", *args),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        return process.returncode or 0, said.decode()

    async def press(self, number: int) -> None:
        """Press and hold, until it was looked at."""
        self.modules.press(1, number)
        await seen(self.modules, 1)

    async def tap(self, number: int) -> None:
        """Press and let go."""
        await press_and_release(self.modules, 1, number)

    async def partition(self) -> Any:
        return (await self.daemon.status())["partitions"][0]

    async def state(self, point: str, wanted: str) -> None:
        """Wait for the retained state of a point."""

        def is_so() -> bool:
            message = self.district.last(f"state/guardroom/{point}")
            return message is not None and message.value["state"] == wanted

        await self.district.until(is_so, WAIT_S)

    async def cleared(self, fault: str) -> None:
        """Wait for the end of a fault."""

        def is_so() -> bool:
            return any(event["data"]["fault"] == fault for event in self.district.events(type="campus.fault.cleared"))

        await self.district.until(is_so, WAIT_S)

    async def drill_told(self, wanted: bool) -> None:
        """Wait for the retained status to say whether a drill goes on."""

        def is_so() -> bool:
            message = self.district.last("status")
            return message is not None and message.value["drill"] is wanted

        await self.district.until(is_so, WAIT_S)


def config(folder: Path, broker: str, more: str) -> str:
    points = [
        ("panic", "panic", PANIC, "lamp = 0"),
        ("yard", "perimeter", YARD, ""),
        ("key", "arm-key", KEY, ""),
        ("drill-key", "drill-key", DRILL_KEY, ""),
        ("gas", "gas", GAS, ""),
        ("duress", "duress", DURESS, ""),
    ]
    text = f"""
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
    """
    for id_, kind, number, extra in points:
        text += f"""
      [[device.point]]
      id = "{id_}"
      name = "{id_}"
      kind = "{kind}"
      input = {number}
      {extra}
    """
    return text + more


@asynccontextmanager
async def a_school(folder: Path, more: str = FENCE) -> AsyncIterator[School]:
    """Start everything; at the end the journal's chain must be whole."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker", persistent=True))
        modules = await stack.enter_async_context(Modules(folder / "line", (1,)))
        district = await stack.enter_async_context(District(broker.port, SITE))
        daemon = await stack.enter_async_context(Daemon(folder, config(folder, broker.url, more)))
        await district.status("online")
        yield School(daemon, modules, district)
    report = verify_path(folder / "journal.db")
    assert report.ok, report


async def test_a_partition_is_armed_and_disarmed_by_command_line_command_and_key(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        code, said = await school.cli("partition", "disarm", "fence")
        assert code == 0, said
        told = await school.district.event(type="campus.access.disarmed")
        assert (told["data"]["partition"], told["data"]["how"]) == ("fence", "command")
        assert told["data"]["actor"].startswith("local:")
        await school.state("yard", "disarmed")

        await school.press(YARD)
        refused = await school.district.command("arm", {"partition": "fence"}, actor="值班员")
        assert not refused["ok"]
        assert "guardroom/yard" in refused["reason"], "the reply names what is open"
        assert school.district.events(type="campus.alarm.raised") == [], "a disarmed point rings at nobody"
        forced = await school.district.command("arm", {"partition": "fence", "force": True}, actor="值班员")
        assert forced["result"]["bypassed"] == ["guardroom/yard"]
        assert (await school.partition())["bypassed"] == ["guardroom/yard"]

        school.modules.release(1, YARD)
        await school.cleared("bypassed")
        await school.press(YARD)
        assert (await school.district.event(type="campus.alarm.raised"))["data"]["point"] == "yard"

        await school.tap(KEY)
        await school.district.until(lambda: len(school.district.events(type="campus.access.disarmed")) > 1, WAIT_S)
        last = school.district.events(type="campus.access.disarmed")[-1]["data"]
        assert (last["how"], last["actor"]) == ("key", "key:guardroom/key")
        await school.state("yard", "active")
        code, said = await school.cli("partition", "list")
        assert code == 0
        assert "已撤防" in said
        assert (await school.cli("partition", "arm", "fenze"))[0] == 1


async def test_a_schedule_arms_and_what_is_disarmed_survives_a_power_cut(tmp_path: Path) -> None:
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    hours = [(now + timedelta(hours=ahead)).strftime("%H:%M") for ahead in (-1, 1, 2)]
    async with a_school(tmp_path) as school:
        assert (await school.district.command("disarm", {"partition": "fence"}))["ok"]
        await school.daemon.kill()
        await school.daemon.start()
        assert (await school.partition())["state"] == "disarmed"

        written = school.daemon.config.read_text(encoding="utf-8")
        armed = f'key_mode = "momentary"\narmed = {{ times = ["{hours[0]}-{hours[1]}"] }}'
        school.daemon.config.write_text(written.replace('key_mode = "momentary"', armed), encoding="utf-8")
        school.daemon.hang_up()

        def armed_by_schedule() -> bool:
            return any(
                event["data"]["how"] == "schedule" for event in school.district.events(type="campus.access.armed")
            )

        await school.district.until(armed_by_schedule, WAIT_S)
        assert (await school.partition())["scheduled"] is True


async def test_a_drill_is_marked_from_end_to_end_and_the_next_press_is_real(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        reply = await school.district.command("drill-start", {"minutes": 20}, actor="校长")
        assert reply["ok"], reply
        started = await school.district.event(type="campus.drill.started")
        assert (started["drill"], started["data"]["actor"], started["data"]["seconds"]) == (True, "校长", 1200)
        await school.drill_told(True)
        code, said = await school.cli("status")
        assert "演练中" in said
        assert not (await school.district.command("drill-start", {}))["ok"]

        await school.tap(PANIC)
        assert (await school.district.event(type="campus.alarm.raised"))["drill"] is True
        await school.daemon.kill()
        await school.daemon.start()
        assert (await school.daemon.status())["drill"]["actor"] == "校长", "a power cut does not end it"
        code, said = await school.cli("drill", "stop", "--real")
        assert (code, "guardroom/panic" in said) == (0, True), said
        await school.district.until(lambda: len(school.district.events(type="campus.alarm.raised")) > 1, WAIT_S)
        real = school.district.events(type="campus.alarm.raised")[-1]
        assert real["drill"] is False
        await school.drill_told(False)
        assert (await school.cli("drill", "stop"))[0] == 1, "there is none any more"


async def test_a_drill_key_begins_and_ends_one(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        await school.press(DRILL_KEY)
        assert (await school.district.event(type="campus.drill.started"))["data"]["how"] == "key"
        school.modules.release(1, DRILL_KEY)
        stopped = await school.district.event(type="campus.drill.stopped")
        assert stopped["data"]["actor"] == "key:guardroom/drill-key"


async def test_a_walk_test_rings_at_nobody_resets_what_it_trips_and_is_remembered(tmp_path: Path) -> None:
    more = '[selftest]\ntested_every = "1h"\ntested = "alarms"\n'
    async with a_school(tmp_path, more) as school:
        walk = asyncio.create_task(school.cli("test", "buttons", "--all", "--reset", "--json", "--timeout", "120"))
        started = await school.district.event(type="campus.test.started")
        assert set(started["data"]["points"]) == {f"guardroom/{p}" for p in ("panic", "yard", "gas", "duress")}
        for number in (PANIC, YARD, GAS, DURESS):
            await school.tap(number)
        code, said = await walk
        assert code == 0, said
        rows = [json.loads(line) for line in said.splitlines()]
        assert {row["point"] for row in rows if row["state"] == "pressed"} == {"panic", "yard", "gas", "duress"}
        await school.district.until(lambda: len(school.district.events(type="campus.alarm.reset")) == 4, WAIT_S)
        assert {event["drill"] for event in school.district.events(lane="alarm")} == {True}
        passed = school.district.events(type="campus.test.passed")
        assert {event["data"]["point"] for event in passed} == {"panic", "yard", "gas", "duress"}
        assert {event["drill"] for event in passed} == {False}, "that it works is no drill"
        assert (await school.district.event(type="campus.test.stopped"))["data"]["kind"] == "walk"

        await school.daemon.kill()
        await school.daemon.start()
        code, said = await school.cli("test", "buttons", "--list", "--json")
        assert code == 0
        assert {row["tested"]["how"] for row in json.loads(said)} == {"test"}
        await school.tap(PANIC)
        await school.district.until(lambda: not school.district.events(type="campus.alarm.raised")[-1]["drill"], WAIT_S)


async def test_a_button_that_nobody_tests_is_a_fault_until_it_is_pressed(tmp_path: Path) -> None:
    async with a_school(tmp_path, '[selftest]\ntested_every = "1s"\n') as school:

        def overdue() -> set[str]:
            told = school.district.events(type="campus.fault.raised")
            return {event["data"]["point"] for event in told if event["data"]["fault"] == "test-overdue"}

        await school.district.until(lambda: overdue() == {"panic", "duress"}, WAIT_S)
        code, said = await school.cli("test", "buttons", "--list")
        assert (code, "逾期" in said, "从未" in said) == (1, True, True), said
        await school.press(PANIC)
        await school.cleared("test-overdue")


async def test_the_self_test_pulses_outputs_and_tells_what_fails(tmp_path: Path) -> None:
    async with a_school(tmp_path, '[selftest]\noutputs = ["guardroom/3"]\npulse = "200ms"\n') as school:
        reply = await school.district.command("selftest", {}, actor="平台")
        checks = reply["result"]["checks"]
        assert {
            name: checks[name] for name in ("journal", "disk", "uplink", "device guardroom", "output guardroom/3")
        } == {
            "journal": "ok",
            "disk": "ok",
            "uplink": "ok",
            "device guardroom": "ok",
            "output guardroom/3": "ok",
        }
        school.modules.units[1].faults.ignores_writes = True
        reply = await school.district.command("selftest", {}, actor="平台")
        assert reply["result"]["checks"]["output guardroom/3"] != "ok"
        failed = await school.district.event(type="campus.test.failed", lane="event")
        assert "output guardroom/3" in str(failed["data"]["checks"])
        faults = (await school.daemon.status())["faults"]
        assert "selftest" in {fault["fault"] for fault in faults}
