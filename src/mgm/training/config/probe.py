"""Judging: probes, k-NN, views."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from mgm.training.config.section import Section


class ProbeConfig(Section):
    """Judging a frozen encoder."""

    clips_per_video: int = Field(1, ge=1, description="training clips taken of each video, spread over its length")
    steps: int = Field(400, ge=1, description="steps of the attentive probe")
    batch: int = Field(64, ge=1, description="clips per step of the attentive probe")
    lr: float = Field(1e-3, gt=0, description="learning rate of the attentive probe")
    weight_decay: float = Field(0.05, ge=0, description="of the attentive probe")
    neighbours: int = Field(20, ge=1, description="k of the k-NN classifier")
    sampling: Literal["dense", "sparse", "segments"] = Field(
        "dense", description="clips of a probed video: as in data.sampling, or segments: each from its own part of it"
    )
    temporal_views: int = Field(5, ge=1, description="clips of a test video, spread over its length")
    spatial_views: Literal[1, 3] = Field(3, description="crops of each: 1 or 3")

    @field_validator("spatial_views", mode="before")
    @classmethod
    def _known_views(cls, value: Any) -> Any:
        """Before pydantic, to whom true is 1."""
        if isinstance(value, bool) or value not in (1, 3):
            raise ValueError("expected 1 or 3")
        return value
