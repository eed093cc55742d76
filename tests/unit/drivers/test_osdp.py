"""Doors, cards and frames of OSDP, and a reader at the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import osdp  # type: ignore[import-untyped]  # it has none
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import NS_PER_S, SystemClock
from agent.demo.reader import CardReader
from agent.driver import BadFrame, DeviceError
from drivers import osdp as osdp_driver
from drivers.osdp import Osdp
from drivers.osdp.cards import CardList, card_number, find, parse_cards
from drivers.osdp.door import Door, DoorState
from drivers.osdp.frames import Scanner, checksum, crc16, decode
from tests.sims.rig import RecordedLink, supervise, until

KEY = bytes(range(16))
CARD = (bytes.fromhex("55AA0140"), 26)
NUMBER = card_number(*CARD)


def packet(body: bytes, *, crc: bool = True) -> bytes:
    length = 5 + len(body) + (2 if crc else 1)
    head = bytes((0x53, 0x80)) + length.to_bytes(2, "little") + bytes((0x04 if crc else 0x00,)) + body
    return head + (crc16(head).to_bytes(2, "little") if crc else bytes((checksum(head),)))


# --- frames


def test_what_the_library_says_is_a_packet() -> None:
    said: list[bytes] = []

    class Ear:
        id = 0

        def read(self, _max_bytes: int) -> bytes:
            return b""

        def write(self, data: bytes) -> int:
            said.append(bytes(data))
            return len(data)

        def flush(self) -> None:
            """Nothing is held back."""

    panel = osdp.ControlPanel([osdp.PDInfo(1, Ear())], log_level=osdp.LogLevel.Emergency)
    panel.ctx.refresh()
    panel.ctx.refresh()
    packets, errors = Scanner().feed(b"".join(said))
    assert packets
    assert not errors


@pytest.mark.parametrize("crc", [True, False])
def test_damage_is_found(crc: bool) -> None:
    good = packet(b"\x40", crc=crc)
    assert decode(good) == good
    for place in range(1, len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 0x10
        with pytest.raises(BadFrame):
            decode(bytes(damaged))


@given(noise=st.lists(st.binary(max_size=6).filter(lambda b: b"\x53" not in b), min_size=3, max_size=3))
def test_packets_are_found_between_noise(noise: list[bytes]) -> None:
    first, second = packet(b"\x40"), packet(b"\x45\x01\x02", crc=False)
    packets, errors = Scanner().feed(noise[0] + first + noise[1] + second + noise[2])
    assert packets == [first, second]
    heard = b"".join(error.got for error in errors)
    assert heard == b"".join(noise).replace(b"\xff", b"")


def test_a_damaged_length_hides_no_packet_behind_it() -> None:
    scanner = Scanner()
    packets, errors = scanner.feed(bytes.fromhex("5380FF0004") + packet(b"\x40") * 60)
    packets += scanner.feed(packet(b"\x40"))[0]
    assert len(packets) >= 2
    assert errors


# --- cards


@pytest.mark.parametrize(
    ("data", "bits", "number"),
    [
        ("80000040", 26, "0"),  # only the parity bits
        ("00000080", 26, "1"),
        ("7FFFFFC0", 26, "16777215"),
        ("01234567", 32, "01234567"),
        ("ABC0", 12, "ABC"),
        ("AB", 99, "AB"),  # a length that is none
    ],
)
def test_numbers_are_as_people_write_them(data: str, bits: int, number: str) -> None:
    assert card_number(bytes.fromhex(data), bits) == number


@given(data=st.binary(max_size=16), bits=st.integers(-5, 200))
def test_any_card_has_a_number(data: bytes, bits: int) -> None:
    assert card_number(data, bits).isalnum() or not data


def test_a_list_says_who_opens_what() -> None:
    cards = parse_cards("# number,name,readers\n\n0012345,张老师\n777 , 李师傅 , store gate\nAB01,,\n")
    assert [(card.number, card.name) for card in cards.values()] == [
        ("12345", "张老师"),
        ("777", "李师傅"),
        ("AB01", ""),
    ]
    teacher, worker = find(cards, "12345"), find(cards, "0777")
    assert teacher is not None
    assert worker is not None
    assert teacher.opens("gate")
    assert worker.opens("store")
    assert not worker.opens("office")


@pytest.mark.parametrize("text", ["12-34,张", "1,2,3,4", "x" * 40])
def test_a_wrong_line_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^2: "):
        parse_cards(f"1,张\n{text}\n")


def test_a_list_as_spreadsheets_in_china_save_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    path.write_bytes("1,张老师,gate\r22,李老师\r".encode("gb18030"))
    assert [card.name for card in CardList(str(path)).cards().values()] == ["张老师", "李老师"]


def test_a_list_that_is_spoilt_while_it_is_used_keeps_the_doors_working(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    cards = CardList(str(path))
    with pytest.raises(DeviceError, match=r"cards\.csv"):
        cards.cards()
    path.write_text("\ufeff1,张\n", encoding="utf-8")
    assert list(cards.cards()) == ["1"]
    path.write_text("no list at all", encoding="utf-8")
    assert list(cards.cards()) == ["1"]
    path.write_text('"' + "1" * 200_000, encoding="utf-8")  # more than csv takes
    assert list(cards.cards()) == ["1"]
    path.write_text("1,张\n22,李\n", encoding="utf-8")
    assert list(cards.cards()) == ["1", "22"]
    path.unlink()
    assert list(cards.cards()) == ["1", "22"]


# --- doors


class Times:
    def __init__(self, held_after_s: float = 30.0) -> None:
        self.door = Door(held_after_s)
        self.now_s = 100.0

    def go(self, seconds: float) -> DoorState:
        self.now_s += seconds
        return self.door.tick(round(self.now_s * NS_PER_S))

    def contact(self, is_open: bool) -> DoorState:
        return self.door.contact(is_open, round(self.now_s * NS_PER_S))

    def allow(self) -> None:
        self.door.allow(round(self.now_s * NS_PER_S))


def test_an_opening_without_a_card_is_forced_until_it_is_closed() -> None:
    times = Times()
    times.contact(False)
    assert times.contact(True) == DoorState(open=True, forced=True)
    assert times.go(5).forced
    assert times.contact(False) == DoorState()


def test_an_opening_after_a_card_is_not() -> None:
    times = Times()
    times.contact(False)
    times.allow()
    times.go(9)
    assert times.contact(True) == DoorState(open=True)


def test_one_card_is_for_one_opening_and_not_for_ever() -> None:
    times = Times()
    times.contact(False)
    times.allow()
    times.contact(True)
    times.contact(False)
    assert times.contact(True).forced
    times.contact(False)
    times.allow()
    times.go(11)
    assert times.contact(True).forced


def test_a_door_held_open_is_told() -> None:
    times = Times(held_after_s=30)
    times.contact(False)
    times.allow()
    times.contact(True)
    assert not times.go(29).held
    assert times.go(2).held
    assert times.contact(True).held
    assert times.contact(False) == DoorState()


def test_a_door_that_stood_open_at_the_start_was_forced_by_nobody() -> None:
    assert not Times().contact(True).forced


# --- at the wire


@asynccontextmanager
async def running(
    folder: Path, *, key: bytes | None = None, ours: bytes | None = None
) -> AsyncIterator[tuple[CardReader, RecordedLink]]:
    port, cards = folder / "osdp", folder / "cards.csv"
    cards.write_text(f"{NUMBER},张老师\n", encoding="utf-8")
    reader: dict[str, Any] = {
        "id": "store",
        "address": 1,
        "door_input": 0,
        "exit_input": 1,
        "unlock_output": 0,
        "unlock": "3s",
    }
    if ours:
        reader["key"] = ours.hex()
    driver = Osdp.model_validate({"port": str(port), "cards": str(cards), "reader": [reader]})
    async with CardReader(port, key=key) as sim:
        link = RecordedLink(SystemClock("Asia/Shanghai"), None)
        task = asyncio.create_task(supervise(driver, link))
        yield sim, link
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_known_card_opens_and_an_unknown_one_does_not(tmp_path: Path) -> None:
    async with running(tmp_path) as (reader, link):
        await until(lambda: link.edges("store/lost") == [False])
        reader.card(*CARD)
        await until(lambda: link.edges("store/granted") == [True, False])
        (granted,) = (sample for sample in link.samples if sample.input == "store/granted" and sample.value)
        assert granted.detail == {"card": NUMBER, "holder": "张老师"}
        await until(lambda: any(command["command"] == osdp.Command.Output for command in reader.commands))
        unlock = next(command for command in reader.commands if command["command"] == osdp.Command.Output)
        assert (unlock["output_no"], unlock["timer_count"]) == (0, 30)
        reader.card(bytes.fromhex("00000080"), 26)
        await until(lambda: link.edges("store/denied") == [True, False])
        (denied,) = (sample for sample in link.samples if sample.input == "store/denied" and sample.value)
        assert (denied.detail, denied.kind) == ({"card": "1"}, "door-denied")


async def test_a_door_is_forced_and_opened(tmp_path: Path) -> None:
    async with running(tmp_path) as (reader, link):
        await until(lambda: link.edges("store/lost") == [False])
        reader.inputs(0, 0, 0, 0)
        await until(lambda: link.edges("store/door") == [False])
        reader.inputs(1, 0, 0, 0)
        await until(lambda: link.edges("store/forced") == [False, True])
        reader.inputs(0, 0, 0, 0)
        await until(lambda: link.edges("store/forced") == [False, True, False])
        reader.inputs(0, 1, 0, 0)  # the button inside
        reader.inputs(1, 0, 0, 0)
        await until(lambda: link.edges("store/door") == [False, True, False, True])
        assert link.edges("store/forced") == [False, True, False]


async def test_the_first_word_of_a_door_is_a_change_unless_it_comes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osdp_driver, "FRESH_S", 0.1)
    async with running(tmp_path) as (reader, link):
        await until(lambda: link.edges("store/lost") == [False])
        online_ns = next(sample.seen_ns for sample in link.samples if sample.input == "store/lost")
        await until(lambda: link.clock.boottime_ns() - online_ns > 0.2 * NS_PER_S)
        reader.inputs(1, 0, 0, 0)
        await until(lambda: link.edges("store/forced") == [True])


async def test_a_secure_channel_is_spoken(tmp_path: Path) -> None:
    async with running(tmp_path, key=KEY, ours=KEY) as (reader, link):
        await until(lambda: link.edges("store/lost") == [False])
        reader.local(tamper=True)
        await until(lambda: link.edges("store/tamper") == [True])


async def test_a_reader_with_another_key_is_no_reader(tmp_path: Path) -> None:
    async with running(tmp_path, key=KEY, ours=bytes(16)) as (_, link):
        await until(lambda: link.edges("store/lost") == [True])


async def test_a_reader_that_goes_away_is_told_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (reader, link):
        await until(lambda: link.edges("store/lost") == [False])
        reader.silence()
        await until(lambda: link.edges("store/lost") == [False, True])
        reader.speak()
        await until(lambda: link.edges("store/lost") == [False, True, False])
        assert not link.errors


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"reader": [{"id": "a", "address": 1}, {"id": "a", "address": 2}]}, "own"),
        ({"reader": [{"id": "a", "address": 1}, {"id": "b", "address": 1}]}, "own"),
        ({"reader": [{"id": "a", "address": 1, "key": "1234"}]}, "hexadecimal"),
        ({"reader": []}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Osdp.model_validate({"port": "/dev/ttyUSB0", **keys})
