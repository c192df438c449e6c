"""The processes that evaluate together, as torchrun starts them: each judges a part of the videos, and all have the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed

from mgm.training.devices import make_fabric
from mgm.training.sections import Precision

T = TypeVar("T")


class Ranks:
    """This process among those of an evaluation; alone without torchrun. Every rank must make it, and call its functions in turn.

    Attributes:
        device: of the models.
        precision: of the models, "auto" as it was resolved.
        rank, count: number of this process, and of all.
    """

    def __init__(self, precision: Precision = "32-true") -> None:
        self._fabric = make_fabric(precision)
        self.device: torch.device = self._fabric.device
        self.precision: str = str(self._fabric.strategy.precision.precision)
        self.rank: int = self._fabric.global_rank
        self.count: int = self._fabric.world_size
        # Results are on the CPU, and a rank may wait for a probe for longer than the default, at which PyTorch gives up.
        timeout = timedelta(days=7)
        self._group = torch.distributed.new_group(backend="gloo", timeout=timeout) if self.count > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this rank reports progress and writes the results."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of the models in its block."""
        block: AbstractContextManager[None] = self._fabric.autocast()
        return block

    def share(self, parts: Sequence[T]) -> list[T]:
        """The parts of this rank: every `self.count`-th."""
        return list(parts[self.rank :: self.count])

    def gather(self, mine: T) -> list[T]:
        """What every rank has, on every rank, in the order of the ranks."""
        if self.count == 1:
            return [mine]
        found: list[T] = [mine] * self.count
        torch.distributed.all_gather_object(found, mine, group=self._group)
        return found

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first rank makes, on every rank."""
        made: list[T | None] = [make() if self.is_first else None]
        if self.count > 1:
            torch.distributed.broadcast_object_list(made, src=0, group=self._group)
        (value,) = made
        return value  # type: ignore[return-value]
