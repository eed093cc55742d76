"""A host that prints Contact ID on a pty, for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from agent.demo.hosts import ContactIdHost
from drivers import contact_id
from drivers.contact_id import ContactId
from tests.contract.peers import Peer, Talk
from tests.sims.talkers import talk

ACCOUNT: Final = "1234"
RESEND_S: Final = 0.05


@asynccontextmanager
async def contact_id_talk(folder: Path) -> AsyncIterator[Talk]:
    host = ContactIdHost(folder / "host", resend_s=RESEND_S)
    driver = ContactId(port=str(host.pty.link), accounts=(ACCOUNT,))

    def change(on: bool) -> None:
        host.report(ACCOUNT, "113001003" if on else "313001003")

    async with host, talk(host, driver, change) as found:
        yield found


PEER: Final = Peer(
    config={"port": "/dev/ttyUSB0", "accounts": ["1234"], "ack": "06 0D", "test_every": "1d", "release_after": "30s"},
    decoders=(contact_id.decode,),
    talk=contact_id_talk,
    input="130/003",
    asked=False,
    framers=(lambda: contact_id.Blocks(("1234",)),),
)
