"""One rule: its parts, whether it holds, and when it was carried out last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from agent.config.rulebook import RuleSettings
from agent.model import JsonValue
from agent.rules.build import build
from agent.rules.events import AbsentPart
from agent.rules.facts import Now, Place, Truth
from agent.rules.parts import GroupPart, LastingPart, Part, WindowPart, ns
from agent.rules.words import describe, describe_window, label
from agent.texts import Text

REASONS: Final = 8
"""How many conditions an event names; a rule with more is looked at in the configuration."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule has begun to hold, or has ceased to. `acts`: its actions are due. `why` has what its conditions showed."""

    rule: RuleSettings
    holds: bool
    acts: bool
    why: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One condition as it is now. `depth` counts from 0."""

    depth: int
    text: Text
    truth: Truth
    shown: JsonValue


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule as it is now. `since_ns` (of what it is) and `acted_ns` are of the boot clock; None: not so far."""

    settings: RuleSettings
    truth: Truth
    holds: bool
    since_ns: int | None
    acted_ns: int | None
    count: int
    conditions: tuple[ConditionView, ...]


class Rule:
    """The engine's view of one rule."""

    def __init__(self, settings: RuleSettings, inputs: Mapping[Place, str], now_ns: int) -> None:
        self.settings = settings
        self.fingerprint = fingerprint(settings, inputs)
        self._condition = build(settings.condition, inputs)
        self._window = WindowPart(settings.when) if settings.when is not None else None
        whole: Part = GroupPart([self._window, self._condition], every=True) if self._window else self._condition
        self.root: Part = LastingPart(whole, settings.hold_s) if settings.hold_s else whole
        self.is_timed = any(isinstance(part, WindowPart) for part in self.root.walk())
        """Whether it looks at the wall clock."""
        self._absent = [part for part in self._condition.walk() if isinstance(part, AbsentPart)]
        for part in self._absent:
            part.reset(now_ns)
        self.holds = False
        self.truth: Truth = None
        self.since_ns: int | None = None
        self.acted_ns: int | None = None
        self.count = 0
        self.open: bool | None = None
        """Whether its window was open when that was known last."""
        self._saved_at: datetime | None = None
        """When `open` was saved, until it was looked at again: the window may have closed and opened meanwhile."""
        self.due_ns: int | None = None
        self.place = 0
        """Its place in the configuration."""
        self.queued_ns: int | None = None
        """When it comes up in the engine's queue, at `due_ns` or before."""
        self.seq = 0
        """The last event that what is saved knows of."""
        self.touched = False
        self.saved: JsonValue = None

    @property
    def id(self) -> str:
        return self.settings.id

    def same(self, settings: RuleSettings, inputs: Mapping[Place, str]) -> bool:
        """Whether other settings ask for the same."""
        return self.fingerprint == fingerprint(settings, inputs)

    def judge(self, now: Now) -> Firing | None:
        """Find out whether it holds now; return the change. What is not known changes nothing."""
        self.touched = True
        if self._window is not None and self._absent:
            self._look_at_window(self._window, now)
        self.truth = self.root.judge(now)
        if self.truth is None or self.truth == self.holds:
            return None
        self.holds = self.truth
        self.since_ns = now.ns
        acts = self.holds and (self.acted_ns is None or now.ns - self.acted_ns >= ns(self.settings.again_s))
        if self.holds:
            self.count += 1
        if acts:
            self.acted_ns = now.ns
        return Firing(self.settings, self.holds, acts, self.why(now) if self.holds else {})

    def why(self, now: Now) -> dict[str, str | int | float | bool]:
        """What its conditions show now, of those that are true."""
        found: dict[str, str | int | float | bool] = {}
        for part in self._condition.walk():
            if part.truth and part.settings is not None and not part.parts and len(found) < REASONS:
                shown = part.shown(now)
                found[label(part.settings)] = shown if isinstance(shown, str | int | float | bool) else True
        return found

    def view(self, now: Now) -> RuleView:
        """As it is now."""
        conditions = self._views(self._condition, 0, now)
        if self._window is not None:
            text = describe_window(self._window.window)
            conditions.insert(0, ConditionView(0, text, self._window.truth, self._window.shown(now)))
        return RuleView(
            self.settings, self.truth, self.holds, self.since_ns, self.acted_ns, self.count, tuple(conditions)
        )

    def state(self) -> dict[str, JsonValue]:
        """What must outlive a restart, with the times as they are."""
        return {
            "rule": self.fingerprint,
            "holds": self.holds,
            "since": self.since_ns,
            "acted": self.acted_ns,
            "count": self.count,
            "open": self.open,
            "parts": [part.dump() for part in self.root.walk()],
        }

    def resume(self, saved_at: datetime | None) -> None:
        """Go on from what was saved when the wall clock showed `saved_at`."""
        self._saved_at = saved_at

    def _look_at_window(self, window: WindowPart, now: Now) -> None:
        """What must not be absent is waited for from the window's beginning on."""
        is_open = window.find(now)
        if is_open is None or now.wall is None:
            return
        away = self._saved_at is not None and now.calendar.next_change(window.window, self._saved_at) <= now.wall
        if is_open and (self.open is False or (self.open and away)):
            for part in self._absent:
                part.reset(now.ns)
        self.open = is_open
        self._saved_at = None

    def _views(self, part: Part, depth: int, now: Now) -> list[ConditionView]:
        inner = part.parts[0] if isinstance(part, LastingPart) and part.settings else part
        assert part.settings is not None, "every part of a condition has its settings"
        view = ConditionView(depth, describe(part.settings), part.truth, inner.shown(now))
        return [view, *(one for below in inner.parts for one in self._views(below, depth + 1, now))]


def fingerprint(settings: RuleSettings, inputs: Mapping[Place, str]) -> str:
    """What a rule's state belongs to: its condition, and the inputs behind it."""
    text = settings.model_dump_json(include={"condition", "when", "hold_s"}, by_alias=True)
    used = [
        f"{part.measure}={inputs.get((device, name), name)}"
        for _, part in settings.condition.walk()
        if part.measure is not None
        for device, _, name in (part.measure.partition("/"),)
    ]
    return sha256("\n".join([text, *used]).encode()).hexdigest()[:16]
