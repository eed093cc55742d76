"""Outbox -> broker, over one connection after another.

Constraints. The journal is the only queue; here are its nearest pages, what is in flight, and nothing else. A fresh
alarm meets neither a backlog (its lane goes first, and places in the window are kept for it) nor a burst (the drain
is paced). A row that was refused, or that the broker cannot stand, blocks nothing behind it. Nothing is published
while no connection lives. `turn` publishes what can go now and never waits; everything that changes something calls
`wake`, which runs one turn on the loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

from agent.clock import NS_PER_S, Clock
from agent.journal import Journal, JournalError
from agent.model import Lane, Stored
from agent.texts import Text, say
from agent.uplink.extras import Extra, Extras
from agent.uplink.lanes import LaneQueue, Repeats, SeqSet, Suspects
from agent.uplink.limits import Limits
from agent.uplink.mqtt import Connection
from agent.uplink.resend import Replayer, Resender
from agent.uplink.topics import Topics
from agent.uplink.words import FAILURE, NOT_AUTHORISED, TOO_LARGE, Ended

Delivery = Literal["due", "stuck", "delivered"]

EVENTS: Final = "event"
"""The kind of the topics that rows go to."""
TEST_TYPE: Final = "campus.test.uplink"
"""The event of `test uplink`."""
EVENT_TYPE: Final = "application/cloudevents+json"
"""CloudEvents 1.0.2 JSON format 3; MQTT 5 carries it as the content type (CloudEvents MQTT binding 3.2)."""
HOUSEKEEPING_S: Final = 1.0
"""How often deadlines that nothing else wakes for are looked at."""
TURN_ROWS: Final = 8
"""Rows of a backlog that one turn of the loop publishes: half a millisecond. A fresh alarm passes through some six
turns on its way from the line to the socket, and must not wait for a whole window in each."""
PACE_S: Final = 0.001
"""The shortest nap of the loop: the pace is kept in steps of it."""


class Pump:
    """Publishes the journal's rows and the extras. One `serve` at a time."""

    def __init__(
        self, journal: Journal, topics: Topics, clock: Clock, limits: Limits, receipt_timeout_s: float
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._clock = clock
        self._limits = limits
        self.extras = Extras(limits.extras, limits.curves)
        self.on_change: Callable[[], None] = lambda: None
        self.on_refused: Callable[[Stored, Text], None] = lambda _row, _text: None
        self.last_turn_ns = clock.boottime_ns()
        self.quiet = False
        """Publish alarms only: somebody waits for everything else to be acknowledged."""
        self._lanes = {lane: LaneQueue(lane, limits.page) for lane in Lane}
        self._repeats = Repeats(limits.repeated_s, limits.held_rows)
        self._suspects = Suspects()
        self._sent = SeqSet()
        self._flight: dict[int, int] = {}
        self._cut: list[int] = []
        self._any_ack = self._refused_here = False
        self._denied: dict[str, int] = {}
        self._proven: set[str] = set()
        """Kinds of topics that this broker has let us publish to on this connection."""
        self._probe: str | None = None
        """The kind whose first message is on its way. Until its answer is here nothing of the backlog follows: a broker
        that closes on a denied topic (mosquitto 2.0) would answer what it has not read with a reset, and the reset
        takes the answer that names the culprit along."""
        self._acked: list[int] = []
        self._refused: list[tuple[int, int | None, str]] = []
        self._connection: Connection | None = None
        self._journal_id = journal.id
        self._turn_planned = False
        self._tokens = 0.0
        self._tokens_at = 0.0
        self._marks, self._mark_now = asyncio.Event(), asyncio.Event()
        self._read_wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.resender = Resender(journal, clock, limits, self._lanes, self._sent, self.wake, receipt_timeout_s)
        self.replayer = Replayer(journal, clock, limits, lambda: self._connection is not None, self.wake)
        journal.on_stored(self._on_stored)

    @property
    def suspicious(self) -> bool:
        """Whether a row is suspected of ending our connections."""
        return self._suspects.careful

    @property
    def refused_here(self) -> bool:
        """Whether the last connection had a message refused. mosquitto 2.0.11 closes the connection after that."""
        return self._refused_here

    def delivery(self, seq: int) -> Delivery:
        """How far event `seq` has come: for its lamp."""
        state = self._journal.delivery(seq)
        if state == "received" or (state == "acked" and not self.resender.expects_receipts):
            return "delivered"
        now_ns = self._clock.boottime_ns()
        if state == "refused" or self._connection is None or self.resender.awaiting.is_overdue(seq, now_ns):
            return "stuck"
        since_ns = self._flight.get(seq)
        overdue = since_ns is not None and now_ns - since_ns > self._limits.stuck_s * NS_PER_S
        return "stuck" if overdue else "due"

    def serves(self, connection: Connection) -> bool:
        """Whether rows go out on this connection now."""
        return self._connection is connection

    async def serve(self, connection: Connection) -> Ended:
        """Publish on `connection` until it ends; return why it did. Raises JournalError."""
        await self._flush_marks()
        self._begin(connection)
        try:
            async with asyncio.TaskGroup() as group:
                work = (self._read_pages(), self._mark(), self._housekeep(), self.resender.run())
                tasks = [group.create_task(job) for job in work]
                await asyncio.wait([connection.ended])
                for task in tasks:
                    task.cancel()
        except* JournalError as errors:
            raise errors.exceptions[0] from None
        finally:
            self._connection = None
            self.extras.connection_lost()
        ended = connection.ended.result()
        if self._any_ack or ended.blames_message:
            await self._convict(ended)
        await self._flush_marks()
        return ended

    async def drained(self, *, everything: bool) -> None:
        """Wait until no alarm is unpublished (or, with `everything`, nothing is in flight) on this connection."""
        while (connection := self._connection) is not None:
            busy = connection.in_flight if everything else await self._alarms_open()
            if not busy:
                return
            self.wake()
            await self._clock.sleep(0.02)

    def wake(self) -> None:
        """Plan a turn."""
        if not self._turn_planned and self._connection is not None:
            self._turn_planned = True
            asyncio.get_running_loop().call_soon(self._turn)

    # publishing

    def _begin(self, connection: Connection) -> None:
        self._restart()
        self._sent.clear()
        self._flight.clear()
        self._cut.clear()
        self._any_ack = self._refused_here = False
        self._proven.clear()
        self._probe = None
        self.replayer.rows.clear()
        self.quiet = False
        self._connection = connection
        self.last_turn_ns = self._clock.boottime_ns()
        self.resender.begin()
        self._read_wanted.set()
        self.wake()

    def _restart(self) -> None:
        for lane in self._lanes.values():
            lane.restart()
        self._repeats.restart()

    def _on_stored(self, rows: Sequence[Stored]) -> None:
        if self._journal.id != self._journal_id:  # the store fell back to memory: another chain, numbers begin again
            self._journal_id = self._journal.id
            self._restart()
            self._sent.clear()
            self._flight.clear()
            self._acked.clear()
            self._refused.clear()
            self.resender.awaiting.clear()
        if self._connection is None:
            return
        for row in rows:
            if not self._lanes[row.lane].offer(row):
                self._read_wanted.set()
        if any(row.lane == Lane.ALARM for row in rows):
            self._turn()  # at once: the loop may have other things to do first
        else:
            self.wake()

    def _turn(self) -> None:
        self._turn_planned = False
        connection = self._connection
        if connection is None or connection.ended.done():
            return
        self._send_alarms(connection)
        self._send_rest(connection)
        connection.flush()
        if any(lane.wants_page for lane in self._lanes.values()):
            self._read_wanted.set()

    def _send_alarms(self, connection: Connection) -> None:
        lane = self._lanes[Lane.ALARM]
        while self._row_fits_in(connection):
            now_ns = self._clock.boottime_ns()
            if lane.rows:
                row = lane.rows.popleft()
                if self._repeats.admit(row, now_ns):
                    self._publish(connection, row)
            elif (held := self._repeats.release(now_ns)) is not None:
                self._publish(connection, held)
            elif lane.again:
                self._publish(connection, lane.again.popleft())
            else:
                break
        if (next_ns := self._repeats.next_ns()) is not None:
            self._wake_in(max(PACE_S, (next_ns - self._clock.boottime_ns()) / NS_PER_S))

    def _send_rest(self, connection: Connection) -> None:
        reserve = self._limits.alarm_reserve
        while self._probe is None and connection.room(reserve) > 0 and (extra := self.extras.next_urgent()):
            self._publish_extra(connection, extra)
        if self.quiet:
            return
        for _ in range(TURN_ROWS):
            if self._probe is not None or connection.room(reserve) <= 0:
                return
            source = self._next_source(connection, reserve)
            if source is None:
                return
            if not self._take_token():
                self._wake_in(PACE_S)
                return
            source()
        self.wake()

    def _next_source(self, connection: Connection, reserve: int) -> Callable[[], None] | None:
        """What goes next of all that is paced: retained states, faults, events, repeats of both, replays, curves."""
        if self.extras:
            return partial(self._send_retained, connection)
        if not self._row_fits_in(connection, reserve):
            return None
        fault, event = self._lanes[Lane.FAULT], self._lanes[Lane.EVENT]
        for queue in (fault.rows, event.rows, fault.again, event.again, self.replayer.rows):
            if queue:
                return partial(self._send_from, connection, queue)
        return partial(self._send_curve, connection) if self.extras.curves else None

    def _send_curve(self, connection: Connection) -> None:
        """Measures go last, at QoS 0: nobody acknowledges them, and what is lost is a gap in a curve."""
        if (batch := self.extras.next_curve()) and connection.fits(*batch):
            connection.publish_unacknowledged(*batch, "application/json")

    def _send_retained(self, connection: Connection) -> None:
        if extra := self.extras.next_retained():
            self._publish_extra(connection, extra)

    def _send_from(self, connection: Connection, queue: deque[Stored]) -> None:
        self._publish(connection, queue.popleft())

    def _ask(self, kind: str) -> None:
        if kind not in self._proven:
            self._probe = kind

    def _told(self, kind: str, code: int) -> None:
        """The broker has answered a message of this kind."""
        if self._probe == kind:
            self._probe = None
        if code < FAILURE:
            self._proven.add(kind)

    def _row_fits_in(self, connection: Connection, reserve: int = 0) -> bool:
        return connection.room(reserve) > 0 and not (self._suspects.careful and self._flight)

    def _publish(self, connection: Connection, row: Stored) -> None:
        if row.seq in self._flight:
            return
        topic = self._topics.event(row)
        payload = self._journal.published(row)
        if not connection.fits(topic, payload):
            text = say("uplink.too-large", size=len(payload), limit=connection.max_packet_bytes)
            self._refuse(row, TOO_LARGE, text)
            return
        self._flight[row.seq] = self._clock.boottime_ns()
        self._sent.add(row.seq)
        urgent = row.lane == Lane.ALARM
        if not urgent:
            self._ask(EVENTS)
        connection.publish(
            topic,
            payload,
            partial(self._on_ack, row, self._journal_id),
            deadline_s=self._limits.alarm_puback_s if urgent else self._limits.puback_s,
            content_type=EVENT_TYPE,
        )

    def _publish_extra(self, connection: Connection, extra: Extra) -> None:
        kind = self._topics.kind(extra.topic)
        if not connection.fits(extra.topic, extra.payload):
            extra.done(TOO_LARGE)
            return
        if self._denied.get(kind, 0) > self._clock.boottime_ns():
            extra.done(NOT_AUTHORISED)
            return

        def done(code: int | None) -> None:
            self._any_ack = self._any_ack or code is not None
            if code is not None:
                self._told(kind, code)
            if code is not None and code >= FAILURE:  # asking again would end the connection again
                self._refused_here = True
                self._denied[kind] = self._clock.boottime_ns() + round(self._limits.denied_s * NS_PER_S)
            if code is None and extra.sticky:
                self.extras.back(extra)
            else:
                extra.done(code)
            self.wake()

        self._ask(kind)
        connection.publish(
            extra.topic,
            extra.payload,
            done,
            deadline_s=self._limits.puback_s,
            retain=extra.retain,
            content_type=extra.content_type,
            correlation=extra.correlation,
        )

    def _on_ack(self, row: Stored, journal_id: str, code: int | None) -> None:
        if journal_id != self._journal_id:
            return
        self._flight.pop(row.seq, None)
        if code is None:
            self._cut.append(row.seq)
            return
        self._any_ack = True
        self._told(EVENTS, code)
        self._suspects.clear(row.seq)
        if code >= FAILURE:
            self._refused_here = True
            self._refuse(row, code, say("uplink.puback-refused", code=f"0x{code:02X}"))
        else:
            self._acked.append(row.seq)
            if row.lane == Lane.ALARM:
                self._mark_now.set()
                self.resender.acked(row.seq)
            elif row.type == TEST_TYPE:  # somebody looks at the time that it takes
                self._mark_now.set()
            self._marks.set()
        self.wake()

    def _refuse(self, row: Stored, code: int | None, text: Text) -> None:
        self._sent.discard(row.seq)
        self._refused.append((row.seq, code, text.render("en")))
        self._marks.set()
        self._mark_now.set()
        self.on_refused(row, text)

    def _take_token(self) -> bool:
        now = asyncio.get_running_loop().time()
        burst = float(self._limits.window)
        self._tokens = min(burst, self._tokens + (now - self._tokens_at) * self._limits.drain_per_s)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _wake_in(self, seconds: float) -> None:
        """Plan a turn for later; one timer at a time, the soonest."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and not self._timer.cancelled() and loop.time() < self._timer.when():
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self.wake)

    # the journal's side

    async def _read_pages(self) -> None:
        """Keep the lanes filled, the alarm lane first."""
        while True:
            await self._read_wanted.wait()
            self._read_wanted.clear()
            while lane := next((lane for lane in self._lanes.values() if lane.wants_page), None):
                lane.reading, lane.missed = True, False
                rows = await self._journal.due(lane.lane, lane.cursor, self._limits.page)
                if rows:
                    lane.cursor = max(lane.cursor, rows[-1].seq)
                fresh = [row for row in rows if row.seq not in self._sent]
                fresh.sort(key=lambda row: self._suspects.goes_last(row.seq))
                lane.page_read(fresh, len(rows))
                self.wake()

    async def _mark(self) -> None:
        """Tell the journal what was acknowledged: alarms at once, the rest together."""
        while True:
            await self._marks.wait()
            self._marks.clear()
            try:
                async with asyncio.timeout(self._limits.ack_batch_s):
                    await self._mark_now.wait()
            except TimeoutError:
                pass  # no alarm among them: they have waited for company long enough
            self._mark_now.clear()
            await self._flush_marks()

    async def _flush_marks(self) -> None:
        acked, self._acked = self._acked, []
        refused, self._refused = self._refused, []
        if acked:
            await self._journal.mark_acked(acked, self._journal_id)
        for seq, code, reason in refused:
            await self._journal.mark_refused(seq, code, reason, self._journal_id)
        if acked or refused:
            self.on_change()

    async def _convict(self, ended: Ended) -> None:
        """Set aside the row that ended the connection. An alarm is never set aside on suspicion: it goes last."""
        convicted = self._suspects.blame(self._cut, surely=ended.blames_message)
        if convicted is None:
            return
        for row in await self._journal.rows(convicted, convicted, 1):
            if ended.blames_message or row.lane != Lane.ALARM:
                self._suspects.clear(row.seq)
                reason = ended.text if ended.blames_message else say("uplink.row-ends-connection")
                self._refuse(row, ended.code, reason)

    async def _housekeep(self) -> None:
        while True:
            await self._clock.sleep(HOUSEKEEPING_S)
            self.last_turn_ns = self._clock.boottime_ns()
            await self._look_for_forgotten()
            if await self.resender.look():
                self.on_change()
            self.wake()

    async def _look_for_forgotten(self) -> None:
        """A row may become due behind our back: refused ones that are sent again, repeats that found no room."""
        for lane in self._lanes.values():
            if lane.rows or lane.reading or not lane.caught_up:
                continue
            if lane.lane == Lane.ALARM and self._repeats.count:
                continue
            first = await self._journal.due(lane.lane, 0, 1)
            if (first and first[0].seq not in self._sent) or (lane.lane == Lane.ALARM and self._repeats.overflowed):
                lane.reread()
                self._repeats.overflowed = False
                self._read_wanted.set()

    async def _alarms_open(self) -> bool:
        lane = self._lanes[Lane.ALARM]
        if lane.rows or lane.again or lane.reading or self._mark_now.is_set():
            return True
        due = await self._journal.due(Lane.ALARM, 0, 1)
        return bool(due) and not self._repeats.count
