"""Masked autoencoding of unlabelled videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgm.data.annotations import VideoSet, find_set
from mgm.data.loader import Batch, BatchOrder
from mgm.data.source import ClipSource
from mgm.models import MaskedAutoencoder
from mgm.training.config import Config
from mgm.training.engine import History, fit
from mgm.training.feed import describe_run, make_run, prepare_source
from mgm.training.optim import adamw, schedule


@dataclass(slots=True)
class Pretraining:
    """The method: what the engine needs to know of masked autoencoding."""

    module: MaskedAutoencoder
    optimiser: torch.optim.Optimizer
    target: str

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean squared error of the masked patches (method.md 4)."""
        assert batch.mask is not None
        loss: torch.Tensor = module(batch.video, batch.mask).loss
        return loss

    def describe(self) -> dict[str, Any]:
        """Kind, specification and target, for the checkpoint."""
        return {"kind": "autoencoder", "spec": self.module.spec.to_dict(), "target": self.target}


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
        videos: a folder, or a set made by `mgm.data.annotations.find_set`.
        out: the run's folder; see `mgm.training.engine.Run`.
        resume: go on with the run in `out`, exactly as if it had not been stopped; starts one where there is none.
        source: where clips come from; None: as `config.data` says.

    Raises:
        MgmError: of the kind that fits; see `mgm.training.engine.fit`.
    """
    found = videos if isinstance(videos, VideoSet) else find_set(videos)
    torch.manual_seed(config.seed)
    optim = config.pretrain
    model = MaskedAutoencoder(config.model_spec(), target=config.model.target)
    rule = config.mask_rule()
    items, source = prepare_source(found.train, config, motion=rule.mask.uses_motion, source=source)
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
