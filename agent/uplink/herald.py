"""The retained `status` message: birth, heartbeat, will, and the last word of a clean end (DESIGN 6)."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from ulid import ULID

from agent.clock import Clock
from agent.journal import Journal
from agent.model import Lane
from agent.uplink.extras import Extra, nobody
from agent.uplink.payloads import Due, StatusMessage, rfc3339
from agent.uplink.topics import Topics

State = Literal["online", "offline"]


class Herald:
    """Tells the district that this school is there. `on_answer` hears what brokers say to each status."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        topics: Topics,
        publish: Callable[[Extra], None],
        *,
        version: str,
        started: datetime,
    ) -> None:
        self.session = str(ULID.from_datetime(started))
        self.on_answer: Callable[[int], None] = lambda _code: None
        self.drill: Callable[[], bool] = lambda: False
        """Whether a drill goes on."""
        self.told_drill = False
        self._journal = journal
        self._clock = clock
        self._topics = topics
        self._publish = publish
        self._version = version
        self._started = started

    def will(self) -> tuple[str, bytes]:
        """Topic and payload that the broker publishes when we are gone without a word."""
        return self._topics.status, self._payload("offline")

    def tell(self, state: State, done: Callable[[int | None], None] = nobody) -> None:
        """Publish the status. `done` gets the reason code of its acknowledgement, None if there was none."""

        def answered(code: int | None) -> None:
            if code is not None:
                self.on_answer(code)
            done(code)

        self._publish(Extra(self._topics.status, self._payload(state), retain=True, done=answered))

    async def tell_offline(self) -> None:
        """Publish that we leave; return when the broker has it, or the connection is gone."""
        told = asyncio.Event()
        self.tell("offline", lambda _code: told.set())
        await told.wait()

    async def ping_ms(self) -> float | None:
        """Publish a heartbeat and return the milliseconds to its acknowledgement; None if the connection ended."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int | None] = loop.create_future()
        began = loop.time()
        self.tell("online", lambda code: None if answer.done() else answer.set_result(code))
        return None if await answer is None else (loop.time() - began) * 1000

    def _payload(self, state: State) -> bytes:
        counts = self._journal.due_counts()
        self.told_drill = self.drill()
        head = self._journal.head
        message = StatusMessage(
            state=state,
            session=self.session,
            journal=self._journal.id,
            seq=head.seq,
            hash=head.hash,
            due=Due(alarm=counts[Lane.ALARM], fault=counts[Lane.FAULT], event=counts[Lane.EVENT]),
            oldest_due=self._journal.oldest_due(),
            version=self._version,
            clock=self._clock.quality(),
            started=rfc3339(self._started),
            drill=self.told_drill,
        )
        return message.model_dump_json().encode()
