"""The backbone, end to end: simulated modules on a pty, the daemon as a process, mosquitto, a district."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from agent.clock import NS_PER_S
from agent.control import ControlError
from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from tests.sims.broker import Broker
from tests.sims.buttons import seen
from tests.sims.daemon import Daemon
from tests.sims.district import District

SITE: Final = Site("370812", "sy-primary")
WAIT_S: Final = 30.0
PANIC: Final = {"device": "guardroom", "point": "panic"}
RAISES: Final = ("campus.alarm.raised", "campus.alarm.repeated")
PRESSES: Final = 30
PRESSES_S: Final = 120.0
"""They take six seconds; a busy machine misses some."""
BLINK_LOOKS: Final = 6
"""Changes of a coil that make a blinking."""


@dataclass
class Lamps:
    """What the coils did, as the wire saw it."""

    changes: list[tuple[float, int, int, bool]] = field(default_factory=list)

    def coil(self, unit: int, coil: int, on: bool, at_ns: int) -> None:
        self.changes.append((at_ns / NS_PER_S, unit, coil, on))

    def of(self, unit: int, coil: int) -> list[tuple[float, bool]]:
        return [(at, on) for at, u, c, on in self.changes if (u, c) == (unit, coil)]


@dataclass
class School:
    """Everything of one test."""

    daemon: Daemon
    modules: Modules
    broker: Broker
    district: District
    lamps: Lamps

    def press(self, unit: int = 1, number: int = 0) -> None:
        self.modules.press(unit, number)

    def release(self, unit: int = 1, number: int = 0) -> None:
        self.modules.release(unit, number)

    def coil(self, coil: int, unit: int = 1) -> bool:
        return self.modules.units[unit].coils[coil]

    async def raised(self) -> dict[str, Any]:
        return await self.district.event(type="campus.alarm.raised")


def config(
    folder: Path, *brokers: str, more: str = "", uplink: str = "", module: str = "", units: tuple[int, ...] = (1, 2)
) -> str:
    """Two modules: a panic button with lamp and siren, a duress button, and a tamper contact."""
    listed = ", ".join(f'"{broker}"' for broker in brokers)
    text = f"""
    [uplink]
    brokers = [{listed}]
    {uplink}
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
    offline_after = "2s"
    {module}
      [[device.point]]
      id = "panic"
      name = "门卫室一键报警"
      kind = "panic"
      input = 0
      lamp = 0
      siren = 1
    """
    if 2 in units:
        text += """
    [[device]]
    id = "office"
    name = "校长室模块"
    driver = "modbus-io"
    bus = "rs485-1"
    unit = 2
    outputs = 8
    offline_after = "2s"
      [[device.point]]
      id = "duress"
      name = "校长室胁迫报警"
      kind = "duress"
      input = 1
      [[device.point]]
      id = "cover"
      name = "模块防拆"
      kind = "tamper"
      input = 2
      contact = "nc"
    """
    return text + more


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Look until something is true; for what no message announces."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not (value := condition()):  # noqa: ASYNC110 - coils and files announce nothing
                await asyncio.sleep(0.01)
            return value
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_S} s: {what}") from None


@asynccontextmanager
async def a_school(
    folder: Path, *, uplink: str = "", module: str = "", units: tuple[int, ...] = (1, 2)
) -> AsyncIterator[School]:
    """Start everything; at the end the journal's chain must be whole."""
    lamps = Lamps()
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker", persistent=True))
        modules = await stack.enter_async_context(Modules(folder / "line", units, on_coil=lamps.coil))
        if 2 in units:
            modules.units[2].inputs[2] = True  # the cover is closed
        district = await stack.enter_async_context(District(broker.port, SITE))
        text = config(folder, broker.url, uplink=uplink, module=module, units=units)
        daemon = await stack.enter_async_context(Daemon(folder, text))
        await district.status("online")
        yield School(daemon, modules, broker, district, lamps)
    report = verify_path(folder / "journal.db")
    assert report.ok, report


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as school:
        yield school


