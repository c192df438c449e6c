"""One typed tree of settings: its sections, the checks across them, and what they build. `mgm.training.recipe` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, get_args

from pydantic import Field, model_validator

from mgm.data.clips.sampling import Sampler, Sampling, SamplingRule
from mgm.data.clips.source import ClipSettings
from mgm.data.loading.dataset import MaskRule, Stills
from mgm.errors import ConfigError, MgmError, ModelError
from mgm.files.yaml_text import write_yaml
from mgm.flow.raft import RaftEstimator
from mgm.masks import build_mask
from mgm.models import TARGETS, AsinhMotion, ModelSpec, Stack
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkEntry
from mgm.training.sections import (
    DataConfig,
    FinetuneConfig,
    LogConfig,
    MaskConfig,
    ModelConfig,
    OptimConfig,
    ProbeConfig,
    Section,
)
from mgm.video.motion.estimators import MotionEstimator
from mgm.video.motion.names import MotionName

Run = Literal["pretrain", "finetune"]

DEFAULT_LENGTHS: Final[Mapping[Run, Mapping[str, int]]] = {
    "pretrain": {"epochs": 800, "warmup": 40, "batch": 1024},
    "finetune": {"epochs": 50, "warmup": 5, "batch": 512},
}
"""Length and batch of a run in a recipe without its section."""
RUNS: tuple[Run, ...] = get_args(Run)


class Config(Section):
    """Everything that determines a result; saved whole beside every result."""

    seed: int = Field(0, ge=0, description="the run's one seed")
    data: DataConfig = Field(default_factory=lambda: DataConfig.model_validate({}))
    model: ModelConfig = Field(default_factory=lambda: ModelConfig.model_validate({}))
    mask: MaskConfig = Field(default_factory=lambda: MaskConfig.model_validate({}))
    pretrain: OptimConfig = Field(default_factory=lambda: OptimConfig.model_validate(DEFAULT_LENGTHS["pretrain"]))
    finetune: FinetuneConfig = Field(default_factory=lambda: FinetuneConfig.model_validate(DEFAULT_LENGTHS["finetune"]))
    probe: ProbeConfig = Field(default_factory=lambda: ProbeConfig.model_validate({}))
    log: LogConfig = Field(default_factory=lambda: LogConfig.model_validate({}))

    @model_validator(mode="after")
    def _check_together(self) -> Config:
        """Check the sections against each other; errors name the key that is wrong."""
        if self.model.network is not None:
            self._check_network()
            self._check_micro_batches()
            return self
        spec = self.model_spec()
        for key, section in (("mask", self.mask), ("mask.decoder", self.mask.decoder)):
            try:
                if section is not None:
                    build_mask(section.name, **section.options).count(spec.grid, section.ratio)
            except MgmError as error:
                raise error.within(key) from error
        self._check_ratio_schedule()
        self._check_replacement()
        self._check_pictures()
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
        self._check_networks()
        self._check_decoders()
        return self

    def _check_ratio_schedule(self) -> None:
        """A ratio that changes has a last value, and one that does not has none."""
        mask, last = self.mask, self.mask.final_ratio
        if (mask.ratio_schedule == "constant") is not (last is None):
            raise ConfigError(
                "mask.final_ratio",
                f"found {'null' if last is None else f'{last:g}'} with mask.ratio_schedule {mask.ratio_schedule}",
                "a fraction in (0, 1)" if last is None else "null",
                "set both, for example mask.ratio_schedule=linear mask.final_ratio=0.9, or neither",
                reason="conflict",
            )
        if last is not None:
            rule = self.mask_rule()
            try:
                rule.mask.count(rule.grid, last)
            except MgmError as error:
                raise error.within("mask.final_ratio") from error

    def _check_networks(self) -> None:
        """Targets of a frozen network need its file, and the file needs such a target."""
        for key, found in (
            ("teacher", self.model.teacher),
            ("image_teacher", self.model.image_teacher),
            ("tokenizer", self.model.tokenizer),
        ):
            names = [name for name, kind in TARGETS.items() if kind.needs == key]
            if any(name in names for name in self.model.target_names) != (found is not None):
                raise ConfigError(
                    f"model.{key}",
                    f"{found or 'null'} with model.target {', '.join(self.model.target_names)}",
                    advice=f"set both or neither: model.{key} is for the target {' or '.join(names)}",
                    reason="conflict",
                )

    def _check_decoders(self) -> None:
        """Decoders of their own are those of the targets; a network that replaces hidden tokens has none."""
        found = self.model_spec().decoders
        names = self.model.target_names
        if found is not None and {name for name, _ in found} != set(names):
            raise ConfigError(
                "model.decoders",
                f"found those of {', '.join(name for name, _ in found)}",
                f"one for each of {', '.join(names)}",
                reason="mismatch",
            )
        own = [key for key in ("decoders", "regressor_depth") if getattr(self.model, key) is not None]
        if self.model.replacement is not None and own:
            raise ConfigError(
                f"model.{own[0]}",
                f"found one with model.replacement {self.model.replacement}, which has no decoder",
                "null",
                reason="conflict",
            )

    def _check_replacement(self) -> None:
        """Masks of varying count need a network that sees all tokens; such a network has no decoder."""
        if self.model.replacement is None:
            if self.model.drop_path:
                raise ConfigError(
                    "model.drop_path",
                    f"found {self.model.drop_path} without model.replacement",
                    "0",
                    "masked autoencoders have none in pretraining; finetune.drop_path is that of fine-tuning",
                    reason="conflict",
                )
            if not self.mask_rule().mask.fixed_count:
                raise ConfigError(
                    "mask.name",
                    f"{self.mask.name} hides a different number of tokens in each clip",
                    "an equal number, for an encoder of visible tokens",
                    "set model.replacement, or use mask cube",
                    reason="conflict",
                )
            return
        if self.model.visible_target is not None:
            raise ConfigError(
                "model.visible_target",
                f"found {' + '.join(self.model.visible_target_names)} with model.replacement {self.model.replacement}",
                "null",
                "a network that replaces hidden tokens predicts those alone",
                reason="conflict",
            )

    def _check_network(self) -> None:
        """What a ViT has, and a network of the catalog has not."""
        assert self.model.network is not None
        for key, found, expected in (
            ("data.input", self.data.input, NETWORKS[self.model.network].reads),
            ("finetune.pooling", self.finetune.pooling, "mean"),
            ("model.checkpointing", self.model.checkpointing, False),
            ("model.spec", self.model.spec, None),
        ):
            if found != expected:
                raise ConfigError(
                    key,
                    f"found {found} with model.network {self.model.network}",
                    str(expected).lower(),
                    reason="conflict",
                )
        self._check_rates(NETWORKS[self.model.network])
        for run in RUNS:
            if self.optim(run).strategy == "fsdp":
                raise ConfigError(
                    f"{run}.strategy",
                    f"found fsdp with model.network {self.model.network}",
                    "ddp or auto: the weights of a network stay on each device",
                    reason="conflict",
                )

    def _check_rates(self, entry: NetworkEntry) -> None:
        """Rates that need stochastic depth, or an order of layers, which not every network has."""
        for key, found, has, none, what in (
            ("drop_path", self.finetune.drop_path, entry.stochastic_depth, 0, "stochastic depth"),
            ("layer_decay", self.finetune.layer_decay, entry.layer_decay, 1, "order of layers"),
        ):
            if found != none and not has:
                raise ConfigError(
                    f"finetune.{key}",
                    f"found {found}, but {entry.name} has no {what}",
                    str(none),
                    f"leave it out, or use the recipe {entry.recipe}",
                    reason="conflict",
                )

    def _check_pictures(self) -> None:
        """Pictures in batches of their own are clips of one step: what needs several, or a whole clip, has none of them."""
        if self.data.pictures == "static":
            if self.mask.picture_ratio is not None:
                raise ConfigError(
                    "mask.picture_ratio",
                    f"found {self.mask.picture_ratio} with data.pictures static",
                    "null",
                    "set data.pictures to single",
                    reason="conflict",
                )
            return
        names = (*self.model.target_names, *self.model.visible_target_names)
        whole = [
            name for name in names if TARGETS[name].needs not in (None, "tokenizer") or TARGETS[name].reads == "motion"
        ]
        problems = {
            "model.replacement": None if self.model.replacement == "swin" else self.model.replacement,
            "mask.decoder": None if self.mask.decoder is None else self.mask.decoder.name,
            "model.target": whole[0] if whole else None,
            "model.attention": "divided" if self.model_spec().divided else None,
        }
        for key, found in problems.items():
            if found is not None:
                raise ConfigError(
                    key,
                    f"found {found} with data.pictures single",
                    "a masked autoencoder of pixels or codes with joint attention, or replacement swin",
                    "set data.pictures to static",
                    reason="conflict",
                )
        stills = self.stills()
        assert stills is not None
        try:
            for progress in (0, 1):
                rule = stills.rule.at(progress)
                rule.mask.count(rule.grid, rule.ratio)
        except MgmError as error:
            raise error.within("mask.picture_ratio") from error

    def _check_micro_batches(self) -> None:
        """The repeats of a video pass through the model together."""
        for run in RUNS:
            size, repeats = self.optim(run).micro_batch, self.repeats(run)
            if isinstance(size, int) and size < repeats:
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
        if self.model.motion_target_names and source in (None, "difference"):
            raise ConfigError(
                "model.target",
                f"{self.model.motion_target_names[0]} predicts displacements, but data.motion is {source or 'null'}",
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
        spec = ModelSpec(
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
            decoder_heads=self.model.decoder_heads,
            prediction_head=self.model.prediction_head,
            regressor_depth=self.model.regressor_depth,
        )
        # Several decoders need the widths of the size.
        return spec if self.model.decoders is None else replace(spec, decoders=self._decoders(spec.decoder))

    def _decoders(self, shared: Stack) -> tuple[tuple[str, Stack], ...]:
        """The widths of each target's decoder; shared: those for what the settings leave open."""
        stacks = []
        for name, own in (self.model.decoders or {}).items():
            dim = own.dim or shared.dim
            heads = own.heads or max(1, dim * shared.heads // shared.dim)
            try:
                stacks.append((name, Stack(dim, own.depth or shared.depth, heads)))
            except ModelError as error:
                raise error.within(f"model.decoders.{name}") from error
        return tuple(stacks)

    def mask_rule(self) -> MaskRule:
        """The masks with their token grid and ratios, and whether a target needs the motion."""
        grid, second = self.model_spec().grid, self.mask.decoder
        decode = None if second is None else MaskRule(build_mask(second.name, **second.options), grid, second.ratio)
        mask = build_mask(self.mask.name, **self.mask.options)
        motion = self.model.motion_target_names
        return MaskRule(
            mask,
            grid,
            self.mask.ratio,
            decode=decode,
            keep_motion=bool(motion),
            measured_motion=AsinhMotion.name in motion,
            motion_parts=max((TARGETS[name].motion_parts for name in motion), default=1),
            schedule=None if self.mask.ratios.is_constant else self.mask.ratios,
        )

    def stills(self) -> Stills | None:
        """The clips of still pictures; None: as those of videos."""
        if self.data.pictures == "static":
            return None
        rule, own, (_, h, w) = self.mask_rule(), self.mask.picture_ratio, self.model_spec().grid
        rule = rule if own is None else replace(rule, ratio=own, schedule=None)
        return Stills(self.model.tubelet, replace(rule, grid=(1, h, w)))

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


def check_config(config: object) -> None:
    """Raise ConfigError unless it is a `Config`: the name of a recipe is often given in its place."""
    if not isinstance(config, Config):
        name = config if isinstance(config, str) else "debug"
        raise ConfigError(
            "config",
            f"found {type(config).__name__}",
            "settings",
            f"pass mgm.load_config({name!r})",
            reason="invalid_type",
        )
