"""The desk for the eye: a mad eye fills neither the journal nor the loop, and nothing that it says breaks anything."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.engine import Alarms
from agent.bucket import Bucket
from agent.clock import NS_PER_S, SimClock
from agent.config.load import load
from agent.config.models import Config
from agent.control import Peer
from agent.control.protocol import text_wire
from agent.journal import Journal
from agent.model import Stored
from agent.runtime.child import Child, ChildLimits
from agent.runtime.desk import AlarmDesk
from agent.runtime.evidence import KEEP_S, ORDERS_LIMIT, EvidenceOrders
from agent.runtime.eye import (
    CAMERA_EVENT_TYPES,
    EVENTS_BURST,
    FAULT_BURST,
    SETTLED_LOOKS,
    TELL_EVERY_S,
    EyeDesk,
    NotTheEye,
)
from agent.runtime.eyeline import EyeLine
from agent.runtime.eyetexts import words_of
from agent.runtime.eyewords import BadWord, checked, readable
from agent.texts import Language, say
from agent.uplink.redact import redacted

LANGUAGES: Final[tuple[Language, ...]] = ("zh-CN", "en")
EYE: Final = Peer(4711, 0)
TOML: Final = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[journal]
path = "{folder}/journal.db"
[uplink]
brokers = ["mqtt://127.0.0.1"]
[[camera]]
id = "gate"
name = "校门口"
driver = "rtsp"
address = "127.0.0.1"
path = "/1"
  [[camera.point]]
  id = "fence"
  name = "围墙"
  kind = "perimeter"
  input = "line-crossed"
  cameras = ["gate"]
"""


class Desk:
    """An eye desk on a real journal."""

    def __init__(self, config: Config, journal: Journal, clock: SimClock) -> None:
        self.config = config
        self.journal = journal
        self.clock = clock
        self.engine = Alarms(config.watched, ack_timeout_s=15, lamp_means="acknowledged", language="zh-CN")
        self.engine.restore({}, clock.moment())
        self.alarms = AlarmDesk(self.engine, journal, clock)
        self.pid: int | None = EYE.pid
        self.beats = 0
        self.desk = EyeDesk(lambda: config, self.alarms, clock, pid=lambda: self.pid, on_beat=self.beat)
        self.calls = self.desk.calls()

    def beat(self) -> None:
        self.beats += 1

    async def say(self, method: str, peer: Peer = EYE, **params: Any) -> Any:
        return await self.calls[method](params, peer)

    async def told(self, type_: str) -> list[dict[str, Any]]:
        rows = await self.journal.rows(1, self.journal.head.seq, 100_000)
        return [json.loads(row.body) for row in rows if row.type == type_]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "agent.toml").write_text(TOML.format(folder=tmp_path), encoding="utf-8")
    config = load(tmp_path / "agent.toml")
    clock = SimClock(datetime(2026, 11, 23, 8, tzinfo=UTC))
    clock.tick(1000)
    journal = await Journal.open(config.journal, config.site.site, clock)
    yield Desk(config, journal, clock)
    await journal.close()


async def running(desk: Desk, seconds: int) -> None:
    """Let the desk's own task work for so long, in seconds of its clock."""
    task = asyncio.create_task(desk.desk.run())
    for _ in range(seconds):
        await asyncio.sleep(0.002)
        await desk.clock.advance(1.0)
    await asyncio.sleep(0.01)
    assert not task.done(), task
    task.cancel()


async def test_a_flood_of_events_is_cut_counted_and_told_once(desk: Desk) -> None:
    sent = round(EVENTS_BURST) + 50
    answers = [await desk.say("eye-event", camera="gate", type="motion", data={}, seen_ns=0) for _ in range(sent)]
    assert sum("dropped" in answer for answer in answers) == 50
    other = await desk.say("eye-event", camera="gate", type="evidence", data={}, seen_ns=0)
    assert "id" in other, "another type has its own room"
    await running(desk, round(TELL_EVERY_S) + 3)
    assert len(await desk.told("campus.camera.motion")) == EVENTS_BURST
    (dropped,) = await desk.told("campus.camera.dropped")
    assert (dropped["data"]["count"], dropped["data"]["types"]) == (50, {"motion": 50})


async def test_a_fault_that_flaps_is_told_at_a_pace_and_ends_as_the_eye_said_last(desk: Desk) -> None:
    text = text_wire(say("runtime.eye-starting"))
    task = asyncio.create_task(desk.desk.run())
    for number in range(200):
        await desk.say("eye-fault", camera="gate", fault="offline", text=text if number % 2 else None)
        await asyncio.sleep(0)
        await desk.clock.advance(0.01)
    task.cancel()
    told = await desk.told("campus.fault.raised") + await desk.told("campus.fault.cleared")
    assert len(told) <= FAULT_BURST
    await running(desk, 130)
    assert desk.engine.fault_stands("gate", None, "offline")


