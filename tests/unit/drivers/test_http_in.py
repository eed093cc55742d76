"""Devices that post, over real sockets: what is told, what is answered, and who is not believed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import Clock, SimClock, SystemClock
from agent.demo.processes import free_port
from agent.driver import BadFrame, DeviceError
from agent.kinds import KINDS
from drivers.http_in import HttpIn, bodies, guard, hikvision, server
from tests.sims.broker import make_authority
from tests.sims.rig import RecordedLink, until

NOON = datetime(2026, 11, 27, 12, 0, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
TOKEN = {"X-Token": "secret"}
DOORS: dict[str, Any] = {
    "id": "doors",
    "path": "/doors",
    "token": "secret",
    "event": "event.type",
    "event_id": "event.id",
    "detail": ("event.door", "event.card"),
    "map": (
        {"value": "open", "input": "door-{door}", "kind": "door", "state": "on"},
        {"value": "shut", "input": "door-{door}", "kind": "door", "state": "off"},
        {"value": "denied", "input": "denied-{door}", "kind": "door-denied"},
        {"value": "alive", "state": "alive"},
    ),
}
HIKVISION: dict[str, Any] = {
    "id": "hik",
    "path": "/hik",
    "token": "secret",
    "format": "isapi",
    "preset": "hikvision-isapi",
}
ALERT = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<ipAddress>192.168.1.64</ipAddress><channelID>2</channelID><dateTime>2026-11-27T12:00:00+08:00</dateTime>
<activePostCount>1</activePostCount><eventType>linedetection</eventType><eventState>{state}</eventState>
<eventDescription>linedetection alarm</eventDescription></EventNotificationAlert>"""


def access(major: int, minor: int, **more: object) -> dict[str, Any]:
    inner = {"majorEventType": major, "subEventType": minor, "doorNo": 1, "cardNo": "1953862610", **more}
    return {
        "eventType": "AccessControllerEvent",
        "dateTime": "2026-11-27T12:00:00+08:00",
        "AccessControllerEvent": inner,
    }


class Site:
    """A running server, and a client."""

    def __init__(self, clock: Clock | None, sources: tuple[dict[str, Any], ...], more: dict[str, Any]) -> None:
        self.port = free_port()
        settings = {"listen": f"127.0.0.1:{self.port}", "source": sources, **more}
        self.driver = HttpIn.model_validate(settings)
        self.link = RecordedLink(clock or SystemClock("Asia/Shanghai"), None)
        self.scheme = "https" if self.driver.cert else "http"

    async def post(self, path: str, body: object, headers: dict[str, str] | None = None, **more: Any) -> int:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        async with aiohttp.ClientSession() as session:
            url = f"{self.scheme}://127.0.0.1:{self.port}{path}"
            async with session.post(url, data=data, headers=headers or TOKEN, ssl=False, **more) as answer:
                return answer.status

    @property
    def told(self) -> list[tuple[object, bool, str | None]]:
        return [(sample.input, bool(sample.value), sample.kind) for sample in self.link.samples]

    def reasons(self) -> list[str]:
        return [error.text.key for _, error in self.link.rejected]


@asynccontextmanager
async def site(*sources: dict[str, Any], clock: Clock | None = None, **more: Any) -> AsyncIterator[Site]:
    found = Site(clock, sources or (DOORS,), more)
    task = asyncio.create_task(found.driver.run(found.link))
    await until(lambda: "model" in found.link.facts or task.done())
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def event(type_: str, **more: object) -> dict[str, Any]:
    return {"event": {"type": type_, "door": 3, "card": "77", **more}}


async def test_a_post_is_answered_when_it_is_durable() -> None:
    async with site() as here:
        here.link.disk_works.clear()
        posting = asyncio.create_task(here.post("/doors", event("open")))
        await until(lambda: here.link.emitting > 0)
        await asyncio.sleep(0.05)
        assert not posting.done()
        here.link.disk_works.set()
        assert await posting == 200
        assert here.told == [("door-3", True, "door")]
        assert here.link.samples[0].detail == {"source": "doors", "event": "open", "door": "3", "card": "77"}


