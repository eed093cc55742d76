"""What all tables of the configuration have in common."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """What all tables have in common: frozen, and no key that we do not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
    table: ClassVar[str] = ""
    """The first part of its texts' keys in the catalogue."""
