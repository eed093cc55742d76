"""One second path at work: its queue, its tries, its supervision, its state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from agent.backoff import Backoff
from agent.clock import NS_PER_S
from agent.config.escalation import PathSettings
from agent.control.protocol import text_json
from agent.driver import Condition, PathError, PathSession, Taken
from agent.journal import JournalError
from agent.kinds import KINDS
from agent.logs import Loudness
from agent.model import JsonValue
from agent.runtime.pathlink import Entry, Link, PathHost, Trial
from agent.texts import Text, say

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 256
"""Notices that wait for one path: each is a saved row. A school with more alarms at once needs people, not lines."""
STUBBORN_TRIES: Final = 3
"""What was refused so often goes behind the rest: the others may be luckier."""
RETRY_CAP_S: Final = 60.0
"""The longest wait between two tries: a network that is back is used within a minute."""
OPEN_LIMIT_S: Final = 60.0
SEND_LIMIT_S: Final = 300.0
PROBE_LIMIT_S: Final = 120.0
"""Sessions bound themselves; these end one that does not. A message to ten phones may take minutes."""
GRACE_S: Final = 2.0
"""What a probe is given to end by itself when an alarm comes; it is cut off then."""
CLOSE_LIMIT_S: Final = 5.0
FACTS: Final = ("maker", "model", "firmware")
"""What an inventory has a member of its own for."""

Answer = TypeVar("Answer", Taken, Condition)
PathState = Literal["unknown", "ok", "failing"]


class PathWorker:
    """Runs one path. `offer` what is to be brought over; `run` it until cancelled."""

    def __init__(self, path: PathSettings, host: PathHost) -> None:
        self.path = path
        self._host = host
        self._clock = host.clock
        self._link = Link(path.id, host)
        self._session: PathSession | None = None
        self._entries: list[Entry] = []
        self._overflow: list[Entry] = []
        self._trials: list[Trial] = []
        self._looks: list[asyncio.Future[Text | None]] = []
        self._news = asyncio.Event()
        self._backoff = Backoff(RETRY_CAP_S)
        self._loudness = Loudness()
        self._not_before_ns = 0
        self._started_ns = self._clock.boottime_ns()
        self._probe_ns = self._started_ns
        self._heard_ns: int | None = None
        self._since = self._clock.wall()
        self._facts: dict[str, str] = {}
        self.state: PathState = "unknown"
        self.error: Text | None = None

    # --- what comes in

    @property
    def waiting(self) -> int:
        """How many notices wait."""
        return len(self._entries)

    def offer(self, entry: Entry) -> None:
        """Take a notice. When there is no room the least urgent one is given up."""
        self._entries.append(entry)
        if len(self._entries) > QUEUE_LIMIT:
            last = max(self._entries, key=lambda one: (one.record.notice.priority, one.since_ns))
            self._entries.remove(last)
            last.error = say("path.queue-full", limit=QUEUE_LIMIT)
            self._overflow.append(last)
        self._hurry()

    def offer_trial(self, trial: Trial) -> None:
        """Take a test notice; it goes next, but for what has not been tried yet: that may be a real alarm."""
        self._trials.append(trial)
        self._hurry()

    async def look(self) -> Text | None:
        """See now that the path is there; return why it is not."""
        told: asyncio.Future[Text | None] = asyncio.get_running_loop().create_future()
        self._looks.append(told)
        self._probe_ns = 0
        self._hurry()
        return await told

    def give_back(self) -> list[Entry]:
        """What still waits, after the end."""
        for trial in self._trials:
            trial.steps.put_nowait(None)
        return [*self._overflow, *self._entries]

    # --- how it is

    def status(self) -> dict[str, JsonValue]:
        """The path as `status` has it."""
        heard_s = round((self._clock.boottime_ns() - self._heard_ns) / NS_PER_S, 1) if self._heard_ns else None
        watch = self.path.settings.supervision()
        return {
            "id": self.path.id,
            "name": self.path.name,
            "driver": self.path.driver,
            "state": self.state,
            "since": self._since.isoformat(timespec="milliseconds"),
            "heard_s_ago": heard_s,
            "interval_s": watch.interval_s,
            "report_s": watch.report_s,
            "waiting": self.waiting,
            "facts": {**self._facts},
            "error": dict(text_json(self.error)) if self.error else None,
        }

    def inventory(self) -> dict[str, JsonValue]:
        """The path as `inventory/{path}` carries it: what changes with its state only."""
        told = self.status()
        return {
            "device": self.path.id,
            "name": self.path.name,
            "driver": self.path.driver,
            **{name: self._facts.get(name) for name in FACTS},
            "address": None,
            "health": {"ok": "online", "failing": "offline", "unknown": "unknown"}[self.state],
            "path": {
                **{name: told[name] for name in ("state", "since", "interval_s", "report_s")},
                "facts": {name: value for name, value in self._facts.items() if name not in FACTS},
                "error": told["error"],
            },
        }

    # --- the work

    async def run(self) -> None:
        """Work until cancelled. Raises JournalError."""
        try:
            while True:
                await self._turn()
        finally:
            await self._close()

    async def _turn(self) -> None:
        """Do the one thing that comes next, or wait for it."""
        self._news.clear()
        await self._give_up_old()
        now_ns = self._clock.boottime_ns()
        due_ns = now_ns if self._trials or self._entries else self._probe_ns
        due_ns = max(due_ns, self._not_before_ns)
        if due_ns > now_ns:
            await self._nap((due_ns - now_ns) / NS_PER_S)
        elif self._trials and all(entry.tries for entry in self._entries):
            await self._try(self._trials.pop(0))
        elif self._entries:
            await self._send(self._next())
        else:
            await self._probe()

    def _next(self) -> Entry:
        """The most urgent, the oldest first; what was refused again and again goes last, with all of its alarm."""
        stubborn = {one.record.notice.alarm for one in self._entries if one.tries >= STUBBORN_TRIES}
        return min(
            self._entries,
            key=lambda one: (one.record.notice.alarm in stubborn, one.record.notice.priority, one.record.notice.alarm),
        )

    async def _send(self, entry: Entry) -> None:
        """Try to bring one notice over, and tell what became of it."""
        entry.tries += 1
        notice = entry.record.notice
        taken = await self._ask(lambda session: session.send(notice), SEND_LIMIT_S)
        if isinstance(taken, Text):
            entry.error = taken
            await self._failed(taken, at_once=True)
            if entry.tries == 1:
                await self._tell(entry, "alarms.not-notified", ok=False, final=False, error=taken)
            return
        if entry in self._entries:
            self._entries.remove(entry)
        await self._tell(entry, f"alarms.notified-{notice.what}", ok=True, final=True, by=taken.by, answer=taken.text)
        await self._heard()

    async def _try(self, trial: Trial) -> None:
        """Bring a test notice over, once."""
        began_ns = self._clock.boottime_ns()
        self._link.trial = trial
        try:
            taken = await self._ask(lambda session: session.send(trial.notice), SEND_LIMIT_S)
            trial.elapsed_ms = (self._clock.boottime_ns() - began_ns) // 1_000_000
            if isinstance(taken, Text):
                trial.error = taken
                await self._failed(taken, at_once=False)
            else:
                trial.taken = taken
                await self._heard()
        finally:
            self._link.trial = None
            trial.steps.put_nowait(None)

    async def _probe(self) -> None:
        """See that the path is there; an alarm that comes meanwhile does not wait for it for long."""
        self._plan_probe()
        asked = asyncio.ensure_future(self._ask(lambda session: session.probe(), PROBE_LIMIT_S))
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((asked, news), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                await asyncio.wait((asked,), timeout=GRACE_S)
            if not asked.done():
                asked.cancel()
                await asyncio.wait((asked,))
                await self._close()
                return
        finally:
            news.cancel()
            asked.cancel()
        condition = asked.result()
        if isinstance(condition, Text):
            await self._failed(condition, at_once=self._heard_ns is None)
            return
        changed = not condition.facts.items() <= self._facts.items()
        self._facts.update(condition.facts)
        await self._heard(changed=changed)

    async def _ask(self, what: Callable[[PathSession], Awaitable[Answer]], limit_s: float) -> Answer | Text:
        """Ask the session, opened if need be; return its answer, or why there is none."""
        self._backoff.started(self._clock.boottime_ns())
        try:
            if self._session is None:
                async with asyncio.timeout(OPEN_LIMIT_S):
                    self._session = await self.path.settings.open(self._link)
            async with asyncio.timeout(limit_s):
                return await what(self._session)
        except PathError as error:
            failed = error.text
        except TimeoutError:
            failed = say("path.timeout", seconds=round(limit_s))
        except JournalError:
            raise
        except Exception as error:  # a driver's bug must not end the others (DESIGN 2.2)
            failed = say("runtime.driver-bug", device=self.path.id, error=f"{type(error).__name__}: {error}")
            log.exception(failed)
        await self._close()
        return failed

    # --- what follows

    def _tell_looks(self, error: Text | None) -> None:
        """Whoever wanted to know how the path is learns it from whatever was tried next."""
        looks, self._looks = self._looks, []
        for told in looks:
            if not told.done():
                told.set_result(error)

    async def _heard(self, *, changed: bool = False) -> None:
        """The other side has answered."""
        self._tell_looks(None)
        self._heard_ns = self._clock.boottime_ns()
        self._not_before_ns = 0
        self._backoff = Backoff(RETRY_CAP_S)
        self._plan_probe()
        if self.state != "ok":
            if self._loudness.over(self.path.id):
                log.info(say("path.back", name=self.path.name))
            self.state, self.error, self._since = "ok", None, self._clock.wall()
            await self._host.desk.fault("path", None, device=self.path.id)
            changed = True
        if changed:
            self._host.on_change()

    async def _failed(self, text: Text, *, at_once: bool) -> None:
        """The other side has not answered, or not well. What that means for the fault is the supervision's business,
        unless an alarm had to get through."""
        self._tell_looks(text)
        now_ns = self._clock.boottime_ns()
        self._not_before_ns = now_ns + round(self._backoff.failed(now_ns) * NS_PER_S)
        self._probe_ns = self._not_before_ns
        if self._news.is_set():  # what came meanwhile has its own try at once
            self._not_before_ns = 0
        log.log(self._loudness.level(self.path.id, text.key), say("path.failed", name=self.path.name, error=text))
        watch = self.path.settings.supervision()
        since_ns = self._started_ns if self._heard_ns is None else self._heard_ns
        if at_once or now_ns - since_ns >= watch.report_s * NS_PER_S:
            await self._host.desk.fault("path", say("path.fault", name=self.path.name, error=text), device=self.path.id)
        changed = self.state != "failing" or self.error is None or self.error.key != text.key
        self.error = text
        if self.state != "failing":
            self.state, self._since = "failing", self._clock.wall()
        if changed:
            self._host.on_change()

    async def _give_up_old(self) -> None:
        """Give up what has waited for too long, and what there was no room for."""
        old_ns = self._clock.boottime_ns() - round(self.path.give_up_s * NS_PER_S)
        old = [entry for entry in self._entries if entry.since_ns <= old_ns]
        self._entries = [entry for entry in self._entries if entry not in old]
        gone, self._overflow = [*self._overflow, *old], []
        for entry in gone:
            error = entry.error or say("path.waited", seconds=round(self.path.give_up_s))
            await self._tell(entry, "alarms.notice-given-up", ok=False, final=True, error=error, tries=entry.tries)

    async def _tell(
        self, entry: Entry, key: str, *, ok: bool, final: bool, by: str | None = None, **more: object
    ) -> None:
        notice = entry.record.notice
        kind = KINDS[notice.kind].text if notice.kind in KINDS else notice.kind
        text = say(key, name=notice.name, kind=kind, path=self.path.name, **more)
        desk = self._host.desk
        moment = self._clock.moment()
        await desk.take(desk.engine.notified(entry.record, moment, text, ok=ok, final=final, tries=entry.tries, by=by))

    def _hurry(self) -> None:
        """Something new is not kept waiting by what failed before."""
        self._not_before_ns = 0
        self._news.set()

    def _plan_probe(self) -> None:
        interval_s = self.path.settings.supervision().interval_s
        self._probe_ns = self._clock.boottime_ns() + round(interval_s * NS_PER_S)

    async def _nap(self, seconds: float) -> None:
        """Wait, but not past something new."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._news.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session:
            try:
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    await session.close()
            except TimeoutError:
                log.debug("%s: not closed within %g s", self.path.id, CLOSE_LIMIT_S)
            except Exception as error:  # a driver's bug must not end the others (DESIGN 2.2)
                log.exception(say("runtime.driver-bug", device=self.path.id, error=f"{type(error).__name__}: {error}"))
