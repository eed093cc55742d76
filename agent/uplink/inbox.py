"""What comes from the district: commands are checked in their order and run a few at a time, receipts are applied."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.journal import Journal
from agent.model import Receipt, Reply
from agent.texts import Text, say
from agent.uplink.commands import CommandDesk, Ready
from agent.uplink.extras import Extra
from agent.uplink.limits import Limits
from agent.uplink.mqtt import Connection
from agent.uplink.payloads import PAYLOAD_LIMIT, Malformed, parse_receipt, reply_bytes
from agent.uplink.topics import Topics
from agent.uplink.words import Incoming

log = logging.getLogger(__name__)

RECEIPTS: Final = 64
"""Receipts that wait for the journal. The oldest makes room: later ones cover what it did."""
REPLAY: Final = "replay"
"""Replays wait for one another, each for seconds; they have places of their own, or an acknowledgement would wait."""
CAMERA_VERBS: Final = frozenset(
    {"snapshot", "clip", "ptz", "inspect", "stream-start", "stream-stop", "patrol", "inventory"}
)
"""Verbs that may wait for a camera; they have places of their own, too."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message, and the connection on which it is acknowledged."""

    message: Incoming
    connection: Connection


class Inbox:
    """Takes every incoming message. `publish` sends a reply; `on_receipt` hears what each receipt did."""

    def __init__(
        self, desk: CommandDesk, journal: Journal, topics: Topics, limits: Limits, publish: Callable[[Extra], None]
    ) -> None:
        self._desk = desk
        self._journal = journal
        self._topics = topics
        self._limits = limits
        self._publish = publish
        self.on_receipt: Callable[[int, Text | None], None] = lambda _covered, _disagrees: None
        self._commands: deque[_Taken] = deque()
        self._receipts: deque[_Taken] = deque()
        self._command_news, self._receipt_news = asyncio.Event(), asyncio.Event()
        self._workers = asyncio.Semaphore(limits.command_workers)
        self._replays = asyncio.Semaphore(limits.command_queue)
        self._cameras = asyncio.Semaphore(limits.camera_workers)

    def take(self, connection: Connection, message: Incoming) -> None:
        """Take a message off the wire. Never waits; what finds no room is answered at once."""
        taken = _Taken(message, connection)
        if message.topic == self._topics.receipt:
            if len(self._receipts) >= RECEIPTS:
                oldest = self._receipts.popleft()
                oldest.connection.acknowledge(oldest.message)
            self._receipts.append(taken)
            self._receipt_news.set()
        elif self._topics.verb(message.topic) is None:
            connection.acknowledge(message)
            return
        elif len(self._commands) >= self._limits.command_queue:
            self._turn_away(taken)
        else:
            self._commands.append(taken)
            self._command_news.set()

    def _turn_away(self, taken: _Taken) -> None:
        taken.connection.acknowledge(taken.message)
        if reply := self._desk.busy(taken.message.payload):
            self._answer(taken.message, reply)

    async def run(self) -> None:
        """Work until cancelled. Raises JournalError."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_receipts())
            while True:
                while not self._commands:
                    self._command_news.clear()
                    await self._command_news.wait()
                verb = self._topics.verb(self._commands[0].message.topic) or ""
                slots = self._slots(verb)
                if slots is not self._workers and slots.locked():
                    self._turn_away(self._commands.popleft())
                    continue
                await slots.acquire()
                taken = self._commands.popleft()
                message = taken.message
                ready = await self._desk.prepare(message.payload, verb, retain=message.retain)
                taken.connection.acknowledge(message)  # claimed or refused, and durable: it need not come again
                if isinstance(ready, Ready):
                    group.create_task(self._execute(message, ready, slots))
                    continue
                slots.release()
                if ready is not None:
                    self._answer(message, ready)

    def _slots(self, verb: str) -> asyncio.Semaphore:
        """The places for a verb; where others than the common ones are taken, the sender is told to try again."""
        if verb == REPLAY:
            return self._replays
        return self._cameras if verb in CAMERA_VERBS else self._workers

    async def _execute(self, message: Incoming, ready: Ready, slots: asyncio.Semaphore) -> None:
        try:
            self._answer(message, await self._desk.execute(ready))
        finally:
            slots.release()

    async def _take_receipts(self) -> None:
        while True:
            await self._receipt_news.wait()
            self._receipt_news.clear()
            while self._receipts:
                taken = self._receipts.popleft()
                await self._apply(taken.message)
                taken.connection.acknowledge(taken.message)

    async def _apply(self, message: Incoming) -> None:
        if message.retain:
            self.on_receipt(0, say("uplink.receipt-retained"))
            return
        if len(message.payload) > PAYLOAD_LIMIT:
            text = say("uplink.receipt-oversized", size=len(message.payload), limit=PAYLOAD_LIMIT)
            self.on_receipt(0, text)
            return
        try:
            receipt, journal = parse_receipt(message.payload)
        except Malformed as error:
            self.on_receipt(0, say("uplink.receipt-malformed", problem=error.text))
            return
        await self._take(receipt, journal)

    async def _take(self, receipt: Receipt, journal: str | None) -> None:
        outcome = await self._journal.take_receipt(receipt, journal)
        self.on_receipt(outcome.covered, outcome.disagrees)

    def _answer(self, message: Incoming, reply: Reply) -> None:
        payload = reply_bytes(reply)
        topic = self._topics.reply(reply.id)
        self._publish(Extra(topic, payload, correlation=message.correlation, sticky=True))
        if message.response_topic is None or message.response_topic == topic:
            return
        if self._topics.answerable(message.response_topic):
            self._publish(Extra(message.response_topic, payload, correlation=message.correlation, sticky=True))
        else:
            log.warning(say("uplink.response-topic", topic=message.response_topic[:200]))
