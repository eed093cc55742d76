"""Second paths: one supervised task for each, which brings over what the plans want of it, and looks after it between.

Nothing here is waited for by anybody who handles alarms: notices are taken when they are durable, into a queue that is
bounded and goes by priority, and what became of each is an event of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ulid import ULID

from agent.alarms.state import NoticeRecord
from agent.clock import Clock
from agent.config.escalation import PathSettings
from agent.config.models import Config
from agent.config.values import did_you_mean
from agent.control import Peer
from agent.control.protocol import text_json
from agent.control.server import Params
from agent.driver import Notice
from agent.model import JsonValue, Lane, new_event
from agent.runtime.desk import AlarmDesk
from agent.runtime.pathlink import Entry, PathHost, Trial
from agent.runtime.pathwork import PathWorker
from agent.texts import Language, Spoken, Text, say

log = logging.getLogger(__name__)

STOP_TIMEOUT_S: Final = 3.0
"""A path gives its port or socket back in milliseconds; one that hangs on its way out is left behind."""
NAME_CHARS: Final = 60
"""How much of a name an answer repeats."""


class NoPath(Spoken):
    """No second path has this name."""


@dataclass(slots=True)
class Running:
    """A path at work."""

    worker: PathWorker
    task: asyncio.Task[None]


@dataclass(slots=True)
class Paths:
    """Every second path of the configuration."""

    group: asyncio.TaskGroup
    desk: AlarmDesk
    clock: Clock
    saved: Mapping[str, str]
    """What the journal keeps, also for paths."""
    on_inventory: Callable[[str], None] = lambda _path: None
    """Called with the id of a path whose state has changed."""
    _running: dict[str, Running] = field(default_factory=dict)
    _config: Config | None = None

    async def apply(self, config: Config) -> list[str]:
        """Stop what is gone or changed, start what is new; return the names of what was touched. Raises
        JournalError."""
        wanted = {path.id: path for path in config.paths}
        moved = self._config is not None and self._config.site != config.site
        touched = [
            id_
            for id_ in {**self._running, **wanted}
            if moved or id_ not in self._running or self._running[id_].worker.path != wanted.get(id_)
        ]
        left: dict[str, list[Entry]] = {}
        for id_ in touched:
            if running := self._running.pop(id_, None):
                await end(running)
                left[id_] = running.worker.give_back()
        self._config = config
        for id_ in touched:
            if id_ in wanted:
                self._start(wanted[id_], left.pop(id_, []))
        gone = [entry for entries in left.values() for entry in entries]
        pending, self.desk.engine.pending[:] = [*self.desk.engine.pending], []
        gone += [Entry(one, self.clock.boottime_ns()) for one in pending if one.path not in self._running]
        self.offer(pending)
        for entry in gone:
            await self._gone(entry)
        return touched

    def offer(self, records: Sequence[NoticeRecord]) -> None:
        """Take what has just become durable. Never waits, never raises. What comes while its path is being begun waits
        until that is done: the plans know a new path before `apply` does."""
        for record in records:
            if running := self._running.get(record.path):
                running.worker.offer(Entry(record, self.clock.boottime_ns()))
            else:
                self.desk.engine.pending.append(record)

    async def stop(self) -> None:
        """Stop every path; what waits is saved, and goes on at the next start."""
        running, self._running = self._running, {}
        await asyncio.gather(*(end(one) for one in running.values()))

    def health(self) -> list[JsonValue]:
        """Every path in a line, for `status`."""
        return [{**running.worker.status()} for running in self._running.values()]

    def probes(self) -> dict[str, Callable[[], Awaitable[Text | None]]]:
        """How the self-test tries each path."""
        return {id_: running.worker.look for id_, running in self._running.items()}

    def inventory(self, id_: str) -> dict[str, JsonValue] | None:
        """One path as `inventory/{path}` carries it."""
        running = self._running.get(id_)
        return running.worker.inventory() if running else None

    async def test(self, params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
        """Send a test notice over one path, and tell each step. Raises NoPath."""
        id_ = str(params.get("path"))[:NAME_CHARS]
        if (running := self._running.get(id_)) is None:
            if not self._running:
                raise NoPath(say("path.none"))
            raise NoPath(say("path.unknown", path=id_, remedy=did_you_mean(id_, [*self._running])))
        trial = Trial(self._test_notice(running.worker.path))
        running.worker.offer_trial(trial)
        yield self._step(say("path.test-queued", name=running.worker.path.name, waiting=running.worker.waiting))
        while (step := await trial.steps.get()) is not None:
            yield self._step(step)
        ok, text = trial.outcome()
        await self.desk.tell(
            new_event(
                "campus.test.path",
                Lane.EVENT,
                self.clock.moment(),
                device=id_,
                kind="path",
                name=running.worker.path.name,
                ok=ok,
                text=text.render(self._language),
            )
        )
        yield {**self._step(text), "state": "passed" if ok else "failed", "ms": trial.elapsed_ms}

    @property
    def _language(self) -> Language:
        assert self._config is not None, "apply first"
        return self._config.site.language

    @staticmethod
    def _step(text: Text) -> dict[str, JsonValue]:
        return {"state": "step", "text": dict(text_json(text)), "ms": None}

    def _test_notice(self, path: PathSettings) -> Notice:
        moment = self.clock.moment()
        id_ = str(ULID.from_datetime(moment.wall))
        text = say("path.test-text", name=path.name).render(self._language)
        return Notice(id_, "test", id_, "panel-test", 5, path.id, "", path.name, text, moment.wall, 0)

    def _start(self, path: PathSettings, entries: Sequence[Entry]) -> None:
        assert self._config is not None, "apply first"
        host = PathHost(self._config.site, self.desk, self.clock, self.saved, lambda: self.on_inventory(path.id))
        worker = PathWorker(path, host)
        for entry in entries:
            worker.offer(entry)
        self._running[path.id] = Running(worker, self.group.create_task(worker.run(), name=f"path:{path.id}"))

    async def _gone(self, entry: Entry) -> None:
        """Whatever waited for a path that is no longer configured is given up."""
        text = say("path.removed", path=entry.record.path)
        outcome = self.desk.engine.notified(
            entry.record, self.clock.moment(), text, ok=False, final=True, tries=entry.tries
        )
        await self.desk.take(outcome)


async def end(running: Running) -> None:
    """Stop one path."""
    running.task.cancel()
    await asyncio.wait([running.task], timeout=STOP_TIMEOUT_S)
