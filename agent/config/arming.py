"""The settings of arming, drills, and tests: `[[partition]]` and `[selftest]`."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from agent.config.base import Settings
from agent.config.calendar import WindowSettings
from agent.config.values import ClockTime, Id, PlaceName
from agent.units import Duration

KeyMode = Literal["maintained", "momentary"]
"""maintained: on is armed, off is disarmed. momentary: each turn changes it over."""
TestedPoints = Literal["buttons", "alarms"]
"""What must be tested from time to time: what a person presses, or every point that alarms."""

DELAY_S: Final = 30.0
"""Long enough to walk from the key to the door, or back; EN 50131-1 8.3.8.2 allows 45 s on the way in."""
LONGEST_DELAY_S: Final = 300.0
"""Beyond that, somebody who breaks in has gone before anybody hears of it."""
PULSE_S: Final = 1.0
"""A lamp is seen, and a siren is heard by nobody as an alarm."""


class PartitionSettings(Settings):
    """[[partition]]: points that are armed and disarmed together."""

    table: ClassVar[str] = "partition"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    points: tuple[PlaceName, ...] = Field(min_length=1)
    armed: WindowSettings | None = None
    key: PlaceName | None = None
    key_mode: KeyMode = "maintained"
    entry: tuple[PlaceName, ...] = ()
    exit_delay_s: Duration = Field(DELAY_S, alias="exit_delay", ge=0, le=LONGEST_DELAY_S)
    entry_delay_s: Duration = Field(DELAY_S, alias="entry_delay", ge=0, le=LONGEST_DELAY_S)


class SelftestSettings(Settings):
    """[selftest]: what the gateway tries by itself, and how often people must try the rest."""

    table: ClassVar[str] = "selftest"
    every_s: Duration | None = Field(None, alias="every", ge=600)
    at: ClockTime | None = None
    outputs: Annotated[tuple[PlaceName, ...], Field(max_length=64)] = ()
    pulse_s: Duration = Field(PULSE_S, alias="pulse", ge=0.1, le=10)
    tested_every_s: Duration | None = Field(None, alias="tested_every", ge=1)
    tested: TestedPoints = "buttons"
