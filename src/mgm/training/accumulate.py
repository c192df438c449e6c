"""One step's gradient from the pieces of its batch, as if they had gone through the model at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import nn

from mgm.data.loading.loader import Batch
from mgm.errors import ModelError
from mgm.training.method import Method
from mgm.training.ranks import means_of


@dataclass(slots=True)
class Found:
    """What a step found on this rank.

    Attributes:
        loss: of its clips, a scalar on the device; the mean over the ranks is that of the batch, and likewise below.
        parts: the errors that it is the weighted sum of, where it is one.
        shares: what the log says of the clips, each from 0 to 1.
        problems: (path, message) of videos that could not be read.
    """

    loss: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, batch: Batch, share: float) -> None:
        """Take over what a piece says of its clips, which are `share` of the step's."""
        self.problems += batch.unreadable
        second = {} if batch.decode is None else {"decoder_fallback": batch.decode_fallback}
        for name, value in {"fallback": batch.fallback, **second, "flow": batch.measured}.items():
            self.shares[name] = self.shares.get(name, 0.0) + value * share

    def scale(self, factor: float) -> None:
        """Put the losses right."""
        self.loss *= factor
        self.parts = {name: value * factor for name, value in self.parts.items()}


def accumulate(
    method: Method,
    module: nn.Module,
    stream: Iterator[Batch],
    fabric: Fabric,
    *,
    pieces: int,
    clips: int,
    note: Callable[[tuple[str, ...]], None],
) -> Found:
    """Leave the gradient of a step's mean loss in the parameters.

    The mean is over what the losses count (`Method.weight`), which may be more in one piece or on one rank than in another. How
    much it is in all is known after the last piece alone: until then it is taken for the number of clips, and the finished gradient
    is put right. Masks are counted on the CPU, so that a GPU is waited for only where several ranks add up what they counted.

    Args:
        clips: of the step, on this rank.
        note: told what happened to the reading processes.

    Raises:
        ModelError: nothing counts in the whole step.
    """
    found = Found(torch.zeros((), device=fabric.device))
    counted: float | None = None
    for piece in range(pieces):
        batch = next(stream)
        note(batch.incidents)
        share = len(batch.index) / clips
        found.add(batch, share)
        weight = method.weight(batch)
        if weight is not None:
            counted = (counted or 0.0) + weight
            share = weight / clips
        batch = batch.to(fabric.device)
        with fabric.no_backward_sync(module) if piece < pieces - 1 else nullcontext():
            value = method.loss(module, batch) * share
            fabric.backward(value)
        found.loss += value.detach()
        for name, error in method.parts().items():
            found.parts[name] = found.parts.get(name, 0) + error * share
    if counted is not None:
        _, (mean,) = means_of(fabric, [], [counted])
        if not mean:
            raise ModelError("mask.decoder leaves no hidden token of a step to reconstruct; lower mask.decoder.ratio")
        found.scale(clips / mean)
        torch._foreach_mul_([p.grad for p in module.parameters() if p.grad is not None], clips / mean)
    return found