async def test_events_mean_what_the_mapping_says() -> None:
    async with site() as here:
        for type_ in ("open", "shut", "denied", "alive"):
            assert await here.post("/doors", event(type_)) == 200
        assert here.told == [
            ("door-3", True, "door"),
            ("door-3", False, "door"),
            ("denied-3", True, "door-denied"),
            ("denied-3", False, None),
        ]


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ({"Authorization": "Bearer secret"}, {}),
        ({"X-Token": "secret"}, {}),
        ({"Authorization": aiohttp.encode_basic_auth("gate", "secret")}, {}),
        ({"A": "b"}, {"params": {"token": "secret"}}),
    ],
)
async def test_the_token_may_be_where_devices_can_put_it(headers: dict[str, str], more: dict[str, Any]) -> None:
    async with site({**DOORS, "username": "gate", "token_in_query": True}) as here:
        assert await here.post("/doors", event("open"), headers, **more) == 200


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ({"A": "b"}, {}),
        ({"X-Token": "Secret"}, {}),
        ({"X-Token": ""}, {}),
        ({"Authorization": "Bearer"}, {}),
        ({"Authorization": "Basic !!!"}, {}),
        ({"Authorization": aiohttp.encode_basic_auth("gate", "secret")}, {}),
        ({"A": "b"}, {"params": {"token": "secret"}}),
    ],
)
async def test_a_wrong_token_is_refused_slowly_and_nobody_else_waits(
    headers: dict[str, str], more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WRONG_TOKEN_S", 0.05)
    async with site() as here:
        assert await here.post("/doors", event("open"), headers, **more) == 401
        assert here.reasons() == ["httpin.wrong-token"]
        assert here.told == []
        assert await here.post("/doors", event("open")) == 200


async def test_a_device_that_asks_before_it_logs_in_is_no_intruder() -> None:
    async with site({**DOORS, "username": "gate"}) as here:
        for _ in range(3):
            assert await here.post("/doors", event("open"), {"A": "b"}) == 401
        assert here.reasons() == []
        assert await here.post("/doors", event("open"), {"Authorization": "Basic Z2F0ZTpzZWNyZXQ="}) == 200


async def test_what_a_stranger_asks_for_cannot_write_lines_into_the_log() -> None:
    async with site() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"POST /x%0a%1b[31m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()
        assert str(here.link.rejected[-1][1]).isprintable()


async def test_strangers_and_other_paths_are_not_served() -> None:
    async with site({**DOORS, "allow": ("192.168.1.0/24",)}) as here:
        assert await here.post("/doors", event("open")) == 404
        assert await here.post("/other", event("open")) == 404
        assert here.reasons() == ["httpin.stranger"] * 2
    async with site({**DOORS, "allow": ("127.0.0.0/8",)}) as here:
        assert await here.post("/doors", event("open")) == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"[" * 5000, b'{"event": {}}', b'{"event": {"type": "new"}}', b"\xff\xfe", b"5" * 5000]
)
async def test_what_cannot_be_read_is_refused_and_what_follows_is_taken(body: bytes) -> None:
    async with site() as here:
        assert await here.post("/doors", body) == 422
        assert here.reasons() == ["httpin.unreadable"]
        assert await here.post("/doors", event("open")) == 200


async def test_a_body_that_is_too_large_is_refused_also_without_a_length() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    async with site({**DOORS, "body_max": 2048}) as here:
        assert await here.post("/doors", b" " * 4096) == 413
        async with aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientError):  # the answer may come while it still sends
                async with session.post(f"http://127.0.0.1:{here.port}/doors", data=endless(), headers=TOKEN) as answer:
                    assert answer.status == 413
        await until(lambda: here.reasons() == ["httpin.too-large"] * 2)


async def test_one_that_posts_too_often_is_put_off_and_others_are_not() -> None:
    other = {**DOORS, "id": "other", "path": "/other"}
    async with site({**DOORS, "requests_per_s": 0.2}, other) as here:
        statuses = [await here.post("/doors", event("open")) for _ in range(4)]
        assert statuses == [200, 429, 429, 429]
        assert await here.post("/other", event("open")) == 200


