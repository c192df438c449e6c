"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
MOST_CLIPS = 2**20
"""Of a step. The limits here are far above all that was ever trained: a mistyped number is an error, not an hour of computation."""
MOST_REPEATS = 2**10
"""Clips of a video, or draws of it."""
MOST_BLOCKS = 2**10
MOST_CHANNELS = 2**16
MOST_PIXELS = 2**28
"""Of a clip: 5,000 frames of 224 x 224."""
MOST_PROCESSES = 2**10
Beta = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Strict, frozen pydantic base: unknown keys, type coercion and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        """Accept 1e3 as a whole number."""
        return int(value) if isinstance(value, float) and value.is_integer() else value
