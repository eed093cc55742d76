"""Short messages through a GSM or LTE modem on a serial port: the way out that needs neither the school's network nor
its district's.

Source: 3GPP TS 27.005 and 27.007 for the commands, 23.040 for the messages (drivers/_sms_pdu.py). Telephone numbers
are personal data: they stand in a secret, and are shown by their last four digits only.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from agent.driver import (
    NS_PER_S,
    BadFrame,
    Baudrate,
    Condition,
    DeviceError,
    Duration,
    Field,
    Notice,
    PathDriver,
    PathError,
    PathLink,
    PathSession,
    Secret,
    SecretError,
    SerialPort,
    Supervision,
    Taken,
    Text,
    say,
)
from drivers._at import AtError, Modem
from drivers._sms_pdu import NUMBER, Report, read_report, submits

AWAKE_TRIES: Final = 3
"""A modem that sets its speed by what it hears misses the first command."""
AWAKE_S: Final = 2.0
SUBMIT_S: Final = 60.0
"""27.005 names no limit; networks answer within seconds, and a minute is what modems' manuals give them."""
RECIPIENTS_LIMIT: Final = 20
"""At some four seconds each, the last one hears of an alarm after more than a minute."""
SENDING_S: Final = 150.0
"""Twice what twenty recipients take. With a submission that hangs and the longest wait for reports the agent's limit of
five minutes is not reached: beyond it the first ones would get the message again and again, and the last ones never."""
SHOWN_DIGITS: Final = 4
REGISTERED: Final = ("1", "5")
"""27.007, 7.2: registered at home, roaming."""
NO_SIGNAL: Final = 99
WEAK_BELOW: Final = 10
"""27.007, 8.5: 0-31 is -113 to -51 dBm; below -93 dBm messages begin to fail."""
REFERENCES: Final = 256
OPENING: Final = ("E0", "+CMEE=1", "+CMGF=0", "+CNMI=2,1,0,1,0")
"""No echo, errors by number, messages as PDU, reports told as they come."""


@dataclass(slots=True)
class Sent:
    """What one recipient's message has come to: references of its parts that are not reported yet."""

    number: str
    open: set[int] = field(default_factory=set)
    failed: bool = False

    @property
    def confirmed(self) -> bool:
        return not self.open and not self.failed


class Sms(PathDriver, SerialPort):
    """A modem with a SIM card.

    Source: 3GPP TS 27.005, 27.007, 23.040."""

    name = "sms"
    baudrate: Baudrate = Field(115_200, description="speed of the line")
    recipients: Secret = Field(description="telephone numbers, one a line or with commas")
    pin: Secret | None = Field(None, description="PIN of the SIM card, if it asks for one")
    smsc: str | None = Field(None, pattern=r"^\+?[0-9]{3,20}$", description="the network's service centre")
    report_wait_s: Duration = Field(30.0, alias="report_wait", ge=0, le=120, description="wait for the phones' word")
    interval_s: Duration = Field(300.0, alias="interval", ge=30, le=86_400, description="how often it is looked at")

    def supervision(self) -> Supervision:
        return Supervision(self.interval_s, 2 * self.interval_s)

    def numbers(self) -> tuple[str, ...]:
        """The recipients. Raises PathError."""
        try:
            text = self.recipients.reveal()
        except SecretError as error:
            raise PathError(error.text) from None
        lines = (line.partition("#")[0] for line in text.splitlines())
        found = tuple(
            dict.fromkeys(re.sub(r"[ ()-]", "", one) for line in lines for one in line.split(",") if one.strip())
        )
        for position, number in enumerate(found, 1):
            if not NUMBER.fullmatch(number):
                raise PathError(say("sms.bad-number", position=position))
        if not 1 <= len(found) <= RECIPIENTS_LIMIT:
            raise PathError(say("sms.recipients", count=len(found), limit=RECIPIENTS_LIMIT))
        return found

    async def open(self, link: PathLink) -> PathSession:
        numbers = self.numbers()
        stack = AsyncExitStack()
        try:
            link.step(say("sms.opening", port=self.port))
            modem = Modem(await stack.enter_async_context(link.serial(self)))
            session = SmsSession(self, link, numbers, modem, stack)
            await session.begin()
        except (DeviceError, AtError) as error:
            await stack.aclose()
            raise PathError(error.text) from None
        except BaseException:  # also when cancelled: the port must not stay open
            await stack.aclose()
            raise
        return session


