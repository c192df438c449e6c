"""The whole tree of settings, whose parts must fit together; saved whole beside every result."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from mgm.data.clips.sampling import Sampler, Sampling, SamplingRule
from mgm.data.clips.source import ClipSettings
from mgm.data.loading.dataset import MaskRule
from mgm.errors import ConfigError, MgmError
from mgm.files.yaml_text import write_yaml
from mgm.masks import build_mask
from mgm.models import ModelSpec
from mgm.training.config.data import DataConfig
from mgm.training.config.mask import MaskConfig
from mgm.training.config.model import ModelConfig
from mgm.training.config.optim import FinetuneConfig, OptimConfig
from mgm.training.config.probe import ProbeConfig
from mgm.training.config.section import Section


class Config(Section):
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
            grid = self.model_spec().grid
        except MgmError as error:
            raise ValueError(str(error)) from error
        for key, section in (("mask", self.mask), ("mask.decoder", self.mask.decoder)):
            try:
                if section is not None:
                    build_mask(section.name, **section.options).count(grid, section.ratio)
            except MgmError as error:
                raise ValueError(f"{key}: {error}") from error
        rule = self.mask_rule()
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

    def sampler(self, sampling: Sampling, rule: SamplingRule = "exact") -> Sampler:
        """Which frames of a video make a clip of this configuration."""
        return Sampler(self.data.frames, self.data.stride, sampling, rule)

    def save(self, path: Path) -> None:
        """Write the whole tree as YAML, defaults included."""
        path.write_text(write_yaml(self.model_dump(mode="json")), encoding="utf-8")
