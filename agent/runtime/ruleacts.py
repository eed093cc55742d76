"""What rules have done: outputs, pictures and patrols through the same verbs as a command of the district, so that each
is journaled before it runs; an escalation at once. Bounded: an order that finds no room is told, and not done.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ulid import ULID

from agent.alarms.engine import Refusal
from agent.clock import Clock
from agent.config.rulebook import RULES, ActionSettings, RuleSettings
from agent.logs import Loudness
from agent.model import Command, JsonValue, Lane, new_event
from agent.runtime.desk import AlarmDesk
from agent.texts import Language, say
from agent.uplink import CommandDesk

log = logging.getLogger(__name__)

ORDERS_LIMIT: Final = 64
"""Four rules with all the actions that they may have; a school's storm of alarms has fewer."""
WORKERS: Final = 4
"""A module that does not confirm takes 5 s, a camera that is away longer; others need not wait for them."""


@dataclass(frozen=True, slots=True)
class Order:
    """One action of a rule that began to hold."""

    rule: RuleSettings
    action: ActionSettings


class RuleActs:
    """Carries out the actions of rules."""

    def __init__(self, desk: AlarmDesk, commands: CommandDesk, clock: Clock, language: Language) -> None:
        self._desk = desk
        self._commands = commands
        self._clock = clock
        self._language: Language = language
        self._orders: asyncio.Queue[Order] = asyncio.Queue(ORDERS_LIMIT)
        self._loudness = Loudness()

    async def order(self, rule: RuleSettings) -> None:
        """Have the actions of a rule done; waits for none but an escalation. Raises JournalError."""
        for action in rule.actions:
            if action.escalate:
                await self._escalate(rule)
            elif self._orders.full():
                await self._tell_skipped(rule, action)
            else:
                self._orders.put_nowait(Order(rule, action))

    async def _escalate(self, rule: RuleSettings) -> None:
        """Escalate at once. In a change of configuration the alarm may be gone before its rule is."""
        with suppress(Refusal):
            await self._desk.take(self._desk.engine.escalate(RULES, rule.id, self._clock.moment()))

    async def run(self) -> None:
        """Do what was ordered, until cancelled. Raises JournalError."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            order = await self._orders.get()
            verb, args = command_of(order.action)
            reply = await self._commands.run(Command(str(ULID()), verb, args, actor=f"rule:{order.rule.id}"))
            subject = (order.rule.id, verb)
            if reply.ok:
                self._loudness.over(subject)
            else:
                level = self._loudness.level(subject, reply.reason or "")
                log.log(level, say("rules.act-failed", rule=order.rule.name, verb=verb, reason=reply.reason or "-"))

    async def _tell_skipped(self, rule: RuleSettings, action: ActionSettings) -> None:
        text = say("rules.act-skipped", rule=rule.name, verb=action.verb, limit=ORDERS_LIMIT)
        log.warning(text)
        event = new_event(
            "campus.rule.skipped",
            Lane.EVENT,
            self._clock.moment(),
            device=RULES,
            point=rule.id,
            drill=self._desk.engine.drills(RULES, rule.id),
            name=rule.name,
            verb=action.verb,
            text=text.render(self._language),
        )
        await self._desk.tell(event)


def command_of(action: ActionSettings) -> tuple[str, Mapping[str, JsonValue]]:
    """An action as the command that does the same."""
    if (output := action.output) is not None:
        args: dict[str, JsonValue] = {
            "device": output.device,
            "output": output.output,
            "value": output.value,
            "seconds": output.for_s,
        }
        return "output", args
    if action.patrol is not None:
        return "patrol", {"patrol": action.patrol}
    return action.verb, {"camera": action.snapshot or action.clip}
