"""Alarm hosts and communicators that print Contact ID blocks on a serial line, with or without spaces and line ends.

Source: SIA DC-05-1999.09 (Ademco Contact ID), message block `ACCT MT QXYZ GG CCC S` and its checksum. How the block
stands on a line, and the byte that acknowledges it, differ by maker and are configured.
"""

import re
from collections.abc import Container, Iterator
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator

from agent.driver import BadFrame, BadSetting, Duration, Field, Input, Link, SerialDriver, say
from drivers._contact_id import RELEASE_AFTER_S, Account, PanelInputs, Report, decode_block
from drivers._contact_id_host import COPIES_WINDOW_S, Reports
from drivers._line import REJECTED_BYTES, RETRY_CAP_S, Reject, serve

BLANKS: Final = b" \t\0"
"""What may stand between the parts of a block, and says nothing."""
HEX: Final = b"0123456789ABCDEF"
BLOCK_CHARS: Final = 16
RUN: Final = re.compile(rb"[0-9A-F]{16,}")
EXPECTED: Final = "ACCT 18 QXYZ GG CCC S"
ACK_LONGEST: Final = 8
ACK_WITHIN_S: Final = 4.0
"""Makers say little of it. Hosts send again after some seconds; a late answer might be taken for that of the next."""
TEST_SLACK_S: Final = 3600.0
"""A periodic test waits for a free line, and the clocks of hosts drift."""


def decode(data: bytes) -> Report:
    """Decode one block as it stood on the line. Raises BadFrame."""
    return decode_block(data.translate(None, BLANKS))


class Blocks:
    """Blocks out of the bytes of a line, as they come: also glued together, and after the rest of one that was cut off.
    One that does not begin where the digits do is believed only of an account that we know: one in 15 is right by
    chance."""

    def __init__(self, accounts: Container[str]) -> None:
        self._accounts = accounts
        self._buffer = b""
        self._astray = False
        """Whether the digits that are kept began before them."""

    def feed(self, data: bytes, reject: Reject) -> Iterator[bytes]:
        """Return the blocks that are whole now, without spaces."""
        buffer, done = self._buffer + data.translate(None, BLANKS), 0
        self._buffer = b""
        for run in RUN.finditer(buffer):
            self._astray = self._astray and run.start() == 0
            yield from self._blocks(run[0], goes_on=run.end() == len(buffer), reject=reject)
            _junk(buffer[done : run.start()], reject)
            done = run.end()
        rest = buffer[done:]
        if rest.strip(HEX):
            self._astray = False
        kept = len(rest.rstrip(HEX))
        self._buffer += rest[kept:]
        _junk(rest[:kept], reject)

    def _blocks(self, run: bytes, *, goes_on: bool, reject: Reject) -> Iterator[bytes]:
        at = 0
        while len(run) - at >= BLOCK_CHARS:
            if self._astray or not _is_block(run[at : at + BLOCK_CHARS]):
                places = range(at, len(run) - BLOCK_CHARS + 1)
                found = next((place for place in places if self._is_ours(run[place : place + BLOCK_CHARS])), None)
                if found is None:
                    break
                _junk(run[at:found], reject)
                at, self._astray = found, False
            yield run[at : at + BLOCK_CHARS]
            at += BLOCK_CHARS
        kept = max(at, len(run) - BLOCK_CHARS + 1) if goes_on else len(run)
        self._astray = goes_on and (self._astray or kept > at)
        self._buffer = run[kept:]
        if run[at:kept]:
            yield run[at:kept]

    def _is_ours(self, data: bytes) -> bool:
        return data[:4].decode("ascii") in self._accounts and _is_block(data)


def _is_block(data: bytes) -> bool:
    try:
        decode_block(data)
    except BadFrame:
        return False
    return True


def _junk(data: bytes, reject: Reject) -> None:
    if data.strip():
        reject(data[:REJECTED_BYTES], BadFrame(EXPECTED, data))


def _ack(value: str) -> str:
    try:
        found = bytes.fromhex(value)
    except ValueError:
        found = b"\0" * (ACK_LONGEST + 1)
    if len(found) > ACK_LONGEST:
        raise BadSetting(say("line.ack", most=ACK_LONGEST), value)
    return value


class ContactId(SerialDriver):
    """A host that prints Contact ID.

    Source: SIA DC-05-1999.09, message block and checksum; the line around it by the host's manual.
    """

    name: ClassVar[str] = "contact-id"
    retry_cap_s: ClassVar[float] = RETRY_CAP_S
    tells_events: ClassVar[bool] = True

    accounts: tuple[Account, ...] = Field(min_length=1, max_length=256, description="the hosts' accounts, of 4 digits")
    ack: Annotated[str, AfterValidator(_ack)] = Field(
        "06", description="bytes that acknowledge a block, in hexadecimal; empty for a host that expects none"
    )
    test_every_s: Duration = Field(
        0.0,
        alias="test_every",
        ge=0,
        le=7 * 86_400,
        description="how often its periodic test comes (602); 0 if it sends none, then nobody knows whether it lives",
    )
    window_s: Duration = Field(
        COPIES_WINDOW_S,
        alias="copies_window",
        ge=1,
        le=300,
        description="a report like the last one is a copy for so long",
    )
    release_after_s: Duration = Field(
        RELEASE_AFTER_S,
        alias="release_after",
        ge=1,
        le=3600,
        description="how long a panic button counts as pressed, if no restore is sent",
    )

    def inputs_available(self) -> Container[Input]:
        return PanelInputs(self.accounts)

    def silence_s(self) -> float | None:
        return self.test_every_s + min(TEST_SLACK_S, self.test_every_s) if self.test_every_s else None

    async def run(self, link: Link) -> None:
        async with link.serial(self) as line:
            reports = Reports(
                link,
                line,
                PanelInputs(self.accounts),
                ack=bytes.fromhex(self.ack),
                ack_within_s=ACK_WITHIN_S,
                window_s=self.window_s,
                release_after_s=self.release_after_s,
            )

            async def take(block: bytes) -> None:
                await reports.take(decode(block), block)

            if not self.test_every_s:
                link.alive()
            await serve(link, line, Blocks(self.accounts), take)
