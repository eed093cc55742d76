"""The path by short messages, against a modem on a pty."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.demo.modem import Habits, SimModem
from agent.driver import NS_PER_S, PathError, PathSession, PathSite, Secret
from drivers.sms import Sms
from tests.sims.paths import RecordedPathLink, notice

NUMBERS = "13800138000 # 校长\n+86 139-0013-9000, 13700137000"
LONG = "门卫室一键报警：" + "一键报警触发" * 20


def path(folder: Path, **more: Any) -> Sms:
    values = {"port": str(folder / "modem"), "recipients": Secret.parse(NUMBERS), "report_wait_s": 5.0}
    return Sms(**(values | more))


@asynccontextmanager
async def talking(
    folder: Path, habits: Habits | None = None, link: RecordedPathLink | None = None, **more: Any
) -> AsyncIterator[tuple[SimModem, PathSession]]:
    async with SimModem(folder / "modem", habits) as modem:
        session = await path(folder, **more).open(link or RecordedPathLink())
        try:
            yield modem, session
        finally:
            await session.close()


async def why(folder: Path, habits: Habits, **more: Any) -> str:
    """Why it cannot even be opened."""
    with pytest.raises(PathError) as caught:
        async with talking(folder, habits, **more):
            pass
    return caught.value.text.key


@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(chatter=True),
        Habits(stores_reports=True),
        Habits(registered=5, echo=False),
    ],
    ids=["plain", "chatter", "stored-reports", "roaming"],
)
async def test_everybody_gets_the_alarm_in_chinese_and_the_phones_confirm(tmp_path: Path, habits: Habits) -> None:
    async with talking(tmp_path, habits) as (modem, session):
        taken = await session.send(notice())
    text = "【兖州区实验小学】门卫室一键报警：一键报警触发 11-23 08:00:05"
    assert modem.texts == [("13800138000", text), ("+8613900139000", text), ("13700137000", text)]
    assert taken.text.args == {"taken": 3, "count": 3, "confirmed": 3}


async def test_a_long_text_arrives_as_one(tmp_path: Path) -> None:
    async with talking(tmp_path, recipients=Secret.parse("13800138000")) as (modem, session):
        await session.send(notice(text=LONG))
        await session.send(notice(text=LONG + "！"))
    assert [text.count("触发") for _, text in modem.texts] == [20, 20]
    assert len(modem.sent) == 6


async def test_an_english_site_sends_in_the_basic_alphabet(tmp_path: Path) -> None:
    link = RecordedPathLink(site=PathSite("370812", "sy-primary", "Shiyan Primary", "en"))
    async with talking(tmp_path, link=link, recipients=Secret.parse("13800138000")) as (modem, session):
        await session.send(notice(text="Gatehouse: panic button raised"))
    assert modem.sent[0].text.endswith("Shiyan Primary\x1b> Gatehouse: panic button raised, 11-23 08:00:05")


async def test_a_number_that_is_refused_holds_nobody_up_and_is_told_masked(tmp_path: Path) -> None:
    link = RecordedPathLink()
    async with talking(tmp_path, Habits(refuses={"13800138000": 38}), link) as (modem, session):
        taken = await session.send(notice())
    assert len(modem.sent) == 2
    assert taken.text.key == "sms.taken-partly"
    assert taken.text.args["lost"] == "***8000"
    assert "13800138000" not in repr([taken, *link.steps])


class SlowNetwork(SystemClock):
    """A minute passes with every look."""

    looks = 0

    def boottime_ns(self) -> int:
        self.looks += 1
        return super().boottime_ns() + self.looks * 60 * NS_PER_S


async def test_where_sending_takes_too_long_those_who_have_it_do_not_get_it_again(tmp_path: Path) -> None:
    link = RecordedPathLink(SlowNetwork("Asia/Shanghai"))
    async with talking(tmp_path, link=link, report_wait_s=0.0) as (modem, session):
        taken = await session.send(notice())
    assert [number for number, _ in modem.texts] == ["13800138000", "+8613900139000"]
    assert taken.text.key == "sms.taken-partly"
    assert taken.text.args["lost"] == "***7000"


async def test_when_nobody_can_be_reached_it_is_an_error(tmp_path: Path) -> None:
    refuses = {"13800138000": 38, "+8613900139000": 38, "13700137000": 38}
    async with talking(tmp_path, Habits(refuses=refuses)) as (_, session):
        with pytest.raises(PathError) as caught:
            await session.send(notice())
    assert caught.value.text.args["code"] == "38"


async def test_phones_that_the_network_gives_up_are_no_delivery(tmp_path: Path) -> None:
    lost = ("13800138000", "+8613900139000", "13700137000")
    async with talking(tmp_path, Habits(failed_numbers=lost[:1])) as (_, session):
        taken = await session.send(notice())
        assert taken.text.args["confirmed"] == 2
    async with talking(tmp_path, Habits(failed_numbers=lost)) as (_, session):
        with pytest.raises(PathError, match="no phone"):
            await session.send(notice())


async def test_without_reports_the_network_s_word_is_enough(tmp_path: Path) -> None:
    async with talking(tmp_path, Habits(reports=False), report_wait_s=0.1) as (_, session):
        taken = await session.send(notice())
        assert taken.text.args == {"taken": 3, "count": 3, "confirmed": 0}
    async with talking(tmp_path, report_wait_s=0.0) as (modem, session):
        await session.send(notice())
    assert not any(part.wants_report for part in modem.sent)


async def test_a_probe_tells_signal_and_registration(tmp_path: Path) -> None:
    async with talking(tmp_path, Habits(signal=5)) as (modem, session):
        condition = await session.probe()
        assert condition.facts == {"maker": "ACME", "model": "SIM-1", "firmware": "1.0", "signal": "weak"}
        modem.habits.registered = 3
        with pytest.raises(PathError, match="not registered"):
            await session.probe()
        with pytest.raises(PathError, match="not registered"):
            await session.send(notice())


async def test_what_keeps_a_modem_from_working_is_named(tmp_path: Path) -> None:
    assert await why(tmp_path, Habits(no_sim=True)) == "sms.no-sim"
    assert await why(tmp_path, Habits(pin="1234")) == "sms.pin-needed"
    assert await why(tmp_path, Habits(), recipients=Secret.parse("12345abc")) == "sms.bad-number"
    assert await why(tmp_path, Habits(), recipients=Secret.parse("# nobody")) == "sms.recipients"


async def test_a_wrong_pin_is_tried_once_and_never_again(tmp_path: Path) -> None:
    link = RecordedPathLink()
    async with SimModem(tmp_path / "modem", Habits(pin="1234")) as modem:
        for _ in range(3):
            with pytest.raises(PathError) as caught:
                await path(tmp_path, pin=Secret.parse("9999")).open(link)
            assert caught.value.text.key == "sms.pin-refused"
        assert modem.pin_tries == 1
        session = await path(tmp_path, pin=Secret.parse("1234")).open(link)
        await session.close()
    assert "1234" not in repr(link.steps)


async def test_a_modem_that_answers_nothing_is_told_within_seconds(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("drivers.sms.AWAKE_S", 0.05)
    assert await why(tmp_path, Habits(silent=True)) == "sms.no-modem"


async def test_no_port_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="modem"):
        await path(tmp_path).open(RecordedPathLink())


async def test_a_modem_that_hangs_in_the_prompt_is_an_error_and_is_woken_by_the_next_try(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("drivers.sms.SUBMIT_S", 0.1)
    async with SimModem(tmp_path / "modem", Habits(dies_in_prompt=True)) as modem:
        session = await path(tmp_path).open(RecordedPathLink())
        with pytest.raises(PathError) as caught:
            await session.send(notice())
        assert caught.value.text.key == "sms.at-silent"
        await session.close()
        monkeypatch.undo()
        modem.habits.silent = modem.habits.dies_in_prompt = False
        session = await path(tmp_path).open(RecordedPathLink())
        await session.send(notice())
        await session.close()
    assert len(modem.texts) == 3


async def test_a_send_that_is_cut_off_gives_the_port_back(tmp_path: Path) -> None:
    async with talking(tmp_path, Habits(dies_in_prompt=True)) as (modem, session):
        sending = asyncio.ensure_future(session.send(notice()))
        await asyncio.sleep(0.05)
        sending.cancel()
        await asyncio.wait([sending])
        await session.close()
        modem.habits.silent = modem.habits.dies_in_prompt = False
        again = await path(tmp_path).open(RecordedPathLink())
        await again.close()
