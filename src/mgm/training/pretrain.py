"""Masked autoencoding of unlabelled videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgm.data.annotations import VideoSet, find_set
from mgm.data.loader import Batch, BatchOrder
from mgm.data.source import ClipSource
from mgm.errors import DataError
from mgm.models import MaskedAutoencoder, Reconstruction, TeacherFeatures
from mgm.training.checkpoint import load_encoder
from mgm.training.config import Config
from mgm.training.engine import History, fit
from mgm.training.feed import describe_run, make_run, prepare_source
from mgm.training.optim import adamw, schedule


@dataclass(slots=True)
class Pretraining:
    """The method: what the engine needs to know of masked autoencoding."""

    module: MaskedAutoencoder
    optimiser: torch.optim.Optimizer
    target: str | dict[str, float]
    last: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """The weighted errors of the targets at the hidden tokens (method.md 4)."""
        assert batch.mask is not None
        split = self.module.split(batch.mask, batch.decode, device=batch.video.device)
        result: Reconstruction = module(batch.video, split, motion=batch.motion)
        self.last = {name: value.detach() for name, value in result.parts.items()}
        return result.loss

    def parts(self) -> Mapping[str, torch.Tensor]:
        """The error of each target, where there are several."""
        return self.last if len(self.last) > 1 else {}

    def describe(self) -> dict[str, Any]:
        """Kind, specification and target, for the checkpoint; and the teacher's specification, where there is one."""
        content = {"kind": "autoencoder", "spec": self.module.spec.to_dict(), "target": self.target}
        teachers = [target.teacher_spec.to_dict() for target, _ in self.module.goal.targets
                    if isinstance(target, TeacherFeatures)]  # fmt: skip
        return content | ({"teacher": teachers[0]} if teachers else {})


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a training run leaves: its folder, its model (on the CPU, in evaluation mode) and its history."""

    out: Path
    model: nn.Module
    history: History


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
        videos: a set, or what `mgm.find_set` makes one of.
        out: the run's folder; see `mgm.training.engine.Run`.
        resume: go on with the run in `out`, exactly as if it had not been stopped; starts one where there is none.
        source: where clips come from; None: as `config.data` says.

    Raises:
        MgmError: of the kind that fits; see `mgm.training.engine.fit`.
    """
    found = videos if isinstance(videos, VideoSet) else find_set(videos)
    if not found.train:
        raise DataError(f"{found.root}: no training videos ({found.split}), expected some; give them with train=FILE")
    optim = config.pretrain
    spec = config.model_spec()
    teacher = None
    if config.model.teacher is not None:
        teacher = load_encoder(config.model.teacher, frames=spec.frames, resolution=spec.resolution)
    torch.manual_seed(config.seed)  # after loading, which draws too
    model = MaskedAutoencoder(
        spec, target=config.model.target, teacher=teacher, checkpointing=config.model.checkpointing
    )
    rule = config.mask_rule()
    items, source = prepare_source(found.train, config, motion=rule.uses_motion, source=source)
    plan = schedule(optim, steps_per_epoch=BatchOrder(len(items), optim.batch, config.seed).steps_per_epoch)
    method = Pretraining(model, adamw(model, optim, peak=plan.peak), config.model.target)
    run, fabric = make_run(
        items,
        source,
        config,
        optim,
        plan,
        out=Path(out),
        rule=rule,
        crop=config.data.crop,
        flip=config.data.flip,
        sampler=config.sampler(config.data.sampling),
    )
    if show_progress:
        fabric.print(describe_run(config, optim, plan, len(items), fabric.world_size))
    history = fit(method, run, fabric, resume=resume, show_progress=show_progress)
    return Outcome(Path(out), model.cpu().eval(), history)
