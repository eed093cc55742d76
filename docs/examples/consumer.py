#!/usr/bin/env python3
"""区级接收程序示例：存储、去重、校验哈希链、补齐缺口、发送回执。
A district's consumer: stores events, de-duplicates them, checks each chain, asks for gaps, sends receipts.

    pip install "paho-mqtt>=2.1"
    python consumer.py --host mq.example.cn --site 370812/sy-primary --db events.db
"""

import argparse
import hashlib
import json
import re
import sqlite3
import time
import uuid

import paho.mqtt.client as mqtt

TAIL = re.compile(rb'(,"correctedtime":"[^"]*")?,"hash":"[0-9a-f]{64}","late":(true|false)}$')
PATIENCE_S = 5.0  # lanes overtake each other: a gap that stays this long is asked for
TABLES = """
CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, journal TEXT, seq INTEGER, hash TEXT, prevhash TEXT, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS place ON event (journal, seq);
CREATE TABLE IF NOT EXISTS lost (journal TEXT, first INTEGER, last INTEGER, hash TEXT);
"""


class Chain:
    """One journal of the school: which seq we hold, as closed ranges."""

    def __init__(self, db: sqlite3.Connection, journal: str) -> None:
        self.journal, self.runs, self.asked, self.receipt = journal, [], time.monotonic(), None
        self.db = db
        for (seq,) in db.execute("SELECT seq FROM event WHERE journal = ? ORDER BY seq", (journal,)):
            self.add(seq, seq)
        for first, last in db.execute("SELECT first, last FROM lost WHERE journal = ?", (journal,)):
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        keep = [run for run in self.runs if run[1] < first - 1 or run[0] > last + 1]
        joined = [run for run in self.runs if run not in keep]
        self.runs = sorted([*keep, [min([first, *(r[0] for r in joined)]), max([last, *(r[1] for r in joined)])]])

    def hash_at(self, seq: int) -> str | None:
        stored = "SELECT hash FROM event WHERE journal = ?1 AND seq = ?2"
        lost = "SELECT hash FROM lost WHERE journal = ?1 AND last = ?2"
        row = self.db.execute(f"{stored} UNION {lost}", (self.journal, seq)).fetchone()
        return row and row[0]

    def as_receipt(self) -> dict:
        held = self.runs[0][1] if self.runs and self.runs[0][0] == 1 else 0
        also = [run for run in self.runs if run[0] > held + 1]
        return {
            "journal": self.journal,
            "seq": held,
            "hash": self.hash_at(held) if held else "0" * 64,
            "also": also[:1000],
        }

    def gap(self, head: int) -> tuple[int, int] | None:
        ends = [0, *(run[1] for run in self.runs)]
        starts = [*(run[0] for run in self.runs), head + 1]
        return next(((end + 1, start - 1) for end, start in zip(ends, starts, strict=True) if start > end + 1), None)


class Consumer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.root = f"campus/v1/{args.site}"
        self.db = sqlite3.connect(args.db, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + TABLES)
        self.chains: dict[str, Chain] = {}
        self.head: tuple[str, int] | None = None
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.client_id, clean_session=False)
        if args.username:
            self.client.username_pw_set(args.username, args.password)
        if args.ca:
            self.client.tls_set(args.ca)
        self.client.on_connect = lambda *_: self.client.subscribe(
            [(f"{self.root}/event/#", 1), (f"{self.root}/status", 1)]
        )
        self.client.on_message = self.on_message
        self.client.connect(args.host, args.port)

    def chain(self, journal: str) -> Chain:
        if journal not in self.chains:
            self.chains[journal] = Chain(self.db, journal)
        return self.chains[journal]

    def on_message(self, _client, _userdata, message) -> None:
        if message.topic == f"{self.root}/status":
            status = json.loads(message.payload)
            self.head = (status["journal"], status["seq"])
            self.chain(status["journal"])
        else:
            self.take(message.payload)

    def take(self, payload: bytes) -> None:
        event = json.loads(payload)
        journal, seq = event["journal"], event["seq"]
        body = TAIL.sub(b"}", payload)  # the members outside the hash always stand last
        if hashlib.sha256(body).hexdigest() != event["hash"]:
            print(f"ALTERED {journal} {seq}", flush=True)
            return
        row = (event["id"], journal, seq, event["hash"], event["prevhash"], body)
        try:
            new = self.db.execute("INSERT INTO event VALUES (?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING", row).rowcount
        except sqlite3.IntegrityError:  # another event in the same place of the same chain
            print(f"FORKED {journal} {seq}", flush=True)
            return
        chain = self.chain(journal)
        if not new:
            chain.receipt = None  # a repetition: the school may have missed our receipt
            return
        if event["type"] == "campus.lost" and "from" in event["data"]:
            lost = event["data"]
            self.db.execute("INSERT INTO lost VALUES (?,?,?,?)", (journal, lost["from"], lost["to"], lost["hash"]))
            chain.add(lost["from"], lost["to"])
            print(f"LOST {journal} {lost['from']}-{lost['to']}: {lost['reason']}", flush=True)
        before = chain.hash_at(seq - 1)
        next_row = "SELECT prevhash FROM event WHERE journal = ? AND seq = ?"
        after = self.db.execute(next_row, (journal, seq + 1)).fetchone()
        if (before and before != event["prevhash"]) or (after and after[0] != event["hash"]):
            print(f"BROKEN {journal} {seq}", flush=True)
        chain.add(seq, seq)
        print(f"{event['time']} {event['type']} {event['source']} #{seq}", flush=True)

    def tick(self) -> None:
        """Send a receipt when something has changed, and ask for a gap that stays."""
        for chain in self.chains.values():
            receipt = chain.as_receipt()
            if receipt != chain.receipt and chain.runs:
                self.client.publish(f"{self.root}/receipt", json.dumps(receipt), 1)
                chain.receipt, chain.asked = receipt, time.monotonic()
            current = self.head and self.head[0] == chain.journal
            gap = chain.gap(self.head[1]) if current else None
            if gap and time.monotonic() - chain.asked > PATIENCE_S:
                chain.asked = time.monotonic()
                command = {"id": f"replay-{uuid.uuid4()}", "args": {"from": gap[0], "to": min(gap[1], gap[0] + 999)}}
                self.client.publish(f"{self.root}/command/replay", json.dumps(command), 1)
                print(f"GAP {chain.journal} {gap[0]}-{gap[1]}", flush=True)

    def run(self) -> None:
        while True:
            if self.client.loop(0.2) != mqtt.MQTT_ERR_SUCCESS:
                time.sleep(1)
                try:
                    self.client.reconnect()
                except OSError as error:
                    print(f"OFFLINE {error}", flush=True)
            self.tick()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--site", required=True, help="370812/sy-primary")
    parser.add_argument("--db", default="events.db")
    parser.add_argument("--client-id", default="district-consumer")
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--ca", help="CA certificates for TLS (port 8883)")
    Consumer(parser.parse_args()).run()
