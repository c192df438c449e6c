"""`multiblock`: the union of a few large blocks through time, as in V-JEPA."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask, hide_lowest, no_fallback
from mgm.masks.options import check_choice, check_option, is_range, is_real, lists_to_tuples
from mgm.masks.rectangle import Fill

BlockTrim: TypeAlias = Literal["random", "block"]


@dataclass(frozen=True)
class MultiBlock(Mask):
    """`multiblock`: the union of 3-D blocks, N = int(ratio * h * w) tokens in every step (V-JEPA, Bardes et al. 2024,
    section 3.2 and appendix: 8 blocks of .15 and 2 of .7 of the frame, aspect .75 to 1.5, through all steps).

    Each block draws its aspect and then its place, uniform where it fits into the frame. V-JEPA predicts the two groups
    in turn, as two masks of one clip of variable count; here all blocks make one mask of a fixed
    count. `numbers=(8, 0)` is its short-range mask, `numbers=(0, 2)` its long-range one. On 14 x 14 tokens they cover
    .63 and .83 of the frame on average, together .89: ratio .9 trims and fills least. At .75 `trim="block"` keeps more
    of the blocks' shape, but a block of .7 always covers the middle: some tokens are then visible in 1 mask of 100,
    under "random" all of them in 14 or more.

    One random order decides trimming and filling at all steps: with `duration` 1 all steps are equal.

    Attributes:
        numbers: blocks of each group.
        scales: area of a block as a share of the frame, in (0, 1], one per group.
        aspect: the range, (least, greatest), of a block's height / width.
        duration: share of the steps that a block lasts, in (0, 1], at least one step, from a random step on. 1: all.
        trim: tokens shown again if the blocks cover more than N: "random", or "block": blocks are laid one after the
            other in random order, and the tokens of the last ones are shown first.
        fill: tokens hidden in addition if the blocks cover fewer: "random", or "near": those nearest to a block, in
            steps, rows and columns.
    """

    name: ClassVar[str] = "multiblock"
    uses_motion: ClassVar[bool] = False

    numbers: tuple[int, ...] = (8, 2)
    scales: tuple[float, ...] = (0.15, 0.7)
    aspect: tuple[float, float] = (0.75, 1.5)
    duration: float = 1.0
    trim: BlockTrim = "random"
    fill: Fill = "random"

    def __post_init__(self) -> None:
        lists_to_tuples(self, "numbers", "scales", "aspect")
        numbers, scales = self.numbers, self.scales
        whole = isinstance(numbers, tuple) and all(type(number) is int and number >= 0 for number in numbers)
        check_option(
            self.name, "numbers", whole and sum(numbers) > 0, numbers, "integers of at least 0, one of them above 0"
        )
        shares = _are_real(scales) and all(0 < scale <= 1 for scale in scales) and len(scales) == len(numbers)
        check_option(self.name, "scales", shares, scales, f"{len(numbers)} shares in (0, 1], one per entry of numbers")
        check_option(
            self.name, "aspect", is_range(self.aspect), self.aspect, "two numbers above 0, the smaller one first"
        )
        lasting = is_real(self.duration) and 0 < self.duration <= 1
        check_option(self.name, "duration", lasting, self.duration, "a share in (0, 1]")
        check_choice(self, "trim", BlockTrim)
        check_choice(self, "fill", Fill)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        rows, columns = self._sides(grid, rng)
        # Tokens from a block's nearest one along each axis: 0 inside.
        away = np.maximum(
            _gaps(height, rows, rng)[:, None, :, None],
            _gaps(width, columns, rng)[:, None, None, :],
        )
        if self.duration < 1:
            lasts = np.full(len(rows), max(1, round(self.duration * steps)))
            away = np.maximum(away, _gaps(steps, lasts, rng)[:, :, None, None])
        away = away.reshape(len(rows), -1, height * width)
        nearest = away.min(axis=0)
        rank = np.broadcast_to(rng.random(height * width), nearest.shape).copy()
        if self.trim == "block":
            order = rng.permutation(len(rows))
            rank += (away[order] == 0).argmax(axis=0)  # the first block over a token; 0 outside
        outside = nearest > 0
        rank[outside] += len(rows) + (nearest[outside] if self.fill == "near" else 0)
        masked = hide_lowest(rank, count=count).reshape(-1, height, width)
        return TokenMask(np.repeat(masked, steps // len(masked), axis=0), no_fallback(grid))

    def _sides(self, grid: Grid, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(height, width) of each block in tokens, rounded. A side that the frame cuts lengthens the other one."""
        _, height, width = grid
        area = np.repeat(self.scales, self.numbers) * (height * width)
        aspect = rng.uniform(*self.aspect, size=len(area))
        rows = np.minimum(np.sqrt(area * aspect), height)
        columns = np.minimum(area / rows, width)
        rows = np.minimum(area / columns, height)
        return np.maximum(np.rint(rows), 1).astype(np.int64), np.maximum(np.rint(columns), 1).astype(np.int64)


def _gaps(length: int, sides: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """int64 (blocks, length): steps from each position of an axis to blocks of `sides`, placed uniformly on it."""
    first = rng.integers(length - sides + 1)[:, None]
    position = np.arange(length)
    gaps: NDArray[np.int64] = np.maximum(np.maximum(first - position, position - (first + sides[:, None] - 1)), 0)
    return gaps


def _are_real(values: Sequence[object]) -> bool:
    return isinstance(values, tuple) and all(is_real(value) for value in values)
