"""What a second path has around it: its link into the agent, what waits for it, a test that somebody reads along."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from agent.alarms.state import NoticeRecord
from agent.bus import OwnLine, own_line
from agent.clock import Clock
from agent.config.models import SiteSettings
from agent.driver import Notice, PathSite, SerialPort, Taken
from agent.runtime.desk import AlarmDesk
from agent.texts import Text, say

log = logging.getLogger(__name__)

STEPS_LIMIT: Final = 200
"""Steps of a trial that nobody has read yet."""


@dataclass(frozen=True, slots=True)
class PathHost:
    """What surrounds a path."""

    site: SiteSettings
    desk: AlarmDesk
    clock: Clock
    saved: Mapping[str, str]
    on_change: Callable[[], None]


@dataclass(slots=True, eq=False)
class Entry:
    """A notice that waits, since `since_ns`."""

    record: NoticeRecord
    since_ns: int
    tries: int = 0
    error: Text | None = None


@dataclass(slots=True, eq=False)
class Trial:
    """A test notice, for somebody who reads along: `steps` ends with None."""

    notice: Notice
    steps: asyncio.Queue[Text | None] = field(default_factory=lambda: asyncio.Queue(STEPS_LIMIT))
    taken: Taken | None = None
    error: Text | None = None
    elapsed_ms: int = 0

    def step(self, text: Text) -> None:
        """Tell a step; what a slow reader has no room for is not told."""
        if self.steps.qsize() < STEPS_LIMIT - 1:
            self.steps.put_nowait(text)

    def outcome(self) -> tuple[bool, Text]:
        """How it ended."""
        if self.taken:
            return True, say("path.test-passed", by=self.taken.by, answer=self.taken.text, ms=self.elapsed_ms)
        return False, say("path.test-failed", error=self.error or say("path.stopped"))


class Link:
    """One path's way into the agent (agent.driver.PathLink)."""

    def __init__(self, path: str, host: PathHost) -> None:
        self._prefix = f"path/{path}/"
        self._host = host
        self._values = {key: value for key, value in host.saved.items() if key.startswith(self._prefix)}
        self.trial: Trial | None = None

    @property
    def clock(self) -> Clock:
        return self._host.clock

    @property
    def site(self) -> PathSite:
        site = self._host.site
        return PathSite(site.district, site.school, site.name, site.language)

    def serial(self, settings: SerialPort) -> AbstractAsyncContextManager[OwnLine]:
        return own_line(settings)

    def step(self, text: Text) -> None:
        if self.trial:
            self.trial.step(text)
        log.debug("%s", text)

    def saved(self, name: str) -> str | None:
        return self._values.get(self._prefix + name)

    async def save(self, name: str, value: str) -> None:
        self._values[self._prefix + name] = value
        await self._host.desk.keep({self._prefix + name: value})
