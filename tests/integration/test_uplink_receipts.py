"""Receipts: what the district says that it holds, and what happens where it says nothing, or something else."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.model import Lane
from tests.sims.broker import Broker
from tests.sims.district import District
from tests.sims.uplink import FAST, SITE, School, school


async def make_live(here: School, district: District) -> None:
    """Let the district send its first receipt."""
    row = await here.press()
    await district.event(seq=row.seq)
    district.receipt(row.seq, row.hash)
    await here.until(lambda: here.uplink.status().receipts == "live")


async def test_without_any_receipt_an_acknowledgement_counts(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, broker.url) as here:
            row = await here.press()
            await here.delivered(row.seq)
            assert here.uplink.status().receipts == "never"


async def test_with_receipts_off_none_is_waited_for(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, receipts=False) as here:
            row = await here.press()
            await district.event(seq=row.seq)
            district.receipt(row.seq, row.hash)
            again = await here.press()
            await here.delivered(again.seq)
            assert here.uplink.status().receipts == "off"


async def test_a_live_district_delivers_by_receipt_only(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await make_live(here, district)
            (event,) = await here.note()
            row = await here.press()
            await here.until(lambda: here.journal.delivery(row.seq) == "acked")
            assert here.uplink.delivery(row.seq) == "due"
            district.receipt(1, (await here.journal.rows(1, 1))[0].hash, [[row.seq, row.seq]])
            await here.delivered(row.seq)
            assert here.uplink.delivery(event.seq) != "delivered"
            assert here.journal.due_counts()[Lane.EVENT] == 1


async def test_an_alarm_without_receipt_is_sent_again_and_shows_as_stuck(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE) as district,
            school(tmp_path, broker.url, receipt_timeout="300ms") as here,
        ):
            await make_live(here, district)
            row = await here.press()
            await district.until(lambda: len(district.events(seq=row.seq)) >= 2)
            assert here.uplink.delivery(row.seq) == "stuck"
            first, second = district.events(seq=row.seq)[:2]
            assert first["hash"] == second["hash"]
            district.receipt(row.seq, row.hash)
            await here.delivered(row.seq)


async def test_an_alarm_without_receipt_takes_the_next_broker(tmp_path: Path) -> None:
    limits = replace(FAST, return_s=60.0)
    with Broker(tmp_path / "one") as one, Broker(tmp_path / "two") as two:
        async with (
            District(one.port, SITE) as deaf,
            District(two.port, SITE, auto_receipts=True) as district,
            school(tmp_path, one.url, two.url, receipt_timeout="300ms", limits=limits) as here,
        ):
            await make_live(here, deaf)
            row = await here.press()
            await district.event(seq=row.seq)
            await here.connected(two.url)
            await here.delivered(row.seq)
            await deaf.status("offline")


async def test_a_killed_broker_loses_what_it_had_and_receipts_bring_it_back(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "mq").start()
    try:
        async with school(tmp_path, broker.url) as here:
            async with District(broker.port, SITE) as district:
                await make_live(here, district)
            rows = await here.note(200)
            await here.until(lambda: here.journal.delivery(rows[-1].seq) == "acked")
            broker.kill()
            broker.start()
            async with District(broker.port, SITE, client_id="later", auto_receipts=True) as later:
                await later.until(lambda: {row.seq for row in rows} <= {e["seq"] for e in later.events()})
                await here.until(lambda: not any(here.journal.due_counts().values()))
    finally:
        broker.kill()


async def test_a_receipt_with_another_hash_is_a_fault_and_clears_nothing(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await make_live(here, district)
            row = await here.press()
            await district.event(seq=row.seq)
            district.receipt(row.seq, "f" * 64)
            await here.until(lambda: here.faults.get("receipts"))
            assert here.uplink.delivery(row.seq) != "delivered"
            district.receipt(row.seq, row.hash)
            await here.delivered(row.seq)
            assert here.faults["receipts"] is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"seq": "1"}',
        b'{"seq": -1, "hash": "x"}',
        b'{"seq": 1, "hash": "' + b"0" * 70_000 + b'"}',
        b'{"seq": 1e999, "hash": 5}',
        b'{"seq":1,"hash":"' + b"0" * 64 + b'","also":[[5]]}',
        b"[" * 5000,
    ],
)
async def test_an_unreadable_receipt_is_a_fault_and_nothing_else(tmp_path: Path, payload: bytes) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.connected()
            await district.until(lambda: district.last("status"))
            district.send("receipt", payload)
            await here.until(lambda: here.faults.get("receipts"))
            row = await here.press()
            await here.delivered(row.seq)


async def test_uplink_test_tells_both_times(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE, auto_receipts=True) as district,
            school(tmp_path, broker.url) as here,
        ):
            await here.connected()
            found = await here.uplink.test()
            assert found["broker"] == broker.url
            await district.event(type="campus.test.uplink")
            await here.until(lambda: here.uplink.status().receipts == "live")
            found = await here.uplink.test()
            assert isinstance(found["receipt_ms"], float)
            assert isinstance(found["puback_ms"], float)


async def test_an_alarm_that_a_plan_wants_elsewhere_is_published_again_on_the_next_broker(tmp_path: Path) -> None:
    with Broker(tmp_path / "one") as one, Broker(tmp_path / "two") as two:
        async with (
            District(one.port, SITE) as first,
            District(two.port, SITE) as second,
            school(tmp_path, one.url, two.url, limits=replace(FAST, return_s=3600.0), receipts=False) as here,
        ):
            row = await here.press()
            await first.event(seq=row.seq)
            await here.delivered(row.seq)
            here.uplink.again(row.seq)
            assert (await second.event(seq=row.seq))["id"] == row.id


async def test_with_one_broker_an_alarm_that_is_wanted_again_goes_there_once_more(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, receipts=False) as here:
            row = await here.press()
            await here.delivered(row.seq)
            here.uplink.again(row.seq)
            await here.until(lambda: len([one for one in district.events() if one["seq"] == row.seq]) == 2)
            assert here.uplink.status().connected