async def test_an_event_that_comes_again_is_told_once() -> None:
    async with site() as here:
        for _ in range(3):
            assert await here.post("/doors", event("denied", id=17)) == 200
        assert await here.post("/doors", event("denied", id=18)) == 200
        assert len(here.told) == 4


async def test_one_that_comes_again_while_it_is_under_way_is_put_off() -> None:
    async with site() as here:
        here.link.disk_works.clear()
        first = asyncio.create_task(here.post("/doors", event("denied", id=17)))
        await until(lambda: here.link.emitting > 0)
        assert await here.post("/doors", event("denied", id=17)) == 503
        here.link.disk_works.set()
        assert await first == 200
        assert len(here.told) == 2


@pytest.mark.parametrize("start", [b"", b"POST /doors HTT", b"POST /doors HTTP/1.1\r\nHost: x\r\n"])
async def test_a_request_that_never_ends_is_dropped(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUEST_S", 0.1)
    async with site() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(start)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_body_that_never_ends_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.1)
    async with site() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"POST /doors HTTP/1.1\r\nHost: x\r\nX-Token: secret\r\nContent-Length: 100\r\n\r\n{")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_what_is_no_http_is_counted_and_ends_nothing() -> None:
    async with site() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"\x16\x03\x01 hello \x00\r\n\r\n")
        await reader.read()
        writer.close()
        await until(lambda: here.reasons() == ["httpin.no-http"])
        assert await here.post("/doors", event("open")) == 200


async def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_PER_ADDRESS", 2)
    async with site() as here:
        lines = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(3)]
        await until(lambda: "httpin.connections" in here.reasons())
        for _, writer in lines:
            writer.transport.abort()


async def test_silent_connections_keep_no_device_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_PER_ADDRESS", 2)
    async with site() as here:
        lines = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(5)]
        assert await here.post("/doors", event("open")) == 200
        for _, writer in lines:
            writer.transport.abort()


async def test_silent_connections_keep_no_device_out_of_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_PER_ADDRESS", 2)
    made = make_authority(tmp_path)
    async with site(DOORS, cert=str(made.cert), key={"file": str(made.key)}) as here:
        lines = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(20)]
        dropped = 0
        for reader, _ in lines[:18]:
            with suppress(ConnectionError):
                assert await reader.read() == b""
            dropped += 1
        assert dropped == 18
        assert await here.post("/doors", event("open")) == 200
        for _, writer in lines:
            writer.transport.abort()


async def test_what_is_no_tls_ends_nothing_of_https(tmp_path: Path) -> None:
    made = make_authority(tmp_path)
    async with site(DOORS, cert=str(made.cert), key={"file": str(made.key)}) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"POST /doors HTTP/1.1\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        assert await here.post("/doors", event("open")) == 200


async def test_silence_of_a_source_is_told_and_its_end() -> None:
    clock = SimClock(NOON)
    async with site({**DOORS, "silence": 60.0}, clock=clock) as here:
        assert await here.post("/doors", event("alive")) == 200
        await clock.advance(74)
        assert here.told == [("supervision", False, "supervision-lost")]
        await clock.advance(3)
        assert here.told[-1] == ("supervision", True, "supervision-lost")
        assert await here.post("/doors", event("alive")) == 200
        assert here.told[-1] == ("supervision", False, "supervision-lost")


async def test_any_other_event_is_an_input_of_its_own() -> None:
    other = {**DOORS, "map": ({"value": "*", "kind": "intrusion", "state": "on"},)}
    async with site(other) as here:
        assert await here.post("/doors", event("glass broken/2")) == 200
        assert here.told == [("glass-broken-2", True, "intrusion")]
        assert "glass-broken-2" in here.driver.inputs_available()


async def test_forms_are_read() -> None:
    form = {**DOORS, "format": "form", "event": "action", "event_id": None, "detail": ("door",)}
    async with site(form) as here:
        assert await here.post("/doors", "action=denied&door=..%2F..%2Fetc%00%2B") == 200
        assert here.told[0] == ("denied-..-..-etc-", True, "door-denied")


