"""Devices that print lines: the records of a GST panel, patterns of the configuration, and lines that are hostile."""

import time
from pathlib import Path
from typing import Any

import pytest

from agent.demo.hosts import Printer
from agent.driver import BadFrame
from drivers.text import Meaning, TextDevice
from tests.sims.rig import until
from tests.unit.drivers.test_panels import running

# The examples of the page that drivers/text.py names, as it prints them.
FIRE = bytes.fromhex(
    "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 34 0A 20 20 30 30 34 2D 30 30 34 0A 1B 39 CA D7 B4 CE BB F0 BE AF"
    "0A C8 B9 C2 A5 D2 BB B2 E3 C9 CF BF D5 0A B8 D0 D1 CC CC BD B2 E2 C6 F7 0A 0A"
)
MORE = bytes.fromhex(
    "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 31 0A 20 20 30 30 36 2D 30 30 37 0A 1B 39 BB F0 BE AF BA F3 D0 F8"
    "0A D6 D0 D1 CC C1 F9 B2 E3 BC C6 BB AE B2 BF 0A B8 D0 D1 CC CC BD B2 E2 C6 F7 0A 0A"
)
RESET = bytes.fromhex(
    "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 35 0A 20 20 0A 1B 39 CF B5 CD B3 B8 B4 CE BB 0A 0A"
)
UNKNOWN = "\x1b608/12/02  17:26\n  004-005\n\x1b9故障\n\n".encode("gb18030")


def device(**settings: Any) -> TextDevice:
    return TextDevice.model_validate({"port": "/dev/ttyS0", **settings})


def meaning(device: TextDevice, line: bytes) -> Meaning:
    found = device.reader().decode(line)
    assert isinstance(found, Meaning)
    return found


@pytest.mark.parametrize(
    ("record", "input", "place"), [(FIRE, "004-004", "裙楼一层上空"), (MORE, "006-007", "中烟六层计划部")]
)
def test_fires_of_a_gst_panel_are_understood(record: bytes, input: str, place: str) -> None:
    found = meaning(device(preset="gst"), record)
    assert (found.input, found.also, found.pattern.kind) == (input, ("fire",), "fire")
    assert (found.detail["place"], found.detail["detector"]) == (place, "感烟探测器")


def test_a_record_of_a_gst_panel_that_nobody_knows_is_told_in_its_words() -> None:
    found = meaning(device(preset="gst"), UNKNOWN)
    assert (found.input, found.pattern.value, found.detail["event"]) == ("other", "pulse", "故障")


async def test_a_gst_panel_from_fire_to_reset(tmp_path: Path) -> None:
    printer = Printer(tmp_path / "line")
    async with running(printer, device(port=str(printer.pty.link), preset="gst")) as link:
        printer.send(FIRE + MORE)
        await until(lambda: link.edges("006-007") == [True])
        printer.send(RESET)
        await until(lambda: link.edges("006-007") == [True, False])
        assert link.edges("004-004") == [True, False]
        assert not link.rejected


async def test_a_reset_also_releases_what_became_active_before_the_gateway_was_started(tmp_path: Path) -> None:
    printer = Printer(tmp_path / "line")
    async with running(printer, device(port=str(printer.pty.link), preset="gst")) as link:
        link.inputs = ("001-032", "fire")
        printer.send(RESET)
        await until(lambda: len(link.samples) == 2)
        assert {(sample.input, sample.value) for sample in link.samples} == {("001-032", False), ("fire", False)}


async def test_the_same_line_again_and_again_is_told_once_and_reported(tmp_path: Path) -> None:
    printer = Printer(tmp_path / "line")
    async with running(printer, device(port=str(printer.pty.link), preset="gst")) as link:
        printer.send(FIRE * 20)
        await until(lambda: len(link.rejected) == 12)
        assert len(link.samples) == 1


def test_a_damaged_character_does_not_hide_a_fire() -> None:
    assert meaning(device(preset="gst"), FIRE.replace(bytes.fromhex("C8 B9"), b"\xff\xff")).input == "004-004"


def test_patterns_name_inputs_by_their_groups_and_the_first_that_fits_counts() -> None:
    host = device(
        pattern=[
            {"match": r"防区(?P<zone>\d+)恢复", "input": "zone-{zone}", "value": False},
            {"match": r"防区(?P<zone>\d+)", "input": "zone-{zone}", "also": ["any"], "kind": "intrusion"},
        ],
        ignore=["^-+$"],
        heartbeat="巡检正常",
    )
    assert meaning(host, "防区12报警".encode("gb18030")).input == "zone-12"
    assert meaning(host, "防区12恢复".encode("gb18030")).pattern.value is False
    assert host.reader().decode(b"-----\r") is None
    assert host.reader().decode("巡检正常".encode("gb18030")) == "heartbeat"
    assert host.reader().decode(b" \r") is None
    with pytest.raises(BadFrame):
        host.reader().decode(b"what is this")


@pytest.mark.parametrize(
    "pattern",
    [
        {"match": "(", "input": "a"},
        {"match": "", "input": "a"},
        {"match": "x" * 401, "input": "a"},
        {"match": "x", "input": "zone-{zone}"},
        {"match": "x", "input": "zone-{"},
        {"match": "x", "input": "{0}"},
        {"match": "x"},
        {"match": "x", "input": "a", "clears": True},
        {"match": "x", "input": "a", "kind": "no-such-kind"},
    ],
)
def test_a_pattern_that_cannot_work_is_an_error_when_it_is_loaded(pattern: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        device(pattern=[pattern])


@pytest.mark.parametrize("match", [r"(a+)+$", r"(?:a|aa)+$", r"(\w*)*!", r"(a?){400}a{400}b"])
def test_an_expression_that_finds_no_end_is_given_up(match: str) -> None:
    reader = device(pattern=[{"match": match, "input": "x"}]).reader()
    began = time.monotonic()
    with pytest.raises(BadFrame):
        reader.decode(b"a" * 500 + b"b")
    assert time.monotonic() - began < 10.0, "it was to be given up after 50 ms"


def test_a_group_that_makes_no_name_is_a_bad_frame() -> None:
    reader = device(pattern=[{"match": "zone (?P<zone>.*)", "input": "{zone}"}]).reader()
    for line in (b"zone ", b"zone two words", b"zone " + b"x" * 100):
        with pytest.raises(BadFrame):
            reader.decode(line)


def test_only_a_device_with_a_heartbeat_is_supervised() -> None:
    assert device(preset="gst").silence_s() is None
    assert device(preset="gst", heartbeat="ok", heartbeat_every="20s").silence_s() == 60.0
