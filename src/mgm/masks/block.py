"""`block`: one static rectangle, the paper's baseline."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import TokenMask, no_fallback
from mgm.masks.rectangle import RectangleMask, rectangle_sides


@dataclass(frozen=True)
class BlockMask(RectangleMask):
    """`block`: one square at a random place, the same N tokens at every step (Table 4e, "Random Block").

    Its centre is uniform over the frame, as the first one of `mgm`; `boundary="shift"` moves it to keep the square
    inside. Random tokens besides the square, under `clip` or for a `share` below 1, are the same at every step too.
    The options are those of `RectangleMask`.
    """

    name: ClassVar[str] = "block"
    uses_motion: ClassVar[bool] = False

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        sides = rectangle_sides((1, height, width), ratio * self.share, jitter=False, rng=rng)
        centre = rng.random((1, 2)) * (height, width)
        step = self._place(centre, sides, count=count, shape=(height, width), rng=rng)
        return TokenMask(np.repeat(step, steps, axis=0), no_fallback(grid))
