"""`running-cell`: a small pattern, repeated over the frame, that advances by one token per step."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask, hide_lowest, no_fallback
from mgm.masks.options import check_choice, check_option, is_count, lists_to_tuples

Ties: TypeAlias = Literal["turn", "random"]

GOLDEN = (5**0.5 - 1) / 2
"""The golden section: steps of this length round a circle of length 1 spread evenly for any number of steps."""


@dataclass(frozen=True)
class RunningCell(Mask):
    """`running-cell`: N = int(ratio * h * w) tokens in every step, in cells whose tokens take turns (Qing et al. 2022,
    MAR, "cell running masking"; VideoMAE V2's mask of the decoder, Wang et al. 2023, section 3.2, at ratio .5).

    VideoMAE V2 reconstructs a token where this mask shows it and the encoder's mask hides it.

    The frame is cut into cells of 2 x 2 tokens from its top left corner; those at the right and lower border may be
    incomplete. Token k of its cell (row-major, C tokens) has turn k + s + phase at step s and place turn mod C in the queue;
    all cells of the clip share one random phase. A step hides the N first tokens of the queue:

        C = 4, ratio .5, phase 0      ##   #.   ..   .#   ##
        # hidden, . visible           ..   .#   ##   #.   ..

    Let ratio * C = m + f, m whole, 0 <= f < 1, on a grid that the cells divide. Places 0 to m - 1 are hidden in every
    cell, and place m in a share f of them (up to the rounding of N). In C consecutive steps a token is visible
    C - m - 1 or C - m times. `ties` decides which cells hide place m. On other grids incomplete cells lack
    tokens of some places; the count stays N, and the last place needed is distributed in the same way. VideoMAE
    V2 takes m / C for the ratio, .75 for .9, and grids of even sides only; at its ratios the masks are its own.

    Attributes:
        cell: (rows, columns) of a cell in tokens, at least 2 tokens.
        ties: "turn": the cells have a random order, which advances with each round of the queue, so that a token left
            out at its turn soon becomes visible. "random": drawn again at every step.
    """

    name: ClassVar[str] = "running-cell"
    uses_motion: ClassVar[bool] = False

    cell: tuple[int, int] = (2, 2)
    ties: Ties = "turn"

    def __post_init__(self) -> None:
        lists_to_tuples(self, "cell")
        sides = isinstance(self.cell, tuple) and len(self.cell) == 2 and all(map(is_count, self.cell))
        check_option(
            self.name,
            "cell",
            sides and self.cell[0] * self.cell[1] >= 2,
            self.cell,
            "two integers of at least 1, (rows, columns) of at least 2 tokens",
        )
        check_choice(self, "ties", Ties)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        place, number = self._layout(height, width)
        size = self.cell[0] * self.cell[1]
        turn = place + np.arange(steps)[:, None] + rng.integers(size)
        queue = turn % size
        if self.ties == "turn":
            cells = number[-1] + 1
            order = (rng.permutation(cells)[number] + 0.5) / cells
            rank = queue + (order + turn // size * GOLDEN) % 1
        else:
            rank = queue + rng.random(turn.shape)
        return TokenMask(hide_lowest(rank, count=count).reshape(grid), no_fallback(grid))

    def _layout(self, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 (h * w,): each token's place in its cell, and the number of the cell."""
        rows, columns = self.cell
        y, x = np.divmod(np.arange(height * width), width)
        return y % rows * columns + x % columns, y // rows * -(-width // columns) + x // columns
