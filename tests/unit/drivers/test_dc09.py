"""The receiver of alarm hosts, over real sockets: what is told, what is answered, and who is not believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.clock import Clock, SimClock, SystemClock
from agent.demo.panels import AlarmHost
from agent.demo.processes import free_port
from agent.driver import DeviceError, Sample
from agent.units import BadSetting
from drivers._dc09 import ACK, ADM_CID, DUH, NAK, NULL, SIA_DCS, Message
from drivers.dc09 import Dc09, Dc09Account, server
from tests.sims.rig import RecordedLink, until

KEY = bytes(range(16))
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 27, 12, 0, 0, tzinfo=SHANGHAI)


class Site:
    """A running receiver."""

    def __init__(self, clock: Clock | None = None, **settings: Any) -> None:
        self.port = free_port()
        settings = {"listen": f"127.0.0.1:{self.port}", "account": ({"account": "1234"},), **settings}
        self.driver = Dc09.model_validate(settings)
        self.link = RecordedLink(clock or SystemClock("Asia/Shanghai"), None)
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.task = asyncio.create_task(self.driver.run(self.link))
        await until(lambda: "model" in self.link.facts or (self.task is not None and self.task.done()))

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    def host(self, account: str = "1234", **more: Any) -> AlarmHost:
        return AlarmHost(self.port, account, **{"answer_s": 0.5, **more})

    @property
    def told(self) -> list[Sample]:
        """What hosts told, without what the receiver says of them."""
        return [sample for sample in self.link.samples if "sequence" in sample.detail]

    def values(self, name: str) -> list[bool]:
        return self.link.edges(name)

    def reasons(self) -> list[str]:
        return [error.text.key for _, error in self.link.rejected]


@asynccontextmanager
async def site(clock: Clock | None = None, **settings: Any) -> AsyncIterator[Site]:
    found = Site(clock, **settings)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_an_event_is_told_and_then_acknowledged(transport: Any) -> None:
    async with site(transport="both") as here, here.host(transport=transport) as host:
        here.link.disk_works.clear()
        sending = asyncio.create_task(host.contact_id("1130 01 003"))
        await until(lambda: here.link.emitting > 0)
        await asyncio.sleep(0.05)
        assert host.answers == []
        assert here.told == []
        here.link.disk_works.set()
        assert (await sending).id == ACK
        (sample,) = here.told
        assert (sample.input, sample.kind, sample.value) == ("130/003", "intrusion", True)
        assert sample.detail["account"] == "1234"
        assert sample.detail["sequence"] == host.sequence


async def test_sia_and_contact_id_and_both_sorts_of_qualifiers_are_understood() -> None:
    async with site() as here, here.host() as host:
        await host.sia("Nri1/FA012^食堂^")
        await host.contact_id("E120 01 009")
        await host.contact_id("R130 01 003")
        found = [(sample.input, sample.kind, sample.value) for sample in here.told]
        assert found == [("FA/012", "fire", True), ("120/009", "panic", True), ("130/003", "intrusion", False)]


@pytest.mark.parametrize("size", [16, 24, 32])
async def test_an_encrypted_host_gets_encrypted_answers(size: int) -> None:
    key = bytes(range(size))
    async with site(account=({"account": "1234", "key": key.hex()},)) as here, here.host(key=key) as host:
        assert (await host.contact_id("1130 01 003")).id == ACK
        assert host.answers[0].time is not None


@pytest.mark.parametrize(
    ("account", "key", "reason"),
    [
        ("5678", KEY, "dc09.unknown-account"),
        ("1234", bytes(16), "dc09.wrong-key"),
        ("1234", None, "dc09.not-encrypted"),
        ("AAAA", KEY, "dc09.no-key"),
    ],
)
async def test_who_cannot_be_believed_gets_no_answer_and_the_others_go_on(
    account: str, key: bytes | None, reason: str
) -> None:
    accounts = ({"account": "1234", "key": KEY.hex()}, {"account": "AAAA"})
    async with site(account=accounts) as here, here.host(key=KEY) as good, here.host(account, key=key) as bad:
        message = bad.message(ADM_CID, "1130 01 003")
        bad.raw(message.to_bytes(key))
        await until(lambda: reason in here.reasons())
        assert (await good.contact_id("1131 01 001")).id == ACK
        assert bad.answers == []
        assert here.values(f"{account}:130/003") == []


async def test_a_known_host_that_is_refused_is_told_once() -> None:
    async with site(account=({"account": "1234", "key": KEY.hex()},)) as here, here.host(key=bytes(16)) as host:
        for _ in range(5):
            host.raw(host.message(NULL).to_bytes(host.key))
        await until(lambda: len(here.link.rejected) == 5)
        (sample,) = here.link.samples
        assert (sample.input, sample.kind, sample.value) == ("refused", "panel-trouble", True)


async def test_it_is_well_again_when_it_is_believed_for_a_while() -> None:
    clock = SimClock(NOON)
    accounts = ({"account": "1234", "key": KEY.hex()},)
    async with site(clock, account=accounts) as here, here.host(key=KEY, clock=clock.wall) as host:
        host.raw(Message(NULL, 1, "1234").to_bytes())
        await until(lambda: here.values("refused") == [True])
        await host.null()
        assert here.values("refused") == [True]
        clock.tick(61)
        await host.null()
        assert here.values("refused") == [True, False]


@pytest.mark.parametrize("flaw", ["crc", "length", "cut"])
async def test_a_damaged_frame_gets_no_answer_and_the_next_one_does(flaw: str) -> None:
    async with site() as here, here.host() as host:
        data = host.message(ADM_CID, "1130 01 003").to_bytes()
        damaged = {"crc": data[:1] + b"0000" + data[5:], "length": data[:5] + b"0001" + data[9:], "cut": data[:20]}
        host.raw(damaged[flaw])
        assert (await host.contact_id("1130 01 004")).id == ACK
        assert len(here.link.rejected) == 1
        assert here.values("130/003") == []
        assert len(host.answers) == 1


@pytest.mark.parametrize("off_s", [-41, 21])
async def test_a_message_out_of_its_time_is_answered_with_the_time(off_s: int) -> None:
    clock = SimClock(NOON)
    offset = timedelta(seconds=off_s)
    async with site(clock) as here, here.host(clock=lambda: clock.wall() + offset) as host:
        message = host.message(ADM_CID, "1130 01 003")
        answer = await host.once(message.to_bytes(), message)
        assert answer is not None
        assert (answer.id, answer.time) == (NAK, NOON.astimezone(UTC))
        assert here.values("130/003") == []
        assert here.reasons() == ["dc09.wrong-time"]
        host.clock = clock.wall
        assert (await host.contact_id("1130 01 003")).id == ACK


@pytest.mark.parametrize("off_s", [-39, 19])
async def test_a_message_within_its_time_is_taken(off_s: int) -> None:
    clock = SimClock(NOON)
    async with site(clock) as here, here.host(clock=lambda: clock.wall() + timedelta(seconds=off_s)) as host:
        assert (await host.contact_id("1130 01 003")).id == ACK


async def test_a_host_that_never_mends_its_clock_is_told() -> None:
    clock = SimClock(NOON)
    async with site(clock) as here, here.host(clock=lambda: NOON - timedelta(hours=1)) as host:
        for _ in range(5):
            message = host.message(NULL)
            assert (answer := await host.once(message.to_bytes(), message))
            assert answer.id == NAK
        assert here.values("refused") == [True]


async def test_a_gateway_without_the_time_refuses_no_alarm_for_ever() -> None:
    clock = SimClock(NOON, quality="unsynced")
    async with site(clock) as here, here.host(clock=lambda: NOON + timedelta(days=1)) as host:
        assert (await host.contact_id("1120 01 001")).id == ACK
        assert here.values("120/001") == [True]
        assert [answer.id for answer in host.answers] == [NAK, NAK, NAK, ACK]


@pytest.mark.parametrize(
    ("sense", "time"),
    [
        ("local", NOON.replace(tzinfo=UTC)),
        ("ignore", datetime(2000, 1, 1, tzinfo=UTC)),
        ("utc", None),
    ],
)
async def test_hosts_may_send_local_time_or_none(sense: str, time: datetime | None) -> None:
    clock = SimClock(NOON)
    async with (
        site(clock, account=({"account": "1234", "time": sense},)) as here,
        here.host(clock=lambda: time) as host,
    ):
        assert (await host.contact_id("1130 01 003")).id == ACK


async def test_a_host_on_local_time_is_told_local_time() -> None:
    clock = SimClock(NOON)
    async with (
        site(clock, account=({"account": "1234", "time": "local"},)) as here,
        here.host(clock=lambda: NOON) as host,
    ):
        message = host.message(NULL)
        answer = await host.once(message.to_bytes(), message)
        assert answer is not None
        assert answer.time == NOON.replace(tzinfo=UTC)


async def test_a_repetition_is_acknowledged_and_told_once_also_over_another_connection() -> None:
    async with site() as here, here.host() as host:
        message = host.message(ADM_CID, "1130 01 003")
        for _ in range(3):
            assert (answer := await host.once(message.to_bytes(), message))
            assert answer.id == ACK
            await host.connect()
        assert here.values("130/003") == [True]


async def test_a_repetition_while_the_first_is_under_way_is_acknowledged_only_when_that_is_durable() -> None:
    async with site() as here, here.host() as host, here.host() as again:
        here.link.disk_works.clear()
        message = host.message(ADM_CID, "1130 01 003")
        host.raw(message.to_bytes())
        await until(lambda: here.link.emitting == 1)
        heard = here.link.heard
        again.raw(message.to_bytes())
        await until(lambda: here.link.heard > heard)
        assert (host.answers, again.answers) == ([], [])
        here.link.disk_works.set()
        await until(lambda: len(host.answers) == 1)
        assert await again.once(message.to_bytes(), message)
        assert here.values("130/003") == [True]


async def test_the_same_number_with_another_event_is_another_message() -> None:
    async with site() as here, here.host() as host:
        for event in ("1130 01 003", "3130 01 003"):
            message = host.message(ADM_CID, event, sequence=7)
            assert await host.once(message.to_bytes(), message)
        assert here.values("130/003") == [True, False]


async def test_the_same_message_long_after_is_told_again() -> None:
    clock = SimClock(NOON)
    async with site(clock, duplicate_window=60.0) as here, here.host(clock=clock.wall) as host:
        for _ in range(2):
            message = host.message(ADM_CID, "1130 01 003", sequence=7)
            assert await host.once(message.to_bytes(), message)
            clock.tick(61)
        assert here.values("130/003") == [True, True]


async def test_an_encrypted_message_is_told_once_for_as_long_as_its_time_lets_it_pass() -> None:
    clock = SimClock(NOON)
    account = {"account": "1234", "key": KEY.hex()}
    async with (
        site(clock, account=(account,), duplicate_window=0.0, window_past=600.0) as here,
        here.host(key=KEY, clock=clock.wall) as host,
    ):
        message = host.message(ADM_CID, "1130 01 003")
        recorded = message.to_bytes(KEY)
        for _ in range(3):
            assert await host.once(recorded, message)
            clock.tick(250)
        assert here.values("130/003") == [True]


async def test_glued_and_split_frames_are_each_answered_in_order() -> None:
    async with site() as here, here.host() as host:
        messages = [host.message(ADM_CID, f"1130 01 {zone:03}") for zone in range(100)]
        stream = b"".join(message.to_bytes() for message in messages)
        for at in range(0, len(stream), 700):
            host.raw(stream[at : at + 700])
            await asyncio.sleep(0)
        await until(lambda: len(host.answers) == 100)
        assert [answer.sequence for answer in host.answers] == [message.sequence for message in messages]
        assert [sample.input for sample in here.told] == [f"130/{zone:03}" for zone in range(100)]


async def test_several_hosts_at_once_are_told_apart() -> None:
    accounts = tuple({"account": f"10{n:02}"} for n in range(20))
    async with site(account=accounts) as here:
        hosts = [here.host(account["account"]) for account in accounts]
        answers = await asyncio.gather(*(host.contact_id("1130 01 001") for host in hosts))
        assert {answer.id for answer in answers} == {ACK}
        assert {sample.input for sample in here.told} == {f"10{n:02}:130/001" for n in range(20)}
        for host in hosts:
            host.close()


@pytest.mark.parametrize("message", [Message("ACR-SF", 1, "1234", "x"), Message(SIA_DCS, 2, "1234", "???")])
async def test_what_is_read_and_not_supported_is_answered_with_duh(message: Message) -> None:
    async with site() as here, here.host() as host:
        answer = await host.once(message.to_bytes(), message)
        assert answer is not None
        assert answer.id == DUH
        assert here.values("refused")[-1]
        assert (await host.null()).id == ACK


async def test_an_unasked_answer_is_not_answered() -> None:
    async with site() as here, here.host() as host:
        host.raw(Message(ACK, 1, "1234").to_bytes())
        await host.null()
        assert len(host.answers) == 1


async def test_a_host_that_stops_reporting_is_lost_and_comes_back() -> None:
    clock = SimClock(NOON)
    accounts = ({"account": "1234", "supervision": 60.0}, {"account": "5678"})
    async with site(clock, account=accounts) as here, here.host(clock=clock.wall) as host:
        await host.null()
        await clock.advance(74)
        assert here.values("1234:supervision") == [False]
        await clock.advance(2)
        assert here.values("1234:supervision") == [False, True]
        lost = here.link.samples[-1]
        assert (lost.kind, lost.detail) == ("supervision-lost", {"account": "1234"})
        await clock.advance(300)
        await host.null()
        assert here.values("1234:supervision") == [False, True, False]


async def test_a_host_that_was_never_heard_is_lost_too() -> None:
    clock = SimClock(NOON)
    async with site(clock, account=({"account": "1234", "supervision": 60.0},)) as here:
        await clock.advance(76)
        assert here.values("supervision") == [True]


async def test_one_that_never_stops_is_slowed_down_and_delays_nobody() -> None:
    accounts = ({"account": "1234"}, {"account": "5678"})
    async with site(account=accounts, frames_per_s=1.0) as here, here.host() as mad, here.host("5678") as good:
        mad.raw(b"".join(mad.message(ADM_CID, "1130 01 001").to_bytes() for _ in range(2_000)))
        await until(lambda: "dc09.too-fast" in here.reasons())
        taken = len(here.told)
        for _ in range(3):
            assert (await good.contact_id("1131 01 001")).id == ACK
        assert len(here.told) < taken + 100
        assert here.reasons().count("dc09.too-fast") == 1


async def test_one_that_never_stops_by_udp_is_not_heard_and_delays_nobody() -> None:
    accounts = ({"account": "1234"}, {"account": "5678"})
    async with (
        site(account=accounts, frames_per_s=1.0, transport="udp") as here,
        here.host(transport="udp") as mad,
        here.host("5678", transport="udp") as good,
    ):
        for _ in range(50):
            mad.raw(mad.message(ADM_CID, "1130 01 001").to_bytes())
        await until(lambda: "dc09.too-fast" in here.reasons())
        assert (await good.contact_id("1131 01 001")).id == ACK
        assert len(here.values("1234:130/001")) < 10


async def test_there_are_only_so_many_connections_and_the_newest_is_served() -> None:
    async with site(connections_per_address=3) as here:
        hosts = [here.host() for _ in range(5)]
        for host in hosts:
            await host.null()
        await until(lambda: sum(host.connected for host in hosts) == 3)
        assert [host.connected for host in hosts] == [False, False, True, True, True]
        assert "dc09.connections" in here.reasons()
        for host in hosts:
            host.close()


async def test_a_silent_connection_is_closed() -> None:
    async with site(idle_timeout=1.0) as here, here.host() as host:
        await host.null()
        await until(lambda: not host.connected)


async def test_who_talks_nonsense_is_hung_up_on() -> None:
    async with site() as here, here.host() as host:
        host.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        await until(lambda: not host.connected)
        assert len(here.link.rejected) >= 10


async def test_datagrams_beyond_the_limit_are_dropped_and_others_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DATAGRAM_BURST", 50)
    monkeypatch.setattr(server, "DATAGRAMS_PER_S", 50.0)
    async with site(transport="udp") as here, here.host(transport="udp") as host:
        for _ in range(100):
            host.raw(b"\n0000000junk\r")
        await until(lambda: "dc09.flood" in here.reasons())
        assert (await host.contact_id("1130 01 003")).id == ACK
        assert here.values("130/003") == [True]


async def test_old_messages_that_are_sent_again_do_not_use_up_the_share_of_their_host() -> None:
    async with site(SimClock(NOON), transport="udp", frames_per_s=1.0) as here:
        thief = here.host(transport="udp", clock=lambda: NOON - timedelta(hours=1))
        host = here.host(transport="udp", clock=lambda: NOON)
        for _ in range(20):
            message = thief.message(ADM_CID, "1130 01 001")
            assert (answer := await thief.once(message.to_bytes(), message))
            assert answer.id == NAK
        assert (await host.contact_id("1130 01 003")).id == ACK
        thief.close()
        host.close()


async def test_both_families_of_addresses_are_heard() -> None:
    port = free_port()
    async with site(listen=f"[::]:{port}", transport="both") as here:
        for address in ("::1", "127.0.0.1"):
            for transport in ("tcp", "udp"):
                host = AlarmHost(port, "1234", address=address, transport=transport, answer_s=0.5)
                assert (await host.contact_id(f"1130 01 00{len(here.told)}")).id == ACK
                host.close()


async def test_a_port_that_is_taken_is_an_error_in_words() -> None:
    async with site() as here:
        with pytest.raises(DeviceError) as caught:
            await here.driver.run(here.link)
        assert caught.value.text.key == "driver.listen"


@pytest.mark.parametrize("key", ["00", "zz" * 16, "x"])
async def test_a_key_of_a_wrong_size_is_an_error_that_does_not_show_it(key: str) -> None:
    driver = Dc09.model_validate({"listen": "127.0.0.1:1", "account": ({"account": "1234", "key": key},)})
    with pytest.raises(DeviceError) as caught:
        await driver.run(RecordedLink(SystemClock("Asia/Shanghai"), None))
    assert caught.value.text.key == "dc09.bad-key"
    assert key not in caught.value.text.render("en").replace("1234", "").split()


def test_encryption_cannot_be_required_without_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        Dc09Account.model_validate({"account": "1234", "encrypted": "required"})
    Dc09Account.model_validate({"account": "1234"})


def test_accounts_that_differ_in_zeros_only_are_one() -> None:
    with pytest.raises(ValueError, match="differ") as caught:
        Dc09.model_validate({"listen": "127.0.0.1:1", "account": ({"account": "1234"}, {"account": "001234"})})
    assert isinstance(caught.value.errors()[0]["ctx"]["error"], BadSetting)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("intervals", "silence_s"), [([60.0, 300.0], 375.0), ([60.0, None], None), ([None], None)])
def test_silence_says_something_only_if_every_host_reports(
    intervals: list[float | None], silence_s: float | None
) -> None:
    accounts = tuple({"account": f"100{n}", "supervision": interval} for n, interval in enumerate(intervals))
    assert Dc09.model_validate({"listen": "127.0.0.1:1", "account": accounts}).silence_s() == silence_s


async def test_an_account_may_be_filled_up_with_zeros() -> None:
    async with site(account=({"account": "653210"},)) as here, here.host("00653210") as host:
        assert (await host.contact_id("1130 01 003")).id == ACK
        assert here.told[0].detail["account"] == "653210"


async def test_receiver_and_line_are_checked_where_they_are_given() -> None:
    async with site(account=({"account": "1234", "receiver": "12", "line": "3"},)) as here, here.host() as host:
        host.raw(Message(NULL, 1, "1234", line="4", receiver="12").to_bytes())
        await until(lambda: here.reasons() == ["dc09.unknown-account"])
        message = Message(NULL, 1, "1234", line="0003", receiver="12")
        assert await host.once(message.to_bytes(), message)


KNOWN = ("1234:130/003", "1234:BA/003", "1234:zone-003", "5678:armed-01", "1234:supervision")
UNKNOWN = ("130/003", "9999:130/003", "1234:nonsense", 3)


@pytest.mark.parametrize(("name", "known"), [*((name, True) for name in KNOWN), *((name, False) for name in UNKNOWN)])
def test_inputs_are_named_with_their_account(name: object, known: bool) -> None:
    accounts = ({"account": "1234"}, {"account": "5678"})
    driver = Dc09.model_validate({"listen": "127.0.0.1:1", "account": accounts})
    assert (name in driver.inputs_available()) == known
