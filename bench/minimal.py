"""The peers: the least that a script can do for the same work. Nothing here keeps what the agent promises (chain,
lanes, restarts, supervision); it is the floor that this machine, SQLite, the broker and the libraries give.

`python -m bench.minimal watch|poll|drain ...`
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pymodbus.client import AsyncModbusSerialClient

BAUDRATE: Final = 115_200
INPUTS: Final = 8
POLL_S: Final = 0.05
WINDOW: Final = 20
"""Open acknowledgements during a drain: as many as the agent has."""
MARK_EVERY: Final = 500
"""Acknowledged rows that are marked in one transaction."""
RAISED: Final = "campus.alarm.raised"
FILLER: Final = "x" * 300
"""Brings an event to the size that the agent's have."""


def boottime_ns() -> int:
    """The clock that all processes of the machine share."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def open_store(path: Path) -> sqlite3.Connection:
    """A table of events; every commit is on the disk when it returns."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, body BLOB, acked INTEGER DEFAULT 0)")
    return db


def body(seen_ns: int, point: int) -> bytes:
    """An event of a typical size."""
    data = {"boottime_ns": seen_ns, "point": f"p{point}", "filler": FILLER}
    return json.dumps({"type": RAISED, "data": data}).encode()


def connected(port: int, client_id: str) -> paho.Client:
    """A connected MQTT 5 client without a thread."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port)
    while not client.is_connected():
        client.loop(0.1)
    return client


async def watch(tty: str, port: int, store: Path, topic: str) -> None:
    """The whole way of an alarm: poll one module, commit each press, publish it."""
    db, client, modbus = open_store(store), connected(port, "minimal"), await open_modbus(tty)
    sock = client.socket()
    assert sock is not None
    asyncio.get_running_loop().add_reader(sock.fileno(), client.loop_read)
    before: Sequence[bool] = [False] * INPUTS
    due = time.monotonic()
    print("ready", flush=True)
    while True:
        reply = await modbus.read_discrete_inputs(0, count=INPUTS, device_id=1)
        seen_ns = boottime_ns()
        for point, (now, was) in enumerate(zip(reply.bits, before, strict=False)):
            if now and not was:
                event = body(seen_ns, point)
                db.execute("INSERT INTO event (body) VALUES (?)", (event,))
                client.publish(topic, event, 1)
        before = list(reply.bits)
        client.loop_misc()
        due += POLL_S
        await asyncio.sleep(due - time.monotonic())


async def poll(tty: str, units: int) -> None:
    """Look at every unit once in 50 ms, and do nothing with what comes; print how often it did."""
    modbus = await open_modbus(tty)
    due = time.monotonic()
    looks = 0
    print("ready", flush=True)
    while True:
        for unit in range(1, units + 1):
            await modbus.read_discrete_inputs(0, count=INPUTS, device_id=unit)
            looks += 1
        due = max(due + POLL_S, time.monotonic())  # a round that is too long is followed by the next at once
        await asyncio.sleep(due - time.monotonic())


async def open_modbus(tty: str) -> Any:
    """A connected pymodbus client with its default settings."""
    client = AsyncModbusSerialClient(tty, baudrate=BAUDRATE, timeout=1)
    if not await client.connect():
        raise ConnectionError(tty)
    return client


def drain(store: Path, port: int, topic: str) -> None:
    """Publish every row that is not acknowledged, mark what the broker has, and print the seconds that it took."""
    db, client = open_store(store), connected(port, "minimal-drain")
    seq_of: dict[int, int] = {}
    acked: list[int] = []
    client.on_publish = lambda _client, _data, mid, _reason, _properties: acked.append(seq_of.pop(mid))
    began = time.perf_counter()
    rows = db.cursor().execute("SELECT seq, body FROM event WHERE acked = 0 ORDER BY seq")
    more = True
    while more or seq_of:
        while more and len(seq_of) < WINDOW:
            if (row := rows.fetchone()) is None:
                more = False
                break
            info = client.publish(topic, row[1], 1)
            seq_of[info.mid] = row[0]
        client.loop(0.05)
        if len(acked) >= MARK_EVERY or (not more and not seq_of):
            db.execute("UPDATE event SET acked = 1 WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(acked),))
            acked.clear()
    print(time.perf_counter() - began, flush=True)


def fill(store: Path, count: int) -> None:
    """Put `count` events into a fresh store."""
    db = open_store(store)
    db.execute("BEGIN")
    db.executemany("INSERT INTO event (body) VALUES (?)", ((body(0, number),) for number in range(count)))
    db.execute("COMMIT")
    db.close()


def commits(store: Path, count: int) -> float:
    """Commit `count` events one by one; return the seconds that it took."""
    db = open_store(store)
    events = [body(0, number) for number in range(count)]
    began = time.perf_counter()
    for event in events:
        db.execute("INSERT INTO event (body) VALUES (?)", (event,))
    seconds = time.perf_counter() - began
    db.close()
    return seconds


def main(argv: list[str]) -> None:
    """Run one of the scripts."""
    match argv:
        case ["watch", tty, port, store, topic]:
            asyncio.run(watch(tty, int(port), Path(store), topic))
        case ["poll", tty, units]:
            asyncio.run(poll(tty, int(units)))
        case ["drain", store, port, topic]:
            drain(Path(store), int(port), topic)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
