"""The command desk: what the district or the command line wishes is checked, journaled, run once, and answered.

A command is refused, with a text for people and a code for machines in the reply's `result`, when it is
`retained`, `oversized`, `malformed`, `forbidden` (verb or actor not configured), `unknown-verb`, `expired`, `busy`,
or `refused` by the part that should carry it out. `expires` is judged by the wall clock whatever its quality: a
clock that runs ahead refuses too much, and says so; trusting none would run a command of last year.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from agent.clock import NS_PER_S, Clock
from agent.config.models import UplinkSettings
from agent.journal import Claim, Journal, JournalError, JournalFull
from agent.model import Command, Event, JsonValue, Lane, Reply, new_event
from agent.texts import Language, Spoken, Text, say
from agent.uplink.limits import DEFAULT, Limits
from agent.uplink.payloads import PAYLOAD_LIMIT, Malformed, command_id, parse_command
from agent.uplink.redact import redacted
from agent.uplink.topics import COMMAND_ID

log = logging.getLogger(__name__)

Verb: TypeAlias = Callable[[Command], Awaitable[Mapping[str, JsonValue]]]
Code = Literal[
    "retained",
    "oversized",
    "malformed",
    "forbidden",
    "unknown-verb",
    "expired",
    "busy",
    "running",
    "interrupted",
    "refused",
    "timeout",
    "error",
]

ARGS_LIMIT: Final = 4096
"""Bytes of `args` that the journal keeps as they came; of longer ones it keeps the size."""
MINUTE_NS: Final = 60 * NS_PER_S
BUGS: Final = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    OSError,
    RuntimeError,
    AssertionError,
)
"""What a mistake in a handler raises. A JournalError is none of these, and ends the process."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A command that has passed every check and is claimed: run it."""

    command: Command
    handler: Verb


