"""Sur-Gard receivers and hosts that print Contact ID: vectors, and their drivers against a simulated receiver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock, SimClock, SystemClock
from agent.demo.hosts import ContactIdHost, RadioReceiver, SurGardReceiver, Talker
from agent.driver import BadFrame, Driver
from drivers import ev1527, sur_gard
from drivers._contact_id import Report
from drivers.contact_id import ContactId
from drivers.ev1527 import Ev1527, Frame
from drivers.sur_gard import Heartbeat, OtherFormat, SurGard
from tests.sims.rig import RecordedLink, supervise, until

FRAMES = {
    # MLR2-E Installation Manual, section 9: the example, and its heartbeat as MLR2-DG writes it
    b"5011 181234E12101001": Report("1234", 1, "121", "01", "001"),
    b"1011           @    ": Heartbeat(),
    # computed: restore, status, digits for letters, six digits of account, a line of three characters (System III)
    b"5011 181234R13001003": Report("1234", 3, "130", "01", "003"),
    b"5011 181234P30100000": Report("1234", 6, "301", "00", "000"),
    b"5011 1812343E13001003": Report("12343", 1, "130", "01", "003"),
    b"501A 18123456313001003": Report("123456", 3, "130", "01", "003"),
    b"501001 18ABCDE15101002": Report("ABCD", 1, "151", "01", "002"),
    # the rest of one that was cut off before it
    b"5011 1812345011 181234E12101001": Report("1234", 1, "121", "01", "001"),
    # other formats of section 9
    b"3011    123456BA0001": OtherFormat("3", "3011    123456BA0001"),
    b"0011      0000  R    ": OtherFormat("0", "0011      0000  R"),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_sur_gard_frames_are_understood(frame: bytes) -> None:
    assert sur_gard.decode(frame) == FRAMES[frame]


@pytest.mark.parametrize(
    "frame",
    [b"", b"5011 181234X13001003", b"5011 18123E13001003", b"5011 181234E1300100", b"@", b"hello", b"\xff" * 40],
)
def test_others_are_bad(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        sur_gard.decode(frame)


@asynccontextmanager
async def running(talker: Talker, driver: Driver, clock: Clock | None = None) -> AsyncIterator[RecordedLink]:
    link = RecordedLink(clock or SystemClock("Asia/Shanghai"), None)
    async with talker:
        task = asyncio.create_task(supervise(driver, link))
        try:
            await until(lambda: link.heard > 0)
            yield link
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def receiver(folder: Path, **settings: Any) -> SurGardReceiver:
    return SurGardReceiver(folder / "line", **{"resend_s": 5.0, "heartbeat_s": 0.05, **settings})


def of(talker: Talker, **settings: Any) -> SurGard:
    return SurGard(port=str(talker.pty.link), **{"accounts": ("1234",), **settings})


async def test_a_report_is_acknowledged_when_it_is_durable_and_not_before(tmp_path: Path) -> None:
    line = receiver(tmp_path, heartbeat_s=60.0)
    async with running(line, of(line, heartbeat_s=0)) as link:
        link.disk_works.clear()
        line.report("1234", "E13001003")
        await until(lambda: link.emitting == 1)
        await asyncio.sleep(0.02)
        assert line.acks == 0
        link.disk_works.set()
        await until(lambda: line.acks == 1)
        assert link.edges("130/003") == [True]


async def test_glued_copies_are_one_event_each_and_every_copy_is_acknowledged(tmp_path: Path) -> None:
    line = receiver(tmp_path, heartbeat_s=60.0)
    async with running(line, of(line, heartbeat_s=0)) as link:
        first, second = (line.frame("1234", event) for event in ("E13001003", "E13001004"))
        line.send(first)
        await until(lambda: line.acks == 1)
        line.send(first + first + second + second + first)
        await until(lambda: line.acks == 6)
        assert [sample.input for sample in link.samples] == ["130/003", "130/004"]


async def test_a_copy_that_waited_too_long_for_the_disk_is_given_up_and_the_next_is_acknowledged(
    tmp_path: Path,
) -> None:
    line, clock = receiver(tmp_path, heartbeat_s=60.0), SimClock(datetime(2026, 11, 27, tzinfo=UTC))
    async with running(line, of(line, heartbeat_s=0), clock) as link:
        link.disk_works.clear()
        line.send(line.frame("1234", "E13001003"))
        await until(lambda: link.emitting == 1)
        clock.tick(4.5)  # the receiver has sent it again by now, and would take our answer for that to the copy
        link.disk_works.set()
        await until(lambda: link.edges("130/003") == [True])
        line.send(line.frame("1234", "E13001003"))
        await until(lambda: line.acks == 1)
        line.send(line.frame("1234", "E13001004"))
        await until(lambda: line.acks == 2)
        assert len(link.samples) == 2


async def test_a_format_that_is_not_contact_id_is_acknowledged_and_told_in_its_words(tmp_path: Path) -> None:
    line = receiver(tmp_path)
    async with running(line, of(line, heartbeat_s=0)) as link:
        line.put(b"3011    123456BA0001\x14")
        await until(lambda: bool(link.samples))
        await until(lambda: line.acks >= 1)
        told = link.samples[0]
        assert (told.input, told.kind, told.detail["text"]) == ("format-3", "panel-trouble", "3011    123456BA0001")


async def test_without_heartbeat_the_line_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sur_gard, "SLACK_S", 0.1)
    line = receiver(tmp_path, resend_s=0.05)
    async with running(line, of(line, heartbeat_s=0.05)) as link:
        await until(lambda: link.heard >= 3)
        line.silent = True
        await until(lambda: bool(link.errors))
        assert link.errors[0].text.key == "line.silent"
        line.silent = False
        heard = link.heard
        await until(lambda: link.heard > heard)


def test_how_long_a_receiver_may_be_silent_follows_from_its_heartbeat() -> None:
    assert SurGard(port="/dev/ttyS0", accounts=("1234",)).silence_s() == 95.0
    assert SurGard(port="/dev/ttyS0", accounts=("1234",), heartbeat_s=0).silence_s() is None


async def test_a_report_that_comes_again_and_again_is_reported_and_told_once(tmp_path: Path) -> None:
    line = receiver(tmp_path, heartbeat_s=60.0)
    async with running(line, of(line, heartbeat_s=0)) as link:
        for number in range(1, 51):
            line.send(line.frame("1234", "E13001003"))
            await until(lambda number=number: line.acks == number)  # type: ignore[misc]
        assert len(link.samples) == 1
        assert len(link.rejected) == 46
        assert link.rejected[0][1].text.key == "line.repeating"


async def test_a_host_without_spaces_is_understood_and_hears_its_own_acknowledgement(tmp_path: Path) -> None:
    host = ContactIdHost(tmp_path / "line", resend_s=5.0, spaced=False)
    driver = ContactId(port=str(host.pty.link), accounts=("1234",), ack="06")
    async with running(host, driver) as link:
        host.report("1234", "112001001")
        host.report("1234", "312001001")
        await until(lambda: link.edges("120/001") == [True, False])
        await until(lambda: host.acks == 2)


async def test_a_wrong_checksum_is_rejected_and_not_acknowledged(tmp_path: Path) -> None:
    host = ContactIdHost(tmp_path / "line", resend_s=5.0)
    async with running(host, ContactId(port=str(host.pty.link), accounts=("1234",))) as link:
        host.send(b"1234 18 1131 01 015 7\r\n")
        await until(lambda: len(link.rejected) == 1)
        host.report("1234", "113101015")
        await until(lambda: host.acks == 1)
        assert len(link.samples) == 1


async def test_the_repeats_of_a_radio_button_are_one_press(tmp_path: Path) -> None:
    radio, clock = RadioReceiver(tmp_path / "line"), SimClock(datetime(2026, 11, 27, tzinfo=UTC))
    async with running(radio, Ev1527(port=str(radio.pty.link), preset="lc"), clock) as link:
        radio.press("A1B2C", "1")
        await until(lambda: link.edges("A1B2C/1") == [True, False])
        radio.press("A1B2C", "4")
        await until(lambda: link.edges("A1B2C/4") == [True, False])
        clock.tick(1.5)
        radio.press("A1B2C", "1")
        await until(lambda: link.edges("A1B2C/1") == [True, False] * 2)
        assert link.samples[0].kind is None
        assert link.samples[0].also == ("A1B2C",)


def test_words_of_the_rf_bridge_are_understood() -> None:
    frame = bytes.fromhex("AA A4 24 E0 01 2C 03 84 D0 D0 D8 55")
    assert ev1527.decode(frame, ev1527.PRESETS["rf-bridge"]) == ("D0D0D", "8")


@pytest.mark.parametrize(
    ("frame", "needed"),
    [
        ({"code": "hex", "start": "LC:"}, 1),
        ({"code": "bytes", "start": "FD", "end": "DF"}, 2),
        ({"code": "bytes", "start": "AA A4", "skip": 6, "end": "55"}, 1),
    ],
)
def test_a_frame_that_noise_looks_like_must_come_twice(frame: dict[str, Any], needed: int) -> None:
    assert Ev1527(port="/dev/ttyS0", frame=Frame(**frame)).needed() == needed


@pytest.mark.parametrize("frame", [{"code": "bytes", "start": "LC"}, {"code": "hex", "start": "电"}, {"code": "hex"}])
def test_a_frame_that_cannot_be_found_is_an_error(frame: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Frame(**frame)


def test_a_receiver_has_a_preset_or_a_frame() -> None:
    for settings in ({}, {"preset": "lc", "frame": {"code": "hex", "start": "LC:"}}):
        with pytest.raises(ValueError, match=r"."):
            Ev1527.model_validate({"port": "/dev/ttyS0", **settings})
