"""The commands of arming and of drills: `arm`, `disarm`, `drill-start`, `drill-stop` (DESIGN 6)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from agent.alarms.drill import DEFAULT_S, LONGEST_S
from agent.alarms.engine import Refusal
from agent.clock import Clock
from agent.model import Command, JsonValue
from agent.runtime.desk import AlarmDesk
from agent.runtime.verbs import Verb, told
from agent.texts import say

MINUTE_S: Final = 60.0
SCOPE_LIMIT: Final = 200
"""Devices and points that a drill may name: more than a school has buttons."""


class ModeVerbs:
    """Their handlers."""

    def __init__(self, desk: AlarmDesk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    def handlers(self) -> dict[str, Verb]:
        """The verbs by name."""
        return {
            "arm": self.arm,
            "disarm": self.disarm,
            "drill-start": self.drill_start,
            "drill-stop": self.drill_stop,
        }

    async def arm(self, command: Command) -> Mapping[str, JsonValue]:
        """Arm `partition`, with `force` also while some of its points are active."""
        modes, partition, force = self._desk.engine.modes, text_arg(command.args, "partition"), flag(command, "force")
        outcome = self._desk.engine.perform(
            lambda batch: modes.arm(batch, partition, actor=command.actor, how="command", force=force),
            self._clock.moment(),
        )
        await self._desk.take(outcome)
        return told(outcome)

    async def disarm(self, command: Command) -> Mapping[str, JsonValue]:
        """Disarm `partition`."""
        modes, partition = self._desk.engine.modes, text_arg(command.args, "partition")
        outcome = self._desk.engine.perform(
            lambda batch: modes.disarm(batch, partition, actor=command.actor, how="command"), self._clock.moment()
        )
        await self._desk.take(outcome)
        return told(outcome)

    async def drill_start(self, command: Command) -> Mapping[str, JsonValue]:
        """Begin a drill of `minutes`, or `until` a time, of all or of `scope`."""
        length_s = drill_length_s(command.args, self._clock.wall())
        modes, scope = self._desk.engine.modes, scope_of(command.args)
        outcome = self._desk.engine.perform(
            lambda batch: modes.drill_start(batch, actor=command.actor, length_s=length_s, scope=scope),
            self._clock.moment(),
        )
        await self._desk.take(outcome)
        return told(outcome)

    async def drill_stop(self, command: Command) -> Mapping[str, JsonValue]:
        """End the drill; with `real`, what was raised in it and still stands is raised anew as real."""
        modes, real = self._desk.engine.modes, flag(command, "real")
        outcome = self._desk.engine.perform(
            lambda batch: modes.drill_stop(batch, actor=command.actor, real=real), self._clock.moment()
        )
        await self._desk.take(outcome)
        return told(outcome)


def text_arg(args: Mapping[str, JsonValue], name: str) -> str:
    """A text that must be there. Raises Refusal."""
    if not isinstance(value := args.get(name), str) or not value:
        raise Refusal(say("runtime.bad-arg", name=name, expected="text", got=repr(value)))
    return value


def flag(command: Command, name: str) -> bool:
    """A flag, false if it is left out. Raises Refusal."""
    if not isinstance(value := command.args.get(name, False), bool):
        raise Refusal(say("runtime.bad-arg", name=name, expected="true | false", got=repr(value)))
    return value


def drill_length_s(args: Mapping[str, JsonValue], now: datetime) -> float:
    """How long a drill is to last. Raises Refusal."""
    length_s: float | None = DEFAULT_S
    minutes, until = args.get("minutes"), args.get("until")
    if minutes is not None:
        is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        length_s = float(str(minutes)) * MINUTE_S if is_number else None
    elif until is not None:
        length_s = _seconds_until(until, now)
    if length_s is None or not 0 < length_s <= LONGEST_S or (minutes is not None and until is not None):
        raise Refusal(say("arming.drill-length", longest=round(LONGEST_S / MINUTE_S)))
    return length_s


def _seconds_until(until: JsonValue, now: datetime) -> float | None:
    try:
        end = datetime.fromisoformat(str(until))
    except ValueError:
        return None
    return (end - now).total_seconds() if end.tzinfo is not None else None


def scope_of(args: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The devices and points of a drill. Raises Refusal."""
    scope = args.get("scope", [])
    if not isinstance(scope, list) or len(scope) > SCOPE_LIMIT or not all(isinstance(one, str) for one in scope):
        raise Refusal(say("runtime.bad-arg", name="scope", expected='["device/point", ...]', got=type(scope).__name__))
    return tuple(map(str, scope))
