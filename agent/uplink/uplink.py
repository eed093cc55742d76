"""The uplink as a whole: keeps one connection to the first broker that works, and tells how it stands.

Named states, in `_keep_connected`: choosing -> connecting -> serving -> choosing ... Leaving a good connection
(for the first broker, for one whose district confirms, for new settings) publishes `offline` there first, so that no
broker keeps showing us online.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from agent.clock import NS_PER_S, Clock
from agent.config.models import UplinkSettings
from agent.journal import Journal, JournalError
from agent.model import JsonValue, Lane, Site, Stored, new_event
from agent.texts import Language, Text, say
from agent.uplink.choice import Choice
from agent.uplink.commands import CommandDesk
from agent.uplink.connector import Brokers
from agent.uplink.extras import Extra
from agent.uplink.herald import Herald
from agent.uplink.inbox import Inbox
from agent.uplink.limits import DEFAULT, Limits
from agent.uplink.mqtt import Connection
from agent.uplink.payloads import rfc3339
from agent.uplink.pump import TEST_TYPE, Delivery, Pump
from agent.uplink.resend import Interrupted
from agent.uplink.sockets import ConnectFailed, Resolver
from agent.uplink.topics import Topics
from agent.uplink.troubles import Troubles
from agent.uplink.words import FAILURE, Ended, Protocol

log = logging.getLogger(__name__)

Receipts = Literal["off", "never", "live"]
SUPERVISE_S: Final = 1.0
"""How often conditions that last (nothing connected, an alarm undelivered) are looked at."""
LOOK_S: Final = 0.02
"""How often it is looked whether something that is on its way has come."""
LAST_WORDS_S: Final = 1.0
"""A stop is an event too. On a young connection it waits for three answers of the broker, each up to 40 ms (Nagle)."""
STALLED_S: Final = 60.0
"""The pump turns every second while it is connected; a minute without is a hang."""
TEST_S: Final = 15.0
"""What `test uplink` gives the broker; a deadline of the connection ends the wait sooner."""


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """How the connection stands. Times as RFC 3339."""

    connected: bool
    broker: str | None
    protocol: Protocol | None
    since: str | None
    receipts: Receipts
    error: Text | None


class Uplink:
    """The way to the district. `run` it, `close` it; the rest may be called at any time from the loop."""

    def __init__(
        self,
        settings: UplinkSettings,
        site: Site,
        clock: Clock,
        journal: Journal,
        desk: CommandDesk,
        *,
        states: Callable[[], Iterable[tuple[str, bytes]]],
        version: str,
        started: datetime,
        language: Language = "zh-CN",
        limits: Limits = DEFAULT,
        resolver: Resolver | None = None,
    ) -> None:
        self._settings = settings
        self._site = site
        self._clock = clock
        self._journal = journal
        self._desk = desk
        self._states = states
        self._limits = limits
        self._topics = Topics.of(site)
        self._pump = Pump(journal, self._topics, clock, limits, settings.receipt_timeout_s)
        self._pump.on_change = self._changed
        self._pump.on_refused = self._row_refused
        self._pump.resender.on_overdue = self._receipt_overdue
        self._herald = Herald(journal, clock, self._topics, self._publish, version=version, started=started)
        self._herald.on_answer = self._status_answered
        self._troubles = Troubles()
        self._inbox = Inbox(desk, journal, self._topics, limits, self._publish)
        self._inbox.on_receipt = self._receipt_taken
        desk.add_verb("replay", self._pump.replayer.command)
        journal.on_stored(self._on_stored)
        self._resolver = resolver or Resolver()
        self._on_change: list[Callable[[], None]] = []
        self._connection: Connection | None = None
        self._since: datetime | None = None
        self._error: Text | None = None
        self._leave: asyncio.Future[str] | None = None
        self._closing = asyncio.Event()
        self._hurry = asyncio.Event()
        self._alone_since_ns: int | None = None
        self._leaving: str | None = None
        self._adopt(settings)

    # what others ask and tell

    @property
    def drill(self) -> Callable[[], bool]:
        """Whether a drill goes on; `status` says so."""
        return self._herald.drill

    @drill.setter
    def drill(self, ask: Callable[[], bool]) -> None:
        self._herald.drill = ask

    def tell_drill(self) -> None:
        """Publish `status` if a drill has begun or ended since it was last told."""
        if self._connection is not None and self._herald.told_drill != self._herald.drill():
            self._herald.tell("online")

    @property
    def session(self) -> str:
        """The ULID of this run, as `status` has it."""
        return self._herald.session

    def status(self) -> UplinkStatus:
        """How the connection stands."""
        connection = self._connection
        seen: Receipts = "live" if self._journal.receipts_seen else "never"
        return UplinkStatus(
            connected=connection is not None,
            broker=str(connection.broker) if connection else None,
            protocol=connection.protocol if connection else None,
            since=rfc3339(self._since) if self._since and connection else None,
            receipts=seen if self._settings.receipts else "off",
            error=self._troubles.problem or (None if connection else self._error),
        )

    def delivery(self, seq: int) -> Delivery:
        """How far event `seq` has come: for its lamp."""
        return self._pump.delivery(seq)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back when the connection, or what is delivered, has changed."""
        self._on_change.append(callback)

    def on_fault(self, callback: Callable[[str, Text | None], None]) -> None:
        """Call back with the name of a fault and its text, or None when it is over: `broker` (not connected, refused,
        taken over, not allowed to hear commands), `refused` (rows that a broker refused), `receipts` (the district
        disagrees), `delivery` (an alarm has waited too long)."""
        self._troubles.on_fault = callback

    def publish_retained(self, suffix: str, payload: bytes) -> None:
        """Set what the topic `suffix` below the root retains; sent now or at the next connection, the latest only."""
        self._pump.extras.retained(self._topics.below(suffix), payload)
        self._pump.wake()

    def publish_curve(self, suffix: str, payload: bytes) -> None:
        """Queue a batch of measures for the topic `suffix` below the root: sent when nothing else waits."""
        self._pump.extras.curve(self._topics.below(suffix), payload)
        self._pump.wake()

    def curves(self) -> tuple[int, int]:
        """Batches of measures that wait, and how many were evicted so far."""
        return self._pump.extras.curves, self._pump.extras.curves_evicted

    def again(self, seq: int) -> None:
        """Publish an alarm once more, on the next broker if there is one: nobody has acknowledged it."""
        leave = self._connection is not None and len(self._settings.brokers) > 1
        self._pump.resender.ask(seq, now=not leave)
        if leave:
            self._ask_to_leave("escalation")

    def progress(self) -> Text | None:
        """What hangs, for the watchdog; None if nothing does."""
        connection = self._connection
        if connection is None or connection.ended.done():
            return None
        if not self._pump.serves(connection):
            return None  # it has only just been made
        if connection.oldest_in_flight_s > 3 * self._limits.puback_s:
            return say("uplink.stalled", seconds=round(connection.oldest_in_flight_s))
        idle_s = (self._clock.boottime_ns() - self._pump.last_turn_ns) / NS_PER_S
        return say("uplink.stalled", seconds=round(idle_s)) if idle_s > STALLED_S else None

    async def ping(self) -> float:
        """Return the milliseconds from a heartbeat to its acknowledgement. Raises Interrupted."""
        elapsed_ms = await self._herald.ping_ms() if self._connection is not None else None
        if elapsed_ms is None:
            raise Interrupted(say("uplink.not-connected"))
        return elapsed_ms

    async def test(self) -> dict[str, JsonValue]:
        """Send one event all the way: `{"broker", "puback_ms", "receipt_ms" or null}`. Raises Interrupted."""
        connection = self._connection
        if connection is None:
            raise Interrupted(say("uplink.not-connected"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        (row,) = await self._journal.append(
            new_event(TEST_TYPE, Lane.EVENT, self._clock.moment(), drill=self._herald.drill())
        )
        puback_ms = await self._until(row.seq, ("acked", "received"), began, TEST_S)
        receipt_ms: float | None = None
        if puback_ms is None:
            raise Interrupted(say("uplink.test-timeout", broker=str(connection.broker), timeout_s=TEST_S))
        if self._pump.resender.expects_receipts:
            receipt_ms = await self._until(row.seq, ("received",), began, self._settings.receipt_timeout_s)
        return {"broker": str(connection.broker), "puback_ms": puback_ms, "receipt_ms": receipt_ms}

    async def reconfigure(self, settings: UplinkSettings) -> None:
        """Take new settings: the present connection is left in order, and another is made with them."""
        self._adopt(settings)
        self._ask_to_leave("settings")
        self._hurry.set()

    async def run(self) -> None:
        """Serve until `close`. Raises JournalError."""
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(work) for work in (self._inbox.run(), self._supervise(), self._heartbeat())
                ]
                await self._keep_connected()
                for task in helpers:
                    task.cancel()
        except* JournalError as errors:
            raise first_of(errors) from None

    async def close(self, deadline_s: float) -> None:
        """Drain the alarm lane, wait for what else is on its way, say offline, disconnect: at most `deadline_s`."""
        self._closing.set()
        try:
            async with asyncio.timeout(deadline_s):
                if self._connection is not None:
                    await self._pump.drained(everything=False)
                    await self._last_words()
                    self._pump.quiet = True
                    await self._pump.drained(everything=True)
                    await self._herald.tell_offline()
        except TimeoutError:
            log.warning(say("uplink.close-timeout", deadline_s=deadline_s))
        if self._connection is not None:
            await self._connection.close()

    async def _last_words(self) -> None:
        """Give the newest event a moment to be acknowledged; behind a backlog it stays due."""
        newest = self._journal.head.seq
        for _ in range(round(LAST_WORDS_S / LOOK_S)):
            if self._journal.delivery(newest) != "due":
                return
            await self._clock.sleep(LOOK_S)

    # choosing and connecting

    def _adopt(self, settings: UplinkSettings) -> None:
        self._settings = settings
        self._choice = Choice(len(settings.brokers), self._limits)
        self._brokers = Brokers(settings, self._site, self._clock, self._limits, self._resolver)
        self._pump.resender.awaiting.timeout_s = settings.receipt_timeout_s
        self._pump.resender.receipts = settings.receipts
        self._journal.set_receipts(settings.receipts)
        self._desk.reconfigure(settings)

    async def _keep_connected(self) -> None:
        while not self._closing.is_set():
            now_ns = self._clock.boottime_ns()
            if self._journal.due_counts()[Lane.ALARM]:
                self._choice.hurry(now_ns)
            index = self._choice.pick(now_ns)
            if index is None:
                await self._wait(self._choice.wait_s(now_ns))
                continue
            choice = self._choice
            try:
                connection = await self._connect(index)
            except ConnectFailed as error:
                choice.failed(index, self._clock.boottime_ns(), refused=error.refused)
                self._tell_failure(error)
                continue
            if choice is self._choice and not self._closing.is_set():
                await self._session(connection, index, choice)
            else:  # new settings, or the end, came while it was being made
                await connection.close()

    async def _wait(self, seconds: float) -> None:
        """Wait for a broker's time, for an alarm, for new settings, or for the end."""
        self._hurry.clear()
        waits = [
            asyncio.ensure_future(work)
            for work in (self._clock.sleep(seconds), self._hurry.wait(), self._closing.wait())
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _connect(self, index: int) -> Connection:
        return await self._brokers.connect(index, self._herald.will())

    # serving

    async def _session(self, connection: Connection, index: int, choice: Choice) -> None:
        """One connection from CONNACK to its end."""
        began = asyncio.get_running_loop().time()
        self._begin(connection)
        connection.listen(lambda message: self._inbox.take(connection, message))
        served = asyncio.ensure_future(self._pump.serve(connection))
        guides = [
            asyncio.ensure_future(self._subscribe(connection)),
            asyncio.ensure_future(self._guide(connection, index)),
        ]
        try:
            ended = await served
        finally:
            for task in (served, *guides):
                task.cancel()
            await asyncio.gather(*guides, return_exceptions=True)
            connection.drop(Ended("closed", say("uplink.closed")))  # cancelled: the broker sends our will
            self._connection = None
            if self._alone_since_ns is None:
                self._alone_since_ns = self._clock.boottime_ns()
        if self._leaving is not None:
            wait_s = self._limits.retry_first_s if self._leaving in ("receipts", "escalation") else 0.0
            choice.left(index, self._clock.boottime_ns(), wait_s=wait_s)
        elif not self._closing.is_set():
            self._judge_end(ended, asyncio.get_running_loop().time() - began, connection, index, choice)
        self._changed()

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        self._since = self._clock.wall()
        self._error = self._alone_since_ns = None
        self._leave = asyncio.get_running_loop().create_future()
        self._leaving = None
        self._troubles.connected()
        log.info(say("uplink.connected", broker=str(connection.broker), protocol=connection.protocol))
        self._pump.extras.birth((self._topics.below(suffix), payload) for suffix, payload in self._states())
        self._herald.tell("online")
        self._changed()

    def _judge_end(self, ended: Ended, lasted_s: float, connection: Connection, index: int, choice: Choice) -> None:
        """Say why a connection ended that we had not left, and when its broker may be tried again."""
        now_ns = self._clock.boottime_ns()
        self._error = ended.text
        if ended.kind == "dropped" and self._pump.refused_here:
            choice.ended_by_refusal(index, now_ns)
        else:
            told = ended.kind == "takeover"
            # MQTT 5 has a reason code for a takeover; mosquitto 2.0 closes without a word all the same
            unexplained = ended.kind == "dropped" and not self._pump.suspicious
            takeover = choice.ended(index, lasted_s, now_ns, takeover=told, unexplained=unexplained)
            if takeover:
                guess = say("uplink.takeover-guessed", broker=str(connection.broker))
                self._error = ended.text if told else guess
                self._troubles.note("takeover", self._error)
        log.warning(self._error)

    async def _subscribe(self, connection: Connection) -> None:
        """Ask for commands and receipts; a refusal is a fault, as nothing would ever come."""
        filters = (self._topics.commands, self._topics.receipt)
        try:
            codes = await connection.subscribe(filters)
        except TimeoutError:
            text = say("uplink.suback-timeout", broker=str(connection.broker))
            connection.drop(Ended("unacknowledged", text))
            return
        except ConnectionError:
            return
        refused = [name for name, code in zip(filters, codes, strict=False) if code >= FAILURE]
        if refused:
            text = say("uplink.subscribe-refused", broker=str(connection.broker), topics=", ".join(refused))
            log.error(text)
            self._troubles.note("subscription", text)

    async def _guide(self, connection: Connection, index: int) -> None:
        """Decide when to leave a good connection, and leave it."""
        assert self._leave is not None
        probing = asyncio.ensure_future(self._first_is_back()) if index > 0 else None
        waits: list[asyncio.Future[str]] = [self._leave, *([probing] if probing else [])]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            why = self._leaving = next(iter(done)).result()
        finally:
            if probing:
                probing.cancel()
        log.info(say(f"uplink.leaving-{why}", broker=str(connection.broker)))
        try:
            async with asyncio.timeout(self._limits.quiesce_s):
                await self._herald.tell_offline()
                self._pump.quiet = True
                await self._pump.drained(everything=True)
        except TimeoutError:
            pass  # what is in flight goes again on the next connection
        await connection.close()

    async def _first_is_back(self) -> str:
        """Return why to leave, when the first broker answers again."""
        while True:
            await self._clock.sleep(self._limits.return_s * self._choice.random.uniform(0.8, 1.2))
            if await self._brokers.probe(0):
                self._choice.answered(0)
                return "return"

    def _ask_to_leave(self, why: str) -> None:
        if self._leave is not None and not self._leave.done():
            self._leave.set_result(why)

    # status, heartbeat, faults

    def _status_answered(self, code: int) -> None:
        """A refused status shows that this account has no rights on this school's topics."""
        if code < FAILURE:
            self._troubles.mended("rights")
        elif self._connection is not None:
            broker = str(self._connection.broker)
            text = say("uplink.rights", broker=broker, topic=self._topics.status, code=f"0x{code:02X}")
            self._troubles.note("rights", text)

    def _publish(self, extra: Extra) -> None:
        self._pump.extras.add(extra)
        self._pump.wake()

    async def _heartbeat(self) -> None:
        while True:
            await self._clock.sleep(self._limits.heartbeat_s)
            await self._desk.tell_untold()
            leaving = self._closing.is_set() or self._leaving is not None
            if self._connection is not None and not self._pump.extras.urgent and not leaving:
                self._herald.tell("online")

    async def _supervise(self) -> None:
        while True:
            await self._clock.sleep(SUPERVISE_S)
            now_ns = self._clock.boottime_ns()
            alone_ns = self._alone_since_ns
            if alone_ns is not None and now_ns - alone_ns > self._limits.offline_fault_s * NS_PER_S:
                self._troubles.note("offline", self._error or say("uplink.not-connected"))
            if self._journal.refused_count() == 0:
                self._troubles.tell("refused", None)
            await self._troubles.look_for_undelivered(
                self._journal, now_ns, self._limits.undelivered_s, receipts=self._pump.resender.expects_receipts
            )

    def _tell_failure(self, error: ConnectFailed) -> None:
        """The first failure is a warning, the same again is noise."""
        if self._alone_since_ns is None:
            self._alone_since_ns = self._clock.boottime_ns()
        log.log(logging.DEBUG if error.text == self._error else logging.WARNING, error.text)
        self._error = error.text
        if error.refused:
            self._troubles.note("refused", error.text)
        self._changed()

    def _changed(self) -> None:
        for callback in self._on_change:
            callback()

    # what the pump and the inbox tell

    def _on_stored(self, rows: Sequence[Stored]) -> None:
        if self._connection is None and any(row.lane == Lane.ALARM for row in rows):
            self._hurry.set()

    def _row_refused(self, row: Stored, text: Text) -> None:
        fault = say("uplink.row-refused", seq=row.seq, type=row.type, reason=text)
        log.error(fault)
        self._troubles.tell("refused", fault)
        self._changed()

    def _receipt_overdue(self) -> bool:
        if len(self._settings.brokers) < 2:
            return False
        self._ask_to_leave("receipts")
        return True

    def _receipt_taken(self, covered: int, disagrees: Text | None) -> None:
        if disagrees is not None:
            log.error(disagrees)
        self._troubles.tell("receipts", disagrees)
        self._pump.resender.receipt_taken(covered)
        self._changed()

    async def _until(self, seq: int, states: tuple[str, ...], began: float, timeout_s: float) -> float | None:
        loop = asyncio.get_running_loop()
        while loop.time() - began < timeout_s:
            if self._journal.delivery(seq) in states:
                return round((loop.time() - began) * 1000, 1)
            await self._clock.sleep(0.005)
        return None


def first_of(errors: BaseExceptionGroup[JournalError]) -> JournalError:
    """The first error of a group, however deep."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, JournalError)
    return error
