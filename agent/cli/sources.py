"""Where `events` reads: the daemon, or the journal's file when there is no daemon."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from agent.texts import Text, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.model import Stored

Row = dict[str, Any]
"""A published event: the CloudEvent's object."""

PAGE: Final = 500
"""Rows of one answer of the daemon."""


class Source(Protocol):
    """Reads events."""

    problems: list[Text]
    """What could not be given out, because it no longer fits its hash."""

    async def last(self) -> int:
        """The end of the chain; 0 when it is empty."""
        ...

    async def page(self, first: int, last: int) -> list[Row]:
        """The first events of a closed range, at most `PAGE`; fewer where there are gaps."""
        ...


class DaemonSource:
    """The running daemon."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        self.problems: list[Text] = []

    async def last(self) -> int:
        return int((await self._call("status"))["seq"])

    async def page(self, first: int, last: int) -> list[Row]:
        rows: list[Row] = await self._call("events-list", first=first, last=last, limit=PAGE)
        return rows

    async def _call(self, method: str, **params: Any) -> Any:
        from agent.control.client import ControlClient

        async with ControlClient.connect(self._config) as client:
            return await client.call(method, **params)


class FileSource:
    """The journal's file, read-only."""

    def __init__(self, config: "Config") -> None:
        from agent.clock import SystemClock
        from agent.journal.offline import Offline

        self._journal = Offline(config.journal.path)
        self._now = SystemClock(config.site.timezone).moment()
        self.problems: list[Text] = []

    async def last(self) -> int:
        return self._journal.head.seq

    async def page(self, first: int, last: int) -> list[Row]:
        return [json.loads(self._journal.published(row, self._now)) for row in self._good(first, last)]

    def _good(self, first: int, last: int) -> "Iterator[Stored]":
        from agent.journal.reading import Sick

        for row in self._journal.rows(first, last, PAGE):
            stored = row.mended if isinstance(row, Sick) else row
            if stored is None:
                self.problems.append(say("cli.row-altered", seq=row.seq))
            else:
                yield stored


async def open_source(config: "Config") -> tuple[Source, Text | None]:
    """Take the daemon, or the file and the reason why. Raises Unreadable, ControlError."""
    from agent.control.client import DaemonDown

    daemon = DaemonSource(config)
    try:
        await daemon.last()
    except DaemonDown:
        return FileSource(config), say("cli.events-from-file", path=config.journal.path)
    return daemon, None


async def forward(source: Source, first: int, last: int) -> AsyncIterator[Row]:
    """Yield the events of a closed range, page by page."""
    while first <= last:
        rows = await source.page(first, last)
        if not rows:
            if last - first < PAGE:
                return
            first += PAGE  # a gap wider than a page, or a page of damaged rows
            continue
        for row in rows:
            yield row
        first = int(rows[-1]["seq"]) + 1


async def backward(source: Source, last: int) -> AsyncIterator[Row]:
    """Yield events from `last` down to the first."""
    while last >= 1:
        first = max(1, last - PAGE + 1)
        for row in reversed(await source.page(first, last)):
            yield row
        last = first - 1
