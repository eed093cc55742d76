"""The path to an alarm centre, against receivers that answer well, badly, late or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.clock import SimClock, SystemClock
from agent.demo.processes import free_port
from agent.driver import NoticeWhat, PathError, Secret
from drivers.dc09 import Dc09
from drivers.dc09_dialler import REPORT_S, Dc09Dialler, DiallerSession
from tests.sims.paths import RecordedPathLink, notice
from tests.sims.receiver import Receiver
from tests.sims.rig import RecordedLink, supervise

KEY = bytes(range(16))
NEVER_S = 3.0
"""How long an answer is waited for that will not come, where another one must not be missed on a busy machine."""


class LateClock(SystemClock):
    """Our clock, an hour behind."""

    def wall(self) -> datetime:
        return super().wall() - timedelta(hours=1)


def dialler(*receivers: str, **more: Any) -> Dc09Dialler:
    values = {"receivers": receivers, "account": "12ab56", "key": Secret.parse(KEY.hex()), "reply_timeout_s": 5.0}
    return Dc09Dialler(**(values | more))


def quick(*receivers: str, **more: Any) -> Dc09Dialler:
    """For receivers that will not answer."""
    return dialler(*receivers, attempts=2, **more).model_copy(update={"reply_timeout_s": 0.05})


async def opened(settings: Dc09Dialler, link: RecordedPathLink) -> DiallerSession:
    session = await settings.open(link)
    assert isinstance(session, DiallerSession)
    return session


@asynccontextmanager
async def receivers(count: int = 1, key: bytes | None = KEY) -> AsyncIterator[list[Receiver]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Receiver(key)) for _ in range(count)]


@pytest.mark.parametrize("way", ["tcp", "udp"])
@pytest.mark.parametrize("key", [KEY, bytes(32), None], ids=["aes-128", "aes-256", "plain"])
async def test_a_panic_is_1120_of_its_account_partition_and_zone(way: str, key: bytes | None) -> None:
    async with receivers(key=key) as (centre,):
        address = centre.tcp if way == "tcp" else centre.udp
        session = await opened(dialler(address, key=Secret.parse(key.hex()) if key else None), RecordedPathLink())
        taken = await session.send(notice())
    (heard,) = centre.heard
    assert (heard.id, heard.sequence, heard.account, heard.data) == ("ADM-CID", "0001", "12AB56", "#12AB56|1120 01 005")
    assert heard.encrypted is (key is not None)
    assert heard.time is not None
    assert abs(datetime.now(UTC) - heard.time) < timedelta(minutes=10)
    assert taken.by == address


@pytest.mark.parametrize(
    ("what", "kind", "adm", "sia"),
    [
        ("alarm", "duress", "1121 01 005", "Nri01/HA005"),
        ("alarm", "gas", "1151 01 005", "Nri01/GA005"),
        ("ended", "panic", "3120 01 005", "Nri01/PR005"),
        ("test", "panel-test", "1602 01 005", "Nri01/RP005"),
        ("alarm", "something-new", "1140 01 005", "Nri01/UA005"),
    ],
)
async def test_each_kind_has_its_code_in_both_formats(what: NoticeWhat, kind: str, adm: str, sia: str) -> None:
    async with receivers() as (centre,):
        for format_ in ("adm-cid", "sia-dcs"):
            session = await opened(dialler(centre.tcp, format=format_), RecordedPathLink())
            await session.send(notice(what=what, kind=kind))
    assert [(heard.id, heard.data) for heard in centre.heard] == [
        ("ADM-CID", f"#12AB56|{adm}"),
        ("SIA-DCS", f"#12AB56|{sia}"),
    ]


async def test_other_codes_may_be_agreed_on() -> None:
    async with receivers() as (centre,):
        session = await opened(dialler(centre.tcp, codes={"panic": "122"}), RecordedPathLink())
        await session.send(notice())
    assert centre.heard[0].data == "#12AB56|1122 01 005"


async def test_numbers_go_up_are_kept_over_a_restart_and_a_repeat_has_its_own_again() -> None:
    async with receivers() as (centre,):
        link = RecordedPathLink()
        link.values["sequence"] = "9998 earlier"
        for id_ in ("a", "b", "b", "c"):
            session = await opened(dialler(centre.tcp), link)  # each one a process of its own
            await session.send(notice(id=id_))
    assert [heard.sequence for heard in centre.heard] == ["9999", "0001", "0001", "0002"]


async def test_what_is_not_answered_is_repeated_with_the_same_number() -> None:
    async with receivers() as (centre,):
        centre.habit = "silent"
        session = await opened(quick(centre.tcp), RecordedPathLink())
        with pytest.raises(PathError) as caught:
            await session.send(notice())
    assert caught.value.text.key == "dialler.silent"
    assert [heard.sequence for heard in centre.heard] == ["0001", "0001"]


async def test_a_dead_receiver_is_passed_over_and_returned_to_when_its_time_has_come() -> None:
    clock = SimClock(datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=8))))
    async with receivers(2) as (first, second):
        link = RecordedPathLink(clock)
        session = await opened(dialler(first.tcp, second.tcp, return_after_s=300.0), link)
        await session.send(notice(id="a"))
        await first.stop()
        await session.send(notice(id="b"))
        assert [heard.data for heard in second.heard] == ["#12AB56|1120 01 005"]
        assert link.values["active"] == "1"
        await first.start()
        condition = await session.probe()
        assert condition.facts == {"receiver": second.tcp, "role": "backup"}
        clock.tick(301)
        condition = await session.probe()
        assert condition.facts["role"] == "primary"
        assert link.keys.count("dialler.on-primary") == 1


async def test_an_alarm_does_not_wait_for_a_dead_primary_while_the_backup_serves() -> None:
    clock = SimClock(datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=8))))
    async with receivers(2) as (first, second):
        link = RecordedPathLink(clock)
        link.values["active"] = "1"
        session = await opened(dialler(first.tcp, second.tcp, return_after_s=300.0), link)
        clock.tick(301)
        await session.send(notice())
        assert (len(first.heard), len(second.heard)) == (0, 1)


def test_times_with_which_the_backup_would_never_be_reached_are_refused() -> None:
    for more in ({"reply_timeout_s": 60.0}, {"attempts": 10, "reply_timeout_s": 5.0}):
        with pytest.raises(ValidationError, match="until the last receiver has had its turn"):
            dialler("tcp://a:1", "tcp://b:1", **more)
    assert dialler("tcp://a:1", "tcp://b:1", "tcp://c:1", "tcp://d:1").attempts == 3


async def test_a_restart_begins_with_the_receiver_that_served_last() -> None:
    async with receivers(2) as (first, second):
        link = RecordedPathLink()
        link.values["active"] = "1"
        session = await opened(dialler(first.tcp, second.tcp), link)
        await session.send(notice())
        assert (len(first.heard), len(second.heard)) == (0, 1)
        link.values["active"] = "7"  # of a configuration with more receivers
        session = await opened(dialler(first.tcp, second.tcp), link)
        await session.send(notice())
        assert len(first.heard) == 1


@pytest.mark.parametrize(
    ("habit", "key"),
    [
        ("silent", "dialler.silent"),
        ("duh", "dialler.duh"),
        ("cut", "dialler.hung-up"),
        ("wrong-sequence", "dialler.silent"),
        ("nak", "dialler.nak"),
    ],
)
async def test_a_receiver_that_does_not_acknowledge_is_an_error_and_the_backup_s_turn(habit: Any, key: str) -> None:
    never = habit in ("silent", "wrong-sequence")
    async with receivers(2) as (bad, good):
        bad.habit = habit
        alone = quick(bad.tcp) if never else dialler(bad.tcp, attempts=2)
        with pytest.raises(PathError) as caught:
            await (await opened(alone, RecordedPathLink())).send(notice())
        assert caught.value.text.key == key
        both = dialler(bad.tcp, good.tcp, attempts=1, reply_timeout_s=NEVER_S if never else 5.0)
        session = await opened(both, RecordedPathLink())
        taken = await session.send(notice())
        assert taken.by == good.tcp
        assert len(good.heard) == 1


@pytest.mark.parametrize("habit", ["noise", "byte-by-byte"])
async def test_noise_before_an_answer_and_an_answer_in_pieces_do_no_harm(habit: Any) -> None:
    async with receivers() as (centre,):
        centre.habit = habit
        await (await opened(dialler(centre.tcp), RecordedPathLink())).send(notice())
        assert len(centre.heard) == 1


async def test_after_a_nak_the_time_is_told_by_the_receiver_s_clock() -> None:
    async with receivers() as (centre,):
        centre.habit = "nak"
        answer = centre.answer

        def once(raw: bytes) -> bytes | None:
            said = answer(raw)
            centre.habit = "ack"
            return said

        centre.answer = once  # type: ignore[method-assign]  # the peer changes its mind, not our code
        link = RecordedPathLink(LateClock("Asia/Shanghai"))
        session = await opened(dialler(centre.tcp), link)
        await session.send(notice())
        before, after = [heard.time for heard in centre.heard]
        assert before is not None
        assert after is not None
        assert after - before > timedelta(minutes=50)
        assert [heard.sequence for heard in centre.heard] == ["0001", "0001"]
        assert "dialler.nak" in link.keys


async def test_a_poll_makes_no_event() -> None:
    async with receivers() as (centre,):
        condition = await (await opened(dialler(centre.udp), RecordedPathLink())).probe()
    assert [(heard.id, heard.data) for heard in centre.heard] == [("NULL", "")]
    assert condition.facts["role"] == "primary"


async def test_all_dead_names_the_first_and_the_last() -> None:
    async with receivers(2) as (first, second):
        await first.stop()
        second.habit = "duh"
        with pytest.raises(PathError) as caught:
            await (await opened(dialler(first.tcp, second.tcp), RecordedPathLink())).send(notice())
        await first.start()
    text = caught.value.text.render("zh-CN")
    assert text.startswith("2 台接警机都没有收下：连不上")
    assert "DUH" in text


async def test_an_answer_in_another_key_is_no_answer() -> None:
    async with receivers(key=bytes(16)) as (centre,):
        link = RecordedPathLink()
        centre.habit = "ack"
        centre._read = lambda raw: notice_as_heard(raw)  # type: ignore[method-assign]  # it cannot read us either
        with pytest.raises(PathError):
            await (await opened(dialler(centre.tcp, attempts=1, reply_timeout_s=NEVER_S), link)).send(notice())
        assert "dialler.unreadable" in link.keys


def notice_as_heard(raw: bytes) -> Any:
    from tests.sims.receiver import Heard

    return Heard("ADM-CID", "0001", "12AB56", "", None, True, raw)


async def test_a_bad_key_and_a_bad_address_are_told_without_showing_the_key() -> None:
    for bad in ("00", "x" * 32, "ab" * 17):
        with pytest.raises(PathError) as caught:
            await dialler("tcp://127.0.0.1:1", key=Secret.parse(bad)).open(RecordedPathLink())
        assert bad not in repr(caught.value)
    for address in ("127.0.0.1:1", "http://x:1", "tcp://x", "tcp://x:99999", "tcp://u@x:1", "tcp://x:1/y"):
        with pytest.raises(ValueError, match="receivers"):
            dialler(address)


def test_polls_come_three_times_within_the_time_of_a_category() -> None:
    for category, report_s in REPORT_S.items():
        watch = dialler("tcp://x:1", category=category).supervision()
        assert watch.report_s == report_s
        assert watch.interval_s <= report_s / 3
    assert dialler("tcp://x:1", interval_s=20.0).supervision().interval_s == 20.0


async def test_a_send_that_is_cut_off_leaves_no_connection() -> None:
    async with receivers() as (centre,):
        centre.habit = "silent"
        session = await opened(dialler(centre.tcp), RecordedPathLink())
        sending = asyncio.ensure_future(session.send(notice()))
        while not centre.heard:  # noqa: ASYNC110 - the peer has no event for it
            await asyncio.sleep(0.005)
        sending.cancel()
        await asyncio.wait([sending])
        async with asyncio.timeout(30):
            while centre._writers:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)


@given(st.binary(max_size=120))
@settings(max_examples=40)
async def test_whatever_a_receiver_says_is_an_answer_or_an_error(said: bytes) -> None:
    async def say_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(say_it, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    session = await opened(dialler(f"tcp://127.0.0.1:{port}", attempts=1), RecordedPathLink())
    with pytest.raises(PathError):
        await session.send(notice())
    server.close()


async def test_our_own_receiver_takes_what_our_dialler_sends() -> None:
    port = free_port()
    accounts = ({"account": "12AB56", "key": KEY.hex()},)
    driver = Dc09.model_validate({"listen": f"127.0.0.1:{port}", "account": accounts, "transport": "both"})
    heard = RecordedLink(SystemClock("Asia/Shanghai"), None)
    serving = asyncio.create_task(supervise(driver, heard))
    try:
        for way in ("tcp", "udp"):
            for format_ in ("adm-cid", "sia-dcs"):
                link = RecordedPathLink()
                link.values["sequence"] = f"{100 * len(heard.samples)} earlier"
                address = f"{way}://127.0.0.1:{port}"
                session = await opened(dialler(address, format=format_, return_after_s=10.0), link)
                async with asyncio.timeout(30):
                    while True:  # until it listens
                        try:
                            await session.probe()
                        except PathError:
                            await asyncio.sleep(0.05)
                        else:
                            break
                before = len(heard.samples)
                await session.send(notice())
                assert [(one.kind, one.value) for one in heard.samples[before:]] == [("panic", True)]
                await session.send(notice(id="end", what="ended"))
                assert heard.samples[-1].value is False
    finally:
        serving.cancel()
        await asyncio.wait([serving])
