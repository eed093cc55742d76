"""What a `ptz` command may ask for, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agent.camera import Move
from agent.model import JsonValue
from agent.texts import Spoken, say

Act = Literal["move", "stop", "goto", "save", "list"]
ACTS: Final[tuple[Act, ...]] = Act.__args__  # type: ignore[attr-defined]
LONGEST_S: Final = 10.0
"""A hand that lets go, or a browser that dies, must not leave a camera turning."""
NAME_LIMIT: Final = 64


class BadPtz(Spoken):
    """The arguments cannot be read."""


@dataclass(frozen=True, slots=True)
class Ptz:
    """One act: `move` has its speeds, `goto` and `save` the preset."""

    act: Act
    move: Move = field(default_factory=Move)
    preset: str = ""


def parse_ptz(params: Mapping[str, JsonValue]) -> Ptz:
    """Read the arguments of `ptz`: one of move, stop, goto, save, list. Raises BadPtz and nothing else."""
    wanted = [act for act in ACTS if params.get(act) not in (None, False)]
    if len(wanted) != 1:
        raise BadPtz(say("skyeye.ptz-one", acts=" | ".join(ACTS), got=", ".join(wanted) or "-"))
    (act,) = wanted
    value = params[act]
    if act == "move":
        return Ptz(act, _move(value))
    if act in ("goto", "save"):
        if not isinstance(value, str) or not 0 < len(value) <= NAME_LIMIT:
            raise BadPtz(say("skyeye.ptz-preset", act=act, got=str(value)[:NAME_LIMIT]))
        return Ptz(act, preset=value)
    return Ptz(act)


def _move(value: JsonValue) -> Move:
    if not isinstance(value, dict):
        raise BadPtz(say("skyeye.ptz-move", got=type(value).__name__))
    speeds = {name: _number(value, name, -1.0, 1.0, 0.0) for name in ("pan", "tilt", "zoom")}
    seconds = _number(value, "seconds", 0.0, LONGEST_S, Move().seconds)
    if not any(speeds.values()):
        raise BadPtz(say("skyeye.ptz-still"))
    return Move(**speeds, seconds=seconds)


def _number(value: Mapping[str, JsonValue], name: str, low: float, high: float, default: float) -> float:
    got = value.get(name, default)
    if isinstance(got, bool) or not isinstance(got, int | float) or not low <= got <= high:
        raise BadPtz(say("skyeye.ptz-number", name=name, low=low, high=high, got=str(got)[:NAME_LIMIT]))
    return float(got)
