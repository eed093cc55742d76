"""For each driver: a valid configuration of it, and a simulated device that it talks to.

A new driver gets a line in `PEERS`; the contract suite fails for one that has none.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers import _modbus
from drivers.modbus_io import ModbusIo
from tests.sims.rig import RecordedLink, Rig


@dataclass(frozen=True)
class Talk:
    """A driver in touch with its simulated device."""

    start: Callable[[], RecordedLink]
    """Run the driver, with restarts."""
    end: Callable[[], Awaitable[None]]
    """Cancel it, and whatever it stood on; raises if that ends in an error."""
    silence: Callable[[], None]
    """The device says nothing any more."""
    speak: Callable[[], None]
    """It does again."""
    unplug: Callable[[], None]
    """Its port goes away."""
    garbage: Callable[[bytes], None]
    """Bytes come that nobody can read, with every reply and between."""
    change: Callable[[bool], None]
    """Input 0 changes."""


@dataclass(frozen=True)
class Peer:
    """How to test one driver."""

    config: Mapping[str, object]
    """What stands in [[device]], in TOML's words."""
    decoders: tuple[Callable[[bytes], object], ...]
    """Its pure functions of bytes."""
    talk: Callable[[Path], AbstractAsyncContextManager[Talk]]


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


PEERS: Final[Mapping[str, Peer]] = {
    "modbus-io": Peer(
        config={"unit": 1, "outputs": 8, "reply_timeout": "200ms", "input_hold": "500ms"},
        decoders=(
            lambda data: _modbus.decode_bits(data, 1, _modbus.READ_INPUTS, 8),
            lambda data: _modbus.decode_bits(data, 1, _modbus.READ_COILS, 8),
            lambda data: _modbus.decode_write(data, _modbus.write_reply(1, 0, [True])),
        ),
        talk=modbus_talk,
    ),
}
