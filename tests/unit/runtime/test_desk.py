"""The desk, where a driver is stopped in the middle of a commit."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from agent.alarms.engine import Alarms
from agent.clock import SimClock
from agent.config.load import load
from agent.driver import Sample
from agent.journal import Journal
from agent.runtime.desk import AlarmDesk
from tests.sims.rig import until

TOML = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[journal]
path = "{folder}/journal.db"
[uplink]
brokers = ["mqtt://127.0.0.1"]
[[bus]]
id = "line"
port = "/dev/ttyUSB0"
[[device]]
id = "hall"
name = "门厅"
driver = "modbus-io"
bus = "line"
unit = 1
outputs = 1
  [[device.point]]
  id = "panic"
  name = "一键报警"
  kind = "panic"
  input = 0
  lamp = 0
"""


async def test_an_alarm_whose_driver_is_stopped_during_the_commit_lights_its_lamp(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOML.format(folder=tmp_path), encoding="utf-8")
    config = load(path)
    clock = SimClock(datetime(2026, 11, 27, 8, tzinfo=timezone(timedelta(hours=8))), bootid="boot-1")
    journal = await Journal.open(config.journal, config.site.site, clock)
    engine = Alarms(config.watched, ack_timeout_s=15, lamp_means="acknowledged", language="zh-CN")
    engine.restore({}, clock.moment())
    desk = AlarmDesk(engine, journal, clock)
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    desk.on_states = count
    press = asyncio.create_task(desk.samples("hall", (Sample(0, True, clock.boottime_ns()),)))
    await asyncio.sleep(0)  # it has decided, and waits for the disk
    press.cancel()
    with suppress(asyncio.CancelledError):
        await press
    await until(lambda: journal.head.seq == 1)
    plan = engine.outputs(clock.boottime_ns(), lambda _seq: "due")
    assert ("hall", 0) in plan.values
    assert plan.next_change_ns is not None, "it blinks"
    turning = asyncio.create_task(desk.run())
    await until(lambda: told > 0)
    turning.cancel()
    with suppress(asyncio.CancelledError):
        await turning
    await journal.close()