async def test_a_press_reaches_the_district_and_the_lamp_follows_it_to_the_reset(school: School) -> None:
    school.press()
    event = await school.raised()
    assert event["data"]["name"] == "门卫室一键报警"
    assert event["source"] == "/370812/sy-primary/guardroom/panic"
    assert (event["lane"], event["late"], event["drill"]) == ("alarm", False, False)
    await until(lambda: len(school.lamps.of(1, 0)) >= BLINK_LOOKS, "the lamp blinks")

    reply = await school.district.command("ack", {"event": event["id"]}, actor="值班员")
    assert reply["ok"], reply
    acknowledged = await school.district.event(type="campus.alarm.acknowledged")
    assert acknowledged["data"]["actor"] == "值班员"
    await until(lambda: school.coil(0), "the lamp is on")
    changes = len(school.lamps.of(1, 0))
    await asyncio.sleep(1.2)
    assert len(school.lamps.of(1, 0)) == changes, "an acknowledged lamp does not blink"

    early = await school.district.command("reset", PANIC)
    assert not early["ok"], "the input is still pressed"
    school.release()
    await school.district.event(type="campus.alarm.restored")
    assert (await school.district.command("reset", PANIC))["ok"]
    await school.district.event(type="campus.alarm.reset")
    await until(lambda: not school.coil(0), "the lamp is off")
    state = school.district.last("state/guardroom/panic")
    assert state is not None
    assert state.value["state"] == "idle"


async def test_a_duress_alarm_shows_nothing_on_site(school: School) -> None:
    school.press(2, 1)
    event = await school.raised()
    assert event["data"]["kind"] == "duress"
    await asyncio.sleep(1.0)
    assert school.lamps.changes == []


async def test_without_an_acknowledgement_the_siren_sounds_until_it_comes(tmp_path: Path) -> None:
    async with a_school(tmp_path, uplink='ack_timeout = "1s"', units=(1,)) as school:
        school.press()
        raised = await school.raised()
        escalated = await school.district.event(type="campus.alarm.escalated")
        assert escalated["data"]["event"] == raised["id"]
        await until(lambda: school.coil(1), "the siren sounds")
        assert (await school.district.command("ack", {"event": escalated["id"]}))["ok"]
        await until(lambda: not school.coil(1), "the siren is silent")


async def test_a_broker_outage_blinks_fast_and_everything_arrives_afterwards_in_order(school: School) -> None:
    school.broker.kill()
    school.press()

    def fast() -> bool:
        times = [at for at, _ in school.lamps.of(1, 0)][-BLINK_LOOKS:]
        return len(times) == BLINK_LOOKS and (times[-1] - times[0]) / (BLINK_LOOKS - 1) < 0.3

    await until(fast, "the lamp blinks at 4 Hz")
    school.release()
    async with asyncio.timeout(WAIT_S):
        while (await school.daemon.status())["due"]["alarm"] < 2:  # noqa: ASYNC110 - press and release
            await asyncio.sleep(0.05)
    asked = school.broker.log.count("SUBSCRIBE from district")
    os.kill(school.daemon.pid, signal.SIGSTOP)  # the district, which has no session there, must be the first to be back
    school.broker.start()
    await until(lambda: school.broker.log.count("SUBSCRIBE from district") > asked + 1, "the district is back")
    os.kill(school.daemon.pid, signal.SIGCONT)
    await school.district.event(type="campus.alarm.restored")
    seqs = [event["seq"] for event in school.district.events(lane="alarm")]
    assert seqs == sorted(seqs)


async def test_an_alarm_outlives_a_power_cut_and_still_escalates(tmp_path: Path) -> None:
    async with a_school(tmp_path, uplink='ack_timeout = "4s"', units=(1,)) as school:
        school.press()
        raised = await school.raised()
        await school.daemon.kill()
        school.release()
        await school.daemon.start()
        escalated = await school.district.event(type="campus.alarm.escalated")
        assert escalated["data"]["event"] == raised["id"]
        started = {event["seq"]: event["data"] for event in school.district.events(type="campus.agent.started")}
        assert [started[seq]["clean_stop"] for seq in sorted(started)] == [True, False]
        assert len({event["id"] for event in school.district.events(type="campus.alarm.raised")}) == 1


