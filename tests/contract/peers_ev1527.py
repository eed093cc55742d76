"""A receiver of radio buttons on a pty, for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from agent.demo.hosts import RadioReceiver
from drivers import ev1527
from drivers.ev1527 import PRESETS, Ev1527
from tests.contract.peers import Peer, Talk
from tests.sims.talkers import talk


@asynccontextmanager
async def ev1527_talk(folder: Path) -> AsyncIterator[Talk]:
    receiver = RadioReceiver(folder / "receiver")
    driver = Ev1527(port=str(receiver.pty.link), preset="lc")

    def change(on: bool) -> None:
        if on:  # a release is not sent
            receiver.press("A1B2C", "1")

    async with receiver, talk(receiver, driver, change) as found:
        yield found


PEER: Final = Peer(
    config={"port": "/dev/ttyUSB0", "frame": {"code": "bytes", "start": "FD", "end": "DF"}, "merge": "500ms"},
    decoders=tuple(partial(ev1527.decode, frame=frame) for frame in PRESETS.values()),
    talk=ev1527_talk,
    input="A1B2C/1",
    asked=False,
    releases=False,
    framers=tuple(partial(ev1527.framer, frame) for frame in PRESETS.values()),
)
