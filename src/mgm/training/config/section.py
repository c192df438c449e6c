"""What the sections of a configuration share: values are taken as they are written, or refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """A frozen part of the tree. No key is unknown, no value is converted, no number is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        """1e3 is a whole number too."""
        return int(value) if isinstance(value, float) and value.is_integer() else value
