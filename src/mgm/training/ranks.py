"""What the processes of one run tell each other beside gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric

from mgm.models.patches import to_device

T = TypeVar("T")


def means_of(
    fabric: Fabric, computed: Sequence[torch.Tensor], known: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The means over all ranks; each of them must ask, for equally many.

    Args:
        computed: scalars on the device. A GPU is waited for once, however many there are.
        known: numbers.
    """
    if fabric.world_size == 1:
        return torch.stack([value.float() for value in computed]).tolist() if computed else [], list(known)
    told = to_device(torch.tensor(known), fabric.device)
    together = torch.cat((*(value.float().view(1) for value in computed), told))
    means: list[float] = fabric.all_reduce(together, reduce_op="mean").tolist()
    return means[: len(computed)], means[len(computed) :]


def from_all_ranks(fabric: Fabric, items: list[T]) -> list[T]:
    """The lists of all ranks, one behind the other; each of them must ask."""
    if fabric.world_size == 1:
        return items
    found: list[list[T]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(found, items)
    return [item for part in found for item in part]
