"""What is read of the videos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mgm.training.config.section import Section


class DataConfig(Section):
    """What is read of the videos."""

    frames: int = Field(16, ge=1, description="frames of a clip")
    stride: int = Field(4, ge=1, description="every how manieth frame is taken")
    size: int = Field(224, ge=8, description="side of the square clip in pixels")
    motion: Literal["auto", "codec", "flow", "difference"] | None = Field(
        "auto",
        description="source of the motion (auto: codec where the stream has vectors, else flow), or null to read frames only",
    )
    policy: Literal["window_sum", "sampled", "window_max"] = Field(
        "window_sum",
        description="how skipped frames enter the motion of the codec; flow is measured across them, as window_sum",
    )
    camera: Literal["none", "median", "affine"] = Field(
        "none", description="how the motion of the camera is estimated and subtracted; the paper does not"
    )
    sampling: Literal["dense", "sparse"] = Field(
        "dense", description="frames at the stride from a random place, or one from each of equal parts of the video"
    )
    crop: Literal["centre", "multiscale", "random_resized"] = Field("multiscale", description="crop in pretraining")
    flip: bool = Field(True, description="mirror every other clip; off where labels tell left from right")
    memory: bool = Field(False, description="decode every video once and keep it, small, in memory: for small sets")
    memory_side: int | None = Field(None, ge=8, description="shorter side of the frames kept in memory; null: size")
    workers: int = Field(2, ge=0, description="reading processes per device; 0 reads in the training process")
    read_timeout: float = Field(
        60, gt=0, description="seconds after which a video that is still being read is given up"
    )
    repeats: int = Field(
        1,
        ge=1,
        description="clips made of each decoded one, with crops and masks of their own; a batch counts decoded ones",
    )
    bad_share: float = Field(0.1, ge=0, le=1, description="share of unreadable clips at which a run stops")
