"""What the processes of one run tell each other beside gradients."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed
from lightning_fabric import Fabric

T = TypeVar("T")


def total_of(fabric: Fabric, count: int) -> int:
    """The sum of a count over all ranks; each of them must ask."""
    if fabric.world_size == 1:
        return count
    # float64: exact for any count, and a type that every backend adds up
    counted = torch.tensor(count, dtype=torch.float64, device=fabric.device)
    return round(float(fabric.all_reduce(counted, reduce_op="sum")))


def means_of(fabric: Fabric, values: list[float]) -> list[float]:
    """The mean over all ranks of each value; each of them must ask, for equally many."""
    if fabric.world_size == 1:
        return values
    found: list[float] = fabric.all_reduce(torch.tensor(values, device=fabric.device), reduce_op="mean").tolist()
    return found


def from_all_ranks(fabric: Fabric, items: list[T]) -> list[T]:
    """The lists of all ranks, one behind the other; each of them must ask."""
    if fabric.world_size == 1:
        return items
    found: list[list[T]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(found, items)
    return [item for part in found for item in part]