async def test_https_with_a_certificate(tmp_path: Path) -> None:
    made = make_authority(tmp_path)
    async with site(DOORS, cert=str(made.cert), key={"file": str(made.key)}) as here:
        assert await here.post("/doors", event("open")) == 200


async def test_a_certificate_that_is_none_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    here = Site(None, (DOORS,), {"cert": str(tmp_path / "cert.pem"), "key": {"file": str(tmp_path / "cert.pem")}})
    with pytest.raises(DeviceError) as caught:
        await here.driver.run(here.link)
    assert caught.value.text.key == "httpin.certificate"


# --- Hikvision


async def test_an_alert_in_xml_is_told_once_however_often_it_is_posted() -> None:
    async with site(HIKVISION) as here:
        for state in ("active", "active", "inactive"):
            assert await here.post("/hik", ALERT.format(state=state)) == 200
        assert here.told == [
            ("linedetection/2", True, "perimeter"),
            ("linedetection/2", True, "perimeter"),
            ("linedetection/2", False, "perimeter"),
        ]
        assert not here.link.samples[1].press, "the point does not count it again"


@pytest.mark.parametrize(("alert", "hold_s"), [("linedetection", 60.0), ("tamperdetection", None)])
def test_an_alert_whose_end_gets_lost_is_over_by_itself(alert: str, hold_s: float | None) -> None:
    (sample,) = hikvision.read({"eventType": alert, "eventState": "active", "channelID": 1}).samples
    assert (sample.value, sample.hold_s) == (True, hold_s)


async def test_a_terminal_posts_json_beside_a_picture() -> None:
    form = aiohttp.MultipartWriter("form-data", boundary="MIME_boundary")
    form.append(b"\xff\xd8\xff" + b"{<" * 1000, {"Content-Type": "image/jpeg"})
    form.append(json.dumps(access(5, 0x4B, serialNo=5, currentEvent=False)), {"Content-Type": "application/json"})
    async with site(HIKVISION) as here, aiohttp.ClientSession() as session:
        for _ in range(2):
            url = f"http://127.0.0.1:{here.port}/hik"
            async with session.post(url, data=form, headers=TOKEN) as answer:
                assert answer.status == 200
        assert here.told == [("granted/1", True, "door-granted"), ("granted/1", False, None)]
        assert here.link.samples[0].detail["replayed"] is True
        assert here.link.samples[0].also == ("granted",)


@pytest.mark.parametrize(
    ("major", "minor", "expected"),
    [
        (5, 0x01, [("granted/1", True)]),
        (5, 0x09, [("denied/1", True)]),
        (5, 0x1A, [("door/1", False), ("forced/1", False), ("held/1", False)]),
        (5, 0x1B, [("forced/1", True)]),
        (5, 0x1C, [("held/1", True)]),
        (1, 0x404, [("tamper/1", True)]),
        (1, 0x40A, [("duress/1", True)]),
        (3, 0x50, [("event-3-80/1", True)]),
    ],
)
def test_events_of_terminals(major: int, minor: int, expected: list[tuple[str, bool]]) -> None:
    samples = hikvision.read(access(major, minor)).samples
    assert [(sample.input, sample.value) for sample in samples if sample.kind] == expected


def test_an_alarm_host_posts_contact_id_with_zones_from_0() -> None:
    """The body is that of node-red-contrib-hikvision-ultimate's documentation (MIT)."""
    inner = {
        "code": 1103,
        "standardCIDcode": 1130,
        "type": "zoneAlarm",
        "trigger": "2012-01-13T03:15:14+01:00",
        "zone": 1,
    }
    posted = hikvision.read({"eventType": "cidEvent", "eventState": "active", "CIDEvent": inner})
    (sample,) = posted.samples
    assert (sample.input, sample.kind, sample.value) == ("130/002", "intrusion", True)
    assert posted.same


