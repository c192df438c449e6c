"""Masked autoencoding of unlabelled videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.source import ClipSource
from mgm.data.loading.dataset import ClipTransform
from mgm.data.loading.loader import Batch
from mgm.errors import DataError
from mgm.models import MaskedAutoencoder, Reconstruction, TeacherFeatures
from mgm.training.checkpoint import load_encoder
from mgm.training.config import Config
from mgm.training.optim import Schedule, adamw, describe_rate
from mgm.training.train import Outcome, train


@dataclass(slots=True)
class Pretraining:
    """The method: what the engine needs to know of masked autoencoding."""

    module: MaskedAutoencoder
    optimiser: torch.optim.Optimizer
    target: str | dict[str, float]
    last: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def weight(self, batch: Batch) -> float | None:
        """Tokens that are reconstructed, in clips of which all hidden ones are."""
        if batch.decode is None:
            return None
        assert batch.mask is not None
        return float((batch.mask & batch.decode).sum() / batch.mask[0].sum())

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """The weighted errors of the targets at the hidden tokens (method.md 4)."""
        assert batch.mask is not None
        # Of a few clips it can be that none is asked for a token; their weight is 0, and the model need not know.
        decode = None if self.weight(batch) == 0 else batch.decode
        split = self.module.split(batch.mask, decode, device=batch.video.device)
        result: Reconstruction = module(batch.video, split, motion=batch.motion)
        self.last = {name: value.detach() for name, value in result.parts.items()}
        return result.loss

    def parts(self) -> Mapping[str, torch.Tensor]:
        """The error of each target, where there are several."""
        return self.last if len(self.last) > 1 else {}

    def describe(self) -> dict[str, Any]:
        """Kind, specification and target, for the checkpoint; and the teacher's specification, where there is one."""
        content = {"kind": "autoencoder", "spec": self.module.spec.to_dict(), "target": self.target}
        teachers = [target.teacher_spec.to_dict() for target, _ in self.module.objective.targets
                    if isinstance(target, TeacherFeatures)]  # fmt: skip
        return content | ({"teacher": teachers[0]} if teachers else {})


def pretrain(
    videos: VideoSet | str | Path,
    config: Config,
    *,
    out: str | Path,
    resume: bool = False,
    source: ClipSource | None = None,
    show_progress: bool = True,
) -> Outcome:
    """Pretrain an autoencoder on every training video of a set; labels are not looked at.

    Args:
        videos: a set, or what `mgm.load_set` makes one of.
        out: the run's folder; see `mgm.training.run.Run`.
        resume: go on with the run in `out`, exactly as if it had not been stopped; starts one where there is none.
        source: where clips come from; None: as `config.data` says.

    Raises:
        MgmError: of the kind that fits; see `mgm.training.engine.fit`.
    """
    found = videos if isinstance(videos, VideoSet) else load_set(videos)
    if not found.train:
        raise DataError(f"{found.root}: no training videos ({found.split}), expected some; give them with train=FILE")
    spec = config.model_spec()
    teacher = None
    if config.model.teacher is not None:
        teacher = load_encoder(config.model.teacher, frames=spec.frames, resolution=spec.resolution)

    def build(plan: Schedule) -> Pretraining:
        model = MaskedAutoencoder(
            spec, target=config.model.target, teacher=teacher, checkpointing=config.model.checkpointing
        )
        return Pretraining(model, adamw(model, config.pretrain, peak=plan.peak), config.model.target)

    data = config.data
    return train(
        build,
        found.train,
        config,
        config.pretrain,
        ClipTransform(data.crop, data.flip, config.mask_rule(), config.sampler(data.sampling)),
        describe_pretraining,
        out=Path(out),
        resume=resume,
        source=source,
        show_progress=show_progress,
    )


def describe_pretraining(config: Config, plan: Schedule, videos: int, devices: int) -> str:
    """What a run is about to do, in three lines: before it starts is when a mistake is cheap."""
    optim = config.pretrain
    spec = config.model_spec()
    hidden = config.mask_rule().mask.count(spec.grid, config.mask.ratio)
    repeats = config.data.repeats
    shown = plan.steps * optim.batch
    return (
        f"{videos:,} video{'s' * (videos != 1)}, clips of {config.data.frames} frames x stride {config.data.stride} "
        f"at {config.data.size} px, "
        f"{spec.tokens} tokens {spec.grid}\n"
        f"model {_model_words(config)}, mask {config.mask.name} hides {hidden} tokens per "
        f"{'step' if config.mask_rule().mask.equal_steps else 'clip'} ({config.mask.ratio:g})"
        f"{_decoder_mask_words(config)}\n"
        f"{plan.steps:,} steps of {optim.batch} clips on {devices} device{'s' * (devices > 1)} = {shown:,} "
        f"clips ({shown / videos:.1f} per video{f', each in {repeats} crops with {repeats} masks' if repeats > 1 else ''}), "
        f"{describe_rate(plan)}"
    )


def _model_words(config: Config) -> str:
    """Size, and what is not the reference's."""
    model, spec = config.model, config.model_spec()
    words: list[str] = [model.size]
    words += [f"{spec.backbone} ({'divided' if spec.divided else 'joint'})"] if spec.backbone != "vit" else []
    words += [f"{spec.decoder_attention}-attention decoder"] if spec.decoder_attention != "self" else []
    words += [f"target {' + '.join(model.target_names)}"] if model.target != "normalised-pixels" else []
    return ", ".join(words)


def _decoder_mask_words(config: Config) -> str:
    second = config.mask.decoder
    return "" if second is None else f", {second.name} leaves {1 - second.ratio:.0%} of the tokens to reconstruct"
