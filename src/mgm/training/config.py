"""One typed tree of settings, read from a recipe, overridden by dotted keys, saved whole beside every result."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mgm.data.dataset import MaskRule
from mgm.data.randaugment import parse_randaugment
from mgm.data.sampling import Rule, Sampler, Sampling
from mgm.data.source import ClipSettings
from mgm.errors import ConfigError, MgmError
from mgm.masks import build_mask
from mgm.models import TARGETS, ModelSpec


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
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


class ModelConfig(_Section):
    """Which autoencoder; see `mgm.models.ModelSpec`."""

    size: Literal["debug", "tiny", "S", "B", "L", "H"] = Field("B", description="row of the table of sizes")
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    position: Literal["sincos-1d", "sincos-3d"] = Field(
        "sincos-1d", description="position code: sincos-1d is the reference's"
    )
    patch_init: Literal["conv", "xavier"] = Field(
        "conv", description="start of the patch embedding: conv is the reference's"
    )
    backbone: Literal["vit", "timesformer"] = Field("vit", description="vit is VideoMAE's; timesformer: TimeSformer")
    attention: Literal["joint", "divided"] | None = Field(
        None, description="of timesformer: divided (null too) or joint; vit has joint attention"
    )
    target: str | dict[str, float] = Field(
        "normalised-pixels",
        description=f"what hidden tokens are compared with: {', '.join(TARGETS)}; or several as name: weight",
    )
    teacher: str | None = Field(
        None, description="whose features the target teacher are: anything that mgm.load_encoder reads"
    )
    decoder_attention: Literal["self", "cross"] = Field(
        "self",
        description="self: VideoMAE's decoder; cross: CrossMAE's, whose mask tokens look at visible tokens alone",
    )
    decoder_depth: int | None = Field(None, ge=1, description="decoder blocks; null: the size's own")
    decoder_dim: int | None = Field(None, ge=1, description="width of the decoder; null: the size's own")
    checkpointing: bool = Field(
        False, description="keep less for the backward pass and compute it again: less memory, a third more work"
    )
    spec: dict[str, Any] | None = Field(
        None,
        description="the specification of an encoder from elsewhere, which settings_for writes; of the keys above, those of "
        "the target and checkpointing alone then count",
    )

    @field_validator("target", mode="before")
    @classmethod
    def _known_targets(cls, value: object) -> object:
        """Looked at first, or pydantic would report each form that it is not."""
        weights = {value: 1.0} if isinstance(value, str) else value
        if not isinstance(weights, dict) or not weights:
            raise ValueError(f"expected one of {', '.join(TARGETS)}, or several as {{name: weight}}")
        for name, weight in weights.items():
            if name not in TARGETS:
                near = difflib.get_close_matches(str(name), TARGETS, 1)
                hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(TARGETS)}"
                raise ValueError(f"no target {name!r}; {hint}")
            if not isinstance(weight, int | float) or not weight > 0:
                raise ValueError(f"weight {weight!r} of {name}, expected a number above 0, as in {{{name}: 0.5}}")
        return value

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


class DecoderMaskConfig(_Section):
    """Which hidden tokens are reconstructed: those that this mask shows (VideoMAE V2); see `mgm.mask_names()`."""

    name: str = Field("running-cell", description="name of the mask")
    ratio: float = Field(0.5, gt=0, lt=1, description="share of all tokens that are not reconstructed")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")


class MaskConfig(_Section):
    """Which tokens are hidden; see `mgm.mask_names()`."""

    name: str = Field("mgm", description="name of the mask")
    ratio: float = Field(0.75, gt=0, lt=1, description="share of hidden tokens")
    options: dict[str, Any] = Field(default_factory=dict, description="options of that mask")
    decoder: DecoderMaskConfig | None = Field(
        None, description="which hidden tokens are reconstructed, a second mask; null: all of them"
    )


class OptimConfig(_Section):
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
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW's")
    clip_grad: float | None = Field(None, gt=0, description="largest norm of the gradient; null: no limit")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16 where the device computes in it natively, else 32 bit"
    )
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")

    @model_validator(mode="after")
    def _one_length(self) -> OptimConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


class FinetuneConfig(OptimConfig):
    """Fine-tuning with labels."""

    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's")
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

    @field_validator("randaugment")
    @classmethod
    def _known_operations(cls, value: str | None) -> str | None:
        if value is not None:
            parse_randaugment(value)
        return value


class ProbeConfig(_Section):
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


class Config(_Section):
    """Everything that shapes a result."""

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
    def _fits_together(self) -> Config:
        try:
            rule = self.mask_rule()
            for part in (rule, rule.decode):
                if part is not None:
                    part.mask.count(part.grid, part.ratio)
        except MgmError as error:
            raise ValueError(str(error)) from error
        for name, optim in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if optim.micro_batch is not None and optim.micro_batch < self.data.repeats:
                raise ValueError(
                    f"{name}.micro_batch is {optim.micro_batch}, expected at least data.repeats, {self.data.repeats}: the clips "
                    "of one video go through together"
                )
        if rule.mask.uses_motion and self.data.motion is None:
            raise ValueError(
                f"mask {self.mask.name} follows motion, but data.motion is null; set data.motion to codec, or use mask tube"
            )
        second = self.mask.decoder
        if second is not None and rule.decode is not None and rule.decode.mask.uses_motion and self.data.motion is None:
            raise ValueError(
                f"mask.decoder {second.name} follows motion, but data.motion is null; set data.motion to codec, or use "
                "mask.decoder.name running-cell"
            )
        if self.model_spec().divided and not rule.mask.equal_steps:
            raise ValueError(
                f"mask {self.mask.name} hides another number of tokens in each step, which divided attention cannot take; "
                "set model.attention to joint, or use mask tube"
            )
        if "motion" in self.model.target_names and self.data.motion in (None, "difference"):
            raise ValueError(
                f"target motion predicts displacements, but data.motion is {self.data.motion or 'null'}; set it to auto"
            )
        if ("teacher" in self.model.target_names) != (self.model.teacher is not None):
            raise ValueError(
                f"model.teacher is {self.model.teacher or 'null'} and model.target {', '.join(self.model.target_names)}; "
                "target teacher needs a teacher, and a teacher the target"
            )
        return self

    def model_spec(self) -> ModelSpec:
        """The autoencoder's description."""
        if self.model.spec is not None:
            spec = ModelSpec.from_dict(self.model.spec)
            if (spec.frames, spec.resolution) != (self.data.frames, self.data.size):
                raise ConfigError(
                    f"model.spec: its clips have {spec.frames} frames of {spec.resolution} px, but data.frames is "
                    f"{self.data.frames} and data.size {self.data.size}; make the settings with mgm.settings_for"
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
        """The masks with their token grid and ratios, and whether a model predicts the motion."""
        grid, second = self.model_spec().grid, self.mask.decoder
        decode = None if second is None else MaskRule(build_mask(second.name, **second.options), grid, second.ratio)
        mask = build_mask(self.mask.name, **self.mask.options)
        return MaskRule(mask, grid, self.mask.ratio, decode, keep_motion="motion" in self.model.target_names)

    def clip_settings(self, *, motion: bool) -> ClipSettings:
        """What is read of a video; without motion where nobody looks at it."""
        data = self.data
        source = data.motion if motion else None
        return ClipSettings(data.frames, data.stride, data.size, source, data.policy, data.camera)

    def sampler(self, sampling: Sampling, rule: Rule = "exact") -> Sampler:
        """Which frames of a video make a clip of this configuration."""
        return Sampler(self.data.frames, self.data.stride, sampling, rule)

    def save(self, path: Path) -> None:
        """Write the whole tree as YAML, defaults included."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def recipe_names() -> list[str]:
    """Names of the recipes that come with mgm."""
    return sorted(
        f.name.removesuffix(".yaml") for f in (resources.files("mgm") / "recipes").iterdir() if f.name.endswith(".yaml")
    )


def load_config(recipe: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a recipe - the name of one of ours, or a path - and apply `key.key=value` overrides, the values in YAML.

    Raises:
        ConfigError: every wrong key and value at once, with the nearest valid name.
    """
    return _validate(_overridden(_read_recipe(recipe), overrides), str(recipe))


def override(config: Config, overrides: Iterable[str]) -> Config:
    """A configuration with `key.key=value` settings replaced. Raises ConfigError as `load_config`."""
    return _validate(_overridden(config.model_dump(mode="json"), overrides), "settings")


def _overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    given: dict[str, dict[str, Any]] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigError(f"override {text!r}: expected key=value, for example pretrain.steps=200")
        branch = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            if branch.get(parent) is None:  # a section that is left out, or null where it is optional
                branch[parent] = {}
            child = branch[parent]
            if not isinstance(child, dict):
                raise ConfigError(f"override {text!r}: {parent} is a value, not a section")
            branch = child
        branch[leaf] = _yaml(value, f"override {text!r}")
        given[key] = branch
    for key, branch in given.items():
        _settle_length(branch, key, set(given))
    return tree


def parse_config(tree: dict[str, Any], name: str) -> Config:
    """Validate a tree, for example one from a checkpoint; `name` is how errors call it."""
    return _validate(tree, name)


def _settle_length(branch: dict[str, Any], key: str, given: set[str]) -> None:
    """An override of steps replaces the recipe's epochs and the other way round; the recipe's warm-up, counted in the other unit,
    goes. What was `given` as an override stays, in whatever order."""
    section, _, leaf = key.rpartition(".")
    other = {"steps": "epochs", "epochs": "steps"}.get(leaf)
    replaced = other and f"{section}.{other}" not in given and branch.pop(other, None) is not None
    if replaced and f"{section}.warmup" not in given:
        branch.pop("warmup", None)


def _read_recipe(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(
                f"{recipe}: no such recipe file; check the path, or use one of ours: {', '.join(recipe_names())}"
            )
        text = path.read_text(encoding="utf-8")
    elif str(recipe) in recipe_names():
        text = (resources.files("mgm") / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8")
    else:
        near = difflib.get_close_matches(str(recipe), recipe_names(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"{recipe}: no recipe of that name, expected one of {', '.join(recipe_names())} or a path to a .yaml file{hint}"
        )
    tree = _yaml(text, str(recipe))
    if not isinstance(tree, dict):
        raise ConfigError(f"{recipe}: found {type(tree).__name__}, expected sections such as 'data:' and 'pretrain:'")
    return tree


def _yaml(text: str, name: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    return _numbers(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text; a recipe means the number
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _validate(tree: dict[str, Any], name: str) -> Config:
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        raise ConfigError(
            f"{name}: {len(lines)} wrong setting{'s' * (len(lines) > 1)}:\n  " + "\n  ".join(lines)
        ) from None


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        section: type[BaseModel] = Config
        for part in location[:-1]:
            annotation = section.model_fields[part].annotation
            # An optional section is a union with None.
            section = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type))
        known = list(section.model_fields)
        near = difflib.get_close_matches(location[-1], known, 1)
        hint = f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else f"expected one of {', '.join(known)}"
        return f"{key}: no such key; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    found = error.get("input")
    shown = "" if isinstance(found, dict) else f" (found {found!r})"
    return f"{key}: {message}{shown}"