@pytest.mark.parametrize("kind", ["videoloss", "heartBeat"])
def test_a_heartbeat_tells_nothing(kind: str) -> None:
    assert hikvision.read({"eventType": kind, "eventState": "inactive"}).samples == ()


def test_every_kind_is_one_that_the_agent_knows() -> None:
    kinds = {kind for meanings in hikvision.ACCESS.values() for _, kind, _ in meanings}
    assert kinds | set(hikvision.ALERTS.values()) <= set(KINDS)


# --- bodies


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        "<a>&b;</a>",
        "<a>" * 100 + "</a>" * 100,
        "<a>" + "<b/>" * 5_000 + "</a>",
        "<a><b></a>",
        '<?xml version="1.0" encoding="klingon"?><a/>',
        "",
    ],
)
def test_xml_that_is_not_to_be_trusted_is_a_bad_frame(text: str) -> None:
    with pytest.raises(BadFrame):
        bodies.read_xml(text.encode())


def test_xml_becomes_tables() -> None:
    text = "<a xmlns='urn:x'><b>1</b><b>2</b><c><d> e </d></c></a>"
    assert bodies.read_xml(text.encode()) == {"a": {"b": ["1", "2"], "c": {"d": "e"}}}
    assert bodies.find({"a": [{"b": True}]}, "a.0.b") == "true"
    assert bodies.find({"a": 1}, "a.b") is None


@given(body=st.binary(max_size=300), kind=st.sampled_from(["", "multipart/form-data; boundary=b", "multipart/mixed"]))
def test_any_body_is_read_or_a_bad_frame(body: bytes, kind: str) -> None:
    for read in (bodies.read_json, bodies.read_form, bodies.read_xml, lambda data: bodies.read_any(data, kind)):
        with suppress(BadFrame):
            assert isinstance(read(body), dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2000, 2000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    kind=st.sampled_from(["AccessControllerEvent", "cidEvent", "VMD"]),
    inner=st.dictionaries(
        st.sampled_from(["majorEventType", "subEventType", "doorNo", "standardCIDcode", "zone"]), JSON
    ),
    state=JSON,
)
def test_any_event_of_hikvision_is_read_or_a_bad_frame(kind: str, inner: dict[str, Any], state: object) -> None:
    fields = {
        "eventType": kind,
        "eventState": state,
        "channelID": state,
        "AccessControllerEvent": inner,
        "CIDEvent": inner,
    }
    with suppress(BadFrame):
        for sample in hikvision.read(fields).samples:
            assert (
                HttpIn.model_validate({"listen": "127.0.0.1:1", "source": (HIKVISION,)})
                .inputs_available()
                .__contains__(sample.input)
            )


# --- configuration


@pytest.mark.parametrize(
    "change",
    [
        {"map": ()},
        {"event": None},
        {"preset": "hikvision-isapi"},
        {"allow": ("nowhere",)},
        {"path": "doors"},
        {"id": "Doors!"},
        {"map": ({"value": "x", "kind": "nonsense"},)},
        {"map": ({"value": "x", "input": "a b"},)},
    ],
)
def test_a_source_that_cannot_be_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        HttpIn.model_validate({"listen": "127.0.0.1:1", "source": ({**DOORS, **change},)})


@pytest.mark.parametrize(
    "more",
    [{"source": (DOORS, DOORS)}, {"source": (DOORS,), "cert": "/x"}, {"source": (DOORS,), "cert": "/x", "key": "PEM"}],
)
def test_a_server_that_cannot_be_is_an_error(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        HttpIn.model_validate({"listen": "127.0.0.1:1", **more})


def test_inputs_are_named_with_their_source_if_there_are_several() -> None:
    one = HttpIn.model_validate({"listen": "127.0.0.1:1", "source": (DOORS,)}).inputs_available()
    two = HttpIn.model_validate({"listen": "127.0.0.1:1", "source": (DOORS, HIKVISION)}).inputs_available()
    assert "door-3" in one
    assert "window-3" not in one
    assert "supervision" not in one
    assert "doors:door-3" in two
    assert "door-3" not in two
    assert "hik:granted/1" in two
    assert "hik:130/002" in two
    assert 3 not in two
