"""A gas detector at the wire, the daemon, a district: curve, alarm with its value, broken probe."""

from pathlib import Path

from agent.demo.module import Modules
from agent.model import Site
from tests.sims.broker import Broker
from tests.sims.daemon import Daemon
from tests.sims.district import District

SITE = Site("370812", "sy-primary")
CONFIG = """
    [uplink]
    brokers = ["{broker}"]
    receipts = false
    [telemetry]
    every = "1s"
    batch = "2s"
    [[bus]]
    id = "line"
    port = "{line}"
    [[device]]
    id = "canteen"
    name = "食堂燃气探测器"
    driver = "modbus-sensor"
    bus = "line"
    unit = 5
    poll_every = "100ms"
      [[device.channel]]
      id = "gas"
      register = 0
      scale = 0.1
      unit = "%LEL"
      highest = 100.0
      alarm_above = 10.0
      hysteresis = 2.0
      [[device.point]]
      id = "gas"
      name = "食堂燃气"
      kind = "gas"
      input = "gas"
"""


async def test_a_leak_is_an_alarm_with_its_value_and_a_curve_and_a_broken_probe_is_a_fault(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, Modules(tmp_path / "line", [5]) as modules:
            registers = modules.units[5].registers
            registers[0] = 12
            config = CONFIG.format(broker=broker.url, line=tmp_path / "line")
            async with Daemon(tmp_path, config) as daemon:
                await watch(district, daemon, registers)


async def watch(district: District, daemon: Daemon, registers: dict[int, int]) -> None:
    curve = await district.until(lambda: district.last("telemetry/canteen/gas"))
    assert curve.qos == 0
    assert curve.value["unit"] == "%LEL"
    assert set(curve.value["values"]) <= {1.2, None}
    (device,) = (await daemon.status())["devices"]
    assert device["measures"] == [{"input": "gas", "value": 1.2, "unit": "%LEL"}]

    registers[0] = 345
    alarm = await district.event(type="campus.alarm.raised")
    assert (alarm["data"]["measure"], alarm["data"]["unit"]) == (34.5, "%LEL")

    registers[0] = 65535
    fault = await district.event(type="campus.fault.raised")
    assert (fault["data"]["fault"], fault["data"]["point"]) == ("measure", "gas")
    registers[0] = 12
    await district.event(type="campus.fault.cleared")
    restored = await district.event(type="campus.alarm.restored")
    assert restored["data"]["measure"] == 1.2