async def test_every_press_of_50_ms_is_an_alarm_or_a_repeat(tmp_path: Path) -> None:
    patient = 'reply_timeout = "1s"'  # a busy machine may read a reply late
    async with a_school(tmp_path, module=patient, units=(1,)) as school:
        looked_at, module = 0, school.modules.units[1]
        async with asyncio.timeout(PRESSES_S):
            while looked_at < PRESSES:  # a busy machine may keep the daemon from looking: then it is pressed once more
                polls = module.polls
                school.press()
                await asyncio.sleep(0.05)
                school.release()
                looked_at += module.polls > polls
                await seen(school.modules, 1)
        rows = await school.daemon.call("events-list", limit=1000)
        assert isinstance(rows, list)
        alarms = [row for row in rows if isinstance(row, dict) and row["type"] in RAISES]
        assert len(alarms) == looked_at


async def test_a_dead_module_is_a_fault_and_the_other_still_alarms(school: School) -> None:
    school.modules.units[2].faults.dead = True
    fault = await school.district.event(type="campus.fault.raised")
    assert fault["data"]["device"] == "office"
    assert fault["data"]["fault"] == "offline"
    school.press()
    await school.raised()
    school.modules.units[2].faults.dead = False
    await school.district.event(type="campus.fault.cleared")


