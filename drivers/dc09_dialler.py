"""Reports alarms to an alarm centre or a police receiver by SIA DC-09, over TCP or UDP, as Contact ID or SIA-DCS.

Source: ANSI/SIA DC-09-2013 for frames, answers and repeats (drivers/_dc09.py), DC-05 for event codes, DC-03 for SIA
codes. The supervision presets are the intervals commonly used for the categories of EN 50136-1; we do not have its
text and claim no conformance.

A message is tried on each receiver in order, on a connection of its own; a repeat has the same sequence number, also
after a restart, so that a receiver whose ACK was lost does not show the alarm twice. While the backup serves, the
primary is asked again with a poll every `return_after`, never with an alarm: it would wait for a dead one.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from agent.driver import (
    NS_PER_S,
    BadFrame,
    BadSetting,
    Condition,
    Duration,
    Field,
    Notice,
    PathDriver,
    PathError,
    PathLink,
    PathSession,
    Secret,
    SecretError,
    Supervision,
    Taken,
    Text,
    say,
)
from drivers._dc09 import ACK, ADM_CID, KEY_BYTES, NAK, NULL, RSP, SIA_DCS, Message, Splitter
from drivers._dial import CONNECT_S, Wire, tcp, udp

Category = Literal["SP1", "SP2", "SP3", "SP4", "SP5", "SP6", "DP1", "DP2", "DP3", "DP4"]

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
REPORT_S: Final[Mapping[Category, float]] = {
    "SP1": 32 * DAY_S,
    "SP2": 25 * HOUR_S,
    "SP3": 30 * MINUTE_S,
    "SP4": 3 * MINUTE_S,
    "SP5": 90.0,
    "SP6": 20.0,
    "DP1": 25 * HOUR_S,
    "DP2": 30 * MINUTE_S,
    "DP3": 3 * MINUTE_S,
    "DP4": 90.0,
}
"""How long a path may be down before that is told, as commonly used for each category: single path, dual path."""
POLLS_IN_REPORT: Final = 3
"""Two polls may get lost before the time is over."""
LONGEST_POLL_S: Final = DAY_S
WINDOW_S: Final = 12 * HOUR_S
"""A receiver's clock that is further off than any time zone is not followed."""
SEQUENCE_MAX: Final = 9999
SCHEMES: Final = ("tcp", "udp")
RECEIVERS_LIMIT: Final = 4
ROUND_LIMIT_S: Final = 100.0
"""How long it may take until the last receiver has had its turn: the agent ends a poll after two minutes, and a backup
that is never reached is none."""

CODES: Final[Mapping[str, tuple[str, str, str]]] = {
    "panic": ("120", "PA", "PR"),
    "duress": ("121", "HA", "HR"),
    "fire": ("110", "FA", "FR"),
    "smoke": ("111", "FA", "FR"),
    "gas": ("151", "GA", "GR"),
    "medical": ("100", "MA", "MR"),
    "perimeter": ("131", "BA", "BR"),
    "intrusion": ("130", "BA", "BR"),
    "chemical-store": ("130", "BA", "BR"),
    "door-forced": ("423", "BA", "BR"),
    "door-held": ("426", "BA", "BR"),
    "water-leak": ("154", "WA", "WR"),
    "temperature": ("158", "KA", "KR"),
    "panel-test": ("602", "RP", "RP"),
}
"""Contact ID code, SIA code of the alarm and of its end, by kind."""
OTHER_CODES: Final = ("140", "UA", "UR")
"""General alarm; untyped zone alarm."""


def _receiver(value: str) -> str:
    parts = urlsplit(value) if "://" in value else None
    try:
        good = parts is not None and parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:
        good = False
    if not good or parts is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise BadSetting(say("dialler.receiver"), value)
    return value


def _code(value: str) -> str:
    if not re.fullmatch(r"[0-9B-F]{3}", value):
        raise BadSetting(say("dialler.code"), value)
    return value


Receiver = Annotated[str, AfterValidator(_receiver)]
Code = Annotated[str, AfterValidator(_code)]


