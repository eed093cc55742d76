"""Buttons and lamps on a serial line: the driver, the bus and a port, with simulated modules at the other end."""

import asyncio
import random
import socket
from pathlib import Path

import pytest

from agent.driver import NoReply
from drivers.modbus_io import ModbusIo
from tests.sims.rfc2217 import Rfc2217Server
from tests.sims.rig import Rig, until

POLL_S = 0.05


QUICK_S = 0.1


def quick(unit: int, **fields: object) -> ModbusIo:
    """A module that is given up early, to keep tests short."""
    return ModbusIo.model_validate({"unit": unit, "reply_timeout_s": QUICK_S, **fields})


def patient(unit: int, **fields: object) -> ModbusIo:
    """A module that is waited for, also when this machine does something else meanwhile."""
    return ModbusIo.model_validate({"unit": unit, "reply_timeout_s": 1.0, **fields})


async def test_a_press_of_one_poll_interval_is_never_missed(tmp_path: Path) -> None:
    presses = 60
    jitter = random.Random(1)
    async with Rig(tmp_path, [1, 2, 3, 4]) as rig:
        links = [rig.add(patient(unit)) for unit in rig.modules.units]
        await until(lambda: all(link.samples for link in links))
        unit = rig.modules.units[4]
        seen = tries = 0
        while seen < presses and tries < 10 * presses:
            tries += 1
            await asyncio.sleep(jitter.uniform(0, POLL_S))
            polls = unit.polls
            rig.modules.press(4, 5)
            await asyncio.sleep(POLL_S)
            rig.modules.release(4, 5)
            seen += unit.polls > polls  # a machine that stood still meanwhile proves nothing about the driver
            await until(lambda polls=polls: links[3].edges(5)[-1] is False and unit.polls > polls + 1)  # type: ignore[misc]  # bound early
        assert links[3].edges(5) == [False] + [True, False] * seen
        assert seen == presses


async def test_panic_units_are_looked_at_first_in_every_round(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2, 3]) as rig:
        order: list[int] = []
        for unit, rank in ((1, 30), (2, 10), (3, 20)):
            module = rig.modules.units[unit]
            link = rig.add(patient(unit), rank=rank)
            del link
            module.inputs = Watched(module.inputs, order, unit)
        await until(lambda: len(order) > 30)
        start = order.index(2)
        assert order[start : start + 21] == [2, 3, 1] * 7


class Watched(list[bool]):
    """Inputs that note when they are read."""

    def __init__(self, values: list[bool], log: list[int], unit: int) -> None:
        super().__init__(values)
        self._log = log
        self._unit = unit

    def __getitem__(self, key):  # type: ignore[no-untyped-def]  # overloads of list, of no interest here
        self._log.append(self._unit)
        return super().__getitem__(key)


async def test_a_dead_unit_costs_the_others_its_probes_and_nothing_else(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2]) as rig:
        good, dead = rig.add(quick(1), rank=2), rig.add(quick(2), rank=1)
        await until(lambda: bool(good.samples and dead.samples))
        rig.modules.units[2].faults.dead = True
        await until(lambda: len(dead.errors) >= 4)
        assert all(isinstance(error, NoReply) for error in dead.errors)
        timeouts = rig.bus.stats().timeouts
        assert timeouts <= 3 + len(dead.errors), "three misses in a row, then one probe for each start"
        polls = rig.modules.units[1].polls
        await until(lambda: rig.modules.units[1].polls > polls + 5)
        assert not good.errors
        rig.modules.press(2, 0)
        rig.modules.units[2].faults.dead = False
        await until(lambda: dead.edges(0)[-1] is True)


