"""The sections of the settings: their keys, defaults and limits. `mgm.training.config` joins and compares them."""

from __future__ import annotations

import difflib
import math
from itertools import product
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from mgm.data.augment.randaugment import parse_randaugment
from mgm.errors import ConfigError
from mgm.models import TARGETS
from mgm.models.networks.catalog import NETWORKS
from mgm.training.recipe_file import LENGTHS
from mgm.training.trackers import TrackerName

Beta = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Head = Literal["attentive", "linear", "linear-sgd", "linear-lars", "linear-adamw", "knn"]
Pooling = Literal["mean", "mean-std-max"]


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
    input: Literal["pixels", "motion"] = Field(
        "pixels",
        description="what the frames of a clip show: the video's pixels, or instead its motion accumulated since the keyframe",
    )
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
    pictures: Literal["static", "single"] = Field(
        "static",
        description="still pictures of a set in pretraining: static, clips of a repeated picture, in the batches of the videos; "
        "single, clips of one tubelet, in batches of their own and with mask.picture_ratio (OmniMAE)",
    )
    workers: int = Field(2, ge=0, description="reading processes per device; 0 reads in the training process")
    read_timeout: float = Field(60, gt=0, description="time limit for reading one video, in seconds")
    repeats: int = Field(
        1,
        ge=1,
        description="clips per decoded clip, each with its own crop and mask (repeated augmentation); batch counts decoded ones. "
        "pretrain.repeats and finetune.repeats replace it for one of the two",
    )
    bad_share: float = Field(0.1, ge=0, le=1, description="fraction of unreadable clips at which a run stops")


class DecoderConfig(Section):
    """The decoder of one target."""

    depth: int | None = Field(None, ge=1, description="blocks; null: model.decoder_depth")
    dim: int | None = Field(None, ge=1, description="width; null: model.decoder_dim")
    heads: int | None = Field(None, ge=1, description="attention heads; null: heads of the width of the size's decoder")


class ModelConfig(Section):
    """The autoencoder; see `mgm.models.ModelSpec`."""

    network: str | None = Field(
        None,
        description="a supervised network of 'mgm models' in place of the encoder and of the keys below, for finetune, evaluate, "
        "probe, embed and predict; null: a ViT",
    )
    size: Literal["debug", "tiny", "S", "B", "L", "H"] = Field("B", description="row of the table of sizes")
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    position: Literal["sincos-1d", "sincos-3d"] = Field(
        "sincos-1d", description="position embedding; the reference uses sincos-1d"
    )
    patch_init: Literal["conv", "xavier", "whitened"] = Field(
        "conv",
        description="initialisation of the patch embedding: conv, the reference's; xavier, MAE's; or whitened, from the principal "
        "components of patches of the training videos",
    )
    backbone: Literal["vit", "timesformer"] = Field("vit", description="vit: VideoMAE's; timesformer: TimeSformer")
    attention: Literal["joint", "divided"] | None = Field(
        None, description="attention of timesformer: divided (also for null) or joint; vit has joint attention"
    )
    target: str | dict[str, float] = Field(
        "normalised-pixels",
        description=f"reconstruction target: {', '.join(TARGETS)}; or several as name: weight",
    )
    visible_target: str | dict[str, float] | None = Field(
        None,
        description="target that a linear layer predicts from the encoder's output at visible tokens, named as target; null: none",
    )
    teacher: str | None = Field(
        None, description="encoder whose features are the target teacher: anything that mgm.load_encoder reads"
    )
    tokenizer: str | None = Field(
        None,
        description="file of the network whose codes a target predicts: a checkpoint of taming-transformers for vqgan-codes, "
        "DALL-E's encoder.pkl for dvae-codes",
    )
    replacement: Literal["vit", "swin", "mvit"] | None = Field(
        None,
        description="what becomes of hidden tokens: null, the encoder does not get them, a decoder predicts them (VideoMAE); or "
        "the network that gets a learned token in their place and predicts them itself: vit (the encoder of this section), swin "
        "(Video Swin with BEVT's decoder; sizes B and debug), or mvit (MViTv2 as MaskFeat pretrains it; sizes S and debug)",
    )
    drop_path: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="stochastic depth of the network of replacement, rising linearly to this at the last block",
    )
    decoder_attention: Literal["self", "cross"] = Field(
        "self",
        description="self: VideoMAE's decoder; cross: CrossMAE's, whose mask tokens attend to visible tokens only",
    )
    decoder_depth: int | None = Field(None, ge=1, description="decoder blocks; null: as the size has")
    decoder_dim: int | None = Field(None, ge=1, description="width of the decoder; null: as the size has")
    decoder_heads: int | None = Field(None, ge=1, description="attention heads of the decoder; null: as the size has")
    prediction_head: Literal["linear", "mlp"] = Field(
        "linear",
        description="end of the decoder: linear (VideoMAE), or mlp: for each target two linear layers (M3Video)",
    )
    decoders: dict[str, DecoderConfig] | None = Field(
        None,
        description="{target: {depth, dim, heads}}: a decoder for each target, with its own projection and mask token; "
        "null: the targets share one",
    )
    regressor_depth: int | None = Field(
        None,
        ge=1,
        description="blocks of cross-attention in which queries for hidden tokens read the encoder's output before the decoder "
        "(MAM2); null: no regressor",
    )
    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, a third more computation"
    )
    spec: dict[str, Any] | None = Field(
        None,
        description="specification of an external encoder, written by config_for; it replaces the keys above except the targets, "
        "teacher, tokenizer and checkpointing",
    )

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: str | None) -> str | None:
        if value is not None and value not in NETWORKS:
            near = difflib.get_close_matches(value, NETWORKS, 1)
            expected, advice = ("", f"did you mean {near[0]}?") if near else (f"one of {', '.join(NETWORKS)}", "")
            raise ConfigError("", f"unknown network {value!r}", expected, advice, reason="unknown_name")
        return value

    @field_validator("target", "visible_target", mode="before")
    @classmethod
    def _known_targets(cls, value: object, info: ValidationInfo) -> object:
        """Check before pydantic, which would report every form of the union."""
        if value is None and info.field_name == "visible_target":
            return None
        weights = {value: 1.0} if isinstance(value, str) else value
        names = [name for name in TARGETS if info.field_name == "target" or TARGETS[name].needs is None]
        known = f"one of {', '.join(names)}"
        if not isinstance(weights, dict) or not weights:
            raise ConfigError("", "", f"{known}, or several as {{name: weight}}", reason="invalid_type")
        for name, weight in weights.items():
            if name not in names:
                near = difflib.get_close_matches(str(name), names, 1)
                expected, advice = ("", f"did you mean {near[0]}?") if near else (known, "")
                raise ConfigError("", f"unknown target {name!r}", expected, advice, reason="unknown_name")
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 < weight < math.inf:
                expected = f"a number above 0, as in {{{name}: 0.5}}"
                raise ConfigError("", f"weight {weight!r} of {name}", expected, reason="invalid_value")
        return value

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets at hidden tokens."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    @property
    def visible_target_names(self) -> tuple[str, ...]:
        """The names of the targets at visible tokens."""
        visible = self.visible_target or {}
        return (visible,) if isinstance(visible, str) else tuple(visible)

    @property
    def motion_target_names(self) -> tuple[str, ...]:
        """The names of the targets, at hidden or visible tokens, that read the motion."""
        names = (*self.target_names, *self.visible_target_names)
        return tuple(name for name in names if name in TARGETS and TARGETS[name].reads == "motion")


