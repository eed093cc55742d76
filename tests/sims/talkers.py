"""Devices that speak by themselves, in touch with their drivers, for the contract suite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from agent.clock import SystemClock
from agent.demo.hosts import Talker
from agent.driver import Driver
from tests.contract.peers import Talk
from tests.sims.rig import RecordedLink, supervise


@asynccontextmanager
async def talk(talker: Talker, driver: Driver, change: Callable[[bool], None]) -> AsyncIterator[Talk]:
    """A driver of a device that speaks by itself; what a person does while nothing is heard is done again later."""
    tasks: list[asyncio.Task[None]] = []
    undone: list[bool] = []

    def start() -> RecordedLink:
        link = RecordedLink(SystemClock("Asia/Shanghai"), None)
        tasks.append(asyncio.create_task(supervise(driver, link)))
        return link

    async def end() -> None:
        while tasks:
            task = tasks.pop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def do(on: bool) -> None:
        if talker.silent:
            undone.append(on)
        else:
            change(on)

    def speak() -> None:
        talker.silent = False
        while undone:
            change(undone.pop(0))

    def garbage(data: bytes) -> None:
        talker.garbage = data
        talker.send(b"")

    try:
        yield Talk(
            start=start,
            end=end,
            silence=lambda: setattr(talker, "silent", True),
            speak=speak,
            unplug=talker.pty.unplug,
            garbage=garbage,
            change=do,
        )
    finally:
        await end()
