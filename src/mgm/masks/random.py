"""Masks without structure in space: the baselines that motion guidance is compared with. All ignore motion."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask, hide_lowest, no_fallback


@dataclass(frozen=True)
class RandomMask(Mask):
    """`random`: int(ratio * t * h * w) tokens anywhere in the clip (MAE-ST, Feichtenhofer et al. 2022).

    The count is exact for the clip; single steps hide more or fewer. At .9 of 1,568 it is 1,411, in MAE-ST's code 1,412, since that
    rounds the number of visible tokens down.
    """

    name: ClassVar[str] = "random"
    uses_motion: ClassVar[bool] = False
    equal_steps: ClassVar[bool] = False

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        flat = _choose(grid[0] * grid[1] * grid[2], count=count, rng=rng)
        return TokenMask(flat.reshape(grid), no_fallback(grid))


@dataclass(frozen=True)
class FrameMask(Mask):
    """`frame`: N = int(ratio * h * w) random positions at every step, each step on its own (the frame masking that
    VideoMAE's tubes are compared with, Tong et al. 2022)."""

    name: ClassVar[str] = "frame"
    uses_motion: ClassVar[bool] = False

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        masked = hide_lowest(rng.random((grid[0], grid[1] * grid[2])), count=count)
        return TokenMask(masked.reshape(grid), no_fallback(grid))


@dataclass(frozen=True)
class TubeMask(Mask):
    """`tube`: N = int(ratio * h * w) random positions, the same at every step (VideoMAE, Tong et al. 2022)."""

    name: ClassVar[str] = "tube"
    uses_motion: ClassVar[bool] = False

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        step = _choose(height * width, count=count, rng=rng).reshape(1, height, width)
        return TokenMask(np.repeat(step, steps, axis=0), no_fallback(grid))


def _choose(tokens: int, *, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool (tokens,): `count` of them True, every set equally likely."""
    chosen = np.zeros(tokens, dtype=np.bool_)
    chosen[rng.choice(tokens, size=count, replace=False, shuffle=False)] = True
    return chosen
