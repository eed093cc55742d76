"""What has been handed to the writer and is not answered: the bound of its queue, and the age of the oldest."""

import asyncio
from collections import deque
from typing import Final

from agent.journal.jobs import Job

WAITING_LIMIT: Final = 2_048
"""Jobs of the event lane in hand: 100 ms of writing."""
URGENT_LIMIT: Final = 8_192
"""Alarms and faults pass the event lane's bound; this one only guards the memory against a mad source."""


class Gate:
    """Bounded. Loop side only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: dict[Job, int] = {}
        self._outside: deque[tuple[bool, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def full(self, urgent: bool) -> bool:
        """Tell whether one more must wait."""
        return len(self._jobs) >= (URGENT_LIMIT if urgent else WAITING_LIMIT)

    async def enter(self, urgent: bool) -> None:
        """Wait until there is room for one more."""
        while self.full(urgent):
            ticket: asyncio.Future[None] = self._loop.create_future()
            self._outside.append((urgent, ticket))
            await ticket

    def add(self, job: Job, born_ns: int) -> None:
        self._jobs[job] = born_ns

    def remove(self, job: Job) -> None:
        self._jobs.pop(job, None)

    def open(self) -> None:
        """Let in as many as there is room for; those who find none queue again."""
        room = URGENT_LIMIT - len(self._jobs)
        while self._outside and room > 0:
            urgent, ticket = self._outside[0]
            if not urgent and len(self._jobs) >= WAITING_LIMIT:
                break
            self._outside.popleft()
            if not ticket.done():
                ticket.set_result(None)
                room -= 1
                if not urgent and room <= URGENT_LIMIT - WAITING_LIMIT:
                    break

    def empty(self) -> list[Job]:
        """Give up: return what is in hand, and let everybody in who waits, to hear why."""
        jobs = list(self._jobs)
        self._jobs.clear()
        for _, ticket in self._outside:
            if not ticket.done():
                ticket.set_result(None)
        self._outside.clear()
        return jobs

    def oldest_ns(self) -> int | None:
        """When the oldest job in hand was put there."""
        return next(iter(self._jobs.values()), None)