async def test_a_flapping_input_is_heard_more_slowly(desk: Desk) -> None:
    task = asyncio.create_task(
        asyncio.wait_for(
            asyncio.gather(
                *(
                    desk.say("eye-sample", camera="gate", inputs=["line-crossed"], active=bool(n % 2), seen_ns=0)
                    for n in range(500)
                )
            ),
            30,
        )
    )
    for _ in range(40):
        await asyncio.sleep(0.005)
        await desk.clock.advance(1.0)
    answers = await task
    assert sum("dropped" in answer for answer in answers) > 400
    alarms = await desk.told("campus.alarm.raised") + await desk.told("campus.alarm.repeated")
    assert 1 <= len(alarms) < 70


async def test_a_fault_of_an_earlier_eye_ends_when_several_looks_have_not_found_it(desk: Desk) -> None:
    for fault in ("picture-black", "stream"):
        await desk.alarms.fault(fault, say("runtime.eye-starting"), device="gate")
    for look in range(SETTLED_LOOKS):
        health = {"state": "fault", "faults": ["stream"], "inspected": f"2026-11-23T08:0{look}:00+08:00"}
        for _ in range(3):  # the same inspection, told three times
            await desk.say("eye-health", cameras={"gate": health}, streams=0, rss_bytes=1)
        await running(desk, 2)
        assert desk.engine.fault_stands("gate", None, "picture-black") is (look + 1 < SETTLED_LOOKS)
    assert desk.engine.fault_stands("gate", None, "stream")
    assert desk.beats == 3 * SETTLED_LOOKS


async def test_nobody_but_the_eye_is_heard(desk: Desk) -> None:
    for method in desk.calls:
        with pytest.raises(NotTheEye):
            await desk.say(method, Peer(1, 0), camera="gate")
    desk.pid = None
    with pytest.raises(NotTheEye):
        await desk.say("eye-health", cameras={})


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


async def test_no_word_whatever_breaks_the_desk(desk: Desk) -> None:
    """Hypothesis has no place for a running loop, so that its examples are taken one by one."""
    strange: list[Any] = [
        None,
        True,
        7,
        -1,
        1e300,
        float("nan"),
        "x" * 70_000,
        "\ud800",
        [],
        {},
        [[[]]],
        {"a": "\udfff"},
    ]
    for method in desk.calls:
        for name in ("camera", "type", "data", "seen_ns", "fault", "text", "inputs", "active", "facts", "cameras"):
            for value in strange:
                params: dict[str, Any] = {
                    "camera": "gate", "type": "motion", "data": {}, "seen_ns": 0, "fault": "stream", "text": None,
                    "inputs": [], "active": True, "facts": {}, "cameras": {},
                }  # fmt: skip
                params[name] = value
                try:
                    answer = await desk.say(method, **params)
                except (BadWord, NotTheEye):
                    continue
                json.dumps(answer, ensure_ascii=False).encode()


@given(JSON)
def test_a_text_of_the_eye_is_read_or_refused(value: Any) -> None:
    for candidate in (value, {"key": value, "args": {}}, {"key": "runtime.bad-arg", "args": value}):
        try:
            text = readable(candidate)
        except BadWord:
            continue
        assert text.render("zh-CN")


@given(st.dictionaries(st.text(), JSON))
def test_what_is_taken_can_be_written_by_everybody(value: dict[str, Any]) -> None:
    try:
        size = checked(value)
    except BadWord:
        return
    assert len(json.dumps(value, ensure_ascii=False).encode("utf-8")) == size


