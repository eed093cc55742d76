"""Where `events` reads: the daemon, or the journal's file when there is no daemon."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from agent.texts import Text, say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.journal.reading import Sick
    from agent.model import Stored

Row = dict[str, Any]
"""A published event: the CloudEvent's object."""

PAGE: Final = 500
"""Rows of one answer of the daemon."""
LATE: Final = timedelta(seconds=30)
"""An event published later than this after it happened is late (DESIGN 4)."""


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

    def __init__(self, path: Path) -> None:
        from agent.journal.offline import Offline

        self._journal: Offline = Offline(path)
        self.problems: list[Text] = []

    async def last(self) -> int:
        return self._journal.head.seq

    async def page(self, first: int, last: int) -> list[Row]:
        return self._good(self._journal.rows(first, last, PAGE))

    def _good(self, rows: "list[Stored | Sick]") -> list[Row]:
        from agent.journal.reading import Sick

        good: list[Row] = []
        for row in rows:
            stored = row.mended if isinstance(row, Sick) else row
            if stored is None:
                self.problems.append(say("cli.row-altered", seq=row.seq))
            else:
                good.append(as_published(stored))
        return good


def as_published(stored: "Stored") -> Row:
    """An event as it would be published now."""
    from agent.journal.chain import published

    happened = datetime.fromisoformat(json.loads(stored.body)["time"])
    late = datetime.now(happened.tzinfo) - happened > LATE
    row: Row = json.loads(published(stored, late))
    return row


async def open_source(config: "Config") -> tuple[Source, Text | None]:
    """Take the daemon, or the file and the reason why. Raises Unreadable, ControlError."""
    from agent.control.client import DaemonDown

    daemon = DaemonSource(config)
    try:
        await daemon.last()
    except DaemonDown:
        return FileSource(config.journal.path), say("cli.events-from-file", path=config.journal.path)
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