class Dc09Dialler(PathDriver):
    """An alarm centre's receivers, the primary one first.

    Source: ANSI/SIA DC-09-2013."""

    name = "dc09-dialler"
    tells = frozenset({"alarm", "ended", "test"})
    receivers: tuple[Receiver, ...] = Field(
        min_length=1, max_length=RECEIVERS_LIMIT, description="tcp://host:port or udp://host:port, the primary first"
    )
    account: str = Field(pattern=r"^[0-9A-Fa-f]{3,16}$", description="the account that the alarm centre gave us")
    key: Secret | None = Field(None, description="AES key: 32, 48 or 64 hexadecimal digits")
    format: Literal["adm-cid", "sia-dcs"] = Field("adm-cid", description="Contact ID or SIA codes")
    receiver: str = Field("", pattern=r"^[0-9A-Fa-f]{0,6}$", description="receiver number (R), if it is wanted")
    line: str = Field("0", pattern=r"^[0-9A-Fa-f]{1,6}$", description="account prefix (L)")
    partition: str = Field("01", pattern=r"^[0-9]{2}$", description="partition in every report")
    codes: dict[str, Code] = Field({}, description="Contact ID codes by kind, where others are agreed on")
    category: Category = Field("SP4", description="supervision as commonly used for this category of EN 50136-1")
    interval_s: Duration | None = Field(
        None, alias="interval", ge=5, le=DAY_S, description="time between two polls, instead of the category's"
    )
    reply_timeout_s: Duration = Field(
        5.0, alias="reply_timeout", ge=0.5, le=60, description="how long an answer may take"
    )
    attempts: int = Field(3, ge=1, le=10, description="tries on one receiver before the next one's turn")
    return_after_s: Duration = Field(
        300.0, alias="return_after", ge=10, le=DAY_S, description="time on a backup before the primary is tried again"
    )

    @model_validator(mode="after")
    def _backups_are_reached(self) -> "Dc09Dialler":
        round_s = len(self.receivers) * (CONNECT_S + self.attempts * self.reply_timeout_s)
        if round_s > ROUND_LIMIT_S:
            raise BadSetting(
                say("dialler.round", limit=f"{ROUND_LIMIT_S:g}", connect=f"{CONNECT_S:g}"), f"{round_s:g}s"
            )
        return self

    def supervision(self) -> Supervision:
        report_s = REPORT_S[self.category]
        if self.interval_s is None:
            return Supervision(min(report_s / POLLS_IN_REPORT, LONGEST_POLL_S), report_s)
        return Supervision(self.interval_s, max(report_s, self.interval_s))

    def key_bytes(self) -> bytes | None:
        """The key. Raises PathError."""
        if self.key is None:
            return None
        try:
            key = bytes.fromhex(self.key.reveal())
        except SecretError as error:
            raise PathError(error.text) from None
        except ValueError:
            key = b""
        if len(key) not in KEY_BYTES:
            raise PathError(say("dialler.bad-key"))
        return key

    async def open(self, link: PathLink) -> PathSession:
        key = self.key_bytes()
        if key is not None:  # loading it takes tens of milliseconds, in which an alarm would wait for the loop
            await asyncio.to_thread(import_module, "cryptography.hazmat.primitives.ciphers")
        return DiallerSession(self, link, key)


class Refused(Exception):
    """This receiver will not take the message; the next one may."""

    def __init__(self, text: Text) -> None:
        super().__init__(str(text))
        self.text = text


