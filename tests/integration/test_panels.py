"""Panels on serial lines with the real daemon: reports and acknowledgements, what is unknown, what never ends."""

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo.hosts import ContactIdHost, RadioReceiver, SurGardReceiver
from tests.integration.test_cli import cli, start
from tests.sims.daemon import Daemon
from tests.sims.rig import until

RESEND_S = 0.5
WAIT_S = 60.0
FLOOD_FRAMES = 4_000
BATCH = 50

CONFIG = """
[uplink]
brokers = ["mqtt://127.0.0.1:1"]
[control]
socket = "{folder}/control.sock"

[[device]]
id = "receiver"
name = "接警接收机"
driver = "sur-gard"
port = "{folder}/receiver"
accounts = ["1234", "5678"]
heartbeat = "1s"
  [[device.point]]
  id = "panic"
  name = "一键报警"
  kind = "panic"
  input = "1234:120/001"
  [[device.point]]
  id = "hall"
  name = "教学楼入侵"
  kind = "intrusion"
  input = "1234:130"

[[device]]
id = "dorm"
name = "宿舍楼主机"
driver = "contact-id"
port = "{folder}/dorm"
accounts = ["9999"]
  [[device.point]]
  id = "panic"
  name = "宿舍楼一键报警"
  kind = "panic"
  input = "120/001"

[[device]]
id = "radio"
name = "无线按钮接收机"
driver = "ev1527"
preset = "lc"
port = "{folder}/radio"
  [[device.point]]
  id = "remote"
  name = "随身按钮"
  kind = "panic"
  input = "A1B2C/1"
"""


@dataclass
class School:
    """A daemon with three devices that speak by themselves."""

    daemon: Daemon
    receiver: SurGardReceiver
    dorm: ContactIdHost
    radio: RadioReceiver

    async def point(self, device: str, point: str) -> Any:
        status = await self.daemon.status()
        return next(one for one in status["points"] if (one["device"], one["point"]) == (device, point))

    async def device(self, device: str) -> Any:
        return next(one for one in (await self.daemon.status())["devices"] if one["id"] == device)

    async def events(self) -> list[Any]:
        found = await self.daemon.call("events-list")
        assert isinstance(found, list)
        return found


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WAIT_S):
        while not await look():  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


@asynccontextmanager
async def a_school(folder: Path) -> AsyncIterator[School]:
    async with AsyncExitStack() as stack:
        receiver = SurGardReceiver(folder / "receiver", resend_s=RESEND_S, heartbeat_s=0.2)
        dorm = ContactIdHost(folder / "dorm", resend_s=RESEND_S)
        radio = RadioReceiver(folder / "radio")
        for talker in (receiver, dorm, radio):
            await stack.enter_async_context(talker)
        daemon = await stack.enter_async_context(Daemon(folder, CONFIG.format(folder=folder)))
        school = School(daemon, receiver, dorm, radio)

        async def all_there() -> bool:
            return all(device["state"] == "online" for device in (await daemon.status())["devices"])

        await eventually(all_there)
        yield school


async def test_a_report_is_in_the_journal_when_it_is_acknowledged(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        acks = school.receiver.acks
        school.receiver.report("1234", "E12001001")
        school.dorm.report("9999", "112001001")
        await until(lambda: school.dorm.acks >= 1 and len(school.receiver.latencies_ms) >= 1)
        assert school.receiver.acks > acks
        raised = {(e["data"]["device"], e["data"]["point"]) for e in await school.events() if "raised" in e["type"]}
        assert {("receiver", "panic"), ("dorm", "panic")} <= raised
        school.radio.press("A1B2C", "1")

        async def pressed() -> bool:
            return bool((await school.point("radio", "remote"))["state"] == "active")

        await eventually(pressed)
        assert (await school.device("radio"))["supervised"] is False
        assert (await school.device("receiver"))["supervised"] is True


async def read_until(process: asyncio.subprocess.Process, wanted: bytes) -> bytes:
    """What a process prints, up to something that it must print."""
    assert process.stdout
    said = b""
    while wanted not in said:
        line = await process.stdout.readline()
        assert line, f"ended without {wanted!r}: {said!r}"
        said += line
    return said


async def test_what_has_no_point_is_told_and_learnt(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        config = school.daemon.config
        lessons = [
            await start(config, "learn", "receiver", "--json", "--timeout", "120"),
            await start(config, "learn", "radio", "--timeout", "120", "--lang", "en"),
        ]
        reading = asyncio.gather(read_until(lessons[0], b"\n"), read_until(lessons[1], b'input = "0F0F0/2"'))
        async with asyncio.timeout(WAIT_S):
            while not reading.done():  # whoever learns may not listen yet
                school.receiver.report("5678", "E15102004")
                school.receiver.report("5678", "R15102004")
                school.radio.press("0F0F0", "2")
                await asyncio.sleep(1.2)
        line, text = reading.result()
        learnt = json.loads(line)
        assert learnt["input"] == "5678:151/004"
        assert learnt["also"] == ["5678:zone-004", "5678:151"]
        assert (learnt["kind"], learnt["detail"]["partition"]) == ("gas", "02")
        block = text.decode().partition("[[device.point]]")[2]
        assert tomllib.loads(block)["input"] == "0F0F0/2"
        for process in lessons:
            process.terminate()
            await process.wait()
        told = [e for e in await school.events() if e["type"] == "campus.input.unassigned"]
        assert {e["data"]["input"] for e in told} == {"5678:151/004"}, "a stranger's remote control is told nobody"
        unknown = await cli(config, "learn", "no-such-device")
        assert unknown.code != 0
        assert "receiver" in unknown.err


async def test_a_panel_that_never_stops_fills_no_journal_and_delays_nobody(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        frame = school.receiver.frame("1234", "E13001003")
        seq = (await school.daemon.status())["seq"]
        for _ in range(FLOOD_FRAMES // BATCH):
            acks = school.receiver.acks
            school.receiver.send(frame * BATCH)
            await until(lambda acks=acks: school.receiver.acks >= acks + BATCH)  # type: ignore[misc]
        school.dorm.report("9999", "112001001")  # in the middle of it
        for _ in range(FLOOD_FRAMES // BATCH):
            school.receiver.send(frame * BATCH)
            await asyncio.sleep(0)
        await until(lambda: school.dorm.acks >= 1)

        async def counted() -> bool:
            return bool((await school.device("receiver"))["rejected"] >= FLOOD_FRAMES - BATCH)

        await eventually(counted)
        events = [e for e in await school.events() if e["seq"] > seq]
        of = [(e["type"], e["data"]["device"], e["data"].get("fault")) for e in events]
        assert of.count(("campus.alarm.raised", "receiver", None)) == 1
        assert of.count(("campus.alarm.raised", "dorm", None)) == 1
        assert of.count(("campus.fault.raised", "receiver", "bus")) == 1
        assert len([one for one in of if one[1] == "receiver"]) == 2
        assert (await school.device("receiver"))["state"] == "online"
