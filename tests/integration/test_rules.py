"""Rules on the real daemon: inputs and a sensor on a line, a district; an alarm that no device tells alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from agent.cli import main
from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from tests.integration.test_spine import WAIT_S, until
from tests.sims.broker import Broker
from tests.sims.buttons import press_and_release
from tests.sims.daemon import Daemon
from tests.sims.district import District

FAN: Final = 0
DOOR: Final = 1
VALVE: Final = 3
RULE: Final = {"device": "rules", "point": "gas-and-fan"}
SITE: Final = """
    [uplink]
    brokers = ["{broker}"]
    receipts = false
    ack_timeout = "10m"
    [[bus]]
    id = "line"
    port = "{line}"
    [[device]]
    id = "canteen"
    name = "食堂模块"
    driver = "modbus-io"
    bus = "line"
    unit = 1
    outputs = 8
      [[device.point]]
      id = "fan"
      name = "风机运行"
      kind = "input"
      input = 0
      [[device.point]]
      id = "door"
      name = "后门"
      kind = "door"
      input = 1
    [[device]]
    id = "gas"
    name = "燃气探测器"
    driver = "modbus-sensor"
    bus = "line"
    unit = 5
    poll_every = "100ms"
      [[device.channel]]
      id = "lel"
      register = 0
      scale = 0.1
      unit = "%LEL"
"""
RULES: Final = """
    [[rule]]
    id = "gas-and-fan"
    name = "燃气浓度升高且风机停转"
    kind = "gas"
      [rule.if]
      all = [
        { measure = "gas/lel", above = 10.0, hysteresis = 2.0 },
        { point = "canteen/fan", state = "off", for = "100ms" },
      ]
      [[rule.do]]
      output = { device = "canteen", output = 3, for = "1h" }
      [[rule.do]]
      escalate = true
    [[rule]]
    id = "doors"
    name = "后门开了三次"
    if = { events = { kind = "door", at_least = 3, within = "1h" } }
    [[rule]]
    id = "after"
    name = "规则之后"
    if = { point = "rules/gas-and-fan", state = "alarm" }
"""


@dataclass
class School:
    """Everything of one test."""

    daemon: Daemon
    modules: Modules
    district: District
    toml: str

    @property
    def gas(self) -> dict[int, int]:
        return self.modules.units[5].registers

    def coil(self, coil: int) -> bool:
        return self.modules.units[1].coils[coil]

    def opened(self) -> set[str]:
        """The door's events that the district has, each once."""
        return {event["id"] for event in self.district.events(type="campus.access.opened")}

    async def rule(self, name: str) -> Any:
        rules: Any = await self.daemon.call("rules")
        return next(one for one in rules if one["id"] == name)

    async def rule_when(self, name: str, fits: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(WAIT_S):
            while not fits(rule := await self.rule(name)):  # noqa: ASYNC110 - the socket announces nothing
                await asyncio.sleep(0.05)
        return rule

    async def event(self, type_: str, point: str) -> dict[str, Any]:
        return await self.district.event(type=type_, source=f"/370812/sy-primary/rules/{point}")


@asynccontextmanager
async def a_school(folder: Path) -> AsyncIterator[School]:
    """Start everything, with the fan running; at the end the journal's chain must be whole."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        modules = await stack.enter_async_context(Modules(folder / "line", (1, 5)))
        modules.press(1, FAN)
        modules.units[5].registers[0] = 12
        district = await stack.enter_async_context(District(broker.port, Site("370812", "sy-primary")))
        site = SITE.format(broker=broker.url, line=folder / "line")
        daemon = await stack.enter_async_context(Daemon(folder, site + RULES))
        await district.status("online")
        yield School(daemon, modules, district, site)
    report = verify_path(folder / "journal.db")
    assert report.ok, report


async def test_two_inputs_become_an_alarm_with_actions_that_is_acknowledged_and_reset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*argv: str) -> str:
        assert main(["--config", str(tmp_path / "agent.toml"), "--lang", "en", "rules", *argv]) == 0
        return capsys.readouterr().out

    async with a_school(tmp_path) as school:
        school.gas[0] = 345
        school.modules.release(1, FAN)
        raised = await school.event("campus.alarm.raised", "gas-and-fan")
        data = raised["data"]
        assert (raised["lane"], data["kind"], data["priority"]) == ("alarm", "gas", 1)
        assert data["name"] == "燃气浓度升高且风机停转"
        assert data["detail"] == {"gas/lel": 34.5, "canteen/fan": "off"}
        escalated = await school.event("campus.alarm.escalated", "gas-and-fan")
        assert escalated["data"]["event"] == raised["id"]
        fired = await school.event("campus.rule.fired", "after")
        assert fired["seq"] > raised["seq"]
        await until(lambda: school.coil(VALVE), "the valve is switched")
        command = await school.district.event(type="campus.command.received")
        assert (command["data"]["actor"], command["data"]["verb"]) == ("rule:gas-and-fan", "output")
        shown = await asyncio.to_thread(said, "list")
        assert "gas-and-fan  燃气浓度升高且风机停转  gas leak  holds" in shown
        assert "✓ gas/lel above 10  [34.5]" in shown
        assert "✓ canteen/fan is off, for 100ms  [off]" in shown

        assert (await school.district.command("ack", RULE, actor="值班员"))["ok"]
        acknowledged = await school.event("campus.alarm.acknowledged", "gas-and-fan")
        assert acknowledged["data"]["actor"] == "值班员"
        assert not (await school.district.command("reset", RULE))["ok"], "it still holds"
        school.gas[0] = 70
        await school.event("campus.alarm.restored", "gas-and-fan")
        assert (await school.district.command("reset", RULE))["ok"]
        await school.event("campus.rule.ended", "after")
        state = school.district.last("state/rules/gas-and-fan")
        assert state is not None
        assert state.value["state"] == "idle"
    replayed = await asyncio.to_thread(said, "test", str(tmp_path / "journal.db"))
    assert "the rule gas-and-fan needs measured values (gas/lel)" in replayed


async def test_counts_outlive_a_power_cut_and_a_changed_rule_starts_afresh(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        for _ in range(2):
            await press_and_release(school.modules, 1, DOOR)
        await school.district.until(lambda: len(school.opened()) == 2)  # what is not stored yet, a power cut does lose
        await school.daemon.kill()
        await school.daemon.start()
        await press_and_release(school.modules, 1, DOOR)
        fired = await school.event("campus.rule.fired", "doors")
        assert fired["data"]["detail"] == {"events door": 3}
        before = await school.rule("doors")
        assert (before["state"], before["count"]) == ("holds", 1)
        assert before["conditions"][0]["now"] == 3

        changed = RULES.replace('name = "后门开了三次"', 'name = "三次"').replace(
            '"gas/lel", above = 10.0', '"gas/lel", above = 20.0'
        )
        school.daemon.write(school.toml + changed)
        await school.daemon.call("reload")
        after = await school.rule_when("doors", lambda rule: rule["name"] == "三次")
        assert (after["state"], after["count"]) == ("holds", 1), "the same condition goes on"

        school.daemon.write(school.toml + changed.replace("at_least = 3", "at_least = 4"))
        await school.daemon.call("reload")
        anew = await school.rule_when("doors", lambda rule: rule["state"] == "idle")
        assert anew["count"] == 0
