"""GPIO lines on a simulated chip: edges with the kernel's time, lost edges, outputs, and lines that cannot be had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.gpio import Gpio
from tests.sims.gpio import CHIP, Away, GpioChip
from tests.sims.rig import until

SETTINGS: dict[str, Any] = {"chip": CHIP, "inputs": [17], "outputs": [22]}


@asynccontextmanager
async def running(chip: GpioChip, **more: Any) -> AsyncIterator[Away]:
    away = Away("gpio", {**SETTINGS, **more}, chip.environment)
    yield away
    await away.end()


async def test_an_edge_has_the_time_at_which_the_kernel_saw_it(tmp_path: Path) -> None:
    chip = GpioChip(tmp_path)
    chip.plug()
    async with running(chip) as away:
        await until(lambda: away.link.edges(17) == [False])
        before_ns = away.link.clock.boottime_ns()
        chip.set(17, False)
        chip.set(17, True)
        after_ns = away.link.clock.boottime_ns()
        await until(lambda: away.link.edges(17) == [False, True, False])
        press, release = away.link.samples[1:]
        assert before_ns <= press.seen_ns <= release.seen_ns <= after_ns
    chip.unplug()


async def test_a_press_whose_edge_was_lost_is_seen_all_the_same(tmp_path: Path) -> None:
    chip = GpioChip(tmp_path)
    chip.plug()
    async with running(chip) as away:
        await until(lambda: away.link.edges(17) == [False])
        chip.loses_edges = True
        chip.set(17, False)
        await until(lambda: away.link.edges(17) == [False, True])
    chip.unplug()


async def test_an_output_is_set_and_confirmed(tmp_path: Path) -> None:
    chip = GpioChip(tmp_path)
    chip.set(22, False)
    chip.plug()
    async with running(chip) as away:
        await until(lambda: away.link.heard > 0)
        await away.want({22: True})
        await until(lambda: (22, True) in away.link.written)
        assert chip.value(22)
        await away.want({22: False})
        await until(lambda: (22, False) in away.link.written)
        assert not chip.value(22)
    chip.unplug()


async def test_lines_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    chip = GpioChip(tmp_path)
    async with running(chip) as away:
        await until(lambda: bool(away.link.errors))
        assert "there is no GPIO chip" in str(away.link.errors[0])
        chip.taken = True
        chip.plug()
        await until(lambda: "taken by another program" in str(away.link.errors[-1]))
        chip.taken = False
        await until(lambda: away.link.edges(17) == [False])
    chip.unplug()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "at least"),
        ({"inputs": [3, 3]}, "once"),
        ({"inputs": [3], "outputs": [3]}, "once"),
        ({"inputs": [-1]}, "once"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Gpio.model_validate(keys)
