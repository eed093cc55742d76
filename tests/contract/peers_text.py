"""A panel that prints on a pty, for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from agent.demo.hosts import Printer
from drivers.text import Pattern, TextDevice
from tests.contract.peers import Peer, Talk
from tests.sims.talkers import talk

GST: Final = TextDevice(port="/dev/null", preset="gst")
PATTERNS: Final = (
    Pattern(match=r"防区(?P<zone>\d+)报警", input="zone-{zone}"),
    Pattern(match=r"防区(?P<zone>\d+)恢复", input="zone-{zone}", value=False),
)
PLAIN: Final = TextDevice(port="/dev/null", pattern=PATTERNS)


@asynccontextmanager
async def text_talk(folder: Path) -> AsyncIterator[Talk]:
    printer = Printer(folder / "printer")
    driver = TextDevice(port=str(printer.pty.link), pattern=PATTERNS)

    def change(on: bool) -> None:
        printer.print("\n防区3报警\r\n" if on else "\n防区3恢复\r\n")

    async with printer, talk(printer, driver, change) as found:
        yield found


PEER: Final = Peer(
    config={
        "port": "/dev/ttyUSB0",
        "preset": "gst",
        "pattern": [{"match": "zone (?P<n>[0-9]+)", "input": "z-{n}", "value": "pulse", "release_after": "5m"}],
        "ignore": ["^ok$"],
        "heartbeat": "alive",
        "heartbeat_every": "30s",
    },
    decoders=(GST.reader().decode, PLAIN.reader().decode),
    talk=text_talk,
    input="zone-3",
    asked=False,
    framers=(GST.framer, PLAIN.framer),
)
