"""Inputs that a device tells of and no point has: a panel's zone, a radio's button. Nothing disappears silently.

Each is told as an event in the lane of what the device calls it, and the device gets a fault that names the inputs.
A device that never stops is bounded: an input is told again only after `TELL_AGAIN_S`, with what was left out.
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
        if stray is None and len(self._known) >= KEPT:
            return view
        kind = KINDS.get(sample.kind)
        what: Text = kind.text if kind else say("alarms.stray-input")
        more: dict[str, JsonValue] = {"input": sample.input, "value": True}
        if detail:
            more["detail"] = detail
        if stray and stray.left_out:
            more["left_out"] = stray.left_out
        text = say("alarms.stray", name=name, input=sample.input, what=what)
        lane = kind.lane if kind else Lane.EVENT
        batch.event("campus.input.unassigned", lane, device, None, kind or KINDS["input"], name, text, **more)
        self._known[sample.input] = _Stray(batch.now_ns)
        inputs = ", ".join(map(str, list(self._known)[:SHOWN]))
        told = say("alarms.strays", name=name, inputs=inputs, first=sample.input)
        faults.raise_(batch, name, device, None, UNASSIGNED, told)
        return view
