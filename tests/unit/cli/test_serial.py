"""`campus-agent serial`: on a pty with simulated modules in a process of their own."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bus.ports import PortInfo
from agent.cli.help import UsageProblem
from agent.cli.serial import maker, parse_units, state
from agent.cli.serial_listen import Burst
from agent.cli.serial_scan import line_settings, reply, request
from agent.driver import BadFrame
from tests.unit.cli.conftest import Run, has_chinese


class Wire:
    """The other end of a serial port."""

    def __init__(self, link: Path) -> None:
        self.link = str(link)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.demo.module", "--link", self.link, "--units", "1,3", "--inputs", "12"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.ready = json.loads(self._process.stdout.readline())

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    wire = Wire(tmp_path_factory.mktemp("wire") / "tty")
    yield wire
    wire.close()


def test_a_scan_finds_the_modules_and_prints_configuration_for_them(run: Run, wire: Wire) -> None:
    ran = run("serial", "scan", wire.link, "--units", "1-4")
    assert ran.code == 0
    assert has_chinese(ran.out)
    found = tomllib.loads(ran.out[ran.out.index("[[bus]]") :])
    assert found["bus"] == [{"id": "rs485-1", "port": wire.link, "baudrate": 9600}]
    assert [(d["unit"], d["inputs"], d["outputs"]) for d in found["device"]] == [(1, 12, 8), (3, 12, 8)]
    assert {d["driver"] for d in found["device"]} == {"modbus-io"}


def test_a_scan_in_json_is_for_programs(run: Run, wire: Wire) -> None:
    ran = run("serial", "scan", wire.link, "--units", "3", "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["units"] == [{"unit": 3, "function": "discrete", "inputs": 12, "outputs": 8}]
    assert (found["baudrate"], found["parity"]) == (9600, "N")


def test_a_scan_that_finds_nobody_says_what_to_check(run: Run, wire: Wire) -> None:
    ran = run("serial", "scan", wire.link, "--units", "9", "--baudrate", "9600", "--lang", "en")
    assert ran.code == 1
    assert "--units" in ran.err


def test_listening_shows_bytes_with_gaps(run: Run, wire: Wire) -> None:
    timers = [Timer(delay_s, wire.tell, ["inject bbf0beaf"]) for delay_s in (0.3, 0.6)]
    for timer in timers:
        timer.start()
    ran = run("serial", "listen", wire.link, "--seconds", "1.5", "--json")
    for timer in timers:
        timer.join()
    assert ran.code == 0
    bursts = [json.loads(line) for line in ran.out.splitlines()]
    assert [burst["hex"] for burst in bursts] == ["bbf0beaf"] * 2
    assert bursts[0]["text"] == "火警"
    assert bursts[1]["gap_s"] > 0


def test_listening_to_silence_is_a_problem_and_says_what_to_do(run: Run, wire: Wire) -> None:
    ran = run("serial", "listen", wire.link, "--seconds", "0.2")
    assert ran.code == 1
    assert "serial scan" in ran.err


def test_a_missing_port_is_a_problem_that_names_it(run: Run) -> None:
    ran = run("serial", "listen", "/dev/ttyNone")
    assert ran.code == 1
    assert "/dev/ttyNone" in ran.err
    assert has_chinese(ran.err)


def test_the_list_is_there_in_both_forms(run: Run) -> None:
    assert run("serial", "list").code == 0
    assert isinstance(json.loads(run("serial", "list", "--json").out), list)


def test_units_are_ranges_and_lists() -> None:
    assert parse_units("1-3") == [1, 2, 3]
    assert parse_units("1, 5,7-8,7") == [1, 5, 7, 8]


@pytest.mark.parametrize("text", ["", "0", "248", "1-999999999999", "a", "1-", "-3", "5-3", "1,,2", "٣"])
def test_units_that_are_none_are_wrong_usage(text: str) -> None:
    with pytest.raises(UsageProblem):
        parse_units(text)


def test_a_network_port_has_one_setting() -> None:
    assert len(list(line_settings("socket://host:1", (9600, 19200), ("N", "E")))) == 1
    assert len(list(line_settings("rfc2217://host:1", (9600, 19200), ("N", "E")))) == 4


def test_the_request_of_a_scan_is_as_makers_print_it() -> None:
    assert request(255, 2, 8) == bytes.fromhex("FF 02 00 00 00 08 6C 12")
    assert reply(bytes.fromhex("FF 02 01 01 51 A0"), 255, 2) == 1


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_a_bad_frame(data: bytes) -> None:
    try:
        reply(data, 1, 2)
    except BadFrame as error:
        assert error.got == data  # noqa: PT017 - both outcomes are right


def test_the_state_of_a_port_says_who_has_it_or_how_to_get_it() -> None:
    info = PortInfo("/dev/ttyUSB0", "/dev/ttyUSB0", "FTDI", "FT232R", None, "0403:6001", "dialout", False, None)
    assert maker(info) == "FTDI FT232R [0403:6001]"
    assert "dialout" in str(state(info))


def test_text_of_chinese_panels_is_shown() -> None:
    assert Burst(0, 0, bytes.fromhex("BB F0 BE AF")).text == "火警"
    assert Burst(0, 0, b"OK\r\n\x00").text == "OK..."
