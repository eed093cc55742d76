"""The settings of rules (智能化预警): what must be so, for how long, and what follows.

A condition is one table with one subject (`point`, `fault`, `measure`, `events`, `absent`, `sequence`, `when`), or a
group of such tables (`all`, `any`, `not`). Any of them may have to last (`for`). What the words mean is in
docs/rules.md; what must fit to the rest of the configuration is in `checks_rules`.
"""

import re
from collections.abc import Collection, Iterator
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from agent.config.base import Settings
from agent.config.calendar import WindowSettings
from agent.config.points import PointSettings
from agent.config.values import ID_PATTERN, Id, KindName, did_you_mean
from agent.kinds import FAULTS, KINDS
from agent.ports import text_type
from agent.texts import Text, say
from agent.units import BadSetting, Duration

RULES: Final = "rules"
"""The device whose points the rules are. No other may have its id."""
DEFAULT_AGAIN_S: Final = 60.0
"""A condition that flickers must not switch a siren all the time."""
MOST_EVENTS: Final = 100
"""More of one sort within a window are told by their number elsewhere; each is remembered."""
STATES: Final = ("on", "off", "alarm", "idle", "active", "acknowledged", "fault", "disarmed")
WantedState = Literal["on", "off", "alarm", "idle", "active", "acknowledged", "fault", "disarmed"]
"""on, off: what the input shows now. alarm: active or acknowledged. The others as `state/{device}/{point}` has them."""
NEVER_STUCK_S: Final = 86_400 * 36_500.0
"""A hundred years: a rule holds as long as it holds."""

_ID: Final = ID_PATTERN.removeprefix("^").removesuffix("$")
POINT_REF_PATTERN: Final = f"^{_ID}/{_ID}$"
MEASURE_REF_PATTERN: Final = f"^{_ID}/.+$"
EVENT_TYPE_PATTERN: Final = r"^campus\.[a-z0-9-]+(\.[a-z0-9-]+)*(\.\*)?$"


def _matching(pattern: str, expected: Text) -> object:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise BadSetting(expected, value)
        return value

    return text_type(check, expected)


PointRef = Annotated[
    str,
    _matching(POINT_REF_PATTERN, say("config.point-ref")),
    WithJsonSchema({"type": "string", "pattern": POINT_REF_PATTERN}),
]
MeasureRef = Annotated[
    str,
    _matching(MEASURE_REF_PATTERN, say("config.measure-ref")),
    WithJsonSchema({"type": "string", "pattern": MEASURE_REF_PATTERN}),
]
EventType = Annotated[
    str,
    _matching(EVENT_TYPE_PATTERN, say("config.event-type")),
    WithJsonSchema({"type": "string", "pattern": EVENT_TYPE_PATTERN}),
]


def _known(names: Collection[str], expected: Text) -> object:
    def check(value: str) -> str:
        if value not in names:
            raise BadSetting(expected, value, did_you_mean(value, names))
        return value

    return text_type(check, expected)


EventKind = Annotated[
    str,
    _known({*KINDS, *FAULTS}, say("config.event-kind")),
    WithJsonSchema({"type": "string", "enum": sorted({*KINDS, *FAULTS})}),
]
FaultName = Annotated[
    str, _known(FAULTS, say("config.fault-name")), WithJsonSchema({"type": "string", "enum": sorted(FAULTS)})
]


class SelectorSettings(Settings):
    """[[rule.if.sequence.steps]]: which events are meant: those that fit all that is given."""

    table: ClassVar[str] = "rule-selector"
    kind: EventKind | None = None
    type: EventType | None = None
    device: Id | None = None
    point: PointRef | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if (self.kind, self.type, self.device, self.point) == (None, None, None, None):
            raise BadSetting(say("config.selector-some"), say("config.none"), say("config.selector-add"))
        return self


class EventsSettings(SelectorSettings):
    """[rule.if.events]: so many within so long."""

    table: ClassVar[str] = "rule-events"
    at_least: int = Field(1, ge=1, le=MOST_EVENTS)
    within_s: Duration = Field(alias="within", gt=0, le=86_400)
    distinct: str | None = Field(None, min_length=1, max_length=64)


class AbsentSettings(SelectorSettings):
    """[rule.if.absent]: none for so long."""

    table: ClassVar[str] = "rule-absent"
    for_s: Duration = Field(alias="for", gt=0, le=31 * 86_400)


class SequenceSettings(Settings):
    """[rule.if.sequence]: one after the other, all within so long."""

    table: ClassVar[str] = "rule-sequence"
    steps: tuple[SelectorSettings, ...] = Field(min_length=2, max_length=8)
    within_s: Duration = Field(alias="within", gt=0, le=86_400)