async def test_a_single_missed_reply_is_no_failure(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(quick(1))
        faults = rig.modules.units[1].faults
        await until(lambda: bool(link.samples))
        for _ in range(3):
            missed = rig.bus.stats().timeouts
            faults.dead = True
            await until(lambda missed=missed: rig.bus.stats().timeouts > missed)  # type: ignore[misc]  # bound early
            faults.dead = False
            heard = link.heard
            await until(lambda heard=heard: link.heard > heard + 2)  # type: ignore[misc]  # bound early
        assert link.starts == 1


async def test_unplugging_is_an_error_and_replugging_brings_everything_back(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2]) as rig:
        links = [rig.add(patient(1, outputs=8)), rig.add(patient(2))]
        links[0].desired = {3: True}
        await until(lambda: all(link.samples for link in links) and (1, 3, True) in rig.coils)
        rig.modules.unplug()
        await until(lambda: all(link.errors for link in links))
        assert links[0].errors[0].text.key == "bus.port-lost"
        await until(lambda: any(error.text.key == "bus.no-such-port" for error in links[0].errors))
        assert not rig.bus.stats().open
        reopened = asyncio.create_task(rig.bus.wait_opened())
        rig.modules.press(1, 7)
        rig.modules.units[1].power_cycle()
        rig.coils.clear()
        rig.modules.plug()
        await reopened
        await until(lambda: links[0].edges(7)[-1] is True)
        await until(lambda: (1, 3, True) in rig.coils, "outputs are written anew")


async def test_a_disk_that_stands_still_stops_no_button(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2]) as rig:
        stuck, good = rig.add(patient(1)), rig.add(patient(2))
        await until(lambda: bool(stuck.samples and good.samples))
        stuck.disk_works.clear()
        rig.modules.press(1, 0)
        await until(lambda: stuck.emitting == 2)
        rig.modules.press(2, 0)
        await until(lambda: good.edges(0) == [False, True])
        polls = rig.modules.units[1].polls
        rig.modules.release(1, 0)
        await until(lambda: rig.modules.units[1].polls > polls + 1)
        rig.modules.press(1, 0)
        polls = rig.modules.units[1].polls
        await until(lambda: rig.modules.units[1].polls > polls + 1)
        stuck.disk_works.set()
        await until(lambda: stuck.edges(0) == [False, True, False, True], "every change, in order")


async def test_a_press_that_was_seen_is_handed_over_before_the_driver_ends(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1), name="unit")
        await until(lambda: bool(link.samples))
        link.disk_works.clear()
        rig.modules.press(1, 0)
        await until(lambda: link.emitting == 2)
        asyncio.get_running_loop().call_later(0.05, link.disk_works.set)
        await rig.stop("unit")
        assert link.edges(0) == [False, True]


async def test_outputs_follow_and_others_are_left_alone(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        module = rig.modules.units[1]
        module.coils[7] = True
        link = rig.add(patient(1, outputs=8))
        await until(lambda: bool(link.samples))
        link.desired = {0: True, 1: True, 4: True}
        await until(lambda: set(link.written) == {(0, True), (1, True), (4, True)})
        assert module.coils == [True, True, False, False, True, False, False, True]
        link.desired = {0: False, 1: True, 4: True}
        await until(lambda: link.written[-1] == (0, False))
        assert len(link.written) == 4
        assert module.coils == [False, True, False, False, True, False, False, True]


async def test_coils_that_a_module_lost_are_set_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.modbus_io.REFRESH_S", 0.2)
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1, outputs=8))
        link.desired = {2: True, 3: False}
        await until(lambda: len(link.written) == 2)
        rig.modules.units[1].power_cycle()
        await until(lambda: rig.modules.units[1].coils[2])
        assert link.written[2:] == [(2, True)], "the other one was right"


async def test_coils_are_set_again_after_a_missed_reply(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(quick(1, outputs=8))
        link.desired = {2: True}
        await until(lambda: len(link.written) == 1)
        rig.modules.units[1].faults.dead = True
        missed = rig.bus.stats().timeouts
        await until(lambda: rig.bus.stats().timeouts > missed)
        rig.modules.units[1].power_cycle()
        rig.modules.units[1].faults.dead = False
        await until(lambda: rig.modules.units[1].coils[2])


@pytest.mark.parametrize("trouble", ["refused", "ignored"])
async def test_an_output_that_cannot_be_written_does_not_stop_the_buttons(tmp_path: Path, trouble: str) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1, outputs=16))
        rig.modules.units[1].faults.ignores_writes = trouble == "ignored"
        link.desired = {12: True}
        await until(lambda: len(link.rejected) >= 2)
        assert "confirm" in str(link.rejected[0][1])
        rig.modules.press(1, 0)
        await until(lambda: link.edges(0) == [False, True])
        assert not link.errors
        assert link.written == []


