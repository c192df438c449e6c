"""The section `data`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mgm.clip_kinds import ClipSampling, InputKind
from mgm.data.clips.transform import CropName
from mgm.errors import ConfigError
from mgm.training.sections.section import MOST_PIXELS, MOST_PROCESSES, MOST_REPEATS, Section
from mgm.video.motion.names import CameraModel, MotionName, Policy, Reading


class DataConfig(Section):
    """Clips: their frames, motion, crops, and how they are read."""

    frames: int = Field(16, ge=1, description="frames of a clip")
    stride: int = Field(4, ge=1, description="distance between sampled frames")
    size: int = Field(224, ge=8, description="side of the square clip in pixels")
    input: InputKind = Field(
        "pixels",
        description="what the frames of a clip show: the video's pixels, or instead its motion accumulated since the keyframe",
    )
    motion: MotionName | None = Field(
        "auto",
        description="source of the motion (auto: codec if the stream has vectors, else flow), or null to read frames only",
    )
    raft_weights: str | None = Field(
        None,
        description="file of the weights of RAFT-small, for motion raft; null: the motion that mgm motion --raft stored",
    )
    policy: Policy = Field(
        "window_sum",
        description="how skipped frames enter the motion of the codec; flow is measured across them, as window_sum",
    )
    reading: Reading = Field(
        "clean",
        description="displacements from the codec's vectors: clean; references, from reference pictures only; or raw, which is "
        "literal: list 0 first, neither divided by the reference distance nor filled nor smoothed; see docs/method.md",
    )
    camera: CameraModel = Field(
        "none", description="estimator of the camera motion that is subtracted; the paper subtracts none"
    )
    sampling: ClipSampling = Field(
        "dense", description="frames at the stride from a random start, or one from each of equal parts of the video"
    )
    crop: CropName = Field("multiscale", description="crop in pretraining")
    flip: bool = Field(
        True, description="mirror half of the clips, at random; false for labels that distinguish left from right"
    )
    memory: bool = Field(False, description="decode every video once and keep it in memory, downscaled: for small sets")
    memory_side: int | None = Field(None, ge=8, description="shorter side of the frames kept in memory; null: size")
    pictures: Literal["static", "single"] = Field(
        "static",
        description="still pictures of a set in pretraining: static, clips of a repeated picture, in the batches of the videos; "
        "single, clips of one tubelet, in batches of their own and with mask.picture_ratio (OmniMAE)",
    )
    workers: int = Field(
        2, ge=0, le=MOST_PROCESSES, description="reading processes per device; 0 reads in the training process"
    )
    read_timeout: float = Field(60, gt=0, description="time limit for reading one video, in seconds")
    repeats: int = Field(
        1,
        ge=1,
        le=MOST_REPEATS,
        description="clips per decoded clip, each with its own crop and mask (repeated augmentation); batch counts decoded ones. "
        "pretrain.repeats and finetune.repeats replace it for one of the two",
    )
    bad_share: float = Field(0.1, ge=0, le=1, description="fraction of unreadable clips at which a run stops")

    @model_validator(mode="after")
    def _check_clip(self) -> DataConfig:
        if self.frames * self.size**2 > MOST_PIXELS:
            found = f"clips of {self.frames:,} frames of {self.size:,} x {self.size:,} pixels"
            raise ConfigError(
                "", found, f"at most {MOST_PIXELS:,} pixels", "lower data.frames or data.size", reason="invalid_value"
            )
        return self