async def test_a_module_that_is_only_garbled_is_offline_for_noise_and_alarms_with_its_first_good_reply(
    school: School,
) -> None:
    school.modules.units[1].faults.wrong_crc = True
    seen = {(await school.district.event(type="campus.fault.raised"))["data"]["fault"]}
    await until(lambda: len(school.district.events(type="campus.fault.raised")) >= 2, "both faults")
    rows = school.district.events(type="campus.fault.raised")
    seen |= {row["data"]["fault"] for row in rows}
    assert seen == {"bus", "offline"}
    assert {row["data"]["device"] for row in rows} == {"guardroom"}
    offline = next(row for row in rows if row["data"]["fault"] == "offline")
    assert "CRC" in str(offline["data"]["text"]), "the reason is told, although the driver goes on"
    async with asyncio.timeout(WAIT_S):  # a busy machine may look at a moment when the other one is away too
        while [one["state"] for one in (await school.daemon.status())["devices"]] != ["offline", "online"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    school.press()
    school.modules.units[1].faults.wrong_crc = False
    await school.raised()
    cleared = await school.district.event(type="campus.fault.cleared")
    assert cleared["data"]["fault"] == "offline"


async def test_an_unplugged_adapter_is_told_and_comes_back_by_itself(school: School) -> None:
    school.modules.unplug()
    await school.district.event(type="campus.fault.raised")
    school.modules.plug()
    await school.district.event(type="campus.fault.cleared")
    school.press()
    await school.raised()


async def test_noise_on_the_line_is_counted_and_never_an_alarm(school: School) -> None:
    for _ in range(60):
        school.modules.inject(bytes(range(256)))
        await asyncio.sleep(0.02)
    buses = await school.daemon.call("buses")
    assert isinstance(buses, list)
    assert isinstance(buses[0], dict)
    school.press()
    await school.raised()
    assert len(school.district.events(type="campus.alarm.raised")) == 1


async def test_a_tamper_contact_that_opens_is_a_fault(school: School) -> None:
    school.release(2, 2)
    fault = await school.district.event(type="campus.fault.raised")
    assert fault["data"]["fault"] == "tamper"
    school.press(2, 2)
    await school.district.event(type="campus.fault.cleared")


async def test_a_lamp_that_the_module_does_not_switch_is_a_fault(school: School) -> None:
    school.modules.units[1].faults.ignores_writes = True
    school.press()
    fault = await school.district.event(type="campus.fault.raised")
    assert (fault["data"]["fault"], fault["data"]["device"]) == ("output", "guardroom")
    school.modules.units[1].faults.ignores_writes = False
    await school.district.event(type="campus.fault.cleared")


async def test_an_output_command_is_confirmed_by_the_module(school: School) -> None:
    reply = await school.district.command("output", {"device": "guardroom", "output": 5, "value": True, "seconds": 1})
    assert reply["ok"], reply
    assert school.coil(5)
    await until(lambda: not school.coil(5), "the output falls back")
    wrong = await school.district.command("output", {"device": "guardroom", "output": 99, "value": True})
    assert not wrong["ok"]
    assert "99" in wrong["reason"]


async def test_a_changed_configuration_applies_without_touching_what_stays(school: School) -> None:
    school.press()
    await school.raised()
    more = """
      [[device.point]]
      id = "back"
      name = "后门一键报警"
      kind = "panic"
      input = 4
    """
    school.daemon.write(config(school.daemon.folder, school.broker.url, more=more))
    school.daemon.hang_up()
    await until(lambda: school.district.last("state/office/back"), "the new point is published")
    status = await school.daemon.status()
    states = {point["point"]: point["state"] for point in status["points"]}
    assert states["panic"] == "active"
    school.press(2, 4)
    await school.district.event(type="campus.alarm.raised", source="/370812/sy-primary/office/back")


async def test_the_queue_lists_what_the_broker_refused_before_what_is_due(tmp_path: Path) -> None:
    acl = f"topic read #\ntopic write {SITE.root}/status\ntopic write {SITE.root}/event/fault/#\n"
    with Broker(tmp_path / "broker", acl=acl) as broker:
        async with Daemon(tmp_path, config(tmp_path, broker.url, units=(1,))) as daemon:
            async with asyncio.timeout(WAIT_S):
                while not (await daemon.status())["refused"]:  # noqa: ASYNC110 - no message announces it
                    await asyncio.sleep(0.05)
            rows: Any = await daemon.call("queue-list", limit=50)
            assert (rows[0]["type"], rows[0]["state"]) == ("campus.agent.started", "refused")
            assert rows[0]["code"] == 0x87


async def test_a_point_and_a_device_that_are_taken_out_leave_no_retained_message(school: School) -> None:
    gone = ("state/office/duress", "state/office/cover", "inventory/office")

    def payloads() -> list[bytes | None]:
        return [message.payload if (message := school.district.last(topic)) else None for topic in gone]

    await school.district.until(lambda: all(payloads()))
    school.daemon.write(config(school.daemon.folder, school.broker.url, units=(1,)))
    school.daemon.hang_up()
    await school.district.until(lambda: payloads() == [b"", b"", b""])
    state = school.district.last("state/guardroom/panic")
    assert state
    assert state.value["state"] == "idle"


async def test_a_broken_configuration_leaves_the_old_one_running_and_raises_a_fault(school: School) -> None:
    good = school.daemon.config.read_text()
    school.daemon.config.write_text(good.replace('kind = "panic"', 'kind = "panik"'))
    school.daemon.hang_up()
    fault = await school.district.event(type="campus.fault.raised")
    assert fault["data"]["fault"] == "configuration"
    school.press()
    await school.raised()
    school.daemon.config.write_text(good)
    school.daemon.hang_up()
    await school.district.event(type="campus.fault.cleared")


async def test_a_clean_stop_says_offline_and_the_chain_is_whole(school: School) -> None:
    school.press()
    await school.raised()
    assert await school.daemon.stop() == 0
    await school.district.status("offline")
    assert school.district.events(type="campus.agent.stopped")


async def test_the_walk_test_shows_each_button_and_records_it(school: School) -> None:
    async with school.daemon.client() as client:
        seen: list[Any] = []
        async for item in client.stream("test-buttons"):
            seen.append(item)
            if len(seen) == 2:
                school.press(1, 0)
                school.press(2, 1)
    pressed = {item["point"] for item in seen if item["state"] == "pressed"}
    assert pressed == {"panic", "duress"}
    await school.district.event(type="campus.test.passed")


async def test_status_has_due_as_the_status_topic_has_it(school: School) -> None:
    status = await school.daemon.status()
    birth = await school.district.status("online")
    assert set(status["due"]) == set(birth["due"]) == {"alarm", "fault", "event"}
    assert status["uplink"]["receipts"] == "never"


async def test_a_second_daemon_on_the_same_journal_is_refused(school: School) -> None:
    second = Daemon(
        school.daemon.folder, school.daemon.config.read_text().partition("[uplink]")[2].join(["[uplink]", ""])
    )
    with pytest.raises(AssertionError, match="exit 1"):
        await second.start()


async def test_a_wrong_reset_from_the_command_line_says_why(school: School) -> None:
    with pytest.raises(ControlError):
        await school.daemon.call("test-lamp", device="nowhere", point="panic")
    reply = await school.daemon.call("command", verb="reset", args=dict(PANIC))
    assert isinstance(reply, dict)
    assert not reply["ok"]
    assert reply["reason"]
    json.dumps(reply)