class DecoderMaskConfig(Section):
    """The second mask: hidden tokens that it shows are reconstructed (VideoMAE V2). Names: `mgm.list_masks()`."""

    name: str = Field("running-cell", description="name of the mask")
    ratio: float = Field(0.5, gt=0, lt=1, description="fraction of all tokens that are not reconstructed")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")


class MaskConfig(Section):
    """The mask of the encoder. Names: `mgm.list_masks()`."""

    name: str = Field("mgm", description="name of the mask")
    ratio: float = Field(0.75, gt=0, lt=1, description="fraction of hidden tokens")
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


class OptimConfig(Section):
    """Length, batch and optimiser of a run."""

    epochs: int | None = Field(None, ge=1, description="length in passes over the set; alternative to steps and clips")
    steps: int | None = Field(None, ge=1, description="length in steps; alternative to epochs and clips")
    clips: int | None = Field(
        None, ge=1, description="length in clips seen, each counted once for all its repeats: the same for any batch"
    )
    warmup: float = Field(0, ge=0, description="linear warm-up, in the unit of the length (epochs, steps or clips)")
    schedule: Literal["cosine", "wsd"] = Field(
        "cosine",
        description="learning rate after the warm-up: half a cosine, or wsd: constant, then a decay; a run of wsd can be extended",
    )
    decay: float = Field(0.2, gt=0, le=1, description="fraction of the length that the decay of wsd takes")
    batch: int = Field(256, ge=1, description="clips per step, over all devices together")
    micro_batch: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        "auto",
        description="clips on a device at once, of a larger batch the gradients are accumulated; auto: as many as fit; null: all",
    )
    repeats: int | None = Field(None, ge=1, description="clips per decoded clip; null: data.repeats")
    base_lr: float = Field(1.5e-4, gt=0, description="learning rate per 256 clips of batch")
    min_lr: float = Field(0.0, ge=0, description="learning rate per 256 clips at the end of the schedule")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases, norms and tokens")
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="adamw, or sgd with momentum")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="betas of AdamW, each in [0, 1)")
    momentum: Beta = Field(0.9, description="momentum of SGD, in [0, 1)")
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
    pooling: Literal["mean", "attentive"] = Field(
        "mean",
        description="from tokens to the classifier: their mean, or one learned query that attends to all of them",
    )
    head_init: Literal["random", "probe"] = Field(
        "random",
        description="start of the classifier: close to equal probabilities, or the linear probe of the features at that moment",
    )
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


