"""The console's heartbeat: the core starts it anew when it hears none (agent.runtime.child)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from agent.clock import Clock
from agent.control import ControlClient, ControlError, DaemonDown

BEAT_EVERY_S: Final = 2.0
"""Sent by the loop that serves the pages: one that hangs sends none. The core waits for fifteen of them."""


async def beat(connect: Callable[[], ControlClient], clock: Clock) -> None:
    """Say that we live, until cancelled. A core that is away hears it when it is back."""
    while True:
        with suppress(DaemonDown, ControlError, OSError, ValueError):
            async with connect() as client:
                while True:
                    await client.call("console-alive")
                    await clock.sleep(BEAT_EVERY_S)
        await clock.sleep(BEAT_EVERY_S)
