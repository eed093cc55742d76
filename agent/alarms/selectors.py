"""Which alarm a command means, and the refusal when that cannot be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.model import JsonValue
from agent.texts import Spoken, say

GOT_CHARS: Final = 120
"""How much of a wrong selector a refusal repeats; a command may be large."""


class Refusal(Spoken):
    """A command that is understood and not carried out; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Selector:
    """An alarm, named by one of its events, by its point, or by both, which must then agree."""

    event: str | None
    point: tuple[str, str] | None


def parse_selector(args: Mapping[str, JsonValue]) -> Selector:
    """Read `{"event": id}` or `{"device": ..., "point": ...}` (DESIGN 7); other members are left alone.
    Raises Refusal."""
    event, device, point = args.get("event"), args.get("device"), args.get("point")
    if isinstance(device, str) and isinstance(point, str) and (event is None or isinstance(event, str)):
        return Selector(event, (device, point))
    if isinstance(event, str) and device is None and point is None:
        return Selector(event, None)
    got = {name: args[name] for name in ("event", "device", "point") if name in args}
    raise Refusal(say("alarms.bad-selector", got=repr(got)[:GOT_CHARS]))
