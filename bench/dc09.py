"""Fifty alarm hosts with ten events a second each: what becomes of every one, and how long it takes."""

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from agent.config.models import JournalSettings
from agent.demo.processes import DaemonProcess, free_port
from agent.journal import Journal
from agent.journal.offline import Offline
from agent.model import Lane, Stored, new_event
from bench.hosts import KEY, account
from bench.report import Result, percentile, spread
from bench.rig import SITE, Receiver, folder, helper, mosquitto, status, until

HOSTS: Final = 50
PER_S: Final = 10.0
SECONDS: Final = 20.0
COMMIT_EVERY_S: Final = 0.02
"""How often meanwhile a journal of its own, on the same disk, commits one event: what a commit alone takes."""
ALARM_MS: Final = 100.0
OVER_COMMIT_MS: Final = 20.0
NS_PER_MS: Final = 1e6
SETTLE_S: Final = 30.0
"""For what is still on its way when the last event is acknowledged."""


@dataclass(frozen=True)
class Sent:
    """One event as its host saw it."""

    account: str
    sequence: int
    alarm: bool
    sent_ns: int
    acked_ns: int
    tries: int


def config(place: Path, broker: int, port: int) -> str:
    """A school with fifty hosts, of which each has one point."""
    lines = [
        f'[site]\ndistrict = "{SITE.district}"\nschool = "{SITE.school}"\nname = "bench"',
        f'[journal]\npath = "{place}/journal.db"',
        f'[control]\nsocket = "{place}/control.sock"',
        f'[uplink]\nbrokers = ["mqtt://127.0.0.1:{broker}"]\nreceipts = false\nack_timeout = "3600s"',
        f'[[device]]\nid = "hosts"\nname = "hosts"\ndriver = "dc09"\nlisten = "127.0.0.1:{port}"',
    ]
    for number in range(HOSTS):
        key = f'{{ file = "{place}/key" }}'
        lines.append(f'[[device.account]]\naccount = "{account(number)}"\nkey = {key}\nsupervision = "60s"')
    for number in range(HOSTS):
        name = account(number)
        lines.append(
            f'[[device.point]]\nid = "{name}"\nname = "{name}"\nkind = "water-leak"\ninput = "{name}:zone-001"'
        )
    return "\n".join(lines)


async def commits_ms(path: Path, times: list[float]) -> None:
    """How long one event takes to be durable in a journal that nobody else uses, again and again until cancelled."""
    clock = SystemClock("Asia/Shanghai")
    journal = await Journal.open(JournalSettings(path=path), SITE, clock)
    try:
        while True:
            event = new_event("campus.alarm.raised", Lane.ALARM, clock.moment(), device="x", point="p", name="x" * 200)
            began = time.perf_counter()
            await journal.append(event)
            times.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(COMMIT_EVERY_S)
    finally:
        await journal.close()


def cpu_s(pid: int) -> float:
    """What a process has used of the processors (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(
    place: Path, alone: list[float]
) -> tuple[list[Sent], dict[tuple[str, int], int], Counter[tuple[str, int]], float]:
    """One run: what the hosts saw, when each alarm came to the second client, what is in the journal, and the
    processor's share of the daemon; `alone` gets how long a commit alone took."""
    port = free_port()
    (place / "key").write_text(KEY.hex())
    async with mosquitto(place) as broker:
        path = place / "agent.toml"
        path.write_text(config(place, broker, port))
        daemon = DaemonProcess(path, place)
        await daemon.start()
        try:
            with Receiver(broker, (f"{SITE.root}/event/alarm/#",)) as receiver:
                async with helper("bench.hosts", port, HOSTS, PER_S, SECONDS, place / "sent.json") as hosts:
                    assert daemon.pid is not None
                    before_s, began = cpu_s(daemon.pid), time.monotonic()
                    committing = asyncio.create_task(commits_ms(place / "alone.db", alone))
                    await hosts.ask("begin")
                    committing.cancel()
                    await asyncio.gather(committing, return_exceptions=True)
                    share = (cpu_s(daemon.pid) - before_s) / (time.monotonic() - began)
                sent = [Sent(*one) for one in json.loads((place / "sent.json").read_text())]
                await until(lambda: len(receiver.arrived) >= len(sent), "events at the broker", wait_s=SETTLE_S)
                while (await status(place))["due"]["alarm"]:  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.05)
                arrived = {key_of(event): at_ns for at_ns, _, event in reversed(receiver.arrived)}
        finally:
            await daemon.stop()
    with Offline(place / "journal.db") as journal:
        rows = journal.rows(1, journal.head.seq, journal.head.seq)
    events = [json.loads(row.body) for row in rows if isinstance(row, Stored)]
    stored = Counter(key_of(event) for event in events if is_event(event))
    return sent, arrived, stored, share


def key_of(event: dict[str, Any]) -> tuple[str, int]:
    """The account and the number that a host gave an event."""
    detail = event["data"]["detail"]
    return detail["account"], detail["sequence"]


def is_event(event: dict[str, Any]) -> bool:
    """Whether an event is a host's."""
    return "sequence" in event["data"].get("detail", {})


async def measure() -> list[Result]:
    """The run."""
    with folder() as name:
        place = Path(name)
        alone: list[float] = []
        sent, arrived, stored, share = await run(place, alone)
    return [result(sent, arrived, stored, share, alone)]


def result(
    sent: list[Sent],
    arrived: dict[tuple[str, int], int],
    stored: Counter[tuple[str, int]],
    share: float,
    alone: list[float],
) -> Result:
    """What was promised, and what became of it."""
    keys = {(one.account, one.sequence): one for one in sent}
    acked = [(one.acked_ns - one.sent_ns) / NS_PER_MS for one in sent]
    alarms = [(arrived[key] - one.sent_ns) / NS_PER_MS for key, one in keys.items() if one.alarm and key in arrived]
    not_once = sum(1 for key in keys if stored[key] != 1)
    missing = len(keys.keys() - arrived.keys())
    found = Result(f"{HOSTS} alarm hosts over DC-09, {PER_S:g} events a second each", ("ms", "p50", "p99", "max", "n"))
    found.rows = [
        ["panel -> ACK", *spread(acked)],
        ["alarm: panel -> subscriber", *spread(alarms)],
        ["commit alone", *spread(alone)],
    ]
    found.limit("events acknowledged and not in the journal exactly once", not_once, 0, "events")
    found.limit("events acknowledged and not at the broker", missing, 0, "events")
    found.limit("alarm, panel -> subscriber, p99", percentile(alarms, 99), ALARM_MS, "ms")
    found.limit(
        "panel -> ACK, p99, over a commit alone", percentile(acked, 99) - percentile(alone, 99), OVER_COMMIT_MS, "ms"
    )
    again = sum(one.tries > 1 for one in sent)
    found.notes = [
        f"TCP, AES-128, Contact ID; {len(sent):,} events in {SECONDS:g} s, {again} of them sent more than once; the "
        f"daemon used {share * 100:.0f} % of one core. Hosts, daemon, mosquitto and subscriber share this machine's "
        "processors. Commit alone: one event at a time, meanwhile, into a journal of its own on the same disk."
    ]
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        found.notes.append("All of it ran with real-time priority, since the machine had other work (`chrt -r 5`).")
    return found
