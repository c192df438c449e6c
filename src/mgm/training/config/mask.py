"""Which tokens are hidden, and which of them are reconstructed."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mgm.training.config.section import Section


class DecoderMaskConfig(Section):
    """Which hidden tokens are reconstructed: those that this mask shows (VideoMAE V2); see `mgm.list_masks()`."""

    name: str = Field("running-cell", description="name of the mask")
    ratio: float = Field(0.5, gt=0, lt=1, description="share of all tokens that are not reconstructed")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")


class MaskConfig(Section):
    """Which tokens are hidden; see `mgm.list_masks()`."""

    name: str = Field("mgm", description="name of the mask")
    ratio: float = Field(0.75, gt=0, lt=1, description="share of hidden tokens")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")
    decoder: DecoderMaskConfig | None = Field(
        None, description="which hidden tokens are reconstructed, a second mask; null: all of them"
    )
