"""The consumers of docs/examples, as a district developer would run them, against a real uplink."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from agent.model import Lane
from tests.sims.broker import Broker
from tests.sims.uplink import SITE, School, school

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
Kind = Literal["python", "javascript"]
LOST: Final = "campus.lost"


pytestmark = pytest.mark.xdist_group("consumers")  # one installation for all


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """docs/examples with its packages installed, as package-lock.json names them: by `make`, or here."""
    if (EXAMPLES / "node_modules").exists():
        return EXAMPLES
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    directory = tmp_path_factory.mktemp("examples")
    for name in ("package.json", "package-lock.json", "consumer.mjs"):
        shutil.copy(EXAMPLES / name, directory)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100)
    if done.returncode:
        pytest.skip(f"npm ci failed: {done.stderr[-500:]}")
    return directory


class Consumer:
    """One running consumer and what it said and stored."""

    def __init__(self, kind: Kind, command: Sequence[str], store: Path) -> None:
        self.kind = kind
        self.store = store
        self.said: list[str] = []
        self._command = command

    async def __aenter__(self) -> "Consumer":
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(line.decode().rstrip())

    def stored(self) -> dict[int, str]:
        """Hashes by seq, as it keeps them."""
        if not self.store.exists():
            return {}
        if self.kind == "python":
            with contextlib.closing(sqlite3.connect(self.store)) as db:
                return dict(db.execute("SELECT seq, hash FROM event"))
        events: list[dict[str, Any]] = [json.loads(line) for line in self.store.read_bytes().split(b"\n")[:-1]]
        return {event["seq"]: event["hash"] for event in events}

    def forget(self, first: int, last: int) -> None:
        """Lose a range, as a restored backup would."""
        if self.kind == "python":
            with contextlib.closing(sqlite3.connect(self.store)) as db:
                db.execute("DELETE FROM event WHERE seq BETWEEN ? AND ?", (first, last))
                db.commit()
            return
        lines = self.store.read_bytes().split(b"\n")[:-1]
        kept = [line + b"\n" for line in lines if not first <= json.loads(line)["seq"] <= last]
        self.store.write_bytes(b"".join(kept))


@pytest.fixture(params=["python", "javascript"])
async def consumer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Broker, Consumer]]:
    """A broker, and a consumer of it that is not started."""
    kind: Kind = request.param
    with Broker(tmp_path / "mq") as broker:
        site = f"{SITE.district}/{SITE.school}"
        if kind == "python":
            store = tmp_path / "events.db"
            script = str(EXAMPLES / "consumer.py")
            options = ["--host", "127.0.0.1", "--port", str(broker.port), "--site", site, "--db", str(store)]
            yield broker, Consumer(kind, [sys.executable, script, *options], store)
        else:
            store = tmp_path / "events.jsonl"
            modules: Path = request.getfixturevalue("node_modules")
            command = ["node", str(modules / "consumer.mjs"), broker.url, site, str(store)]
            yield broker, Consumer(kind, command, store)


def complaints(consumer: Consumer) -> list[str]:
    return [line for line in consumer.said if line.split(" ")[0] in {"ALTERED", "FORKED", "BROKEN", "OFFLINE"}]


async def settled(here: School) -> None:
    """Wait until the district has confirmed everything."""
    await here.until(
        lambda: here.uplink.status().receipts == "live" and not any(here.journal.due_counts().values()), 30
    )


async def test_a_consumer_stores_the_chain_confirms_it_and_fills_its_gaps(
    consumer: tuple[Broker, Consumer], tmp_path: Path
) -> None:
    broker, district = consumer
    async with school(tmp_path, broker.url) as here:
        await here.connected()
        async with district:
            await here.until(lambda: "SUBSCRIBE from district-consumer" in broker.log)
            await here.note(30)
            alarm = await here.press(value=21.50, text='门卫室 \u2028 "x" 1e3')
            await here.delivered(alarm.seq)
            await settled(here)
            assert complaints(district) == []
        # Its own request for a replay is journaled as well: what it holds may reach beyond the alarm.
        rows = {row.seq: row.hash for row in await here.journal.rows(1, alarm.seq)}
        assert rows.items() <= district.stored().items()
        district.forget(10, 19)
        async with district:
            await here.until(lambda: any(line.startswith("GAP") for line in district.said))
            await here.until(lambda: rows.keys() <= district.stored().keys())
            assert rows.items() <= district.stored().items()
            assert complaints(district) == []


async def test_what_was_lost_counts_as_held_and_the_alarms_between_still_come(
    consumer: tuple[Broker, Consumer], tmp_path: Path
) -> None:
    broker, district = consumer
    size = 256 << 10
    async with school(tmp_path, "mqtt://127.0.0.1:1", max_size_bytes=size) as here:
        alarms = []
        for _ in range(15):
            alarms.append((await here.press()).seq)
            await here.note(40, size=400)
        records = [json.loads(row.body)["data"] for row in await here.journal.due(Lane.FAULT) if row.type == LOST]
        lost = {seq for one in records for seq in range(one["from"], one["to"] + 1)}
        assert len([seq for seq in alarms if min(lost) < seq < max(lost)]) > 2
    for again in (False, True):  # the second time from what it has stored
        async with district:
            subscribed = 2 if again else 1
            async with asyncio.timeout(30):
                while broker.log.count("SUBSCRIBE from district-consumer") < subscribed:  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.02)
            async with school(tmp_path, broker.url, max_size_bytes=size) as here:
                await here.press()
                await settled(here)
                assert complaints(district) == []
                assert sorted([*lost, *district.stored()]) == list(range(1, here.journal.head.seq + 1))
                assert set(alarms) <= set(district.stored())
    assert len({line for line in district.said if line.startswith("LOST")}) == len(records)


async def test_a_consumer_tells_two_journals_apart(consumer: tuple[Broker, Consumer], tmp_path: Path) -> None:
    broker, district = consumer
    async with district:
        for name in ("old", "new"):
            directory = tmp_path / name
            directory.mkdir()
            async with school(directory, broker.url) as here:
                await here.until(lambda: "SUBSCRIBE from district-consumer" in broker.log)
                await here.note(5)
                await settled(here)
        assert complaints(district) == []
        assert sum(1 for line in district.said if "campus.event.noted" in line) == 10


async def test_an_altered_event_is_seen(consumer: tuple[Broker, Consumer], tmp_path: Path) -> None:
    broker, district = consumer
    async with school(tmp_path, broker.url) as here:
        row = await here.press()
        await here.delivered(row.seq)
        forged = here.journal.published(row).replace(b'"priority":1', b'"priority":5')
    async with district:
        await here.until(lambda: "SUBSCRIBE from district-consumer" in broker.log)
        topic = f"{SITE.root}/event/alarm/guardroom/panic"
        command = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", topic, "-m", forged.decode()]
        await asyncio.to_thread(subprocess.run, command, check=True, env=os.environ)
        await here.until(lambda: any(line.startswith("ALTERED") for line in district.said))
        assert district.stored() == {}