class ConditionSettings(Settings):
    """[rule.if]: one condition, or a group of them."""

    table: ClassVar[str] = "rule-if"
    all_: tuple["ConditionSettings", ...] | None = Field(None, alias="all", min_length=1, max_length=32)
    any_: tuple["ConditionSettings", ...] | None = Field(None, alias="any", min_length=1, max_length=32)
    not_: "ConditionSettings | None" = Field(None, alias="not")
    point: PointRef | None = None
    state: WantedState | None = None
    fault: FaultName | None = None
    device: Id | None = None
    measure: MeasureRef | None = None
    above: float | None = None
    below: float | None = None
    rise: float | None = Field(None, gt=0)
    fall: float | None = Field(None, gt=0)
    within_s: Duration | None = Field(None, alias="within", gt=0, le=86_400)
    hysteresis: float | None = Field(None, ge=0)
    events: EventsSettings | None = None
    absent: AbsentSettings | None = None
    sequence: SequenceSettings | None = None
    when: WindowSettings | None = None
    for_s: Duration = Field(0.0, alias="for", ge=0, le=86_400)

    @property
    def subject(self) -> str:
        """What it is about; `point` beside `fault` says whose fault."""
        return next(name for name in SUBJECTS if getattr(self, name) is not None).removesuffix("_")

    @property
    def parts(self) -> Iterator[tuple[tuple[str | int, ...], "ConditionSettings"]]:
        """The conditions of a group, with where each stands."""
        for key, group in (("all", self.all_), ("any", self.any_)):
            yield from (((key, number), one) for number, one in enumerate(group or ()))
        if self.not_ is not None:
            yield ("not",), self.not_

    def walk(self, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], "ConditionSettings"]]:
        """Itself and all that is in it, with where each stands."""
        yield at, self
        for place, part in self.parts:
            yield from part.walk((*at, *place))

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        named = [name for name in SUBJECTS if getattr(self, name) is not None]
        if self.fault is not None and "point" in named:
            named.remove("point")
        written = ", ".join(name.removesuffix("_") for name in named)
        if len(named) != 1:
            rule = say("config.condition-one", known=", ".join(name.removesuffix("_") for name in SUBJECTS))
            raise BadSetting(rule, say("config.quoted", text=written) if written else say("config.none"))
        for name, (wants, key) in BESIDE.items():
            if getattr(self, name) is not None and getattr(self, wants) is None:
                raise BadSetting(say("config.condition-beside", key=key, subject=wants), written)
        self._check_measure()
        return self

    def _check_measure(self) -> None:
        if self.measure is None:
            return
        limits = [name for name in ("above", "below", "rise", "fall") if getattr(self, name) is not None]
        if len(limits) != 1:
            raise BadSetting(say("config.measure-limit"), ", ".join(limits) or say("config.none"))
        if self.hysteresis is not None and limits[0] not in ("above", "below"):
            raise BadSetting(say("config.condition-beside", key="hysteresis", subject="above | below"), limits[0])
        if self.within_s is not None and limits[0] not in ("rise", "fall"):
            raise BadSetting(say("config.condition-beside", key="within", subject="rise | fall"), limits[0])


SUBJECTS: Final = ("fault", "all_", "any_", "not_", "point", "measure", "events", "absent", "sequence", "when")
"""`fault` first: it may have a `point` beside it."""
BESIDE: Final = {
    "state": ("point", "state"),
    "device": ("fault", "device"),
    **{name: ("measure", name) for name in ("above", "below", "rise", "fall", "hysteresis")},
    "within_s": ("measure", "within"),
}
"""What stands only beside a subject."""


class OutputActionSettings(Settings):
    """[rule.do.output]: an output, switched for some time."""

    table: ClassVar[str] = "rule-output"
    device: Id
    output: int = Field(ge=0)
    value: bool = True
    for_s: Duration = Field(10.0, alias="for", gt=0, le=3600)


class ActionSettings(Settings):
    """[[rule.do]]: one thing that is done when the rule begins to hold."""

    table: ClassVar[str] = "rule-do"
    output: OutputActionSettings | None = None
    snapshot: Id | None = None
    clip: Id | None = None
    patrol: Id | None = None
    escalate: Literal[True] | None = None

    @property
    def verb(self) -> str:
        """What it is."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one(self) -> Self:
        named = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(named) != 1:
            rule = say("config.action-one", known=", ".join(ACTIONS))
            raise BadSetting(rule, say("config.quoted", text=", ".join(named)) if named else say("config.none"))
        return self


ACTIONS: Final = ("output", "snapshot", "clip", "patrol", "escalate")


class RuleSettings(Settings):
    """[[rule]]: what must be so, and what follows."""

    table: ClassVar[str] = "rule"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    kind: KindName | None = None
    condition: ConditionSettings = Field(alias="if")
    when: WindowSettings | None = None
    hold_s: Duration = Field(0.0, alias="hold", ge=0, le=86_400)
    again_s: Duration = Field(DEFAULT_AGAIN_S, alias="again", ge=1, le=86_400)
    cameras: tuple[Id, ...] = ()
    actions: tuple[ActionSettings, ...] = Field((), alias="do", max_length=16)

    def as_point(self) -> PointSettings:
        """The rule as the alarm engine sees it, which must have a kind: an input that is on while the rule holds."""
        return PointSettings.model_construct(
            id=self.id,
            name=self.name,
            kind=self.kind or "",
            input=self.id,
            debounce_s=0.0,
            stuck_after_s=NEVER_STUCK_S,
            cameras=self.cameras,
        )
