"""What a receiver does with messages: whose they are, whether they may be believed, what they mean, and the answer.
No sockets; an answer is given out after what it acknowledges is durable.

Source: ANSI/SIA DC-09-2013, 5.5.1.8 (time window), 5.5.2.1 (NULL), 5.5.3 (answers).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from agent.driver import NS_PER_S, BadFrame, Bucket, Link, Sample, Text, say
from drivers import _contact_id, _sia
from drivers._dc09 import ACK, ADM_CID, ANSWERS, DUH, NULL, SIA_DCS, Frame, Message, nak
from drivers.dc09 import GRACE, Dc09, Dc09Account
from drivers.dc09.inputs import REFUSED, SUPERVISION, plain

BURST: Final = 5.0
"""Seconds' worth of messages that may come at once: what a host kept while its line was away."""
RECENT: Final = 64
"""Messages of a host that are remembered to know them again."""
PATIENCE: Final = 3
"""So many messages in a row with a wrong time are a host with a wrong clock, rather than one that has just started."""
CALM_S: Final = 60.0
"""A host whose messages were refused is well again when none was for so long."""
UNDER_WAY: Final = -1
"""In place of a time: the journal has not yet answered."""
TOLD_AGAIN_S: Final = 60.0
"""How often a host that sends too fast is told."""


Arrival = tuple[bytes | BadFrame, str]
"""A message as it came, or what came in place of one, and the address that it came from."""


class Rejected(BadFrame):
    """A message that is no noise, and that is not taken: why, in words."""

    def __init__(self, text: Text, raw: bytes) -> None:
        super().__init__("", raw)
        self.text = text
        self.args = (text,)


@dataclass(slots=True)
class Host:
    """What is known of one account since the start."""

    settings: Dc09Account
    key: bytes | None
    bucket: Bucket
    heard_ns: int
    prefix: str
    recent: dict[tuple[object, ...], int] = field(default_factory=dict)
    """Messages by their number and content, each with when it was durable, or `UNDER_WAY`."""
    lost: bool | None = None
    """Whether its supervision has ended; None until it is known."""
    refused: bool | None = None
    refused_ns: int = 0
    wrong_times: int = 0
    slowed_ns: int = 0

    @property
    def due_ns(self) -> int | None:
        """When it counts as lost unless it is heard."""
        if self.settings.supervision_s is None or self.lost:
            return None
        return self.heard_ns + round(self.settings.supervision_s * GRACE * NS_PER_S)


