"""A modem's AT commands over a serial line: one question at a time, and what it says by itself in between.

Source: 3GPP TS 27.007 (general commands), 27.005, 3 (messages); ITU-T V.250, 5 (echo, result codes). Modems differ in
echo, blank lines and the words that they throw in; none of that is taken for an answer.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from agent.driver import SerialLine, Text, say

COMMAND_S: Final = 5.0
"""27.007 lets a modem take its time; those that work answer these commands within one second."""
PROMPT_S: Final = 10.0
ENTER: Final = b"\r"
SUBSTITUTE: Final = b"\x1a"
"""Ends the text of a message (27.005, 3.5.1)."""
ESCAPE: Final = b"\x1b"
"""Leaves the prompt without sending."""
LINE_LIMIT: Final = 2048
"""A status report has 400 digits; what is longer is no line."""
SAID_LIMIT: Final = 64
"""Words of the modem's own that nobody has looked at yet."""
PROMPT: Final = ">"
GOOD: Final = "OK"
BAD: Final = re.compile(r"ERROR|\+(CME|CMS) ERROR: ?(.{1,40})|NO CARRIER|BUSY|COMMAND NOT SUPPORT")
TWO_LINES: Final = ("+CDS:", "+CMT:", "+CBM:")
"""Words whose content stands in the next line."""


class AtError(Exception):
    """The modem said no, or nothing. `code` is what it gave for a reason."""

    def __init__(self, text: Text, code: str = "") -> None:
        super().__init__(str(text))
        self.text = text
        self.code = code


class Lines:
    """Cuts what a modem says into lines; the prompt for a text counts as one."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield every line that is whole, without its ends; empty ones are nothing."""
        self._buffer += data
        while match := re.search(rb"[\r\n]", self._buffer):
            line = bytes(self._buffer[: match.start()]).decode("ascii", "replace").strip()
            del self._buffer[: match.end()]
            if line.startswith(PROMPT):
                yield PROMPT
                line = line.removeprefix(PROMPT).strip()
            if line:
                yield line
        if match := re.match(rb"\s*> ?", self._buffer):
            del self._buffer[: match.end()]
            yield PROMPT
        del self._buffer[:-LINE_LIMIT]


class Modem:
    """Asks a modem. One command at a time."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._lines = Lines()
        self._waiting: deque[str] = deque()
        self._half: str | None = None
        self.said: deque[tuple[str, str]] = deque(maxlen=SAID_LIMIT)
        """What it said by itself: the word, and the line after it where it has one."""

    async def ask(self, command: str, wanted: str = "", timeout_s: float = COMMAND_S, *, shown: str = "") -> list[str]:
        """Send `AT` and the command; return the lines that begin with `wanted`. Raises AtError; `shown` stands for a
        command that holds a secret."""
        self._line.write(b"AT" + command.encode("ascii") + ENTER)
        return await self._answer("AT" + command, wanted, timeout_s, shown or f"AT{command}")

    async def submit(self, length: int, digits: str, timeout_s: float) -> str:
        """Give a message of so many bytes; return its reference. Raises AtError."""
        command = f"AT+CMGS={length}"
        self._line.write(command.encode("ascii") + ENTER)
        try:
            await self._until(partial(self._prompted, command), command, PROMPT_S)
        except AtError:
            self._line.write(ESCAPE)
            raise
        self._line.write(digits.encode("ascii") + SUBSTITUTE)
        lines = await self._answer(digits, "+CMGS:", timeout_s, command)
        return lines[-1].partition(":")[2].strip().partition(",")[0] if lines else ""

    async def listen(self, timeout_s: float) -> None:
        """Hear what it says by itself, until it has said something or the time is up."""
        count = len(self.said)
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.said) == count or self._half is not None:
                    self._by_itself(await self._next())
        except TimeoutError:
            pass

    async def drop(self) -> None:
        """Leave a prompt that an earlier conversation may have left open, and forget what came of it."""
        self._line.write(ESCAPE + ENTER)

    def _prompted(self, echo: str, line: str) -> bool:
        if line not in (PROMPT, echo):
            self._by_itself(line)
        return line == PROMPT

    async def _answer(self, echo: str, wanted: str, timeout_s: float, shown: str) -> list[str]:
        found: list[str] = []

        def take(line: str) -> bool:
            if wanted and line.startswith(wanted):
                found.append(line)
            elif line not in (GOOD, echo, PROMPT):
                if wanted or line.startswith(("+", "^", "RING")):
                    self._by_itself(line)
                else:
                    found.append(line)
            return line == GOOD

        await self._until(take, shown, timeout_s)
        return found

    async def _until(self, take: Callable[[str], bool], shown: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = await self._next()
                    if self._half is not None:
                        self._by_itself(line)
                    elif match := BAD.fullmatch(line):
                        code = (match[2] or match[0]).strip()
                        raise AtError(say("sms.at-error", command=shown, code=code), code)
                    elif take(line):
                        return
        except TimeoutError:
            raise AtError(say("sms.at-silent", command=shown, seconds=f"{timeout_s:g}")) from None

    async def _next(self) -> str:
        while not self._waiting:
            self._waiting.extend(self._lines.feed(await self._line.read()))
        return self._waiting.popleft()

    def _by_itself(self, line: str) -> None:
        if self._half is not None:
            self.said.append((self._half, line))
            self._half = None
        elif line.startswith(TWO_LINES):
            self._half = line
        else:
            self.said.append((line, ""))
