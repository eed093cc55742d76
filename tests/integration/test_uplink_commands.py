"""Commands of the district: refused with a reason, run once, answered."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.clock import SystemClock
from agent.journal import JournalFull
from agent.model import ClockQuality, Command, JsonValue, Lane
from agent.texts import Spoken, say
from tests.sims.broker import Broker
from tests.sims.district import District
from tests.sims.uplink import SITE, school


class SetClock(SystemClock):
    """The machine's clock, which says itself that it is set."""

    state: ClockQuality = "synced"

    def quality(self) -> ClockQuality:
        return self.state


def in_seconds(seconds: float) -> str:
    return (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(seconds=seconds)).isoformat()


async def test_a_command_runs_is_journaled_and_answered(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await district.status("online")
            reply = await district.command("output", {"output": 1}, actor="police-110", expires=in_seconds(60))
            assert reply == {"id": "c1", "ok": True, "result": {"done": True}, "reason": None}
            assert [command.args for command in here.ran] == [{"output": 1}]
            await district.event(type="campus.command.executed")
            kinds = [event["type"] for event in district.events() if event["type"].startswith("campus.command")]
            assert kinds == ["campus.command.received", "campus.command.executed"]
            received = district.events(type="campus.command.received")[0]["data"]
            assert (received["command"], received["verb"], received["actor"]) == ("c1", "output", "police-110")
            assert (await district.command("ping", {}))["result"]["clock"] in {"synced", "unsynced"}


async def test_a_command_runs_once_however_often_it_comes_also_across_a_restart(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            async with school(tmp_path, broker.url) as here:
                await district.status("online")
                first = await district.command("output", {}, id="once")
                for _ in range(3):
                    district.send("command/output", json.dumps({"id": "once", "args": {}}))
                await district.until(lambda: len([m for m in district.messages if m.topic.endswith("reply/once")]) == 4)
                assert len(here.ran) == 1
            async with school(tmp_path, broker.url) as here:
                await here.connected()
                district.messages.clear()
                assert await district.command("output", {}, id="once") == first
                assert here.ran == []


async def test_commands_wait_at_the_broker_while_we_are_away(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            async with school(tmp_path, broker.url):
                await district.status("online")
            await district.status("offline")
            district.send("command/output", json.dumps({"id": "later", "args": {}, "expires": in_seconds(60)}))
            await district.until(lambda: district.last("command/output"))
            async with school(tmp_path, broker.url) as here:
                await district.until(lambda: district.last("reply/later"))
                assert len(here.ran) == 1


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"id": "x", "args": {}, "expires": "2020-01-01T00:00:00+08:00"}, "expired"),
        ({"id": "x", "args": {"text": "x" * 70_000}}, "oversized"),
        ({"id": "x", "args": []}, "malformed"),
        ({"id": "x", "args": {}, "expires": "tomorrow"}, "malformed"),
        ({"id": "x", "args": {}, "expires": "2030-01-01T00:00:00"}, "malformed"),
        ({"id": "x", "args": {}, "actor": "nobody"}, "forbidden"),
    ],
)
async def test_what_must_not_run_is_refused_with_a_reason(
    tmp_path: Path, payload: Mapping[str, Any], code: str
) -> None:
    commands = {"actors": ["police-110"]}
    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE) as district,
            school(tmp_path, broker.url, clock=SetClock("Asia/Shanghai"), commands=commands) as here,
        ):
            await district.status("online")
            district.send("command/output", json.dumps({"actor": "police-110", **payload}))
            reply = (await district.until(lambda: district.last("reply/x"))).value
            assert (reply["ok"], reply["result"]) == (False, {"code": code})
            assert len(reply["reason"]) > 10
            event = await district.event(type="campus.command.refused")
            assert event["data"]["code"] == code
            assert here.ran == []


async def test_an_unset_clock_refuses_what_has_expired_and_says_that_it_is_unset(tmp_path: Path) -> None:
    clock = SetClock("Asia/Shanghai")
    clock.state = "unsynced"
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, clock=clock) as here:
            await district.status("online")
            reply = await district.command("output", {}, expires="2020-01-01T00:00:00+08:00")
            assert reply["result"] == {"code": "expired"}
            assert "not synchronised" in reply["reason"]
            assert here.ran == []


async def test_a_verb_that_is_not_allowed_or_not_known(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE) as district,
            school(tmp_path, broker.url, commands={"allow": ["ping", "selftest"]}) as here,
        ):
            await district.status("online")
            assert (await district.command("output", {}))["result"]["code"] == "forbidden"
            assert (await district.command("selftest", {}))["result"]["code"] == "unknown-verb"
            assert here.ran == []


async def test_a_command_that_is_sent_retained_while_we_listen_is_refused_too(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await district.status("online")
            district.send("command/output", json.dumps({"id": "kept", "args": {}}), retain=True)
            reply = (await district.until(lambda: district.last("reply/kept"))).value
            assert reply["result"]["code"] == "retained"
            assert here.ran == []


async def test_a_retained_command_is_refused(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            district.send("command/output", json.dumps({"id": "old", "args": {}}), retain=True)
            await district.until(lambda: district.last("command/output"))
            async with school(tmp_path, broker.url) as here:
                reply = (await district.until(lambda: district.last("reply/old"))).value
                assert reply["result"]["code"] == "retained"
                assert here.ran == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[1]",
        b"\xff",
        b'{"args": {}}',
        b'{"id": "../x", "args": {}}',
        b'{"id": "a/b", "args": {}}',
        b'{"id": "#", "args": {}}',
        b'{"id": "' + b"x" * 65 + b'", "args": {}}',
        b'{"id": 5, "args": {}}',
        b"[" * 50_000,
        b"x" * 100_000,
    ],
)
async def test_a_command_without_a_usable_id_is_journaled_and_has_no_reply(tmp_path: Path, payload: bytes) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url):
            await district.status("online")
            district.send("command/output", payload)
            await district.event(type="campus.command.refused")
            assert (await district.command("ping", {}))["ok"]
            assert [m.topic for m in district.messages if "/reply/" in m.topic] == [f"{SITE.root}/reply/c1"]