@given(st.text(alphabet="ab:/@?#.\\ ", max_size=30), st.sampled_from(["rtsp", "https", "srt"]))
def test_no_address_keeps_more_than_its_host(rest: str, scheme: str) -> None:
    shown = redacted({"url": f"{scheme}://user:geheim@{rest}", "more": [f"x {scheme}://h/geheim?geheim y"]})
    assert "geheim" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://s3.example.cn/b/k?X-Amz-Signature=abc", "https://s3.example.cn/..."),
        ("rtmp://u:p@media.example.cn:1935/live/key", "rtmp://media.example.cn:1935/..."),
        ("srt://h:9000?passphrase=geheim", "srt://h:9000/..."),
        ("rtsp://u:p/a@b@host/1", "rtsp://..."),
        ("https://h/", "https://h/"),
        ("大门", "大门"),
    ],
)
def test_addresses_as_events_show_them(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_a_bucket_gives_its_burst_and_then_its_pace() -> None:
    bucket = Bucket(3, 2)
    assert [bucket.take(0) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.take(NS_PER_S // 2)
    assert not bucket.ready(NS_PER_S // 2)
    assert bucket.wait_s(NS_PER_S // 2) == 0.5
    assert bucket.owe(NS_PER_S // 2, 4) == 2.0
    assert not bucket.full(NS_PER_S)
    assert bucket.full(60 * NS_PER_S)


# --- orders of evidence


async def raised(desk: Desk) -> Stored:
    moment = desk.clock.moment()
    from agent.model import Lane, new_event

    event = new_event("campus.alarm.raised", Lane.ALARM, moment, device="gate", point="fence", kind="perimeter")
    stored = await desk.alarms.tell(event)
    assert stored is not None
    return stored


async def test_orders_that_nobody_takes_are_told_after_a_while_and_never_pile_up(desk: Desk) -> None:
    async def fault(_text: object) -> None:
        return

    child = Child("eye", lambda: ("false",), ChildLimits(1), desk.clock, fault)
    line = EyeLine(child, lambda: None, lambda: True)
    orders = EvidenceOrders(lambda: desk.config, desk.alarms, line, desk.clock)
    first = await raised(desk)
    orders.stored([first])
    for _ in range(ORDERS_LIMIT):
        orders.stored([await raised(desk)])
    task = asyncio.create_task(orders.run())
    for _ in range(200):
        await asyncio.sleep(0.005)
        if await desk.told("campus.camera.evidence-missing"):
            break
    (missing,) = await desk.told("campus.camera.evidence-missing")
    assert missing["data"]["event"] == first.id, "the oldest made room"
    assert missing["data"]["device"] == "gate"
    desk.clock.tick(KEEP_S + 1)
    orders.poke()
    for _ in range(400):
        await asyncio.sleep(0.005)
        if len(await desk.told("campus.camera.evidence-missing")) > ORDERS_LIMIT:
            break
    assert len(await desk.told("campus.camera.evidence-missing")) == ORDERS_LIMIT + 1
    task.cancel()


async def test_orders_that_a_crash_has_left_are_taken_up_for_the_cameras_that_still_owe_a_clip(desk: Desk) -> None:
    async def fault(_text: object) -> None:
        return

    def anew() -> EvidenceOrders:
        child = Child("eye", lambda: ("false",), ChildLimits(1), desk.clock, fault)
        return EvidenceOrders(lambda: desk.config, desk.alarms, EyeLine(child, lambda: None, lambda: True), desk.clock)

    async def missing(orders: EvidenceOrders) -> list[str]:
        """What an agent that stops says of the orders it has."""
        before = len(await desk.told("campus.camera.evidence-missing"))
        await orders.close()
        return [one["data"]["event"] for one in (await desk.told("campus.camera.evidence-missing"))[before:]]

    old = await raised(desk)
    desk.clock.tick(KEEP_S + 1)
    done, half, left = await raised(desk), await raised(desk), await raised(desk)
    for event, kind in ((done, "snapshot"), (done, "clip"), (half, "snapshot")):
        data = {"evidence": {"kind": kind, "event": event.id}}
        await desk.say("eye-event", camera="gate", type="evidence", data=data)
    tail = await desk.journal.tail(50)
    assert old.id in {one.id for one in tail}
    orders = anew()
    orders.resume(tail)
    assert await missing(orders) == [half.id, left.id]
    again = anew()
    again.resume(await desk.journal.tail(50))
    assert await missing(again) == [], "once told, they are settled"


async def test_an_event_of_a_drill_is_marked_and_every_event_has_a_sentence(desk: Desk) -> None:
    await desk.say("eye-event", camera="gate", type="evidence", data={"evidence": {"kind": "clip"}}, drill=True)
    await desk.say("eye-event", camera="gate", type="evidence", data={"evidence": {"kind": "snapshot"}})
    clip, picture = await desk.told("campus.camera.evidence")
    assert clip["drill"] is True
    assert not picture.get("drill")
    assert "已录像" in clip["data"]["text"]
    assert "已抓拍" in picture["data"]["text"]
    wrong: tuple[Any, ...] = (1, "true", None, [])
    for drill in wrong:
        with pytest.raises(BadWord):
            await desk.say("eye-event", camera="gate", type="evidence", data={}, drill=drill)


@given(
    st.sampled_from(CAMERA_EVENT_TYPES),
    st.dictionaries(
        st.sampled_from(["active", "source", "evidence", "name", "of", "stops", "made", "what", "old", "count", "ok"]),
        st.none()
        | st.booleans()
        | st.text()
        | st.floats()
        | st.lists(st.none())
        | st.dictionaries(st.text(), st.text()),
    ),
    st.sampled_from(["东门", None]),
)
def test_whatever_an_event_holds_it_has_a_sentence(type_: str, data: dict[str, Any], camera: str | None) -> None:
    text = words_of(type_, camera, data)
    assert text is not None
    for language in LANGUAGES:
        assert 0 < len(text.render(language)) < 500
