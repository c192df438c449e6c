"""The gradient of one step: its micro-batches, as if they were one batch, over all ranks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
import torch.distributed
from torch import nn

from mgm.data.loading.loader import Batch
from mgm.data.unreadable import Unreadable
from mgm.errors import ModelError
from mgm.models.patches import to_device
from mgm.training.engine import Engine
from mgm.training.fabric import Fabric
from mgm.training.method import StepResult, TrainingMethod
from mgm.training.sharding import local, whole

T = TypeVar("T")


@dataclass(slots=True)
class StepTotals:
    """Sums over the micro-batches of a step on this rank; the mean over the ranks is the value of the batch.

    Attributes:
        loss: scalar on the device.
        parts: scalars on the device, the terms whose weighted sum is the loss; empty if it is not a sum.
        fractions: as in `StepRecord`.
        unreadable: videos that could not be read.
        waited: seconds for which the step waited for clips.
    """

    loss: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    fractions: dict[str, float] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    waited: float = 0.0

    def add_clips(self, batch: Batch, fraction: float) -> None:
        """Add the unreadable videos and the fractions of a micro-batch, whose clips are `fraction` of the step's."""
        self.unreadable += batch.unreadable
        second = {} if batch.decode is None else {"decoder_fallback": batch.decode_fallback}
        values = {"fallback": batch.fallback, **second, "flow": batch.measured, **_mask_statistics(batch.mask)}
        for name, value in values.items():
            self.fractions[name] = self.fractions.get(name, 0.0) + value * fraction

    def add_loss(self, loss: torch.Tensor, result: StepResult, weight: float) -> None:
        """Add the weighted loss of a micro-batch and its parts, still unweighted in `result`."""
        self.loss += loss.detach()
        for name, value in result.parts.items():
            self.parts[name] = self.parts.get(name, 0) + value * weight

    def scale(self, factor: float) -> None:
        """Multiply the losses."""
        self.loss *= factor
        self.parts = {name: value * factor for name, value in self.parts.items()}


def _mask_statistics(mask: torch.Tensor | None) -> dict[str, float]:
    """Of the masks (B, t, h, w) of a micro-batch, which are on the CPU; see `StepRecord.fractions`."""
    if mask is None:
        return {}
    hidden = {"hidden": float(mask.float().mean())}
    if mask.shape[1] == 1:
        return hidden
    again, before = (part.flatten(1).sum(1) for part in (mask[:, 1:] & mask[:, :-1], mask[:, :-1]))
    # The mean over the clips: micro-batches whose masks hide different numbers add up.
    return hidden | {"mask_overlap": float((again / before.clamp_min(1)).mean())}


class StepSizes(Protocol):
    """What a step reads of its run."""

    @property
    def fabric(self) -> Fabric:
        """Devices and precision."""

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step on this device."""

    @property
    def clips_per_rank(self) -> int:
        """Clips of a step on this device."""


def train_step(method: TrainingMethod, module: nn.Module, stream: Iterator[Batch], run: StepSizes) -> StepTotals:
    """Accumulate the gradient of a step's mean loss in the parameters, as if its micro-batches were one batch.

    The mean is over the weights (`StepResult.weight`), which may differ between micro-batches and ranks. Their sum is known
    only after the last micro-batch: until then it is assumed to be the number of clips, and the finished gradient is rescaled.
    Weights are numbers on the CPU, so that only runs on several ranks synchronise with the GPU here.

    Raises:
        ModelError: the weight of the whole step is 0.
    """
    fabric, clips = run.fabric, run.clips_per_rank
    totals = StepTotals(torch.zeros((), device=fabric.device))
    total_weight: float | None = None
    for number in range(run.micro_batches):
        began = time.perf_counter()
        batch = next(stream)
        totals.waited += time.perf_counter() - began
        fraction = len(batch.index) / clips
        totals.add_clips(batch, fraction)
        batch = batch.to(fabric.device)
        last = number == run.micro_batches - 1
        with nullcontext() if last else fabric.no_backward_sync(module):
            result = method.step(module, batch)
            if result.weight is not None:
                total_weight = (total_weight or 0.0) + result.weight
                fraction = result.weight / clips
            loss = result.loss * fraction
            fabric.backward(loss)
        totals.add_loss(loss, result, fraction)
    if total_weight is not None:
        _, (mean_weight,) = means_of(fabric, [], [total_weight])
        if not mean_weight:
            found = "leaves no hidden token of a step to reconstruct"
            raise ModelError("mask.decoder", found, advice="lower mask.decoder.ratio", reason="invalid_value")
        totals.scale(clips / mean_weight)
        gradients = [local(p.grad) for p in module.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, clips / mean_weight)
    return totals


def means_of(
    fabric: Fabric, computed: Sequence[torch.Tensor], known: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The means over all ranks; every rank must call it, with equally many values.

    Args:
        computed: scalars on the device. Synchronises with the GPU once, regardless of the number of values.
        known: numbers.
    """
    if fabric.world_size == 1:
        return torch.stack([value.float() for value in computed]).tolist() if computed else [], list(known)
    numbers = to_device(torch.tensor(known), fabric.device)
    together = torch.cat((*(value.float().view(1) for value in computed), numbers))
    means: list[float] = fabric.all_reduce(together, reduce_op="mean").tolist()
    return means[: len(computed)], means[len(computed) :]


def from_all_ranks(fabric: Fabric, items: list[T]) -> list[T]:
    """The concatenated lists of all ranks; every rank must call it."""
    if fabric.world_size == 1:
        return items
    gathered: list[list[T]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(gathered, items)
    return [item for part in gathered for item in part]


def clip_gradient(engine: Engine, limit: float | None) -> torch.Tensor:
    """Clip the gradient to `limit`, if any; returns its norm before that, a scalar on the device."""
    norm: torch.Tensor | None = engine.fabric.clip_gradients(
        engine.module, engine.stepper, max_norm=limit or math.inf, error_if_nonfinite=False
    )
    assert norm is not None  # a largest norm was given
    return whole(norm)