class DiallerSession(PathSession):
    """One conversation with the receivers."""

    def __init__(self, settings: Dc09Dialler, link: PathLink, key: bytes | None) -> None:
        self._settings = settings
        self._link = link
        self._key = key
        self._offset = timedelta()
        saved = link.saved("active") or ""
        self._active = int(saved) if saved.isdecimal() and int(saved) < len(settings.receivers) else 0
        self._left_primary_ns = link.clock.boottime_ns()

    async def send(self, notice: Notice) -> Taken:
        settings = self._settings
        sequence = await self._sequence(notice.id)
        id_ = ADM_CID if settings.format == "adm-cid" else SIA_DCS
        receiver, ms = await self._anywhere(self._message(id_, sequence, content(notice, settings)), self._order())
        self._link.step(say("dialler.acknowledged", receiver=receiver, sequence=f"{sequence:04}", ms=ms))
        return Taken(receiver, say("dialler.acknowledged", receiver=receiver, sequence=f"{sequence:04}", ms=ms))

    async def probe(self) -> Condition:
        order = self._order()
        away_ns = self._link.clock.boottime_ns() - self._left_primary_ns
        if self._active and away_ns >= self._settings.return_after_s * NS_PER_S:
            self._left_primary_ns = self._link.clock.boottime_ns()
            order.sort()
        receiver, ms = await self._anywhere(self._message(NULL, 0, ""), order)
        role = "primary" if self._active == 0 else "backup"
        return Condition(say("dialler.polled", receiver=receiver, ms=ms), {"receiver": receiver, "role": role})

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _sequence(self, notice_id: str) -> int:
        """The number of a notice: the one that it has if this is a repeat, else the next. Kept before it is used."""
        number, _, last = (self._link.saved("sequence") or "0 ").partition(" ")
        if last == notice_id:
            return int(number)
        sequence = int(number) % SEQUENCE_MAX + 1 if number.isdecimal() else 1
        await self._link.save("sequence", f"{sequence} {notice_id}")
        return sequence

    def _message(self, id_: str, sequence: int, data: str) -> Message:
        settings = self._settings
        return Message(
            id_,
            sequence,
            settings.account.upper(),
            data,
            receiver=settings.receiver.upper(),
            line=settings.line.upper(),
        )

    async def _anywhere(self, message: Message, order: Sequence[int]) -> tuple[str, int]:
        """Bring a message to the first receiver that takes it; return which, and the milliseconds. Raises
        PathError."""
        began_ns = self._link.clock.boottime_ns()
        failures: list[Text] = []
        for position in order:
            receiver = self._settings.receivers[position]
            try:
                await self._to(receiver, message)
            except Refused as error:
                self._link.step(error.text)
                failures.append(error.text)
                continue
            await self._served_by(position)
            return receiver, (self._link.clock.boottime_ns() - began_ns) * 1000 // NS_PER_S
        if len(failures) == 1:
            raise PathError(failures[0])
        raise PathError(say("dialler.nobody", count=len(failures), last=failures[-1], first=failures[0]))

    def _order(self) -> list[int]:
        """The receiver that served last, then the others in order."""
        others = [position for position in range(len(self._settings.receivers)) if position != self._active]
        return [self._active, *others]

    async def _served_by(self, position: int) -> None:
        if position == self._active:
            return
        receiver = self._settings.receivers[position]
        self._link.step(say("dialler.on-backup" if position else "dialler.on-primary", receiver=receiver))
        if not self._active:
            self._left_primary_ns = self._link.clock.boottime_ns()
        self._active = position
        await self._link.save("active", str(position))

    async def _to(self, receiver: str, message: Message) -> None:
        """Bring a message to one receiver. Raises Refused."""
        self._link.step(say("dialler.dialling", receiver=receiver, id=message.id))
        parts = urlsplit(receiver)
        connect = tcp if parts.scheme == "tcp" else udp
        try:
            async with connect(parts.hostname or "", parts.port or 0) as wire:
                await self._exchange(wire, receiver, message)
        except TimeoutError:
            raise Refused(say("dialler.unreachable", receiver=receiver, reason="timeout")) from None
        except OSError as error:
            number = error.errno or 0  # the system's own words: asyncio's name the address again
            reason = os.strerror(number) if number > 0 else error.strerror or type(error).__name__
            raise Refused(say("dialler.unreachable", receiver=receiver, reason=reason)) from None

    async def _exchange(self, wire: Wire, receiver: str, message: Message) -> None:
        """Send until it is acknowledged. Raises Refused, OSError."""
        told: Text = say("dialler.silent", receiver=receiver, seconds=f"{self._settings.reply_timeout_s:g}")
        splitter = Splitter()
        for _ in range(self._settings.attempts):
            wire.write(self._encoded(message))
            try:
                async with asyncio.timeout(self._settings.reply_timeout_s):
                    answer = await self._answer(wire, splitter, receiver, message)
            except TimeoutError:
                continue
            if answer.id in (ACK, RSP):
                return
            if answer.id == NAK:
                told = self._naked(receiver, answer)
                continue
            raise Refused(say("dialler.duh", receiver=receiver))
        raise Refused(told)

    def _encoded(self, message: Message) -> bytes:
        """A frame with the time as the receiver sees it."""
        now = self._link.clock.wall() + self._offset
        try:
            return Message(
                message.id,
                message.sequence,
                message.account,
                message.data,
                message.extended,
                message.receiver,
                message.line,
                now,
            ).to_bytes(self._key)
        except BadFrame as error:
            raise Refused(error.text) from None

    async def _answer(self, wire: Wire, splitter: Splitter, receiver: str, message: Message) -> Message:
        """The answer to a message; what else comes is told and passed over. Raises Refused when the receiver hangs
        up."""
        while data := await wire.read():
            for frame in splitter.feed(data):
                try:
                    if isinstance(frame, BadFrame):
                        raise frame
                    answer = Message.from_bytes(frame, self._key)
                except BadFrame as error:
                    self._link.step(say("dialler.unreadable", receiver=receiver, error=error.text))
                    continue
                if answer.is_answer_to(message):
                    return answer
                self._link.step(say("dialler.other-answer", receiver=receiver, id=answer.id))
        raise Refused(say("dialler.hung-up", receiver=receiver))

    def _naked(self, receiver: str, answer: Message) -> Text:
        """The receiver does not like our time: tell the next frame's by its clock (DC-09, 5.5.3.2)."""
        if answer.time is None:
            return say("dialler.nak", receiver=receiver, seconds=0)
        offset: timedelta = answer.time - self._link.clock.wall()
        if abs(offset.total_seconds()) <= WINDOW_S:
            self._offset = offset
        text = say("dialler.nak", receiver=receiver, seconds=round(offset.total_seconds()))
        self._link.step(text)
        return text


def content(notice: Notice, settings: Dc09Dialler) -> str:
    """What stands between the brackets: `#1234|1120 01 005`, or `#1234|Nri01/PA005`."""
    contact_id, begins, ends = CODES.get(notice.kind, OTHER_CODES)
    contact_id = settings.codes.get(notice.kind, contact_id)
    ended = notice.what == "ended"
    account = settings.account.upper()
    if settings.format == "adm-cid":
        return f"#{account}|{3 if ended else 1}{contact_id} {settings.partition} {notice.zone:03}"
    return f"#{account}|Nri{settings.partition}/{ends if ended else begins}{notice.zone:03}"
