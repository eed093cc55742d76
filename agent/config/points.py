"""The settings of one point: of a device, or of a camera."""

from typing import ClassVar, Literal

from pydantic import Field

from agent.config.base import Settings
from agent.config.values import GbId, Id, InputName, KindName
from agent.units import Duration

LampMeans = Literal["acknowledged", "delivered"]
"""What a steady lamp says: somebody at the district has it, or the district's system has it (DESIGN 7)."""


class PointSettings(Settings):
    """[[device.point]]: one input that means something."""

    table: ClassVar[str] = "point"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    kind: KindName
    input: InputName
    contact: Literal["no", "nc"] = "no"
    debounce_s: Duration = Field(0.03, alias="debounce", ge=0, le=10)
    lamp: int | None = Field(None, ge=0)
    siren: int | None = Field(None, ge=0)
    lamp_means: LampMeans | None = None
    stuck_after_s: Duration = Field(300.0, alias="stuck_after", gt=0)
    release_after_s: Duration | None = Field(None, alias="release_after", ge=1, le=86_400)
    """Of a device that tells no release: counts as released by itself."""
    cameras: tuple[Id, ...] = ()
    zone: int | None = Field(None, ge=1, le=999)
    gb_id: GbId | None = None
