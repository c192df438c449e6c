"""The mask ratio over a run: it may rise or fall from the first step to the last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

RatioCurve = Literal["constant", "linear", "cosine"]
"""Course of a ratio; "cosine" is half a cosine, slow at both ends."""


@dataclass(frozen=True, slots=True)
class RatioSchedule:
    """The share of hidden tokens from the first step of a run to the last.

    Attributes:
        first, last: in (0, 1), at the first and at the last step. Their mean is that of all steps, on either curve.
    """

    first: float
    last: float
    curve: RatioCurve = "constant"

    @property
    def is_constant(self) -> bool:
        """Whether every step has the same ratio."""
        return self.curve == "constant" or self.first == self.last

    def at(self, progress: float) -> float:
        """The ratio at a place in the run: 0 the first step, 1 the last; exactly `first` and `last` there."""
        if self.is_constant:
            return self.first
        share = progress if self.curve == "linear" else (1 - math.cos(math.pi * progress)) / 2
        return (1 - share) * self.first + share * self.last

    def __str__(self) -> str:
        return f"{self.first:g}" if self.is_constant else f"{self.first:g} to {self.last:g}, {self.curve}"


def progress_of(step: int, steps: int) -> float:
    """Place of step 0, 1, ... in a run of `steps` steps, in [0, 1]."""
    return step / max(steps - 1, 1)
