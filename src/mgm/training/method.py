"""What the engine asks of a training method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import nn

from mgm.data.loading.loader import Batch


class Method(Protocol):
    """A training method: what it trains, its step, and what a checkpoint must say to rebuild it."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Its optimiser; the learning rate of each group is its peak."""

    def weight(self, batch: Batch) -> float | None:
        """How much counts in the mean loss of a batch, in clips: the pieces of a larger one add up by it. None where every clip
        of every batch counts as much as another."""

    def loss(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, finite where its weight is 0; `module` is `self.module` as wrapped for the devices."""

    def parts(self) -> Mapping[str, torch.Tensor]:
        """The errors that the last loss is the weighted sum of, scalars, for the log; empty where it is no sum."""

    def describe(self) -> dict[str, Any]:
        """Kind and description of the model, for the checkpoint."""
