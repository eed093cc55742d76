"""The lamp tells the truth (DESIGN 7): what an output must show, now and next.

Blinking is cut out of the boot clock, so all lamps of a site blink together, and a lamp needs no state of its own.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from agent.clock import NS_PER_S

Delivery = Literal["due", "stuck", "delivered"]
"""An event on its way to the district: waiting its turn, unable to get there at present, there."""
LampMeans = Literal["acknowledged", "delivered"]
"""What a steady lamp says."""
Output = tuple[str, int]
"""A device's id and the number of one of its outputs."""

SLOW_HALF_NS: Final = NS_PER_S // 2
"""1 Hz: half a second on, half a second off."""
FAST_HALF_NS: Final = NS_PER_S // 8
"""4 Hz: plainly another thing than 1 Hz, and what a bus of a few units can still follow."""


class LampMode(IntEnum):
    """What a lamp shows. Where points share a lamp the highest is shown: what still needs somebody comes first."""

    OFF = 0
    STEADY = 1
    SLOW = 2
    FAST = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """As much of a point's alarm as is committed; only this is ever shown. `alarm` is the raised event's id."""

    alarm: str | None = None
    acknowledged: bool = False
    siren: bool = False
    reached: bool = False
    """A second path has brought it to somebody."""
    failed: bool = False
    """A second path could not, and none has."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """The values that outputs should have now, and the boot clock when the next of them changes by itself."""

    values: Mapping[Output, bool]
    next_change_ns: int | None


def lamp_mode(shown: Shown, delivery: Delivery, means: LampMeans) -> LampMode:
    """Say what the lamp of an alarm shows. An acknowledgement proves the delivery. What neither the district nor a
    second path has blinks fast as soon as one of the ways has failed."""
    if shown.alarm is None:
        return LampMode.OFF
    if shown.acknowledged:
        return LampMode.STEADY
    if (delivery == "stuck" and not shown.reached) or (delivery != "delivered" and shown.failed):
        return LampMode.FAST
    if delivery == "delivered" and means == "delivered":
        return LampMode.STEADY
    return LampMode.SLOW


def lit(mode: LampMode, boottime_ns: int) -> tuple[bool, int | None]:
    """Return whether a lamp is lit at a time, and when that changes."""
    if mode < LampMode.SLOW:
        return mode is LampMode.STEADY, None
    half_ns = SLOW_HALF_NS if mode is LampMode.SLOW else FAST_HALF_NS
    phase = boottime_ns // half_ns
    return phase % 2 == 0, (phase + 1) * half_ns


class Overrides:
    """Outputs that somebody holds by hand for a time (the command `output`, a lamp test). When the time is over, an
    output goes back to what the alarms want of it, and to off if they want nothing: it must not stay on for ever."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[Output, tuple[bool, int]] = {}

    def hold(self, output: Output, value: bool, until_ns: int) -> None:
        """Hold an output at a value until then; the last word counts."""
        self._held[output] = (value, until_ns)

    def forget(self, devices: Collection[str]) -> None:
        """Let go of every output of devices that are gone."""
        self._held = {output: hold for output, hold in self._held.items() if output[0] not in devices}

    def apply(self, values: dict[Output, bool], now_ns: int) -> int | None:
        """Change `values` to what is held by hand; return when the first hold ends."""
        ends: list[int] = []
        for output, (value, until_ns) in self._held.items():
            if until_ns > now_ns:
                values[output] = value
                ends.append(until_ns)
            else:
                values.setdefault(output, False)
        return min(ends, default=None)


def plan_outputs(
    values: dict[Output, bool], lamps: Iterable[tuple[Output, LampMode]], overrides: Overrides, now_ns: int
) -> OutputPlan:
    """Add to `values` (sirens, and the rest off) what lamps show, and what is held by hand."""
    modes: dict[Output, LampMode] = {}
    for output, mode in lamps:
        modes[output] = max(mode, modes.get(output, LampMode.OFF))
    changes: list[int] = []
    for output, mode in modes.items():
        on, change_ns = lit(mode, now_ns)
        values[output] = on or values.get(output, False)
        if change_ns is not None:
            changes.append(change_ns)
    if (ends_ns := overrides.apply(values, now_ns)) is not None:
        changes.append(ends_ns)
    return OutputPlan(values, min(changes, default=None))