async def test_the_response_topic_is_used_where_it_may_be(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url):
            await district.status("online")
            ours = "campus/v1/370812/_/reply/desk-7"
            district.send("command/ping", '{"id": "a"}', response_topic=ours, correlation=b"\x00\x01")
            answer = await district.until(lambda: next((m for m in district.messages if m.topic == ours), None))
            assert (answer.correlation, answer.value["id"]) == (b"\x00\x01", "a")
            beyond = "desk/7/answers"
            district.listen(beyond)
            district.send("command/ping", '{"id": "c"}', response_topic=beyond, correlation=b"7")
            answer = await district.until(lambda: next((m for m in district.messages if m.topic == beyond), None))
            assert (answer.correlation, answer.value["id"]) == (b"7", "c")
            foreign = f"{SITE.root}/status"
            district.send("command/ping", '{"id": "b"}', response_topic=foreign)
            await district.until(lambda: district.last("reply/b"))
            assert all(m.value.get("id") != "b" for m in district.messages if m.topic == foreign)


async def test_a_journal_without_room_for_events_still_takes_commands(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE) as district,
            school(tmp_path, broker.url, max_size_bytes=64 << 10) as here,
        ):
            await district.status("online")
            first = await here.press()
            district.receipt(first.seq, first.hash)  # from now on nothing is delivered without one
            await here.until(lambda: here.journal.receipts_seen)
            await here.note(400, Lane.ALARM)
            await here.note()  # what was delivered makes room for it
            with pytest.raises(JournalFull):
                await here.note()
            assert (await district.command("output", {}))["ok"]
            assert len(here.ran) == 1


async def test_a_handler_that_refuses_fails_or_hangs_is_answered(tmp_path: Path) -> None:
    async def refuse(_command: Command) -> Mapping[str, JsonValue]:
        raise Spoken(say("uplink.not-connected"))

    async def fail(_command: Command) -> Mapping[str, JsonValue]:
        raise KeyError("missing")

    with Broker(tmp_path / "mq") as broker:
        async with (
            District(broker.port, SITE) as district,
            school(tmp_path, broker.url, verbs={"reset": refuse, "selftest": fail}),
        ):
            await district.status("online")
            assert (await district.command("reset", {}))["result"]["code"] == "refused"
            assert (await district.command("selftest", {}))["result"]["code"] == "error"
            assert (await district.command("ping", {}))["ok"]


async def test_a_slow_command_holds_up_no_other(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow(_command: Command) -> Mapping[str, JsonValue]:
        await release.wait()
        return {}

    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, verbs={"inspect": slow}):
            await district.status("online")
            district.send("command/inspect", '{"id": "slow"}')
            assert (await district.command("ping", {}))["ok"]
            district.send("command/inspect", '{"id": "slow"}')
            running = await district.until(lambda: district.last("reply/slow"))
            assert running.value["result"]["code"] == "running"
            release.set()
            await district.until(
                lambda: any(m.value["ok"] for m in district.messages if m.topic.endswith("/reply/slow"))
            )


async def test_a_command_that_a_dead_process_left_is_closed_once_and_answered(tmp_path: Path) -> None:
    async def hang(_command: Command) -> Mapping[str, JsonValue]:
        await asyncio.Event().wait()
        return {}

    reply = {"id": "cut", "ok": False, "result": {"code": "interrupted"}}
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district:
            async with school(tmp_path, broker.url, verbs={"inspect": hang}, close=False):
                await district.status("online")
                district.send("command/inspect", json.dumps({"id": "cut", "args": {}}))
                await district.event(type="campus.command.received")
            for _ in range(2):
                async with school(tmp_path, broker.url, verbs={"inspect": hang}) as here:
                    await here.connected()
                    await here.desk.close_interrupted()
                    answer = await district.command("inspect", {}, id="cut")
                    assert {name: answer[name] for name in reply} == reply
                    told = [row.type for row in await here.journal.rows(1, 99) if "command" in row.type]
                    assert told == ["campus.command.received", "campus.command.interrupted"]


async def test_a_flood_of_bad_commands_does_not_fill_the_journal(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await district.status("online")
            for number in range(300):
                district.send("command/nonsense", json.dumps({"id": f"n{number}"}))
            await district.until(lambda: district.last("reply/n299"))
            assert here.journal.head.seq <= 20


async def test_replay_sends_a_range_again_as_it_was(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await here.connected()
            await here.note(50)
            await district.until(lambda: len({event["seq"] for event in district.events()}) == 50)
            before = {event["seq"]: event["hash"] for event in district.events()}
            district.messages.clear()
            reply = await district.command("replay", {"from": 11, "to": 20})
            assert reply["result"] == {"from": 11, "to": 20, "sent": 10, "next": None}
            await district.until(lambda: len(district.events(lane="event")) >= 10)
            again = [event for event in district.events() if event["type"] == "campus.event.noted"]
            assert [event["seq"] for event in again] == list(range(11, 21))
            assert all(event["hash"] == before[event["seq"]] for event in again)
            assert not (await district.command("replay", {"from": 5, "to": 1}))["ok"]
            assert not (await district.command("replay", {"from": "1"}))["ok"]
