"""What follows when nobody acknowledges: second paths, and the plans that use them."""

from typing import ClassVar, Literal

from pydantic import Field, SerializeAsAny

from agent.config.base import Settings
from agent.config.calendar import ALWAYS, WindowSettings
from agent.config.values import Id, KindName
from agent.driver import PathDriver
from agent.units import Duration

Until = Literal["acknowledged", "delivered"]
"""When a plan goes no further: somebody at the district has acknowledged, or the district or a path has it."""


class PathHead(Settings):
    """[[path]]: a second way out of the school; its remaining keys are its driver's."""

    table: ClassVar[str] = "path"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    driver: str
    give_up_s: Duration = Field(3_600.0, alias="give_up", ge=10, le=7 * 86_400)


class PathSettings(PathHead):
    """A path with its driver, ready to run."""

    settings: SerializeAsAny[PathDriver]


class StepSettings(Settings):
    """[[escalation.step]]: what is done when so much time has passed since the alarm."""

    table: ClassVar[str] = "escalation-step"
    after_s: Duration = Field(alias="after", ge=0, le=86_400)
    siren: bool = False
    console: bool = False
    broker: Literal["next"] | None = None
    paths: tuple[Id, ...] = ()


class EscalationSettings(Settings):
    """[[escalation]]: a plan for some alarms and some part of the week; the first that matches holds."""

    table: ClassVar[str] = "escalation"
    id: Id
    kinds: tuple[KindName, ...] = ()
    points: tuple[str, ...] = ()
    when: WindowSettings = ALWAYS
    until: Until = "acknowledged"
    steps: tuple[StepSettings, ...] = Field(alias="step", min_length=1, max_length=20)
