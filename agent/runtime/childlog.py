"""What a child process prints becomes lines of our log: whole, bounded, and not too many."""

import asyncio
import json
import logging
from typing import Final

from agent.bucket import Bucket
from agent.clock import Clock
from agent.texts import say

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 16 * 1024
LINE_BYTES: Final = 8 * 1024
"""Of a longer line the rest is left out; a traceback has some 4 KiB."""
LINES_BURST: Final = 200.0
LINES_PER_S: Final = 10.0
"""A start with two hundred cameras says a line of each; then, more is a loop."""
BYTES_BURST: Final = 512.0 * 1024
BYTES_PER_S: Final = 64.0 * 1024
"""Beyond this the pipe is left full, which stops the child and not us."""


class ChildLog:
    """Reads one child's output."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._log = logging.getLogger(f"agent.{name}")
        self._lines = Bucket(LINES_BURST, LINES_PER_S)
        self._bytes = Bucket(BYTES_BURST, BYTES_PER_S)
        self._rest = b""
        self.left_out = 0
        """Lines since the last one that was shown."""

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read to the end."""
        self._rest = b""
        while data := await stream.read(CHUNK_BYTES):
            self.feed(data)
            if wait_s := self._bytes.owe(self._clock.boottime_ns(), len(data)):
                await asyncio.sleep(wait_s)
        if self._rest:
            self.feed(b"\n")

    def feed(self, data: bytes) -> None:
        """Take some bytes as they came."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE_BYTES + 1]
        for line in lines:
            if line.strip():
                self._show(line)

    def _show(self, line: bytes) -> None:
        if not self._lines.take(self._clock.boottime_ns()):
            self.left_out += 1
            return
        if self.left_out:
            log.warning(say("runtime.child-lines", name=self._name, count=self.left_out))
            self.left_out = 0
        level, message = read_line(line)
        self._log.log(level, "%s: %s", self._name, message)


def read_line(line: bytes) -> tuple[int, str]:
    """Level and message of a line: of our own JSON log as it says, of anything else (a library, an interpreter that
    ends) a warning. Never raises."""
    level, message = logging.WARNING, line[:LINE_BYTES].decode(errors="replace")
    if line.startswith(b"{") and len(line) <= LINE_BYTES:
        try:
            entry = json.loads(line)
            found = logging.getLevelNamesMapping().get(str(entry["level"]).upper())
            text = str(entry["message"]) + (f"\n{entry['exception']}" if "exception" in entry else "")
        except (ValueError, LookupError, RecursionError):
            pass
        else:
            level, message = found or level, text
    return level, "".join(c if c.isprintable() or c == "\n" else "?" for c in message)
