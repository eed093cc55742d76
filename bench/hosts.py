"""Many alarm hosts that report over DC-09, as a process: `python -m bench.hosts PORT HOSTS PER_S SECONDS FILE`.

Says `ready` when all are connected, begins when it is told to by a line, and at the end writes JSON into FILE and says
`done`: for each event its account, its number, whether it is an alarm, the boot clock when it was sent and when it was
acknowledged, and how often it was sent.
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Final

from agent.demo.panels import AlarmHost
from bench.minimal import boottime_ns
from drivers._dc09 import ACK, ADM_CID

KEY: Final = bytes(range(16))
WATER: Final = ("1154 01 001", "3154 01 001")
"""Water in the cellar, and gone again: an alarm that does not latch, so that each event is raised or restored."""
RESEND_S: Final = 5.0


def account(number: int) -> str:
    """The account of a host."""
    return f"{0xA000 + number:04X}"


async def report(host: AlarmHost, per_s: float, seconds: float, events: list[list[object]]) -> None:
    """Report on and on; an event is sent again until it is acknowledged, and the next one waits for it."""
    loop = asyncio.get_running_loop()
    began = loop.time() + random.random() / per_s
    for number in range(round(per_s * seconds)):
        await asyncio.sleep(began + number / per_s - loop.time())
        message = host.message(ADM_CID, f"#{host.account}|{WATER[number % 2]}")
        sent_ns, tries = boottime_ns(), 0
        answer = None
        while answer is None or answer.id != ACK:
            tries += 1
            answer = await host.once(message.to_bytes(host.key), message)
        events.append([host.account, message.sequence, number % 2 == 0, sent_ns, boottime_ns(), tries])


async def work(port: int, count: int, per_s: float, seconds: float) -> list[list[object]]:
    """Connect, wait for the word, report."""
    hosts = [AlarmHost(port, account(number), key=KEY, answer_s=RESEND_S) for number in range(count)]
    for host in hosts:
        await host.null()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    events: list[list[object]] = []
    await asyncio.gather(*(report(host, per_s, seconds, events) for host in hosts))
    return events


def main(port: str, count: str, per_s: str, seconds: str, path: str) -> None:
    """Write what came of it."""
    events = asyncio.run(work(int(port), int(count), float(per_s), float(seconds)))
    Path(path).write_text(json.dumps(events))
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