async def test_a_module_that_has_fewer_inputs_says_what_to_check(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1, inputs=16))
        await until(lambda: bool(link.errors))
        assert "FC02" in str(link.errors[0])
        assert "first_input" in link.errors[0].text.render("zh-CN")


async def test_inputs_can_be_coils(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1, function="coil"))
        await until(lambda: link.edges(0) == [False])
        rig.modules.units[1].coils[0] = True
        await until(lambda: link.edges(0) == [False, True])


@pytest.mark.parametrize("fault", ["wrong_crc", "answers_as", "keep", "garbage"])
async def test_no_fault_on_the_wire_makes_a_false_sample(tmp_path: Path, fault: str) -> None:
    values = {"wrong_crc": True, "answers_as": 9, "keep": 4, "garbage": b"\x01\x02\x01\xff\x00\x00"}
    async with Rig(tmp_path) as rig:
        link = rig.add(quick(1))
        await until(lambda: bool(link.samples))
        seen = len(link.samples)
        rig.modules.press(1, 0)
        faults = rig.modules.units[1].faults
        setattr(faults, fault, values[fault])
        if fault == "answers_as":  # then unit 1 says nothing
            await until(lambda: len(link.errors) >= 2)
        else:
            await until(lambda: len(link.rejected) >= 2)
        assert len(link.samples) == seen
        rig.modules.units[1].faults = type(faults)()
        await until(lambda: link.edges(0)[-1] is True)
        stats = rig.bus.stats()
        assert stats.bad_frames + stats.timeouts >= 2


@pytest.mark.parametrize(
    ("fault", "value"), [("wrong_crc", True), ("keep", 4), ("garbage", b"\x01\x02\x01\xff\x00\x00")]
)
async def test_a_module_that_is_garbled_for_long_is_asked_in_every_round(
    tmp_path: Path, fault: str, value: object
) -> None:
    async with Rig(tmp_path, [1, 2]) as rig:
        link, other = rig.add(quick(1)), rig.add(quick(2))
        await until(lambda: bool(link.samples and other.samples))
        faults = rig.modules.units[1].faults
        setattr(faults, fault, value)
        heard = other.heard
        await until(lambda: len(link.rejected) >= 12 and other.heard >= heard + 12)
        assert "12" in link.rejected[11][1].text.render("en"), "how many in a row is told"
        rig.modules.press(1, 0)
        rig.modules.units[1].faults = type(faults)()
        await until(lambda: link.edges(0) == [False, True])
        assert link.samples[-1].previous_ns is not None, "it was never given up"
        assert link.starts == 1
        assert not link.errors


