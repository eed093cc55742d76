"""From the journal to the district over a real mosquitto: order, lanes, size, refusals, receipts."""

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.model import Lane
from tests.sims.broker import Broker
from tests.sims.district import District
from tests.sims.uplink import FAST, SITE, school

NOWHERE = "mqtt://127.0.0.1:9"
"""The discard port, where nobody listens."""


async def test_a_press_reaches_the_district_as_it_stands_in_the_chain(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.connected()
            row = await here.press()
            event = await district.event(type="campus.alarm.raised")
            assert event["hash"] == row.hash
            assert event["seq"] == row.seq
            assert event["journal"] == here.journal.id
            assert event["late"] is False
            message = district.last("event/alarm/guardroom/panic")
            assert message is not None
            assert message.content_type == "application/cloudevents+json"
            assert message.qos == 1
            await here.delivered(row.seq)


async def test_birth_heartbeat_states_and_the_last_word(tmp_path: Path) -> None:
    states = {"state/guardroom/panic": b'{"kind":"panic","state":"idle","value":false,"since":null,"seq":null}'}
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            async with school(tmp_path, broker.url, states=states) as here:
                born = await district.status("online")
                assert born["due"] == {"alarm": 0, "fault": 0, "event": 0}
                assert born["session"] == here.uplink.session
                await district.until(lambda: district.last("state/guardroom/panic"))
                active = states["state/guardroom/panic"].replace(b"idle", b"active")
                here.uplink.publish_retained("state/guardroom/panic", active)
                await district.until(lambda: active in [message.payload for message in district.messages])
                assert await here.uplink.ping() > 0
            await district.status("offline")
        async with District(broker.port, SITE, client_id="later") as later:
            state = await later.until(lambda: later.last("state/guardroom/panic"))
            assert state.retain
            assert (await later.status("offline"))["session"] == born["session"]


async def test_a_killed_school_is_declared_offline_by_its_will(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            async with school(tmp_path, broker.url, close=False):
                await district.status("online")
            await district.status("offline")


async def test_what_was_stored_while_away_arrives_in_order_and_alarms_first(tmp_path: Path) -> None:
    async with school(tmp_path, NOWHERE) as here:
        await here.note(300)
        await here.note(20, Lane.FAULT)
        alarm = await here.press()
        assert here.uplink.delivery(alarm.seq) == "stuck"
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await district.until(lambda: len(district.events()) >= 321)
            events = district.events()
            assert [e["seq"] for e in events if e["lane"] == "event"] == list(range(1, 301))
            assert [e["seq"] for e in events if e["lane"] == "fault"] == list(range(301, 321))
            place = next(number for number, e in enumerate(events) if e["seq"] == alarm.seq)
            assert place < 100, "the alarm waited for the backlog"
            await here.until(lambda: not any(here.journal.due_counts().values()))


async def test_a_fresh_alarm_overtakes_a_backlog(tmp_path: Path) -> None:
    async with school(tmp_path, NOWHERE) as here:
        for _ in range(5):
            await here.note(1000)
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.until(lambda: here.journal.due_counts()[Lane.EVENT] < 4900)
            row = await here.press()
            await here.delivered(row.seq)
            assert here.journal.due_counts()[Lane.EVENT] > 1000, "the alarm waited for nearly the whole backlog"
            await here.until(lambda: not any(here.journal.due_counts().values()))
            await district.until(
                lambda: len(district.messages) > 5000 and len({e["seq"] for e in district.events()}) == 5001
            )


async def test_repeats_go_out_one_by_one_and_hold_up_nobody(tmp_path: Path) -> None:
    slow = replace(FAST, repeated_s=2.0)
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, limits=slow) as here:
            await here.connected()
            kinds = ("repeated", "repeated", "repeated", "reset")
            *_, reset = await asyncio.gather(*(here.press(type_=f"campus.alarm.{kind}") for kind in kinds))
            await district.event(seq=reset.seq)
            assert len(district.events(type="campus.alarm.repeated")) == 1
            await district.until(lambda: len(district.events(type="campus.alarm.repeated")) == 3)
            assert [e["seq"] for e in district.events(type="campus.alarm.repeated")] == [1, 2, 3]


async def test_a_refusal_by_acl_sets_the_row_aside_and_blocks_nothing(tmp_path: Path) -> None:
    acl = f"user agent\ntopic readwrite {SITE.root}/status\ntopic write {SITE.root}/event/alarm/#\n"
    acl += f"topic read {SITE.root}/command/+\ntopic read {SITE.root}/receipt\n"
    users = {"agent": "secret"}
    with Broker(tmp_path / "mq", users=users, acl=acl) as broker:
        async with school(tmp_path, broker.url, username="agent", password="secret") as here:
            await here.connected()
            (fault,) = await here.note(1, Lane.FAULT)
            alarm = await here.press()
            await here.delivered(alarm.seq)
            await here.until(lambda: here.journal.delivery(fault.seq) == "refused")
            assert here.uplink.delivery(fault.seq) == "stuck"
            assert "0x87" in str(here.faults["refused"])
            broker.acl = acl.replace("event/alarm/#", "event/#")
            broker.reload()
            await here.until(lambda: "Reloading config" in broker.log)
            assert await here.journal.retry() == 1
            await here.delivered(fault.seq)
            await here.until(lambda: here.faults["refused"] is None)


async def test_what_the_broker_cannot_take_is_set_aside_before_it_is_sent(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq", max_packet_size=2000) as broker:
        async with school(tmp_path, broker.url) as here:
            await here.connected()
            (large,) = await here.note(1, size=3000)
            (small,) = await here.note(1)
            await here.delivered(small.seq)
            await here.until(lambda: here.journal.delivery(large.seq) == "refused")
            assert "2000" in (await here.journal.refused())[0].reason


async def test_a_row_that_ends_the_connection_is_found_and_set_aside(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq", message_size_limit=1500) as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.connected()
            await here.note(5)
            (large,) = await here.note(1, size=3000)
            await here.note(5)
            alarm = await here.press()
            await here.delivered(alarm.seq)
            await here.until(lambda: here.journal.delivery(large.seq) == "refused")
            await district.until(lambda: len({e["seq"] for e in district.events()}) == 11)
            assert here.journal.refused_count() == 1


async def test_the_brokers_receive_maximum_is_kept(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq", receive_maximum=2) as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.note(200)
            await district.until(lambda: len({event["seq"] for event in district.events()}) == 200)
            assert "Disconnecting" not in broker.log
            assert "receive maximum" not in broker.log.lower()
