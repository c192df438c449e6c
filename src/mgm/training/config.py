"""One typed tree of settings: its sections, their defaults, and the checks across them. `mgm.training.recipe` reads it."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mgm.data.augment.randaugment import parse_randaugment
from mgm.data.clips.sampling import Sampler, Sampling, SamplingRule
from mgm.data.clips.source import ClipSettings
from mgm.data.loading.dataset import MaskRule
from mgm.errors import ConfigError, MgmError
from mgm.files.yaml_text import write_yaml
from mgm.flow.raft import RaftEstimator
from mgm.masks import build_mask
from mgm.models import TARGETS, ModelSpec
from mgm.video.clip.options import MotionName
from mgm.video.motion.estimators import MotionEstimator

Beta = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Head = Literal["attentive", "linear", "knn"]
Run = Literal["pretrain", "finetune"]
RUNS: tuple[Run, ...] = get_args(Run)


class Section(BaseModel):
    """Strict, frozen pydantic base: unknown keys, type coercion and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        """Accept 1e3 as a whole number."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class DataConfig(Section):
    """Clips: their frames, motion, crops, and how they are read."""

    frames: int = Field(16, ge=1, description="frames of a clip")
    stride: int = Field(4, ge=1, description="distance between sampled frames")
    size: int = Field(224, ge=8, description="side of the square clip in pixels")
    motion: Literal["auto", "codec", "flow", "difference", "raft"] | None = Field(
        "auto",
        description="source of the motion (auto: codec if the stream has vectors, else flow), or null to read frames only",
    )
    raft_weights: str | None = Field(
        None,
        description="file of the weights of RAFT-small, for motion raft; null: the motion that mgm motion --raft stored",
    )
    policy: Literal["window_sum", "sampled", "window_max"] = Field(
        "window_sum",
        description="how skipped frames enter the motion of the codec; flow is measured across them, as window_sum",
    )
    reading: Literal["clean", "references", "raw"] = Field(
        "clean",
        description="displacements from the codec's vectors: clean; references, from reference pictures only; or raw, which is "
        "literal: list 0 first, neither divided by the reference distance nor filled nor smoothed; see docs/method.md",
    )
    camera: Literal["none", "median", "affine"] = Field(
        "none", description="estimator of the camera motion that is subtracted; the paper subtracts none"
    )
    sampling: Literal["dense", "sparse"] = Field(
        "dense", description="frames at the stride from a random start, or one from each of equal parts of the video"
    )
    crop: Literal["centre", "multiscale", "random_resized"] = Field("multiscale", description="crop in pretraining")
    flip: bool = Field(
        True, description="mirror half of the clips, at random; false for labels that distinguish left from right"
    )
    memory: bool = Field(False, description="decode every video once and keep it in memory, downscaled: for small sets")
    memory_side: int | None = Field(None, ge=8, description="shorter side of the frames kept in memory; null: size")
    workers: int = Field(2, ge=0, description="reading processes per device; 0 reads in the training process")
    read_timeout: float = Field(60, gt=0, description="time limit for reading one video, in seconds")
    repeats: int = Field(
        1,
        ge=1,
        description="clips per decoded clip, each with its own crop and mask (repeated augmentation); batch counts decoded ones. "
        "pretrain.repeats and finetune.repeats replace it for one of the two",
    )
    bad_share: float = Field(0.1, ge=0, le=1, description="fraction of unreadable clips at which a run stops")


class ModelConfig(Section):
    """The autoencoder; see `mgm.models.ModelSpec`."""

    size: Literal["debug", "tiny", "S", "B", "L", "H"] = Field("B", description="row of the table of sizes")
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    position: Literal["sincos-1d", "sincos-3d"] = Field(
        "sincos-1d", description="position embedding; the reference uses sincos-1d"
    )
    patch_init: Literal["conv", "xavier"] = Field(
        "conv", description="initialisation of the patch embedding; the reference uses conv"
    )
    backbone: Literal["vit", "timesformer"] = Field("vit", description="vit: VideoMAE's; timesformer: TimeSformer")
    attention: Literal["joint", "divided"] | None = Field(
        None, description="attention of timesformer: divided (also for null) or joint; vit has joint attention"
    )
    target: str | dict[str, float] = Field(
        "normalised-pixels",
        description=f"reconstruction target: {', '.join(TARGETS)}; or several as name: weight",
    )
    teacher: str | None = Field(
        None, description="encoder whose features are the target teacher: anything that mgm.load_encoder reads"
    )
    decoder_attention: Literal["self", "cross"] = Field(
        "self",
        description="self: VideoMAE's decoder; cross: CrossMAE's, whose mask tokens attend to visible tokens only",
    )
    decoder_depth: int | None = Field(None, ge=1, description="decoder blocks; null: as the size has")
    decoder_dim: int | None = Field(None, ge=1, description="width of the decoder; null: as the size has")
    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, a third more computation"
    )
    spec: dict[str, Any] | None = Field(
        None,
        description="specification of an external encoder, written by config_for; it replaces the keys above except target, "
        "teacher and checkpointing",
    )

    @field_validator("target", mode="before")
    @classmethod
    def _known_targets(cls, value: object) -> object:
        """Check before pydantic, which would report every form of the union."""
        weights = {value: 1.0} if isinstance(value, str) else value
        known = f"one of {', '.join(TARGETS)}"
        if not isinstance(weights, dict) or not weights:
            raise ConfigError("", "", f"{known}, or several as {{name: weight}}", reason="invalid_type")
        for name, weight in weights.items():
            if name not in TARGETS:
                near = difflib.get_close_matches(str(name), TARGETS, 1)
                expected, advice = ("", f"did you mean {near[0]}?") if near else (known, "")
                raise ConfigError("", f"unknown target {name!r}", expected, advice, reason="unknown_name")
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 < weight < math.inf:
                expected = f"a number above 0, as in {{{name}: 0.5}}"
                raise ConfigError("", f"weight {weight!r} of {name}", expected, reason="invalid_value")
        return value

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


class DecoderMaskConfig(Section):
    """The second mask: hidden tokens that it shows are reconstructed (VideoMAE V2). Names: `mgm.list_masks()`."""

    name: str = Field("running-cell", description="name of the mask")
    ratio: float = Field(0.5, gt=0, lt=1, description="fraction of all tokens that are not reconstructed")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")


class MaskConfig(Section):
    """The mask of the encoder. Names: `mgm.list_masks()`."""

    name: str = Field("mgm", description="name of the mask")
    ratio: float = Field(0.75, gt=0, lt=1, description="fraction of hidden tokens")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")
    decoder: DecoderMaskConfig | None = Field(
        None, description="second mask that selects the hidden tokens to reconstruct; null: all of them"
    )


class OptimConfig(Section):
    """Length, batch and optimiser of a run."""

    epochs: int | None = Field(None, ge=1, description="length in passes over the set; alternative to steps")
    steps: int | None = Field(None, ge=1, description="length in steps; alternative to epochs")
    warmup: float = Field(0, ge=0, description="linear warm-up, in the unit of the length (epochs or steps)")
    batch: int = Field(256, ge=1, description="clips per step, over all devices together")
    micro_batch: int | None = Field(
        None, ge=1, description="clips that fit on a device at once; gradients of a larger batch are accumulated"
    )
    repeats: int | None = Field(None, ge=1, description="clips per decoded clip; null: data.repeats")
    base_lr: float = Field(1.5e-4, gt=0, description="learning rate per 256 clips of batch")
    min_lr: float = Field(0.0, ge=0, description="learning rate per 256 clips at the end of the cosine")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases, norms and tokens")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="betas of AdamW, each in [0, 1)")
    clip_grad: float | None = Field(None, gt=0, description="largest norm of the gradient; null: no limit")
    precision: Precision = Field("auto", description="auto: bf16 on devices that compute in it natively, else 32 bit")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")

    @field_validator("betas", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        """Accept a list: YAML and JSON have no tuples."""
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ConfigError("", "", "two numbers, as in [0.9, 0.95]", reason="invalid_type")
        return tuple(value)

    @model_validator(mode="after")
    def _check_together(self) -> OptimConfig:
        if (self.epochs is None) == (self.steps is None):
            found = "found neither epochs nor steps" if self.epochs is None else "found both epochs and steps"
            raise ConfigError("", found, "one of them", reason="missing_value" if self.epochs is None else "conflict")
        if self.min_lr > self.base_lr:
            expected = f"at most base_lr, {self.base_lr}"
            raise ConfigError("", f"min_lr is {self.min_lr}", expected, reason="invalid_value")
        return self


class FinetuneConfig(OptimConfig):
    """Fine-tuning with labels."""

    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="betas of AdamW, each in [0, 1)")
    layer_decay: float = Field(0.75, gt=0, le=1, description="learning rate of block k relative to block k + 1")
    drop_path: float = Field(0.1, ge=0, lt=1, description="stochastic depth, rising linearly to this at the last block")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the classifier")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="fraction of the target spread over all classes")
    sampling: Literal["dense", "sparse"] = Field(
        "dense",
        description="frames at the stride from a random start, or one from each of equal parts; in testing too",
    )
    sampling_rule: Literal["exact", "reference"] = Field(
        "exact",
        description="reference: the frames of VideoMAE's code, 4.27 apart at a stride of 4; see docs/transforms.md",
    )
    crop: Literal["centre", "multiscale", "random_resized"] = Field("random_resized", description="crop in training")
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


class ProbeConfig(Section):
    """Evaluation: probes of a frozen encoder, and the views of a test video."""

    heads: tuple[Head, ...] = Field(
        get_args(Head),
        description="probes; attentive alone needs every token of the training clips, on disk",
    )
    precision: Precision = Field(
        "32-true", description="of the evaluated model; bf16-mixed is faster on a GPU, and auto chooses it there"
    )
    clips_per_video: int = Field(1, ge=1, description="training clips per video, spread over its length")
    steps: int = Field(400, ge=1, description="steps of the attentive probe")
    batch: int = Field(64, ge=1, description="clips per step of the attentive probe")
    lr: float = Field(1e-3, gt=0, description="learning rate of the attentive probe")
    weight_decay: float = Field(0.05, ge=0, description="weight decay of the attentive probe")
    neighbours: int = Field(20, ge=1, description="k of the k-NN classifier")
    sampling: Literal["dense", "sparse", "segments"] = Field(
        "dense",
        description="clips of a probed video: as data.sampling, or segments: each from its own part of the video",
    )
    temporal_views: int = Field(5, ge=1, description="clips of a test video, spread over its length")
    spatial_views: Literal[1, 3] = Field(3, description="crops of each: 1 or 3")

    @field_validator("heads", mode="before")
    @classmethod
    def _known_heads(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples, of different probes."""
        known = get_args(Head)
        if not isinstance(value, list | tuple) or not value or any(value.count(v) > 1 or v not in known for v in value):
            raise ConfigError("", "", f"a list of {', '.join(known)}, such as [linear]", reason="invalid_value")
        return tuple(value)

    @field_validator("spatial_views", mode="before")
    @classmethod
    def _known_views(cls, value: Any) -> Any:
        """Check before pydantic, which accepts true as 1."""
        if isinstance(value, bool) or value not in (1, 3):
            raise ConfigError("", "", "1 or 3", reason="invalid_value")
        return value


