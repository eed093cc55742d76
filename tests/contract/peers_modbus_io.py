"""A module on a pty, for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from drivers import _modbus
from drivers.modbus_io import ModbusIo
from tests.contract.peers import Peer, Talk
from tests.sims.rig import Rig


@asynccontextmanager
async def modbus_talk(folder: Path) -> AsyncIterator[Talk]:
    async with Rig(folder) as rig:
        faults = rig.modules.units[1].faults

        def garbage(data: bytes) -> None:
            faults.garbage = data
            rig.modules.inject(data)

        yield Talk(
            start=lambda: rig.add(ModbusIo(unit=1), name="device"),
            end=rig.stop_all,
            silence=lambda: setattr(faults, "dead", True),
            speak=lambda: setattr(faults, "dead", False),
            unplug=rig.modules.unplug,
            garbage=garbage,
            change=lambda on: rig.modules.press(1, 0) if on else rig.modules.release(1, 0),
        )


PEER: Final = Peer(
    config={"unit": 1, "outputs": 8, "reply_timeout": "200ms", "input_hold": "500ms"},
    decoders=(
        lambda data: _modbus.decode_bits(data, 1, _modbus.READ_INPUTS, 8),
        lambda data: _modbus.decode_bits(data, 1, _modbus.READ_COILS, 8),
        lambda data: _modbus.decode_write(data, _modbus.write_reply(1, 0, [True])),
    ),
    talk=modbus_talk,
)
