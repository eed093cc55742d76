"""Second paths at work: order, retries, room, supervision and faults, on a real journal with a clock that stands."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.engine import Alarms
from agent.alarms.state import NOTICE_PREFIX, NoticeRecord, dump
from agent.clock import SimClock
from agent.config.escalation import PathSettings
from agent.config.load import load
from agent.config.models import Config
from agent.control import Peer
from agent.driver import Condition, Notice, PathDriver, PathError, PathLink, PathSession, Supervision, Taken, say
from agent.journal import Journal
from agent.model import Stored
from agent.runtime.desk import AlarmDesk
from agent.runtime.paths import NoPath, Paths
from agent.runtime.pathwork import QUEUE_LIMIT
from tests.sims.paths import notice
from tests.sims.rig import until

TOML = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[journal]
path = "{folder}/journal.db"
[uplink]
brokers = ["mqtt://127.0.0.1"]
"""


class Peer_:
    """The other side of a path, and what it does."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.tries = 0
        self.probes = 0
        self.closed = 0
        self.down = False
        self.bug = False
        self.close_bug = False
        self.refuses: set[str] = set()
        self.hangs = asyncio.Event()
        self.hangs.set()


PEERS: dict[int, Peer_] = {}


class Wire(PathDriver):
    """A path of this test. Source: none."""

    name = "wire"
    peer: int = 0

    def supervision(self) -> Supervision:
        return Supervision(60.0, 180.0)

    async def open(self, link: PathLink) -> PathSession:
        return WireSession(PEERS[self.peer], link)


class WireSession(PathSession):
    def __init__(self, peer: Peer_, link: PathLink) -> None:
        self.peer = peer
        self.link = link

    async def send(self, notice: Notice) -> Taken:
        self.peer.tries += 1
        self.link.step(say("webhook.posting", host="peer"))
        await self.peer.hangs.wait()
        if self.peer.bug:
            raise ZeroDivisionError
        if self.peer.down or notice.id in self.peer.refuses:
            raise PathError(say("webhook.status", host="peer", status=500))
        self.peer.sent.append(notice)
        return Taken("peer", say("webhook.taken", host="peer", status=200, ms=1))

    async def probe(self) -> Condition:
        self.peer.probes += 1
        await self.peer.hangs.wait()
        if self.peer.down:
            raise PathError(say("webhook.unreachable", host="peer", reason="down"))
        return Condition(say("webhook.reachable", host="peer"), {"host": "peer"})

    async def close(self) -> None:
        self.peer.closed += 1
        if self.peer.close_bug:
            raise ZeroDivisionError


class House:
    """Paths on a real journal."""

    def __init__(self, config: Config, journal: Journal, clock: SimClock, group: asyncio.TaskGroup) -> None:
        self.clock = clock
        self.journal = journal
        self.engine = Alarms(config.watched, ack_timeout_s=15, lamp_means="acknowledged", language="zh-CN")
        self.engine.restore({}, clock.moment())
        self.desk = AlarmDesk(self.engine, journal, clock)
        self.paths = Paths(group, self.desk, clock, journal.saved)
        self.config = config
        self.peer = PEERS[0] = Peer_()
        self.rows: list[Stored] = []
        journal.on_stored(self.rows.extend)

    async def start(self, **more: Any) -> None:
        await self.apply(PathSettings(id="p", name="试", driver="wire", settings=Wire(), **more))

    async def apply(self, *paths: PathSettings) -> None:
        config = self.config.model_copy(update={"paths": paths})
        self.engine.reconfigure(config.watched, self.clock.moment())
        await self.paths.apply(config)

    async def offer(self, *notices: Notice) -> None:
        records = [NoticeRecord("p", one) for one in notices]
        await self.desk.keep({record.key: dump(record) for record in records})
        self.paths.offer(records)

    async def later(self, condition: Any, what: str) -> None:
        """Let time pass until something is so."""
        async with asyncio.timeout(60):
            while not condition():
                await self.clock.advance(1)
                await asyncio.sleep(0.002)

    def told(self, type_: str) -> list[Stored]:
        return [row for row in self.rows if row.type == type_]

    @property
    def outbox(self) -> list[str]:
        return [key for key in self.journal.saved if key.startswith(NOTICE_PREFIX)]

    @property
    def status(self) -> Any:
        return self.paths.health()[0]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    path = tmp_path / "agent.toml"
    path.write_text(TOML.format(folder=tmp_path), encoding="utf-8")
    config = load(path)
    clock = SimClock(datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=8))))
    journal = await Journal.open(config.journal, config.site.site, clock)
    try:
        async with asyncio.TaskGroup() as group:
            made = House(config, journal, clock, group)
            yield made
            await made.paths.stop()
    finally:
        await journal.close()


async def test_what_is_taken_is_told_once_and_leaves_the_outbox(house: House) -> None:
    await house.start()
    await house.offer(notice(id="a"))
    await until(lambda: bool(house.told("campus.alarm.notified")))
    assert b'"ok":true' in house.told("campus.alarm.notified")[0].body
    await until(lambda: house.outbox == [])
    assert [one.id for one in house.peer.sent] == ["a"]


async def test_the_most_urgent_goes_first_and_an_alarm_before_its_end(house: House) -> None:
    house.peer.hangs.clear()
    await house.start()
    await until(lambda: house.peer.probes == 1)
    await house.offer(
        notice(id="low", alarm="1", priority=3),
        notice(id="a", alarm="2"),
        notice(id="end", alarm="2", what="ended"),
    )
    house.peer.hangs.set()
    await house.later(lambda: len(house.peer.sent) == 3, "all sent")
    assert [one.id for one in house.peer.sent] == ["a", "end", "low"]


async def test_a_failure_is_a_fault_at_once_told_once_and_tried_again(house: House) -> None:
    await house.start()
    await until(lambda: house.status["state"] == "ok")
    house.peer.down = True
    await house.offer(notice(id="a"))
    await house.later(lambda: house.peer.tries > 4, "tried again")
    assert len(house.told("campus.alarm.notified")) == 1
    assert len(house.told("campus.fault.raised")) == 1
    assert (house.status["state"], house.status["waiting"]) == ("failing", 1)
    house.peer.down = False
    await house.later(lambda: house.peer.sent, "sent at last")
    await until(lambda: bool(house.told("campus.fault.cleared")))
    assert len(house.told("campus.alarm.notified")) == 2
    assert house.peer.closed >= 4  # a session that failed is used no more


async def test_a_notice_that_is_refused_again_and_again_holds_nobody_up(house: House) -> None:
    house.peer.refuses = {"bad"}
    await house.start()
    await house.offer(notice(id="bad", alarm="1", priority=1))
    await house.later(lambda: house.peer.tries >= 4, "refused")
    await house.offer(notice(id="good", alarm="2", priority=3))
    await house.later(lambda: house.peer.sent, "the other one")
    assert [one.id for one in house.peer.sent] == ["good"]


async def test_what_waits_too_long_is_given_up_and_told(house: House) -> None:
    house.peer.down = True
    await house.start(give_up_s=30.0)
    await house.offer(notice(id="a"))
    await house.later(lambda: len(house.told("campus.alarm.notified")) == 2, "given up")
    assert b'"final":true' in house.told("campus.alarm.notified")[1].body
    await until(lambda: house.outbox == [])


async def test_the_queue_is_bounded_and_the_least_urgent_goes(house: House) -> None:
    house.peer.hangs.clear()
    await house.start()
    await until(lambda: house.peer.probes == 1)
    await house.offer(*(notice(id=f"{n}", alarm=f"{n}", priority=2) for n in range(QUEUE_LIMIT)))
    await house.offer(notice(id="urgent", alarm="x", priority=1), notice(id="idle", alarm="y", priority=5))
    assert house.status["waiting"] == QUEUE_LIMIT
    house.peer.hangs.set()
    await house.later(lambda: len(house.peer.sent) == QUEUE_LIMIT, "the rest")
    assert house.peer.sent[0].id == "urgent"
    assert "idle" not in {one.id for one in house.peer.sent}
    given_up = [row for row in house.told("campus.alarm.notified") if b'"ok":false' in row.body]
    assert len(given_up) == 2


async def test_silence_is_a_fault_after_the_time_of_the_path_or_at_once_if_it_never_worked(house: House) -> None:
    await house.start()
    await until(lambda: house.status["state"] == "ok")
    house.peer.down = True
    await house.later(lambda: house.status["state"] == "failing", "a poll fails")
    assert house.told("campus.fault.raised") == []
    await house.later(lambda: house.told("campus.fault.raised"), "the time is over")
    assert house.clock.boottime_ns() >= 180e9


async def test_a_path_that_never_worked_is_a_fault_at_once(house: House) -> None:
    house.peer.down = True
    await house.start()
    await until(lambda: bool(house.told("campus.fault.raised")))
    inventory = house.paths.inventory("p")
    assert inventory is not None
    assert inventory["health"] == "offline"


async def test_an_alarm_does_not_wait_for_a_poll_that_hangs(house: House) -> None:
    house.peer.hangs.clear()
    await house.start()
    await until(lambda: house.peer.probes == 1)
    house.peer.hangs = asyncio.Event()
    house.peer.hangs.set()  # for who comes next; the poll still waits for the old one
    await house.offer(notice(id="a"))
    await until(lambda: len(house.peer.sent) == 1)


async def test_a_bug_of_a_path_is_told_and_ends_nothing(house: House) -> None:
    house.peer.bug = True
    await house.start()
    await house.offer(notice(id="a"))
    await until(lambda: bool(house.told("campus.fault.raised")))
    house.peer.bug = False
    await house.later(lambda: house.peer.sent, "goes on")


async def test_a_changed_path_takes_over_what_waits_and_one_that_goes_gives_it_up(house: House) -> None:
    house.peer.down = True
    await house.start()
    await house.offer(notice(id="a"))
    await until(lambda: house.peer.tries == 1)
    await house.start(give_up_s=100.0)
    assert house.status["waiting"] == 1
    await house.apply()
    assert house.paths.health() == []
    assert b'"final":true' in house.told("campus.alarm.notified")[-1].body
    assert house.outbox == []


async def test_a_start_takes_up_what_an_earlier_run_left(house: House) -> None:
    house.engine.pending.append(NoticeRecord("p", notice(id="a")))
    house.engine.pending.append(NoticeRecord("gone", notice(id="b")))
    await house.start()
    await until(lambda: [one.id for one in house.peer.sent] == ["a"])
    assert b'"path":"gone"' in house.told("campus.alarm.notified")[0].body


async def test_what_comes_before_its_path_is_begun_is_not_lost(house: House) -> None:
    await house.offer(notice(id="early"))
    await house.start()
    await until(lambda: [one.id for one in house.peer.sent] == ["early"])
    house.peer.hangs.clear()
    await house.offer(notice(id="b"))
    await until(lambda: house.peer.tries == 2)
    changing = asyncio.ensure_future(house.start(give_up_s=100.0))
    await asyncio.sleep(0)
    await house.offer(notice(id="meanwhile"))
    await changing
    house.peer.hangs.set()
    await until(lambda: {one.id for one in house.peer.sent} == {"early", "b", "meanwhile"})


async def test_a_trial_tells_its_steps_and_goes_before_what_waits(house: House) -> None:
    await house.start()
    steps = [step async for step in house.paths.test({"path": "p"}, Peer(1, 0))]
    assert [step["state"] for step in steps if isinstance(step, dict)] == ["step", "step", "passed"]
    assert house.peer.sent[0].what == "test"
    house.peer.down = True
    steps = [step async for step in house.paths.test({"path": "p"}, Peer(1, 0))]
    assert isinstance(last := steps[-1], dict)
    assert last["state"] == "failed"
    assert len(house.told("campus.test.path")) == 2
    with pytest.raises(NoPath, match="no second path is called"):
        [step async for step in house.paths.test({"path": "q"}, Peer(1, 0))]


async def test_the_self_test_hears_how_each_path_is(house: House) -> None:
    await house.start()
    (look,) = house.paths.probes().values()
    assert await look() is None
    house.peer.down = True
    assert await look() is not None


async def test_the_self_test_hears_of_a_path_on_which_an_alarm_waits(house: House) -> None:
    await house.start()
    house.peer.down = True
    await house.offer(notice(id="a"))
    await until(lambda: bool(house.told("campus.alarm.notified")))
    (look,) = house.paths.probes().values()
    async with asyncio.timeout(10):
        error = await look()
    assert error is not None
    assert error.key == "webhook.status"


async def test_values_of_a_path_outlive_it(house: House) -> None:
    await house.start()
    link = house.paths._running["p"].worker._link
    await link.save("sequence", "17")
    assert house.journal.saved["path/p/sequence"] == "17"
    await house.start(give_up_s=100.0)
    assert house.paths._running["p"].worker._link.saved("sequence") == "17"


def test_a_notice_outlives_its_json() -> None:
    from agent.alarms.state import load_notice

    record = NoticeRecord("p", replace(notice(), zone=17))
    assert load_notice(record.key, dump(record)) == record


async def test_what_comes_for_a_new_path_before_a_reload_has_come_to_it_is_not_lost(house: House) -> None:
    other = PathSettings(id="q", name="旧", driver="wire", settings=Wire())
    await house.apply(other)
    await house.offer(notice(id="a"))  # the plans know the new path already, devices are being restarted
    await house.apply(other, PathSettings(id="p", name="试", driver="wire", settings=Wire()))
    await until(lambda: [one.id for one in house.peer.sent] == ["a"])


async def test_an_alarm_goes_before_a_test_that_waits(house: House) -> None:
    await house.start()
    await until(lambda: house.peer.probes == 1)
    house.peer.hangs.clear()
    await house.offer(notice(id="a"))
    await until(lambda: house.peer.tries == 1)
    trial = asyncio.ensure_future(all_steps(house))
    await until(lambda: bool(house.paths._running["p"].worker._trials))
    await house.offer(notice(id="b"))
    house.peer.hangs.set()
    await trial
    assert [one.what for one in house.peer.sent] == ["alarm", "alarm", "test"]


async def all_steps(house: House) -> list[Any]:
    return [step async for step in house.paths.test({"path": "p"}, Peer(1, 0))]


async def test_a_session_that_cannot_even_be_closed_ends_nothing(house: House) -> None:
    house.peer.close_bug = True
    await house.start()
    house.peer.down = True
    await house.offer(notice(id="a"))
    await house.later(lambda: house.peer.closed >= 2, "closed twice")
    house.peer.down = False
    await house.later(lambda: house.peer.sent, "sent")