class Config(Section):
    """Everything that determines a result; saved whole beside every result."""

    seed: int = Field(0, ge=0, description="the run's one seed")
    data: DataConfig = Field(default_factory=lambda: DataConfig.model_validate({}))
    model: ModelConfig = Field(default_factory=lambda: ModelConfig.model_validate({}))
    mask: MaskConfig = Field(default_factory=lambda: MaskConfig.model_validate({}))
    pretrain: OptimConfig = Field(
        default_factory=lambda: OptimConfig.model_validate({"epochs": 800, "warmup": 40, "batch": 1024})
    )
    finetune: FinetuneConfig = Field(
        default_factory=lambda: FinetuneConfig.model_validate({"epochs": 50, "warmup": 5, "batch": 512})
    )
    probe: ProbeConfig = Field(default_factory=lambda: ProbeConfig.model_validate({}))

    @model_validator(mode="after")
    def _check_together(self) -> Config:
        """Check the sections against each other; errors name the key that is wrong."""
        spec = self.model_spec()
        for key, section in (("mask", self.mask), ("mask.decoder", self.mask.decoder)):
            try:
                if section is not None:
                    build_mask(section.name, **section.options).count(spec.grid, section.ratio)
            except MgmError as error:
                raise error.within(key) from error
        self._check_micro_batches()
        self._check_motion()
        self._check_measured_motion()
        if spec.divided and not self.mask_rule().mask.equal_steps:
            raise ConfigError(
                "mask.name",
                f"{self.mask.name} hides a different number of tokens in each step",
                "an equal number, for divided attention",
                "set model.attention to joint, or use mask tube",
                reason="conflict",
            )
        if ("teacher" in self.model.target_names) != (self.model.teacher is not None):
            raise ConfigError(
                "model.teacher",
                f"{self.model.teacher or 'null'} with model.target {', '.join(self.model.target_names)}",
                advice="target teacher needs a teacher, and a teacher needs the target",
                reason="conflict",
            )
        return self

    def _check_micro_batches(self) -> None:
        """The repeats of a video pass through the model together."""
        for run in RUNS:
            size, repeats = self.optim(run).micro_batch, self.repeats(run)
            if size is not None and size < repeats:
                expected = f"at least its repeats, {repeats}: the clips of one video stay together"
                raise ConfigError(f"{run}.micro_batch", f"found {size}", expected, reason="conflict")

    def _check_motion(self) -> None:
        """Masks and targets that use motion need a source of it."""
        rule, source = self.mask_rule(), self.data.motion
        if rule.mask.uses_motion and source is None:
            raise _needs_motion("mask.name", self.mask.name, instead="mask tube")
        second = self.mask.decoder
        if second is not None and rule.decode is not None and rule.decode.mask.uses_motion and source is None:
            raise _needs_motion("mask.decoder.name", second.name, instead="mask.decoder.name running-cell")
        if "motion" in self.model.target_names and source in (None, "difference"):
            raise ConfigError(
                "model.target",
                f"motion predicts displacements, but data.motion is {source or 'null'}",
                advice="set data.motion to auto",
                reason="conflict",
            )

    def _check_measured_motion(self) -> None:
        """What is measured between sampled frames has no other policy."""
        data, source = self.data, self.data.motion
        measured = source in ("flow", "difference") or (source == "raft" and data.raft_weights is not None)
        if measured and data.policy != "window_sum" and not data.memory:
            raise ConfigError(
                "data.policy",
                f"found {data.policy} with data.motion {source}, which is measured between sampled frames",
                "window_sum",
                "set it, or data.memory=true, which measures between all frames",
                reason="conflict",
            )

    def optim(self, run: Run) -> OptimConfig:
        """The section of a kind of run."""
        return self.pretrain if run == "pretrain" else self.finetune

    def repeats(self, run: Run) -> int:
        """Clips per decoded clip in a kind of run."""
        return self.optim(run).repeats or self.data.repeats

    def model_spec(self) -> ModelSpec:
        """The autoencoder's specification."""
        if self.model.spec is not None:
            spec = ModelSpec.from_dict(self.model.spec)
            if (spec.frames, spec.resolution) != (self.data.frames, self.data.size):
                raise ConfigError(
                    "model.spec",
                    f"clips of {spec.frames} frames of {spec.resolution} px",
                    f"data.frames, {self.data.frames}, and data.size, {self.data.size}",
                    "make the settings with mgm.config_for",
                    reason="mismatch",
                )
            return spec
        return ModelSpec(
            size=self.model.size,
            patch=self.model.patch,
            tubelet=self.model.tubelet,
            frames=self.data.frames,
            resolution=self.data.size,
            position=self.model.position,
            patch_init=self.model.patch_init,
            backbone=self.model.backbone,
            attention=self.model.attention,
            decoder_attention=self.model.decoder_attention,
            decoder_depth=self.model.decoder_depth,
            decoder_dim=self.model.decoder_dim,
        )

    def mask_rule(self) -> MaskRule:
        """The masks with their token grid and ratios, and whether a target needs the motion."""
        grid, second = self.model_spec().grid, self.mask.decoder
        decode = None if second is None else MaskRule(build_mask(second.name, **second.options), grid, second.ratio)
        mask = build_mask(self.mask.name, **self.mask.options)
        return MaskRule(mask, grid, self.mask.ratio, decode, keep_motion="motion" in self.model.target_names)

    def clip_settings(self, *, motion: bool) -> ClipSettings:
        """The settings of a clip; without motion if `motion` is False.

        Raises:
            ModelError: the weights of RAFT are missing or do not fit.
        """
        data = self.data
        source: MotionName | MotionEstimator | None = data.motion if motion else None
        if source == "raft" and data.raft_weights is not None:
            source = RaftEstimator(data.raft_weights)
        return ClipSettings(data.frames, data.stride, data.size, source, data.policy, data.camera, data.reading)

    def sampler(self, sampling: Sampling, rule: SamplingRule = "exact") -> Sampler:
        """The frame sampler of this configuration."""
        return Sampler(self.data.frames, self.data.stride, sampling, rule)

    def save(self, path: Path) -> None:
        """Write the whole tree as YAML, defaults included."""
        path.write_text(write_yaml(self.model_dump(mode="json")), encoding="utf-8")


def _needs_motion(key: str, mask: str, *, instead: str) -> ConfigError:
    found = f"{mask} follows motion, but data.motion is null"
    return ConfigError(key, found, advice=f"set data.motion to codec, or use {instead}", reason="conflict")
