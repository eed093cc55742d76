"""What the agent does on a command, whoever sends it: the district, or a technician through the control socket."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from agent.alarms.engine import Alarms, Outcome, Refusal
from agent.clock import NS_PER_S, Clock
from agent.model import Command, JsonValue
from agent.runtime.desk import AlarmDesk
from agent.runtime.devices import DeviceLink
from agent.texts import say

Verb = Callable[[Command], Awaitable[Mapping[str, JsonValue]]]

OUTPUT_DEFAULT_S: Final = 10.0
"""A commanded output falls back to what the alarms want of it after so long, unless the command says otherwise."""
OUTPUT_LONGEST_S: Final = 3600.0
"""An output held for longer is a wiring matter, and would hide the lamp's truth."""


class Verbs:
    """The handlers of `ack`, `reset` and `output` (DESIGN 6)."""

    def __init__(self, desk: AlarmDesk, clock: Clock, links: Mapping[str, DeviceLink]) -> None:
        self._desk = desk
        self._clock = clock
        self._links = links

    def handlers(self) -> dict[str, Verb]:
        """The verbs by name."""
        return {"ack": self.ack, "reset": self.reset, "output": self.output}

    async def ack(self, command: Command) -> Mapping[str, JsonValue]:
        """Acknowledge an alarm named by `event`, or by `device` and `point`."""
        return told(await self._desk.ack(command.args, command.actor))

    async def reset(self, command: Command) -> Mapping[str, JsonValue]:
        """Reset an alarm whose input is released."""
        return told(await self._desk.reset(command.args, command.actor))

    async def output(self, command: Command) -> Mapping[str, JsonValue]:
        """Switch `output` of `device` to `value` for `seconds`. Raises Refusal when the device does not confirm."""
        device, output, value, seconds = output_args(command.args)
        link = self._links.get(device)
        if link is None:
            raise Refusal(say("runtime.no-device", device=device, known=", ".join(sorted(self._links)) or "-"))
        available = link.device.settings.outputs_available()
        if output not in available:
            known = f"{available[0]}..{available[-1]}" if isinstance(available, range) and available else "-"
            raise Refusal(say("runtime.no-output", device=device, output=output, known=known))
        until_ns = self._clock.boottime_ns() + round(seconds * NS_PER_S)
        self._desk.engine.override(device, output, value, until_ns)
        self._desk.poke()
        if not await link.confirmed(output, value):
            raise Refusal(say("runtime.output-unconfirmed", device=device, output=output))
        return {"device": device, "output": output, "value": value, "seconds": round(seconds)}


def told(outcome: Outcome) -> Mapping[str, JsonValue]:
    """What a reply says of an outcome: the events that it caused."""
    return {"events": [event.id for event in outcome.events], **outcome.result}


def output_args(args: Mapping[str, JsonValue]) -> tuple[str, int, bool, float]:
    """Read the arguments of `output`; raise Refusal that names the wrong one."""
    device, output, value = args.get("device"), args.get("output"), args.get("value")
    seconds = args.get("seconds", OUTPUT_DEFAULT_S)
    if not isinstance(device, str):
        raise Refusal(say("runtime.bad-arg", name="device", expected="text", got=repr(device)))
    if not isinstance(output, int) or isinstance(output, bool):
        raise Refusal(say("runtime.bad-arg", name="output", expected="0, 1, 2 ...", got=repr(output)))
    if not isinstance(value, bool):
        raise Refusal(say("runtime.bad-arg", name="value", expected="true | false", got=repr(value)))
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= OUTPUT_LONGEST_S:
        expected = f"0 < seconds <= {OUTPUT_LONGEST_S:.0f}"
        raise Refusal(say("runtime.bad-arg", name="seconds", expected=expected, got=repr(seconds)))
    return device, output, value, float(seconds)


__all__ = ["Alarms", "Verbs"]