class CommandDesk:
    """Takes commands from both sides. `verbs` are the handlers; `ping` is built in, the uplink adds `replay`."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        settings: UplinkSettings,
        verbs: Mapping[str, Verb],
        language: Language = "zh-CN",
        limits: Limits = DEFAULT,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._language = language
        self._limits = limits
        self._verbs: dict[str, Verb] = {"ping": self._ping, **verbs}
        self.drill: Callable[[], bool] = lambda: False
        """Whether what happens to the gateway itself is part of a drill now."""
        self._minute_ns = clock.boottime_ns()
        self._told = 0
        self._untold: Counter[str] = Counter()

    def add_verb(self, name: str, handler: Verb) -> None:
        """Add a verb, or replace it."""
        self._verbs[name] = handler

    def reconfigure(self, settings: UplinkSettings) -> None:
        """Take new settings; what runs now is not touched."""
        self._settings = settings

    async def handle(self, payload: bytes, verb: str, *, retain: bool = False) -> Reply | None:
        """Take a message of `command/{verb}` and return its reply; None if it has no id that a reply could go to.
        Raises JournalError."""
        ready = await self.prepare(payload, verb, retain=retain)
        return await self.execute(ready) if isinstance(ready, Ready) else ready

    async def prepare(self, payload: bytes, verb: str, *, retain: bool = False) -> Ready | Reply | None:
        """The part before it runs: check and claim. Commands go through here one after another, in their order."""
        if retain:
            return await self._refuse(command_id(payload), verb, None, "retained", say("uplink.command-retained"))
        if len(payload) > PAYLOAD_LIMIT:
            text = say("uplink.command-oversized", size=len(payload), limit=PAYLOAD_LIMIT)
            return await self._refuse(command_id(payload), verb, None, "oversized", text)
        try:
            command = parse_command(payload, verb)
        except Malformed as error:
            return await self._refuse(command_id(payload), verb, None, "malformed", error.text)
        rules = self._settings.commands
        if rules.allow is not None and verb not in rules.allow:
            return await self._refuse_command(command, "forbidden", say("uplink.command-verb-forbidden", verb=verb))
        if rules.actors is not None and command.actor not in rules.actors:
            text = say("uplink.command-actor-forbidden", actor=command.actor or "-")
            return await self._refuse_command(command, "forbidden", text)
        return await self._claim(command)

    async def run(self, command: Command) -> Reply:
        """Run a command of the control socket: its sender is on this machine and was let in by its file mode."""
        if not COMMAND_ID.fullmatch(command.id):
            return self._reply(command.id, "malformed", say("uplink.command-bad-id", id=command.id[:64]))
        ready = await self._claim(command)
        return await self.execute(ready) if isinstance(ready, Ready) else ready

    async def execute(self, ready: Ready) -> Reply:
        """Run a claimed command, record how it went, and keep the reply. Raises JournalError."""
        command = ready.command
        outcome = "executed"
        try:
            async with asyncio.timeout(self._limits.command_s):
                result = await ready.handler(command)
            reply = Reply(command.id, True, dict(result))
        except JournalError:
            raise
        except Spoken as error:
            outcome, reply = "refused", self._reply(command.id, "refused", error.text)
        except TimeoutError:
            text = say("uplink.command-timeout", verb=command.verb, timeout_s=self._limits.command_s)
            outcome, reply = "failed", self._reply(command.id, "timeout", text)
        except BUGS as error:
            log.error("command %s failed", command.verb, exc_info=True)
            text = say("uplink.command-error", verb=command.verb, error=f"{type(error).__name__}: {error}")
            outcome, reply = "failed", self._reply(command.id, "error", text)
        event = self._event(outcome, command.id, command.verb, command.actor, reason=reply.reason)
        await self._journal.finish_command(command.id, reply, event)
        return reply

    async def close_interrupted(self) -> None:
        """Record and answer, once, the commands that were under way when the last run ended. Raises JournalError."""
        while unfinished := await self._journal.unfinished_commands():
            for id_, verb in unfinished:
                await self._close(id_, verb)

    async def _close(self, id_: str, verb: str) -> Reply:
        reply = self._reply(id_, "interrupted", say("uplink.command-interrupted"))
        event = self._event("interrupted", id_, verb, None, code="interrupted", reason=reply.reason)
        await self._journal.finish_command(id_, reply, event)
        return reply

    async def tell_untold(self) -> None:
        """Record the refusals that were not recorded one by one, once a minute. Raises JournalError."""
        if self._clock.boottime_ns() - self._minute_ns < MINUTE_NS:
            return
        self._minute_ns = self._clock.boottime_ns()
        self._told = 0
        untold, self._untold = self._untold, Counter()
        if untold:
            counts: dict[str, JsonValue] = dict(untold)
            moment = self._clock.moment()
            await self._record(
                new_event("campus.command.refused", Lane.EVENT, moment, count=untold.total(), codes=counts)
            )

    def busy(self, payload: bytes) -> Reply | None:
        """The reply to a command for which there is no room in the queue. Not journaled: it may be sent again."""
        id_ = command_id(payload) if len(payload) <= PAYLOAD_LIMIT else None
        self._untold["busy"] += 1
        return self._reply(id_, "busy", say("uplink.command-busy")) if id_ else None

    async def _claim(self, command: Command) -> Ready | Reply:
        handler = self._verbs.get(command.verb)
        if handler is None:
            text = say("uplink.command-unknown", verb=command.verb, known=", ".join(sorted(self._verbs)))
            return await self._refuse_command(command, "unknown-verb", text)
        if self._expired(command):
            text = self._expired_text(command)
            late = self._reply(command.id, "expired", text)
            told = await self._refusal(command.id, command.verb, command.actor, "expired", text)
            claim = await self._journal.claim_command(command, *told, reply=late)
            return late if claim.state == "new" else await self._known(command, claim)
        event = self._event("received", command.id, command.verb, command.actor, args=bounded(command.args))
        claim = await self._journal.claim_command(command, event)
        return Ready(command, handler) if claim.state == "new" else await self._known(command, claim)

    async def _known(self, command: Command, claim: Claim) -> Reply:
        """The reply to a command that came before."""
        if claim.interrupted:
            return await self._close(command.id, command.verb)
        return claim.reply or self._reply(command.id, "running", say("uplink.command-running"))

    def _expired_text(self, command: Command) -> Text:
        assert command.expires is not None
        return say(
            "uplink.command-expired" if self._clock.quality() == "synced" else "uplink.command-expired-unsynced",
            expires=command.expires.isoformat(timespec="seconds"),
            now=self._clock.wall().isoformat(timespec="seconds"),
        )

    def _expired(self, command: Command) -> bool:
        return command.expires is not None and command.expires <= self._clock.wall()

    async def _refuse_command(self, command: Command, code: Code, text: Text) -> Reply:
        reply = await self._refuse(command.id, command.verb, command.actor, code, text)
        assert reply is not None
        return reply

    async def _refuse(self, id_: str | None, verb: str, actor: str | None, code: Code, text: Text) -> Reply | None:
        for event in await self._refusal(id_, verb, actor, code, text):
            await self._record(event)
        return self._reply(id_, code, text) if id_ else None

    async def _refusal(self, id_: str | None, verb: str, actor: str | None, code: Code, text: Text) -> list[Event]:
        """The event of a refusal; none where there have been too many, which are told by their number."""
        await self.tell_untold()
        if self._told >= self._limits.refusals_per_minute:
            self._untold[code] += 1
            return []
        self._told += 1
        return [self._event("refused", id_, verb[:64], actor, code=code, reason=text.render(self._language))]

    def _event(self, what: str, id_: str | None, verb: str, actor: str | None, **more: JsonValue) -> Event:
        event = new_event(f"campus.command.{what}", Lane.EVENT, self._clock.moment())
        told = {"command": id_, "verb": verb, "actor": actor, **more}
        data = {name: value for name, value in told.items() if value is not None}
        return replace(event, data=data, drill=self.drill())

    async def _record(self, event: Event) -> None:
        """Journal what became of a command. A journal with no room for it counts it as lost; an acknowledgement must
        not wait for that. The claim, which has the command run once, is kept in any case."""
        try:
            await self._journal.append(event)
        except JournalFull as error:
            log.debug("%s", error)

    def _reply(self, id_: str, code: Code, text: Text) -> Reply:
        return Reply(id_, False, {"code": code}, text.render(self._language))

    async def _ping(self, _command: Command) -> Mapping[str, JsonValue]:
        moment = self._clock.moment()
        return {"time": moment.wall.isoformat(timespec="milliseconds"), "clock": moment.clock}


def bounded(args: Mapping[str, JsonValue]) -> JsonValue:
    """The arguments as the journal keeps them: not too long, and without the secrets of addresses."""
    size = len(json.dumps(dict(args)).encode())
    return redacted(dict(args)) if size <= ARGS_LIMIT else {"bytes": size}
