"""A hand on a button of the simulated modules: it holds until the button has been looked at, however busy this machine
is."""

import asyncio
from typing import Final

from agent.demo.module import Modules

HELD_S: Final = 0.15
"""Four times the slowest look."""
LOOKED_AT: Final = 3
"""Polls that make a press or a release certain: a release counts when it has lasted from one look to a later one."""
WAIT_S: Final = 30.0


async def press_and_release(modules: Modules, unit: int, number: int) -> None:
    """Press a button and let it go, each for long enough to be seen."""
    modules.press(unit, number)
    await seen(modules, unit)
    modules.release(unit, number)
    await seen(modules, unit)


async def seen(modules: Modules, unit: int) -> None:
    """Wait until the agent has had a look at a module as it is now."""
    polls = modules.units[unit].polls
    await asyncio.sleep(HELD_S)
    async with asyncio.timeout(WAIT_S):
        while modules.units[unit].polls < polls + LOOKED_AT:  # noqa: ASYNC110 - a line announces nothing
            await asyncio.sleep(0.01)
