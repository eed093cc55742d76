"""A GPIO chip with a button on line 17, for the contract suite. The driver runs in a process that sees the chip."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.contract.peers import Peer, Talk
from tests.sims.gpio import CHIP, Away, GpioChip
from tests.sims.rig import RecordedLink

CONFIG: Final[dict[str, Any]] = {"chip": CHIP, "inputs": [17, 27], "outputs": [22]}
BUTTON: Final = 17


@asynccontextmanager
async def talk(folder: Path) -> AsyncIterator[Talk]:
    chip = GpioChip(folder / "chip")
    chip.plug()
    running: list[Away] = []

    def start() -> RecordedLink:
        running.append(Away("gpio", CONFIG, chip.environment))
        return running[-1].link

    async def end() -> None:
        while running:
            await running.pop().end()

    yield Talk(
        start=start,
        end=end,
        silence=chip.unplug,
        speak=chip.plug,
        unplug=chip.unplug,
        garbage=lambda _: None,
        change=lambda on: chip.set(BUTTON, not on),
    )
    await end()
    chip.unplug()


PEER: Final = Peer(config=CONFIG, decoders=(), talk=talk, input=BUTTON, noisy=False)