_Number = TypeVar("_Number", int, float)
_NUMBERS: dict[str, tuple[Any, float]] = {
    "lr": (int | float, math.ulp(0)),
    "weight_decay": (int | float, 0),
    "neighbours": (int, 1),
    "shots": (int, 1),
}
"""The type and the smallest value of the numbers of a key."""
_EXAMPLES = {"lr": "[0.005, 0.001]", "weight_decay": "[0.01, 0.1]", "neighbours": "[1, 20]", "shots": "[1, 5]"}


def _listed(value: _Number | tuple[_Number, ...]) -> tuple[_Number, ...]:
    return value if isinstance(value, tuple) else (value,)


class LogConfig(Section):
    """What a run writes besides log.jsonl and TensorBoard; no result depends on it."""

    trackers: tuple[TrackerName, ...] = Field((), description="services that show the curves too: wandb, mlflow")
    project: str = Field("mgm", min_length=1, description="name under which they collect runs")

    pictures: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="steps after which pretraining draws a few clips: frames, motion, mask, reconstruction; such as [1, 100]",
    )

    @field_validator("pictures", mode="before")
    @classmethod
    def _known_steps(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples."""
        whole = isinstance(value, list | tuple) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
        if not whole or any(v < 1 for v in value):
            raise ConfigError("", "", "a list of steps, such as [1, 100, 1000]", reason="invalid_value")
        return tuple(value)

    @field_validator("trackers", mode="before")
    @classmethod
    def _known_trackers(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples, of different services."""
        known = get_args(TrackerName)
        if not isinstance(value, list | tuple) or any(value.count(v) > 1 or v not in known for v in value):
            raise ConfigError("", "", f"a list of {', '.join(known)}, such as [wandb]", reason="invalid_value")
        return tuple(value)


class ProbeConfig(Section):
    """Evaluation: probes of a frozen encoder, and the views of a test video."""

    heads: tuple[Head, ...] = Field(
        ("attentive", "linear", "knn"),
        description="probes: attentive, which alone needs every token of the training clips, on disk; linear: logistic regression; "
        "linear-sgd, linear-lars, linear-adamw: the protocols of VideoMAE, MAE and SIGMA; knn",
    )
    pooling: Pooling = Field(
        "mean",
        description="feature of a clip for linear probe and k-NN, from its tokens: their mean, or also their deviation and maximum",
    )
    precision: Precision = Field(
        "32-true", description="of the evaluated model; bf16-mixed is faster on a GPU, and auto chooses it there"
    )
    clips_per_video: int = Field(1, ge=1, description="training clips per video, spread over its length")
    steps: int = Field(400, ge=1, description="steps of the attentive probe")
    batch: int = Field(64, ge=1, description="clips per step of the attentive probe")
    lr: float | tuple[float, ...] = Field(
        (5e-3, 1e-3, 3e-4),
        description="learning rate of the attentive probe, or several, of which the best on held-out training videos counts",
    )
    weight_decay: float | tuple[float, ...] = Field(
        (0.01, 0.1), description="weight decay of the attentive probe, or several, each with every learning rate"
    )
    depth: int = Field(1, ge=1, description="blocks of the attentive probe: V-JEPA has 1, V-JEPA 2 has 4")
    neighbours: int | tuple[int, ...] = Field(
        (1, 5, 10, 20, 200),
        description="k of the k-NN classifier, or several, as far as there are so many training clips",
    )
    shots: tuple[int, ...] = Field(
        (1, 2, 5, 10, 50),
        description="labels per class of the low-shot curve, as far as every class has them; []: no curve",
    )
    draws: int = Field(5, ge=1, description="draws of the labels of each point of that curve")
    cache: bool = Field(True, description="keep the features in the run's folder, for another probe of the same videos")
    sampling: Literal["dense", "sparse", "segments"] = Field(
        "dense",
        description="clips of a probed video: as data.sampling, or segments: each from its own part of the video",
    )
    temporal_views: int = Field(5, ge=1, description="clips of a test video, spread over its length")
    spatial_views: Literal[1, 3] = Field(3, description="crops of each: 1 or 3")

    @field_validator("lr", "weight_decay", "neighbours", "shots", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Check before pydantic, which would report every form of the union."""
        name = info.field_name or ""
        kind, least = _NUMBERS[name]
        listed = isinstance(value, list | tuple)
        numbers = [cls._whole_numbers(one) for one in (value if listed else [value])]
        known = all(
            isinstance(n, kind) and not isinstance(n, bool) and math.isfinite(n) and n >= least for n in numbers
        )
        if not known or (name == "shots" and not listed) or not (numbers or name == "shots"):
            words = "whole numbers" if kind is int else "numbers"
            limit = "of at least 1" if kind is int else "of at least 0" if least == 0 else "above 0"
            expected = f"a list of {words} {limit}, such as {_EXAMPLES[name]}"
            raise ConfigError("", "", expected, reason="invalid_value")
        return tuple(numbers) if listed else numbers[0]

    @property
    def settings(self) -> list[tuple[float, float]]:
        """(learning rate, weight decay) of every attentive probe."""
        return list(product(_listed(self.lr), _listed(self.weight_decay)))

    @property
    def neighbour_counts(self) -> tuple[int, ...]:
        """Every k of the k-NN classifier."""
        return _listed(self.neighbours)

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
