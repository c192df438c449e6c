"""The optimiser with the field's parameter groups, and the learning rate over the run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mgm.printable import plural
from mgm.training.muon import KIND, MuonAdamW, is_hidden_matrix
from mgm.training.sections import OptimConfig

DROP = 0.1
"""Of the learning rate, at a drop of the schedule `steps`."""

_TABLE = re.compile(r"(position_\w+|(pos|time|temp)_embed(ding)?|cls_\w+)$")
"""Names of learned position embeddings and of tokens, sets of vectors, in the models here and in those of other authors."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The length of a run in steps and its learning rate, per step.

    The rate is linear over the warm-up. Then it is half a cosine; or constant until the decay, whose form is 1 - sqrt (Hägele et
    al. 2024, "Scaling laws beyond fixed training durations"); or a tenth after each drop.

    Attributes:
        steps, warmup: in optimiser steps.
        peak, final: learning rates, already scaled by batch / 256.
        decay_start: number of steps before the decay; None for the others. Until then no learning rate depends on the length.
        drops: number of steps before each drop; None for the others, which have none.
        first: learning rate that the warm-up starts from, scaled too.
    """

    steps: int
    warmup: int
    peak: float
    final: float
    decay_start: int | None = None
    drops: tuple[int, ...] | None = None
    first: float = 0.0

    def factor(self, step: int) -> float:
        """Learning rate of step 0, 1, ... relative to `peak`. The first warm-up step is above 0, so that every step learns."""
        if step < self.warmup:
            start = self.first / self.peak
            return start + (1 - start) * (step + 1) / self.warmup
        if self.drops is not None:
            return float(DROP ** sum(step >= drop for drop in self.drops))
        begin = self.warmup if self.decay_start is None else self.decay_start
        progress = min(max(step - begin, 0) / max(self.steps - begin, 1), 1.0)
        fall = 0.5 * (1 + math.cos(math.pi * progress)) if self.decay_start is None else 1 - math.sqrt(progress)
        low = self.final / self.peak
        return low + (1 - low) * fall

    def summary(self) -> str:
        """The peak of the learning rate, as a phrase."""
        phrase = f"peak learning rate {self.peak:.2e} after {plural(self.warmup, 'step')}"
        if self.warmup == self.steps:
            return f"{phrase}, at the end: the run is all warm-up"
        if self.drops is not None:
            return f"{phrase}, a tenth after each of {', '.join(map(str, self.drops))}"
        return phrase if self.decay_start is None else f"{phrase}, decay after {self.decay_start}"


def build_schedule(config: OptimConfig, *, steps_per_epoch: int) -> Schedule:
    """The schedule of a run; an epoch has `steps_per_epoch` steps."""
    scale = config.batch / 256
    if config.steps is not None:
        length, unit = config.steps, 1.0
    elif config.clips is not None:
        length, unit = -(-config.clips // config.batch), 1 / config.batch
    else:
        length, unit = (config.epochs or 0) * steps_per_epoch, steps_per_epoch
    warmup = min(round(config.warmup * unit), length)
    decay_start = max(length - round(config.decay * length), warmup) if config.schedule == "wsd" else None
    drops = tuple(max(round(drop * length), warmup) for drop in config.drops) if config.schedule == "steps" else None
    rates = (config.base_lr * scale, config.min_lr * scale)
    return Schedule(length, warmup, *rates, decay_start, drops, config.warmup_lr * scale)


def build_optimiser(
    module: nn.Module, config: OptimConfig, *, peak: float, layer: Callable[[str], float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser of a run, without weight decay on vectors (biases, norms, tokens, position embeddings), as in MAE and VideoMAE.

    Args:
        peak: learning rate at the top of the schedule.
        layer: parameter name -> multiplier of the learning rate (layer decay).
    """
    groups: dict[tuple[float, float, str], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        # The shape is that of the whole, if it is sharded.
        vector = sum(side > 1 for side in parameter.shape) < 2 or _TABLE.search(name) is not None
        decay = 0.0 if vector else config.weight_decay
        muon = config.optimiser == "muon" and is_hidden_matrix(name, parameter)
        kind = (decay, layer(name) if layer else 1.0, "muon" if muon else "adamw")
        groups.setdefault(kind, []).append(parameter)
    parameters: list[dict[str, Any]] = [
        {"params": p, "weight_decay": decay, "lr": peak * scale} for (decay, scale, _), p in groups.items()
    ]
    fused = config.precision != "16-mixed"  # a fused kernel unscales gradients itself, too late for clipping them
    if config.optimiser == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(parameters, lr=peak, momentum=config.momentum, nesterov=nesterov, fused=fused)
    if config.optimiser == "muon":
        both = [{**group, KIND: kind} for group, (_, _, kind) in zip(parameters, groups, strict=True)]
        return MuonAdamW(both, lr=peak, betas=config.betas, fused=fused)
    return torch.optim.AdamW(parameters, lr=peak, betas=config.betas, fused=fused)
