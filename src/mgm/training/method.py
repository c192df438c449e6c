"""The interface between the training loop and a training method; `Pretraining` and `Finetuning` implement it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from mgm.data.loading.loader import Batch
from mgm.training.optim import Schedule


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """The forward pass of a method on one micro-batch.

    Attributes:
        loss: scalar with its graph, the mean over the micro-batch; finite even for a weight of 0.
        parts: detached scalars whose weighted sum is the loss, for the log; empty if the loss is not a sum.
        weight: weight of the micro-batch in the mean loss of a step, in clips; None: every clip of every batch counts as one.
    """

    loss: torch.Tensor
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    weight: float | None = None


class TrainingMethod(Protocol):
    """A model, its optimiser and its step. Logging, schedules, checkpoints and resuming are the loop's."""

    @property
    def module(self) -> nn.Module:
        """The model to train."""

    def build_optimiser(self, peak: float) -> torch.optim.Optimizer:
        """Make the optimiser of the parameters that `module` has by now: sharding replaces them.

        Args:
            peak: the highest learning rate; that of a group may be a fraction of it.
        """

    def step(self, module: nn.Module, batch: Batch) -> StepResult:
        """Compute the loss of a micro-batch; `module` is `self.module` as wrapped for the devices."""

    def describe(self) -> dict[str, Any]:
        """Kind and specification of the model, for the checkpoint."""

    def frozen(self) -> dict[str, Any]:
        """What a step reads that is neither in the checkpoint nor in its batches: state dicts of frozen networks, class weights."""

    def summary(self, schedule: Schedule, *, videos: int, devices: int) -> str:
        """Three lines about the run, shown before it starts: the cheapest moment to notice a mistake."""
