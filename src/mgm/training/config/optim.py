"""Length, batch, optimiser: of pretraining, and with what labels need of fine-tuning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mgm.data.augment.randaugment import parse_randaugment
from mgm.training.config.section import Section

Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimConfig(Section):
    """Length, batch and optimiser of a run."""

    epochs: int | None = Field(None, ge=1, description="length in passes over the set; or give steps")
    steps: int | None = Field(None, ge=1, description="length in steps; or give epochs")
    warmup: float = Field(0, ge=0, description="linear warm-up, in the unit of the length (epochs or steps)")
    batch: int = Field(256, ge=1, description="clips per step over all devices, whatever their number")
    micro_batch: int | None = Field(
        None, ge=1, description="clips that fit on a device at once; the rest is accumulated"
    )
    base_lr: float = Field(1.5e-4, gt=0, description="learning rate per 256 clips of batch")
    min_lr: float = Field(0.0, ge=0, description="learning rate per 256 clips at the end of the cosine")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases, norms and tokens")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="AdamW's, each from 0 to below 1")
    clip_grad: float | None = Field(None, gt=0, description="largest norm of the gradient; null: no limit")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16 where the device computes in it natively, else 32 bit"
    )
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")

    @field_validator("betas", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        """YAML has lists, JSON too."""
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError("expected two numbers, as in [0.9, 0.95]")
        return tuple(value)

    @model_validator(mode="after")
    def _fits_together(self) -> OptimConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.min_lr > self.base_lr:
            raise ValueError(f"min_lr is {self.min_lr}, expected at most base_lr, {self.base_lr}")
        return self


class FinetuneConfig(OptimConfig):
    """Fine-tuning with labels."""

    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="AdamW's, each from 0 to below 1")
    layer_decay: float = Field(0.75, gt=0, le=1, description="learning rate of block k relative to block k + 1")
    drop_path: float = Field(0.1, ge=0, lt=1, description="stochastic depth, rising linearly to this at the last block")
    dropout: float = Field(0.0, ge=0, lt=1, description="before the classifier")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over all classes")
    sampling: Literal["dense", "sparse"] = Field(
        "dense",
        description="frames at the stride from a random place, or one from each of equal parts; in testing too",
    )
    sampling_rule: Literal["exact", "reference"] = Field(
        "exact",
        description="reference: VideoMAE's own frames, 4.27 apart where the stride is 4; see docs/transforms.md",
    )
    crop: Literal["centre", "multiscale", "random_resized"] = Field("random_resized", description="crop in training")
    flip: bool | Literal["auto"] = Field(
        "auto", description="mirror every other clip; auto: unless the name of a class tells left from right"
    )
    randaugment: str | None = Field(
        "rand-m7-n4-mstd0.5-inc1", description="RandAugment in timm's short form; null: none"
    )
    erasing: float = Field(0.25, ge=0, le=1, description="share of the clips of which a box is erased")
    mixup: float = Field(0.8, ge=0, description="alpha of mixup; 0: none")
    cutmix: float = Field(1.0, ge=0, description="alpha of CutMix; 0: none")
    mixup_prob: float = Field(1.0, ge=0, le=1, description="share of the batches that are mixed")
    switch_prob: float = Field(0.5, ge=0, le=1, description="share of them mixed by CutMix, where mixup is in use too")

    @field_validator("flip", mode="before")
    @classmethod
    def _known_flip(cls, value: Any) -> Any:
        """Looked at first, or pydantic would report each form that it is not."""
        if not isinstance(value, bool) and value != "auto":
            raise ValueError("expected true, false or auto")
        return value

    @field_validator("randaugment")
    @classmethod
    def _known_operations(cls, value: str | None) -> str | None:
        if value is not None:
            parse_randaugment(value)
        return value
