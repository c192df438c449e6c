"""Masked autoencoding of unlabelled videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgm.data.annotations import VideoItem, VideoSet, find_set
from mgm.data.dataset import ClipSet, MaskRule
from mgm.data.loader import Batch, BatchOrder, batches
from mgm.data.source import ClipSource, FileSource, MemorySource
from mgm.data.transform import Crop
from mgm.errors import DataError
from mgm.models import MaskedAutoencoder
from mgm.training.config import Config, OptimConfig
from mgm.training.engine import History, Run, fit, make_fabric
from mgm.training.optim import Schedule, adamw, schedule


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
    run, fabric = _run(
        items, source, config, optim, plan, out=Path(out), rule=rule, crop=config.data.crop, flip=config.data.flip
    )
    if show_progress:
        fabric.print(describe_run(config, optim, plan, len(items), fabric.world_size))
    history = fit(method, run, fabric, resume=resume, show_progress=show_progress)
    return Outcome(Path(out), model.cpu().eval(), history)


def prepare_source(
    items: tuple[VideoItem, ...], config: Config, *, motion: bool, source: ClipSource | None
) -> tuple[tuple[VideoItem, ...], ClipSource]:
    """The videos and where their clips come from. With `data.memory`, unreadable videos are found here and left out."""
    if source is not None:
        return items, source
    if not config.data.memory:
        return items, FileSource()
    memory = MemorySource(config.data.memory_side or config.data.size, config.data.motion if motion else None)
    problems = memory.load([i.path for i in items])
    if problems and len(problems) > config.data.bad_share * len(items):
        raise DataError(
            f"{len(problems)} of {len(items)} videos could not be read, expected at most {config.data.bad_share:.0%} "
            f"(data.bad_share); the first: {next(iter(problems.values()))}; check the set with 'mgm scan'"
        )
    return tuple(i for i in items if i.path not in problems), memory


def _run(
    items: tuple[VideoItem, ...],
    source: ClipSource,
    config: Config,
    optim: OptimConfig,
    plan: Schedule,
    *,
    out: Path,
    rule: MaskRule | None,
    crop: Crop,
    flip: bool,
) -> tuple[Run, Any]:
    """The run's stream of batches and its devices."""
    fabric = make_fabric(optim)
    clips = ClipSet(
        items,
        source,
        config.clip_settings(motion=rule is not None and rule.mask.uses_motion),
        rule=rule,
        crop=crop,
        flip=flip,
        seed=config.seed,
    )
    order = BatchOrder(len(items), optim.batch, config.seed, fabric.global_rank, fabric.world_size)
    workers = 0 if isinstance(source, MemorySource) else config.data.workers

    def stream(first: int, last: int, parts: int) -> Any:
        return batches(
            clips, order, first=first, last=last, parts=parts, workers=workers, pin=fabric.device.type == "cuda"
        )

    left_out = source.problems if isinstance(source, MemorySource) else {}
    return Run(out, config, optim, plan, stream, left_out), fabric


def describe_run(config: Config, optim: OptimConfig, plan: Schedule, videos: int, devices: int) -> str:
    """What a run is about to do, in three lines: before it starts is when a mistake is cheap."""
    spec = config.model_spec()
    hidden = config.mask_rule().mask.count(spec.grid, config.mask.ratio)
    return (
        f"{videos:,} videos, clips of {config.data.frames} frames x stride {config.data.stride} at {config.data.size} px, "
        f"{spec.tokens} tokens {spec.grid}\n"
        f"model {config.model.size}, mask {config.mask.name} hides {hidden} tokens per "
        f"{'step' if config.mask_rule().mask.equal_steps else 'clip'} ({config.mask.ratio:g})\n"
        f"{plan.steps:,} steps of {optim.batch} clips on {devices} device{'s' * (devices > 1)} = {plan.steps * optim.batch:,} "
        f"clips ({plan.steps * optim.batch / videos:.1f} per video), peak learning rate {plan.peak:.2e} after {plan.warmup} steps"
    )
