"""Inputs that a device tells of and no point has: a panel's zone, a radio's button. Nothing disappears silently.

Each is told as an event in the lane of what the device calls it, and the device gets a fault that names the inputs.
A device that never stops is bounded: an input is told again only after `TELL_AGAIN_S`, and of a device that invents
ever new ones `KEPT` in that time, with what was left out.
"""

from dataclasses import dataclass
from typing import Final

from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch
from agent.alarms.words import detail_of
from agent.clock import NS_PER_S
from agent.driver import Input, Sample
from agent.kinds import KINDS, UNASSIGNED
from agent.model import JsonValue, Lane
from agent.texts import Text, say

TELL_AGAIN_S: Final = 60.0
"""A person who presses an unknown button again a minute later means it; a panel that repeats itself does not."""
KEPT: Final = 256
"""Unknown inputs of one device that are remembered; a radio receiver hears the whole street."""
SHOWN: Final = 8
"""How many of them the fault names."""


@dataclass(slots=True)
class _Stray:
    told_ns: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class StrayView:
    """One unknown input, for whoever wants to make a point of it."""

    device: str
    input: Input
    kind: str | None
    detail: dict[str, JsonValue]
    also: tuple[Input, ...] = ()
    """More general names that a point might use instead."""


class Strays:
    """The unknown inputs of one device."""

    def __init__(self) -> None:
        self._known: dict[Input, _Stray] = {}
        """The one that was told longest ago first."""
        self._left_out = 0
        """Of inputs that were never told."""

    def look(self, device: str, name: str, sample: Sample, batch: Batch, faults: FaultBook) -> StrayView | None:
        """Take a sample that no point has; tell it if it is active, new, and has a kind. Return it if it is active."""
        if not sample.value:
            return None
        detail = detail_of(sample.detail, batch.language)
        view = StrayView(device, sample.input, sample.kind, detail, sample.also)
        if sample.kind is None:  # a street's remote controls, a module's unused inputs: for who looks for them
            return view
        stray = self._known.get(sample.input)
        if stray and batch.now_ns - stray.told_ns < TELL_AGAIN_S * NS_PER_S:
            stray.left_out += 1
            return view
        if stray is None and not self._has_room(batch.now_ns):
            self._left_out += 1
            return view
        kind = KINDS.get(sample.kind)
        what: Text = kind.text if kind else say("alarms.stray-input")
        more: dict[str, JsonValue] = {"input": sample.input, "value": True}
        if detail:
            more["detail"] = detail
        if left_out := self._left_out + (stray.left_out if stray else 0):
            more["left_out"] = left_out
        text = say("alarms.stray", name=name, input=sample.input, what=what)
        lane = kind.lane if kind else Lane.EVENT
        batch.event("campus.input.unassigned", lane, device, None, kind or KINDS["input"], name, text, **more)
        self._left_out = 0
        self._known.pop(sample.input, None)
        self._known[sample.input] = _Stray(batch.now_ns)
        inputs = ", ".join(map(str, list(self._known)[:SHOWN]))
        told = say("alarms.strays", name=name, inputs=inputs, first=sample.input)
        faults.raise_(batch, name, device, None, UNASSIGNED, told)
        return view

    def _has_room(self, now_ns: int) -> bool:
        """Whether one more may be told; the one that was told longest ago is forgotten for it."""
        if len(self._known) < KEPT:
            return True
        oldest = next(iter(self._known))
        if now_ns - self._known[oldest].told_ns < TELL_AGAIN_S * NS_PER_S:
            return False
        self._left_out += self._known.pop(oldest).left_out
        return True
