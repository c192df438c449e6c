"""The course of every training run, from its videos to its outcome; see `mgm.training.method.Method` for what methods add to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mgm.data.annotations import VideoItem
from mgm.data.clips.source import ClipSource
from mgm.data.loading.dataset import ClipTransform
from mgm.data.loading.loader import BatchOrder
from mgm.training.config import Config, OptimConfig
from mgm.training.engine import fit
from mgm.training.feed import make_run, prepare_source
from mgm.training.folder import check_folder
from mgm.training.log import History
from mgm.training.method import Method
from mgm.training.optim import Schedule, schedule


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a training run leaves: its folder, its model (on the CPU, in evaluation mode) and its history."""

    out: Path
    model: nn.Module
    history: History


def train(
    build: Callable[[Schedule], Method],
    items: tuple[VideoItem, ...],
    config: Config,
    optim: OptimConfig,
    transform: ClipTransform,
    describe: Callable[[Config, Schedule, int, int], str],
    *,
    out: Path,
    resume: bool,
    source: ClipSource | None,
    show_progress: bool,
) -> Outcome:
    """Train a method on videos, or go on with the run in `out`.

    Args:
        build: makes the method once the length of the run is known; torch draws from the seed of `config` then.
        optim: the section of `config` that the run follows.
        describe: `(config, plan, videos, devices)` -> what the run is about to do, for the console.

    Raises:
        MgmError: of the kind that fits; see `mgm.training.engine.fit`.
    """
    check_folder(out, resume=resume)  # reading a set into memory takes minutes
    motion = transform.rule is not None and transform.rule.uses_motion
    first = os.environ.get("RANK", "0") == "0"
    items, source = prepare_source(items, config, motion=motion, source=source, show_progress=show_progress and first)
    plan = schedule(optim, steps_per_epoch=BatchOrder(len(items), optim.batch, config.seed).steps_per_epoch)
    torch.manual_seed(config.seed)  # here: whatever was loaded before has drawn too
    method = build(plan)
    run, fabric = make_run(items, source, config, optim, plan, transform, describe, out=out)
    history = fit(method, run, fabric, resume=resume, show_progress=show_progress)
    return Outcome(out, method.module.cpu().eval(), history)
