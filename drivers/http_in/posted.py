"""What one posted body tells, before it has a source and a time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from agent.driver import Detail, Sample, pulse

State = Literal["on", "off", "pulse"]


@dataclass(frozen=True, slots=True)
class Posted:
    """The samples of one body, and `same`, by which its repetition is known; empty if nothing tells. Without samples
    it says that its sender is there."""

    samples: tuple[Sample, ...] = ()
    same: str = ""


def samples_of(
    name: str, number: str, kind: str, state: State, detail: Detail, hold_s: float | None = None
) -> tuple[Sample, ...]:
    """The samples of an input `name/number`, which points may also name without the number. What is on stays on until
    it is off, or was not told again for `hold_s`, however often it is told; a pulse counts each time."""
    sample = Sample(
        f"{name}/{number}" if number else name,
        state != "off",
        0,
        kind=kind,
        detail=detail,
        also=(name,) if number else (),
        press=state == "pulse",
        hold_s=hold_s if state == "on" else None,
    )
    return pulse(sample) if state == "pulse" else (sample,)


def placed(sample: Sample, prefix: str, more: Mapping[str, str], seen_ns: int) -> Sample:
    """A sample as a source's own, at a time."""
    return replace(
        sample,
        input=f"{prefix}{sample.input}",
        also=tuple(f"{prefix}{name}" for name in sample.also),
        seen_ns=seen_ns,
        detail={**more, **sample.detail} if sample.detail else sample.detail,
    )