class SmsSession(PathSession):
    """One conversation with the modem."""

    def __init__(
        self, settings: Sms, link: PathLink, numbers: tuple[str, ...], modem: Modem, stack: AsyncExitStack
    ) -> None:
        self._settings = settings
        self._link = link
        self._numbers = numbers
        self._modem = modem
        self._stack = stack
        self._reference = int.from_bytes(hashlib.sha256(str(link.clock.boottime_ns()).encode()).digest()[:1], "big")
        self._facts: dict[str, str] = {}

    async def begin(self) -> None:
        """Wake the modem, open the SIM, and set what messages need. Raises AtError, DeviceError, PathError."""
        await self._wake()
        for command in OPENING:
            await self._modem.ask(command)
        await self._open_sim()
        if self._settings.smsc:
            await self._modem.ask(f'+CSCA="{self._settings.smsc}"')
        for name, command in (("maker", "+CGMI"), ("model", "+CGMM"), ("firmware", "+CGMR")):
            if lines := await self._optional(command):
                self._facts[name] = lines[0].partition(":")[2].strip().strip('"') or lines[0]

    async def send(self, notice: Notice) -> Taken:
        text = f"【{self._link.site.name}】{notice.text} {notice.time:%m-%d %H:%M:%S}"
        if self._link.site.language == "en":
            text = f"[{self._link.site.name}] {notice.text}, {notice.time:%m-%d %H:%M:%S}"
        try:
            await self._registered()
            sent, why = await self._send_all(text)
            await self._await_reports(sent)
        except (DeviceError, AtError) as error:
            raise PathError(error.text) from None
        lost = [one for one in sent if one.failed]
        if len(lost) == len(sent):
            raise PathError(why or say("sms.undelivered"))
        taken, confirmed = len(sent) - len(lost), sum(one.confirmed for one in sent)
        answer = say("sms.taken", taken=taken, count=len(sent), confirmed=confirmed)
        if lost:
            names = ", ".join(masked(one.number) for one in lost)
            answer = say("sms.taken-partly", taken=taken, count=len(sent), confirmed=confirmed, lost=names)
        return Taken(self._facts.get("model", "SMS"), answer)

    async def probe(self) -> Condition:
        try:
            await self._modem.ask("")
            await self._registered()
            signal = await self._signal()
        except (DeviceError, AtError) as error:
            raise PathError(error.text) from None
        word = "unknown" if signal == NO_SIGNAL else "weak" if signal < WEAK_BELOW else "good"
        return Condition(say("sms.fine", signal=signal), {**self._facts, "signal": word})

    async def close(self) -> None:
        await self._stack.aclose()

    async def _wake(self) -> None:
        """Get an answer at all, out of whatever state the modem was left in."""
        await self._modem.drop()
        for attempt in range(1, AWAKE_TRIES + 1):
            try:
                await self._modem.ask("", timeout_s=AWAKE_S)
            except AtError:
                if attempt == AWAKE_TRIES:
                    raise AtError(say("sms.no-modem", port=self._settings.port)) from None
            else:
                return

    async def _open_sim(self) -> None:
        """Give the PIN if it is asked for, and never one that was refused before: the third time locks the card."""
        state = await self._sim_state()
        if state == "SIM PIN":
            pin = self._pin()
            mark = hashlib.sha256(pin.encode()).hexdigest()
            if self._link.saved("refused-pin") == mark:
                raise PathError(say("sms.pin-refused"))
            self._link.step(say("sms.giving-pin"))
            try:
                await self._modem.ask(f'+CPIN="{pin}"', shown='AT+CPIN="****"')
            except AtError:
                await self._link.save("refused-pin", mark)
                raise PathError(say("sms.pin-refused")) from None
            state = await self._sim_state()
        if state != "READY":
            raise PathError(say("sms.sim-state", state=state))

    async def _sim_state(self) -> str:
        try:
            lines = await self._modem.ask("+CPIN?", "+CPIN:")
        except AtError as error:
            raise PathError(say("sms.no-sim", code=error.code or "-")) from None
        return lines[0].partition(":")[2].strip() if lines else "-"

    def _pin(self) -> str:
        if self._settings.pin is None:
            raise PathError(say("sms.pin-needed"))
        try:
            pin = self._settings.pin.reveal()
        except SecretError as error:
            raise PathError(error.text) from None
        if not re.fullmatch(r"[0-9]{4,8}", pin):
            raise PathError(say("sms.pin-form"))
        return pin

    async def _registered(self) -> None:
        """Be in a network: of the second or third generation, or of the fourth, which some modems tell apart."""
        state = "-"
        for command in ("+CREG", "+CEREG", "+CGREG"):
            for line in await self._optional(f"{command}?", f"{command}:"):
                parts = line.partition(":")[2].split(",")
                state = parts[1 if len(parts) > 1 else 0].strip()
                if state in REGISTERED:
                    return
        raise PathError(say("sms.not-registered", state=state))

    async def _signal(self) -> int:
        lines = await self._modem.ask("+CSQ", "+CSQ:")
        match = re.search(r"(\d+)", lines[0]) if lines else None
        return int(match[1]) if match else NO_SIGNAL

    async def _optional(self, command: str, wanted: str = "") -> list[str]:
        """Ask for what not every modem knows. One that answers nothing is no such modem."""
        try:
            return await self._modem.ask(command, wanted)
        except AtError as error:
            if not error.code:
                raise
            return []

    async def _send_all(self, text: str) -> tuple[list[Sent], Text | None]:
        """Send to everybody, one after the other; a number that is refused holds nobody up."""
        sent: list[Sent] = []
        why: Text | None = None
        end_ns = self._link.clock.boottime_ns() + round(SENDING_S * NS_PER_S)
        for number in self._numbers:
            one = Sent(number)
            sent.append(one)
            if self._link.clock.boottime_ns() >= end_ns:
                one.failed, why = True, say("sms.no-time", seconds=round(SENDING_S))
                self._link.step(say("sms.refused", number=masked(number), error=why))
                continue
            self._reference = (self._reference + 1) % REFERENCES
            try:
                for part in submits(number, text, self._reference, report=self._settings.report_wait_s > 0):
                    reference = await self._modem.submit(part.length, part.hex, SUBMIT_S)
                    if reference.isdecimal():
                        one.open.add(int(reference) % REFERENCES)
            except AtError as error:
                if not error.code and not any(other.open for other in sent):
                    raise  # the modem is gone, and nobody has heard of it yet
                one.failed, why = True, error.text
                self._link.step(say("sms.refused", number=masked(number), error=error.text))
            else:
                self._link.step(say("sms.accepted", number=masked(number), parts=len(one.open)))
        return sent, why

    async def _await_reports(self, sent: list[Sent]) -> None:
        """Give the phones a while to confirm. One that is off confirms later, or never: the network has it."""
        deadline_ns = self._link.clock.boottime_ns() + round(self._settings.report_wait_s * NS_PER_S)
        while any(one.open and not one.failed for one in sent):
            for report in [report async for report in self._reports()]:
                for one in sent:
                    if report.reference in one.open and one.number[-SHOWN_DIGITS:] == report.number[-SHOWN_DIGITS:]:
                        one.open.discard(report.reference)
                        one.failed = one.failed or report.failed
            left_s = (deadline_ns - self._link.clock.boottime_ns()) / NS_PER_S
            if left_s <= 0:
                return
            if not self._modem.said and any(one.open and not one.failed for one in sent):
                await self._modem.listen(left_s)

    async def _reports(self) -> AsyncIterator[Report]:
        """What the modem has told meanwhile of phones that have it, or never will."""
        said = [*self._modem.said]
        self._modem.said.clear()  # what it tells from here on is for the next look
        for word, line in said:
            digits = [line] if word.startswith("+CDS:") else await self._stored(word)
            for one in digits:
                try:
                    report = read_report(one)
                except BadFrame as error:
                    self._link.step(error.text)
                    continue
                if report.delivered or report.failed:
                    yield report

    async def _stored(self, word: str) -> list[str]:
        """Some modems store a report and tell only where: fetch it, and make room."""
        if not (match := re.fullmatch(r"\+CDSI: ?\"\w+\", ?(\d+)", word)):
            return []
        lines = await self._optional(f"+CMGR={match[1]}")
        await self._optional(f"+CMGD={match[1]}")
        return [line for line in lines if re.fullmatch("[0-9A-Fa-f]+", line)]


def masked(number: str) -> str:
    """As much of a number as its owner recognises."""
    return "***" + number[-SHOWN_DIGITS:]
