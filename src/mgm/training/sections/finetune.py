"""The section `finetune`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from mgm.clip_kinds import ClipSampling
from mgm.data.augment.randaugment import parse_randaugment
from mgm.data.clips.sampling import SamplingRule
from mgm.data.clips.transform import CropName
from mgm.errors import ConfigError
from mgm.models.classifier import HeadPooling
from mgm.training.sections.optim import OptimConfig
from mgm.training.sections.section import Beta


class FinetuneConfig(OptimConfig):
    """Fine-tuning with labels."""

    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="betas of AdamW, each in [0, 1)")
    layer_decay: float = Field(0.75, gt=0, le=1, description="learning rate of block k relative to block k + 1")
    body_lr: float = Field(1.0, gt=0, description="learning rate of all layers before the head, relative to the head's")
    drop_path: float = Field(0.1, ge=0, lt=1, description="stochastic depth, rising linearly to this at the last block")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the classifier")
    pooling: HeadPooling = Field(
        "mean",
        description="from tokens to the classifier: their mean, or one learned query that attends to all of them",
    )
    head_init: Literal["random", "probe"] = Field(
        "random",
        description="start of the classifier: close to equal probabilities, or the linear probe of the features at that moment",
    )
    class_weights: Literal["equal", "balanced"] = Field(
        "equal",
        description="how much a clip counts in the loss: 1, or inversely to the number of videos of its class, for sets "
        "in which one class has most of them",
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="fraction of the target spread over all classes")
    sampling: ClipSampling = Field(
        "dense",
        description="frames at the stride from a random start, or one from each of equal parts; in testing too",
    )
    sampling_rule: SamplingRule = Field(
        "exact",
        description="reference: the frames of VideoMAE's code, 4.27 apart at a stride of 4; see docs/transforms.md",
    )
    crop: CropName = Field("random_resized", description="crop in training")
    flip: bool | Literal["auto"] = Field(
        "auto",
        description="mirror half of the clips, at random; auto: unless a class name distinguishes left from right",
    )
    randaugment: str | None = Field(
        "rand-m7-n4-mstd0.5-inc1", description="RandAugment in timm's short form; null: none"
    )
    erasing: float = Field(0.25, ge=0, le=1, description="fraction of the clips with an erased box")
    mixup: float = Field(0.8, ge=0, description="alpha of mixup; 0: none")
    cutmix: float = Field(1.0, ge=0, description="alpha of CutMix; 0: none")
    mixup_prob: float = Field(1.0, ge=0, le=1, description="fraction of the batches that are mixed")
    switch_prob: float = Field(
        0.5, ge=0, le=1, description="fraction of the mixed batches that use CutMix, if mixup is in use too"
    )

    @field_validator("flip", mode="before")
    @classmethod
    def _known_flip(cls, value: Any) -> Any:
        """Check before pydantic, which would report every form of the union."""
        if not isinstance(value, bool) and value != "auto":
            raise ConfigError("", "", "true, false or auto", reason="invalid_value")
        return value

    @field_validator("randaugment")
    @classmethod
    def _known_operations(cls, value: str | None) -> str | None:
        if value is not None:
            parse_randaugment(value)
        return value