@dataclass(slots=True)
class Verdict:
    """One message: the answer, what it tells, and how to recognise it when it comes again."""

    answer: bytes | None = None
    samples: tuple[Sample, ...] = ()
    host: Host | None = None
    seen: tuple[object, ...] | None = None
    good: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some messages."""

    answers: tuple[bytes | None, ...]
    wait_s: float
    """How long whoever sent them is to be left waiting, so that it gets no more than its share."""
    good: int
    """How many came from a known host and could be read."""


class Receiver:
    """All hosts of one driver. Nothing in here waits but for the journal."""

    def __init__(self, driver: Dc09, keys: Mapping[str, bytes], link: Link) -> None:
        self._driver = driver
        self._link = link
        self._inputs = driver.inputs.panel
        now_ns = link.clock.boottime_ns()
        self._hosts = {
            plain(settings.account): Host(
                settings,
                keys.get(settings.account),
                Bucket(driver.frames_per_s * BURST, driver.frames_per_s),
                now_ns,
                self._inputs.prefix(settings.account),
            )
            for settings in driver.accounts
        }

    async def take(self, arrivals: Sequence[Arrival], *, drops: bool = False) -> Taken:
        """Judge messages in their order, make durable what they tell, and return the answers. Where nobody can be made
        to wait, a host beyond its share is not heard (`drops`); it sends again. Raises JournalError."""
        now_ns = self._link.clock.boottime_ns()
        verdicts = [self._judge(frame, address, now_ns, drops) for frame, address in arrivals]
        samples = [sample for verdict in verdicts for sample in verdict.samples]
        good = sum(verdict.good for verdict in verdicts)
        durable = False
        try:
            if samples:
                await self._link.emit(*samples)
            elif good:
                self._link.alive()
            durable = True
        finally:
            for verdict in verdicts:
                if verdict.host and verdict.seen is not None:
                    if durable:
                        verdict.host.recent[verdict.seen] = now_ns
                    else:  # it comes again, and is to be told then
                        verdict.host.recent.pop(verdict.seen, None)
        wait_s = max((self._share(verdict.host, now_ns) for verdict in verdicts), default=0.0)
        return Taken(tuple(verdict.answer for verdict in verdicts), wait_s, good)

    def overdue(self) -> tuple[Sample, ...]:
        """What to tell of hosts that do not report any more."""
        now_ns = self._link.clock.boottime_ns()
        found = []
        for host in self._hosts.values():
            if host.due_ns is not None and host.due_ns <= now_ns:
                host.lost = True
                found.append(self._own(host, SUPERVISION, True, "supervision-lost", now_ns))
        return tuple(found)

    def next_due_ns(self) -> int | None:
        """When `overdue` has something to tell."""
        return min((due_ns for host in self._hosts.values() if (due_ns := host.due_ns) is not None), default=None)

    # --- one message

    def _judge(self, raw: bytes | BadFrame, address: str, now_ns: int, drops: bool) -> Verdict:
        try:
            if isinstance(raw, BadFrame):
                raise raw
            frame = Frame.from_bytes(raw)
            host = self._host_of(frame, address, raw)
        except BadFrame as error:
            self._link.reject(error.got, error)
            return Verdict()
        if drops and not host.bucket.ready(now_ns):
            self._tell_too_fast(host, now_ns)
            return Verdict()
        try:
            return self._accept(frame, host, raw, now_ns)
        except BadFrame as error:
            self._link.reject(raw, error)
            return Verdict(samples=tuple(self._refuse(host, error.text, now_ns)))

    def _host_of(self, frame: Frame, address: str, raw: bytes) -> Host:
        """The host that a frame names. Raises BadFrame."""
        account = frame.account
        if not account and not frame.encrypted:  # some name it in the data only
            account = frame.open().content[0]
        host = self._hosts.get(plain(account))
        if host and _same(host.settings.receiver, frame.receiver) and _same(host.settings.line, frame.line):
            return host
        numbers = {"receiver": frame.receiver or "-", "line": frame.line or "-"}
        raise Rejected(say("dc09.unknown-account", account=account or "-", address=address, **numbers), raw)

    def _accept(self, frame: Frame, host: Host, raw: bytes, now_ns: int) -> Verdict:
        """Take a message of a known host. Raises BadFrame for what is not to be believed."""
        message = self._open(frame, host, raw)
        if message.id in ANSWERS:
            return Verdict(host=host)  # nobody asked
        if late := self._out_of_window(message, host, raw, now_ns):
            return late
        host.heard_ns = now_ns
        back = tuple(self._back(host, now_ns))
        key = host.key if frame.encrypted else None
        ack = message.answer(ACK, self._now(host) if key else None).to_bytes(key)
        verdict = self._told(message, host, raw, ack, now_ns)
        return replace(verdict, samples=(*back, *verdict.samples))

    def _out_of_window(self, message: Message, host: Host, raw: bytes, now_ns: int) -> Verdict | None:
        """Refuse a message with a wrong time, and tell the host the right one; None if it may pass."""
        skew_s = self._skew_s(message, host)
        if skew_s is None or -self._driver.past_s <= skew_s <= self._driver.future_s:
            host.wrong_times = 0
            return None
        host.wrong_times += 1
        stubborn = host.wrong_times > PATIENCE
        if stubborn and self._link.clock.quality() != "synced":
            return None  # a gateway that does not know the time itself must not refuse an alarm over and over
        text = say("dc09.wrong-time", account=host.settings.account, seconds=f"{skew_s:+.0f}")
        self._link.reject(raw, Rejected(text, raw))
        samples = tuple(self._refuse(host, text, now_ns)) if stubborn else ()
        return Verdict(nak(self._now(host)).to_bytes(), samples)

    def _open(self, frame: Frame, host: Host, raw: bytes) -> Message:
        account = host.settings.account
        if frame.encrypted and host.key is None:
            raise Rejected(say("dc09.no-key", account=account), raw)
        if not frame.encrypted and host.key is not None and host.settings.encrypted == "required":
            raise Rejected(say("dc09.not-encrypted", account=account), raw)
        try:
            return frame.open(host.key)
        except BadFrame as error:
            text = say("dc09.wrong-key", account=account) if frame.encrypted else error.text
            raise Rejected(text, raw) from error

    def _told(self, message: Message, host: Host, raw: bytes, ack: bytes, now_ns: int) -> Verdict:
        """What a message tells, unless it was told before."""
        if message.id == NULL:
            return Verdict(ack, host=host, good=True)
        seen = (message.sequence, message.id, message.data, message.extended)
        self._forget(host, now_ns)
        if (came_ns := host.recent.get(seen)) is not None:
            # One that is still under way is acknowledged to whom it came from first.
            return Verdict(None if came_ns == UNDER_WAY else ack, host=host, good=True)
        try:
            samples = tuple(self._samples(message, host, now_ns))
        except BadFrame as error:
            text = say("dc09.unsupported", account=host.settings.account, id=message.id, error=error.text)
            self._link.reject(raw, Rejected(text, raw))
            refused = tuple(self._refuse(host, text, now_ns))
            return Verdict(message.answer(DUH).to_bytes(), refused, host, good=True)
        host.recent[seen] = UNDER_WAY
        return Verdict(ack, samples, host, seen, good=True)

    def _samples(self, message: Message, host: Host, now_ns: int) -> Iterator[Sample]:
        """The samples of an event message. Raises BadFrame for what this receiver does not know."""
        account = host.settings.account
        reporter, data = message.content
        if message.id == SIA_DCS:
            events = _sia.decode(data)
            found = [sample for event in events for sample in _sia.samples(account, event, self._inputs, now_ns)]
        elif message.id == ADM_CID:
            block = re.sub(r"\s", "", data).upper().encode("ascii", "replace")
            report = _contact_id.decode_event(block, account)
            found = list(_contact_id.samples(report, self._inputs, now_ns))
        else:
            raise BadFrame(f"{SIA_DCS}, {ADM_CID}, {NULL}", message.id.encode("ascii"))
        more: dict[str, str | int] = {"sequence": message.sequence}
        if plain(reporter) != plain(account):
            more["reporter"] = reporter
        for sample in found:
            yield replace(sample, detail={**sample.detail, **more}) if sample.detail else sample

    # --- what is told of hosts

    def _back(self, host: Host, now_ns: int) -> Iterator[Sample]:
        """A host was heard, and believed."""
        if host.settings.supervision_s is not None and host.lost is not False:
            host.lost = False
            yield self._own(host, SUPERVISION, False, "supervision-lost", now_ns)
        if host.refused is not False and now_ns - host.refused_ns >= CALM_S * NS_PER_S:
            host.refused = False
            yield self._own(host, REFUSED, False, "panel-trouble", now_ns)

    def _refuse(self, host: Host, why: Text, now_ns: int) -> Iterator[Sample]:
        """A message under a host's account was not believed."""
        host.refused_ns = now_ns
        if not host.refused:
            host.refused = True
            yield replace(
                self._own(host, REFUSED, True, "panel-trouble", now_ns),
                detail={"account": host.settings.account, "reason": why},
            )

    def _own(self, host: Host, name: str, value: bool, kind: str, now_ns: int) -> Sample:
        detail = {"account": host.settings.account}
        return Sample(host.prefix + name, value, now_ns, kind=kind, detail=detail)

    # --- times and shares

    def _now(self, host: Host) -> datetime:
        """The time, as a host understands it."""
        now = self._link.clock.wall()
        return now.replace(tzinfo=UTC) if host.settings.time == "local" else now

    def _skew_s(self, message: Message, host: Host) -> float | None:
        """How far ahead a message's time is; None if it does not matter."""
        if message.time is None or host.settings.time == "ignore":
            return None
        return (message.time - self._now(host)).total_seconds()

    def _forget(self, host: Host, now_ns: int) -> None:
        """Drop what is too old to be the same message, and what is too much."""
        kept_s = self._driver.duplicate_s
        if host.key is not None:  # or whoever recorded one could tell it again as long as its time lets it pass
            kept_s = max(kept_s, self._driver.past_s + self._driver.future_s)
        oldest_ns = now_ns - round(kept_s * NS_PER_S)
        for seen in [seen for seen, came_ns in host.recent.items() if UNDER_WAY < came_ns <= oldest_ns]:
            del host.recent[seen]
        while len(host.recent) > RECENT:
            del host.recent[next(iter(host.recent))]

    def _share(self, host: Host | None, now_ns: int) -> float:
        """Count a message against its host's share; return how long its sender has to wait. What is nobody's, or was
        not believed, must not cost a host its share."""
        if host is None:
            return 0.0
        wait_s = host.bucket.owe(now_ns)
        if wait_s:
            self._tell_too_fast(host, now_ns)
        return wait_s

    def _tell_too_fast(self, host: Host, now_ns: int) -> None:
        if now_ns - host.slowed_ns > TOLD_AGAIN_S * NS_PER_S:
            host.slowed_ns = now_ns
            text = say("dc09.too-fast", account=host.settings.account, rate=f"{self._driver.frames_per_s:g}")
            self._link.reject(b"", Rejected(text, b""))


def _same(wanted: str | None, found: str) -> bool:
    """Whether a receiver or line number is the right one, if it matters."""
    return wanted is None or plain(wanted) == plain(found)
