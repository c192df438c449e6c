"""The optimiser with the field's parameter groups, and the learning rate over the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mgm.training.sections import OptimConfig


@dataclass(frozen=True, slots=True)
class Schedule:
    """The length of a run in steps and its learning rate: linear from 0 over the warm-up, then half a cosine, per step.

    Attributes:
        steps, warmup: in optimiser steps.
        peak, final: learning rates, already scaled by batch / 256.
    """

    steps: int
    warmup: int
    peak: float
    final: float

    def factor(self, step: int) -> float:
        """Learning rate of step 0, 1, ... relative to `peak`. The first warm-up step is above 0, so that every step learns."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / max(self.steps - self.warmup, 1)
        low = self.final / self.peak
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    def summary(self) -> str:
        """The peak of the learning rate, as a phrase."""
        phrase = f"peak learning rate {self.peak:.2e} after {self.warmup} steps"
        return f"{phrase}, at the end: the run is all warm-up" if self.warmup == self.steps else phrase


def build_schedule(config: OptimConfig, *, steps_per_epoch: int) -> Schedule:
    """The schedule of a run; an epoch has `steps_per_epoch` steps."""
    scale = config.batch / 256
    unit = 1 if config.steps is not None else steps_per_epoch
    length = config.steps if config.steps is not None else (config.epochs or 0) * steps_per_epoch
    return Schedule(length, min(round(config.warmup * unit), length), config.base_lr * scale, config.min_lr * scale)


def build_optimiser(
    module: nn.Module, config: OptimConfig, *, peak: float, layer: Callable[[str], float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser of a run, without weight decay on vectors (biases, norms, tokens, position embeddings), as in MAE and VideoMAE.

    Args:
        peak: learning rate at the top of the schedule.
        layer: parameter name -> multiplier of the learning rate (layer decay).
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        vector = parameter.squeeze().ndim < 2 or "position_" in name  # a learned position embedding is a set of vectors
        decay = 0.0 if vector else config.weight_decay
        groups.setdefault((decay, layer(name) if layer else 1.0), []).append(parameter)
    parameters = [{"params": p, "weight_decay": decay, "lr": peak * scale} for (decay, scale), p in groups.items()]
    fused = config.precision != "16-mixed"  # a fused kernel unscales gradients itself, too late for clipping them
    if config.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=peak, momentum=config.momentum, fused=fused)
    return torch.optim.AdamW(parameters, lr=peak, betas=config.betas, fused=fused)
