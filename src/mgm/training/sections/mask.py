"""The section `mask`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mgm.masks.ratio_schedule import RatioCurve, RatioSchedule
from mgm.training.sections.section import Section


class DecoderMaskConfig(Section):
    """The second mask: hidden tokens that it shows are reconstructed (VideoMAE V2). Names: `mgm.list_masks()`."""

    name: str = Field("running-cell", description="name of the mask")
    ratio: float = Field(0.5, gt=0, lt=1, description="fraction of all tokens that are not reconstructed")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")


class MaskConfig(Section):
    """The mask of the encoder. Names: `mgm.list_masks()`."""

    name: str = Field("mgm", description="name of the mask")
    ratio: float = Field(0.75, gt=0, lt=1, description="fraction of hidden tokens")
    ratio_schedule: RatioCurve = Field(
        "constant", description="course of the fraction over pretraining, from ratio to final_ratio"
    )
    final_ratio: float | None = Field(
        None, gt=0, lt=1, description="fraction of hidden tokens in the last step of ratio_schedule linear or cosine"
    )
    picture_ratio: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="fraction of hidden tokens of still pictures, with data.pictures=single; null: ratio",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")
    decoder: DecoderMaskConfig | None = Field(
        None, description="second mask that selects the hidden tokens to reconstruct; null: all of them"
    )

    @property
    def ratios(self) -> RatioSchedule:
        """The fraction of hidden tokens over pretraining."""
        last = self.ratio if self.final_ratio is None else self.final_ratio
        return RatioSchedule(self.ratio, last, self.ratio_schedule)
