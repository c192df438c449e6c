"""The processes that evaluate together, as torchrun starts them: each judges a part of the videos."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from mgm.training.devices import make_fabric
from mgm.training.exchange import Exchange
from mgm.training.sections import Precision

T = TypeVar("T")


class Ranks(Exchange):
    """This process among those of an evaluation, with its device.

    Attributes:
        device: of the models.
        precision: of the models, "auto" as it was resolved.
    """

    def __init__(self, precision: Precision = "32-true") -> None:
        self._fabric = make_fabric(precision)
        super().__init__(self._fabric)
        self.device: torch.device = self._fabric.device
        self.precision: str = str(self._fabric.strategy.precision.precision)

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of the models in its block."""
        block: AbstractContextManager[None] = self._fabric.autocast()
        return block

    def share(self, parts: Sequence[T]) -> list[T]:
        """The parts of this rank: every `self.count`-th."""
        return list(parts[self.rank :: self.count])
