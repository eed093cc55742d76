"""A sensor on a pty, for the contract suite: its gas value passes the limit and comes back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from drivers import _modbus
from drivers.modbus_sensor import ModbusSensor
from tests.contract.peers import Peer, Talk
from tests.sims.rig import Rig

CONFIG: Final[dict[str, Any]] = {
    "unit": 1,
    "poll_every": "50ms",
    "reply_timeout": "200ms",
    "channel": [{"id": "gas", "register": 2, "scale": 0.1, "unit": "%LEL", "alarm_above": 10.0, "hysteresis": 1.0}],
}


@asynccontextmanager
async def talk(folder: Path) -> AsyncIterator[Talk]:
    async with Rig(folder) as rig:
        unit = rig.modules.units[1]
        unit.registers[2] = 12

        def garbage(data: bytes) -> None:
            unit.faults.garbage = data
            rig.modules.inject(data)

        def change(on: bool) -> None:
            unit.registers[2] = 120 if on else 12

        yield Talk(
            start=lambda: rig.add(ModbusSensor.model_validate(CONFIG), name="device"),
            end=rig.stop_all,
            silence=lambda: setattr(unit.faults, "dead", True),
            speak=lambda: setattr(unit.faults, "dead", False),
            unplug=rig.modules.unplug,
            garbage=garbage,
            change=change,
        )


PEER: Final = Peer(
    config=CONFIG,
    decoders=(
        lambda data: _modbus.decode_registers(data, 1, _modbus.READ_HOLDING, 4),
        lambda data: _modbus.decode_registers(data, 1, _modbus.READ_REGISTERS, 1),
    ),
    talk=talk,
    input="gas",
)
