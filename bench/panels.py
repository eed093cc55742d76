"""From the last byte of a panel's report to its acknowledgement, beside the commit of one event on the same disk."""

import asyncio
import random
import time
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.config.models import JournalSettings
from agent.demo.hosts import ContactIdHost, SurGardReceiver
from agent.demo.processes import DaemonProcess
from agent.journal import Journal
from agent.model import Lane, new_event
from bench.report import Result, percentile, spread
from bench.rig import SITE, connected, folder, mosquitto, until

ROUNDS: Final = 300
"""Each with a report of a receiver, a report of a host, and a commit of ours, one after the other."""
GAP_S: Final = (0.01, 0.04)
"""Between two of them, at random."""
OVER_COMMIT_MS: Final = 20.0
ACCOUNT: Final = "1234"
CONFIG: Final = """
[site]
district = "{site.district}"
school = "{site.school}"
name = "bench"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/control.sock"
[uplink]
brokers = ["mqtt://127.0.0.1:{port}"]
receipts = false
ack_timeout = "3600s"

[[device]]
id = "receiver"
name = "receiver"
driver = "sur-gard"
port = "{folder}/receiver"
accounts = ["{account}"]
heartbeat = "5s"
  [[device.point]]
  id = "hall"
  name = "hall"
  kind = "intrusion"
  input = "130"

[[device]]
id = "host"
name = "host"
driver = "contact-id"
port = "{folder}/host"
accounts = ["{account}"]
  [[device.point]]
  id = "hall"
  name = "hall"
  kind = "intrusion"
  input = "130"
"""


async def measure() -> list[Result]:
    """Receivers, hosts and commits by turns."""
    commits: list[float] = []
    with folder() as name:
        place = Path(name)
        receiver = SurGardReceiver(place / "receiver", heartbeat_s=1.0)
        host = ContactIdHost(place / "host")
        async with mosquitto(place) as port, receiver, host:
            config = place / "agent.toml"
            config.write_text(CONFIG.format(site=SITE, folder=place, port=port, account=ACCOUNT))
            daemon = DaemonProcess(config, place)
            await daemon.start()
            clock = SystemClock("Asia/Shanghai")
            journal = await Journal.open(JournalSettings(path=place / "ours.db"), SITE, clock)
            try:
                await connected(place)
                for number in range(ROUNDS):
                    zone = f"{number % 900 + 1:03d}"
                    await report(receiver, f"E13001{zone}")
                    await report(host, f"113001{zone}")
                    await asyncio.sleep(random.uniform(*GAP_S))
                    began = time.perf_counter()
                    await journal.append(new_event("campus.input.on", Lane.EVENT, clock.moment(), name="x" * 200))
                    commits.append((time.perf_counter() - began) * 1e3)
            finally:
                await journal.close()
                await daemon.stop()
        return [result(receiver.latencies_ms, host.latencies_ms, commits)]


async def report(talker: SurGardReceiver | ContactIdHost, event: str) -> None:
    """Send one report and wait for its acknowledgement."""
    await asyncio.sleep(random.uniform(*GAP_S))
    seen = len(talker.latencies_ms)
    talker.report(ACCOUNT, event)
    await until(lambda: len(talker.latencies_ms) > seen, "acknowledgement", every_s=0.001)


def result(receiver: list[float], host: list[float], commits: list[float]) -> Result:
    """The table."""
    table = Result("A panel's report to its acknowledgement", ("ms", "p50", "p99", "max", "n"))
    table.rows = [
        ["sur-gard: report -> ACK", *spread(receiver)],
        ["contact-id: report -> ACK", *spread(host)],
        ["one event committed (FULL), in this process", *spread(commits)],
    ]
    commit_ms = percentile(commits, 99)
    for name, seen in (("sur-gard", receiver), ("contact-id", host)):
        table.limit(f"{name}: p99 over a commit's p99", percentile(seen, 99) - commit_ms, OVER_COMMIT_MS, "ms")
    table.notes = [
        "The real daemon with a broker; simulated devices on ptys without line time in the process that measures. Each "
        "report is a new alarm of another zone. By turns: a receiver's report, a host's, and a commit of one event "
        "into a journal of our own on the same disk.",
    ]
    return table
