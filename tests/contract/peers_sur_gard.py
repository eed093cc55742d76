"""A receiver on a pty, for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from agent.demo.hosts import SurGardReceiver
from drivers import sur_gard
from drivers.sur_gard import SurGard
from tests.contract.peers import Peer, Talk
from tests.sims.talkers import talk

ACCOUNT: Final = "1234"
RESEND_S: Final = 0.05
HEARTBEAT_S: Final = 0.05
"""So that no test waits; the protocol has 4 and 30 s."""


@asynccontextmanager
async def sur_gard_talk(folder: Path) -> AsyncIterator[Talk]:
    receiver = SurGardReceiver(folder / "receiver", resend_s=RESEND_S, heartbeat_s=HEARTBEAT_S)
    driver = SurGard(port=str(receiver.pty.link), accounts=(ACCOUNT,))

    def change(on: bool) -> None:
        receiver.report(ACCOUNT, "E13001003" if on else "R13001003")

    async with receiver, talk(receiver, driver, change) as found:
        yield found


PEER: Final = Peer(
    config={
        "port": "/dev/ttyUSB0",
        "accounts": ["1234", "00A1B2"],
        "heartbeat": "60s",
        "baudrate": 1200,
        "parity": "E",
    },
    decoders=(sur_gard.decode,),
    talk=sur_gard_talk,
    input="130/003",
    asked=False,
    framers=(sur_gard.framer,),
)
