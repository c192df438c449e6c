"""The section `pretrain`, and what fine-tuning has in common with it: length, batch, optimiser, checkpoints."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mgm.errors import ConfigError
from mgm.training.recipe_file import LENGTHS
from mgm.training.sections.section import MOST_CLIPS, MOST_REPEATS, Beta, Precision, Section


class OptimConfig(Section):
    """Length, batch and optimiser of a run."""

    epochs: int | None = Field(None, ge=1, description="length in passes over the set; alternative to steps and clips")
    steps: int | None = Field(None, ge=1, description="length in steps; alternative to epochs and clips")
    clips: int | None = Field(
        None, ge=1, description="length in clips seen, each counted once for all its repeats: the same for any batch"
    )
    warmup: float = Field(0, ge=0, description="linear warm-up, in the unit of the length (epochs, steps or clips)")
    warmup_lr: float = Field(0.0, ge=0, description="learning rate per 256 clips that the warm-up starts from")
    schedule: Literal["cosine", "wsd", "steps"] = Field(
        "cosine",
        description="learning rate after the warm-up: half a cosine; wsd: constant, then a decay, and such a run can be extended; "
        "or steps: a tenth after each of drops, without min_lr",
    )
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (), description="fractions of the length after which the schedule steps divides the learning rate by 10"
    )
    decay: float = Field(0.2, gt=0, le=1, description="fraction of the length that the decay of wsd takes")
    batch: int = Field(256, ge=1, le=MOST_CLIPS, description="clips per step, over all devices together")
    micro_batch: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        "auto",
        description="clips on a device at once, of a larger batch the gradients are accumulated; auto: as many as fit; null: all",
    )
    repeats: int | None = Field(None, ge=1, le=MOST_REPEATS, description="clips per decoded clip; null: data.repeats")
    base_lr: float = Field(1.5e-4, gt=0, description="learning rate per 256 clips of batch")
    min_lr: float = Field(0.0, ge=0, description="learning rate per 256 clips at the end of the schedule")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases, norms and tokens")
    optimiser: Literal["adamw", "sgd", "muon"] = Field(
        "adamw",
        description="adamw; sgd with momentum; or muon for the matrices of the blocks, with adamw for the rest",
    )
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="betas of AdamW, each in [0, 1)")
    momentum: Beta = Field(0.9, description="momentum of SGD, in [0, 1)")
    nesterov: bool = Field(False, description="Nesterov's momentum, for sgd")
    clip_grad: float | None = Field(None, gt=0, description="largest norm of the gradient; null: no limit")
    precision: Precision = Field("auto", description="auto: bf16 on devices that compute in it natively, else 32 bit")
    skip_limit: int = Field(
        5,
        ge=0,
        description="steps of 100 that may be skipped, because loss or gradient is not finite or explodes; one more ends it",
    )
    spike: float | None = Field(
        100, gt=1, description="a gradient explodes above this many times the largest norm of 100 steps; null: never"
    )
    strategy: Literal["auto", "ddp", "fsdp"] = Field(
        "auto",
        description="on several devices: ddp, each has all weights; fsdp, each has a part of the weights, gradients and "
        "optimiser's state; auto: fsdp for L and H",
    )
    compile: bool = Field(False, description="compile the model by torch.compile: faster on a GPU, after minutes")
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay per step of the moving average of the weights, such as 0.9999, which is then the model of the run; "
        "null: none",
    )
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
    checkpoint_minutes: float | None = Field(
        10,
        gt=0,
        description="longest time between checkpoints, which are then written between those of checkpoint_every",
    )
    keep_last: int = Field(2, ge=1, description="newest checkpoints that are kept; with 1 none replaces a damaged one")
    keep_every: int | None = Field(None, ge=1, description="a checkpoint of every so many epochs is kept; null: none")
    keep_best: bool = Field(False, description="the checkpoint of the lowest training loss is kept")

    @field_validator("micro_batch", mode="before")
    @classmethod
    def _known_micro_batch(cls, value: Any) -> Any:
        """Check before pydantic, which would report every form of the union."""
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not whole and value is not None and value != "auto":
            raise ConfigError(
                "", f"found {value!r}", "a whole number of at least 1, auto, or null", reason="invalid_value"
            )
        return value

    @field_validator("drops", mode="before")
    @classmethod
    def _known_drops(cls, value: Any) -> Any:
        """Check before pydantic, which would report every number."""
        numbers = isinstance(value, list | tuple) and all(isinstance(v, float) for v in value)
        if not numbers or not all(a < b for a, b in pairwise((0.0, *value, 1.0))):
            raise ConfigError("", "", "fractions between 0 and 1 in order, such as [0.7, 0.9]", reason="invalid_value")
        return tuple(value)

    @field_validator("betas", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        """Accept a list: YAML and JSON have no tuples."""
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ConfigError("", "", "two numbers, as in [0.9, 0.95]", reason="invalid_type")
        return tuple(value)

    @model_validator(mode="after")
    def _check_together(self) -> OptimConfig:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found no length"
            raise ConfigError(
                "", found, f"one of {', '.join(LENGTHS)}", reason="conflict" if given else "missing_value"
            )
        for name, rate in (("min_lr", self.min_lr), ("warmup_lr", self.warmup_lr)):
            if rate > self.base_lr:
                raise ConfigError("", f"{name} is {rate}", f"at most base_lr, {self.base_lr}", reason="invalid_value")
        if (self.schedule == "steps") != bool(self.drops):
            found = f"found schedule {self.schedule} with drops {list(self.drops)}"
            raise ConfigError(
                "", found, advice="set both or neither: drops are for the schedule steps", reason="conflict"
            )
        return self