async def test_a_module_that_is_garbled_from_its_start_on_is_not_given_up_either(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.modules.units[1].faults.wrong_crc = True
        link = rig.add(quick(1))
        await until(lambda: len(link.rejected) >= 5)
        assert link.heard == 0, "nothing valid came: to the agent it is not alive"
        assert link.starts == 1


async def test_a_module_that_falls_silent_after_garbling_is_given_up(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        faults = rig.modules.units[1].faults
        faults.wrong_crc = True
        link = rig.add(quick(1))
        await until(lambda: len(link.rejected) >= 2)
        faults.dead = True
        await until(lambda: bool(link.errors))
        assert link.errors[0].text.key == "bus.no-reply"


async def test_glitches_on_the_line_of_a_dead_module_are_no_sign_of_life(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(quick(1))
        await until(lambda: bool(link.samples))
        faults = rig.modules.units[1].faults
        faults.garbage, faults.keep = b"\x00\xff", 0
        await until(lambda: len(link.errors) >= 2)
        assert not link.rejected


async def test_replies_that_come_byte_by_byte_are_whole(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.modules.units[1].faults.byte_gap_s = 0.003
        link = rig.add(patient(1))
        rig.modules.press(1, 0)
        await until(lambda: link.edges(0) == [True] and link.heard > 3)
        assert not link.errors


async def test_the_late_reply_of_one_unit_is_not_taken_for_anothers(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2]) as rig:
        slow, good = rig.add(quick(1), rank=1), rig.add(patient(2), rank=2)
        await until(lambda: bool(slow.samples and good.samples))
        rig.modules.press(1, 0)
        rig.modules.units[1].faults.delay_s = (
            QUICK_S + 0.012
        )  # just after its time is over: in the other unit's exchange
        rig.modules.units[2].faults.delay_s = 0.005
        await until(lambda: len(slow.errors) >= 10)
        assert good.edges(0) == [False]
        assert not good.errors


async def test_noise_between_frames_is_counted_and_harmless(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        link = rig.add(patient(1))
        await until(lambda: bool(link.samples))
        for _ in range(20):
            rig.modules.inject(b"\x55\xaa\x00")
            await asyncio.sleep(0.005)
        await until(lambda: rig.bus.stats().stray_bytes > 0)
        assert {sample.value for sample in link.samples} == {False}
        assert link.starts == 1


async def test_statistics_tell_what_the_line_did(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2], line_time=True, baudrate=115200) as rig:
        links = [rig.add(patient(unit)) for unit in (1, 2)]
        await until(lambda: rig.bus.stats().rounds >= 5)
        stats = rig.bus.stats()
        assert stats.open
        assert stats.opens == 1
        assert stats.exchanges >= 10
        assert stats.bytes_out >= 8 * stats.exchanges
        assert stats.bytes_in >= 6 * stats.exchanges
        assert 2.0 < stats.round_ms_p50 <= stats.round_ms_max, "14 bytes and a turn-around, twice, take 8 ms"
        assert stats.timeouts == stats.bad_frames == 0
        assert links


async def test_a_timed_line_at_9600_baud_is_polled_as_fast_as_it_goes(tmp_path: Path) -> None:
    async with Rig(tmp_path, [1, 2, 3, 4], line_time=True) as rig:
        links = [rig.add(patient(unit)) for unit in rig.modules.units]
        await until(lambda: rig.bus.stats().rounds >= 5)
        assert rig.bus.stats().round_ms_p50 >= 4 * 14 / 0.96
        assert not any(link.errors for link in links)


async def test_a_serial_server_over_tcp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    async with Rig(tmp_path, port=f"socket://localhost:{number}") as rig:
        link = rig.add(patient(1, outputs=8))
        await until(lambda: any(error.text.key == "bus.refused" for error in link.errors))
        await rig.modules.listen(port=number)
        link.desired = {0: True}
        await until(lambda: (1, 0, True) in rig.coils)
        rig.modules.hang_up()
        await until(lambda: any(error.text.key == "bus.connection-lost" for error in link.errors))
        rig.modules.press(1, 0)
        await until(lambda: link.edges(0)[-1] is True)


async def test_a_serial_server_with_rfc2217(tmp_path: Path) -> None:
    async with Rig(tmp_path) as wires:
        with Rfc2217Server(wires.modules.link) as server:
            async with Rig(tmp_path / "other", port=server.url, baudrate=19200) as rig:
                link = rig.add(patient(1, outputs=8))
                link.desired = {0: True}
                await until(lambda: link.edges(0) == [False] and (1, 0, True) in wires.coils)
                assert 19200 in server.baudrates
                wires.modules.press(1, 0)
                await until(lambda: link.edges(0) == [False, True])
                server.hang_up()
                await until(lambda: any(error.text.key == "bus.connection-lost" for error in link.errors))
                wires.modules.release(1, 0)
                await until(lambda: link.edges(0)[-1] is False)


async def test_a_transparent_server_is_no_rfc2217_server(tmp_path: Path) -> None:
    async with Rig(tmp_path) as wires:
        number = await wires.modules.listen()
        async with Rig(tmp_path / "other", port=f"rfc2217://127.0.0.1:{number}?timeout=0.2") as rig:
            link = rig.add(patient(1))
            await until(lambda: bool(link.errors))
            assert f"socket://127.0.0.1:{number}" in link.errors[0].text.render("zh-CN")
