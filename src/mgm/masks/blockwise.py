"""Masks that grow from rectangles until they reach their count: BEiT's blocks over some steps, and MaskFeat's cubes."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid, check_grid
from mgm.masks.mask import Mask, TokenMask, no_fallback
from mgm.masks.options import check_option, is_count, is_range, lists_to_tuples


@dataclass(frozen=True)
class BeitBlocks(Mask):
    """`beit-block`: N = int(ratio * h * w) tokens in blocks, the same in a run of steps; the other steps are visible (BEVT, Wang et
    al. 2022; the blocks are those of BEiT, Bao et al. 2022, algorithm 1).

    Blocks are laid one after the other until they cover N tokens. The area of a block is uniform between `least` and the number of
    tokens still to hide, its aspect is uniform on a logarithmic scale, and its place is uniform in the frame. Up to 10 draws are
    tried until one adds at least one token and none too many. Tokens that no block could add are drawn at random, where BEiT leaves
    them visible.

    The run begins at a random step, lasts for a random number of steps, and continues at the first step after the last one. Clips
    therefore hide different numbers of tokens, at most N per step: such masks fit a model that replaces hidden tokens, not one that
    drops them.

    Attributes:
        duration: (least, greatest) share of the steps in the run, in (0, 1], rounded down, at least one step; the lengths between
            are equally likely. (.5, 1) of 8 steps: 4 to 8.
        least: smallest area of a block in tokens, at least 1.
        aspect: the range, (least, greatest), of a block's height / width.
    """

    name: ClassVar[str] = "beit-block"
    uses_motion: ClassVar[bool] = False
    equal_steps: ClassVar[bool] = False
    fixed_count: ClassVar[bool] = False

    duration: tuple[float, float] = (0.5, 1.0)
    least: int = 16
    aspect: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        lists_to_tuples(self, "duration", "aspect")
        lasting = is_range(self.duration) and self.duration[1] <= 1
        check_option(self.name, "duration", lasting, self.duration, "two shares in (0, 1], the smaller one first")
        check_option(self.name, "least", is_count(self.least), self.least, "an integer of at least 1")
        check_option(
            self.name, "aspect", is_range(self.aspect), self.aspect, "two numbers above 0, the smaller one first"
        )

    def count(self, grid: Grid, ratio: float) -> int:
        """The most tokens that a clip hides: int(ratio * h * w) in each step of the longest run. See `Mask.count`."""
        steps, height, width = check_grid(self.name, grid)
        return super().count((1, height, width), ratio) * self._lengths(steps)[1]

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        steps, height, width = check_grid(self.name, grid)
        shortest, longest = self._lengths(steps)
        count = self.count(grid, ratio) // longest
        block = _grow((1, height, width), count, rng, least=self.least, most=None, aspect=self.aspect, attempts=10)
        first, length = rng.integers(steps), rng.integers(shortest, longest + 1)
        masked = np.zeros(grid, np.bool_)
        masked[(first + np.arange(length)) % steps] = block[0]
        return TokenMask(masked, no_fallback(grid))

    def _lengths(self, steps: int) -> tuple[int, int]:
        """The shortest and the longest run of a clip."""
        least, most = (max(math.floor(share * steps + 1e-9), 1) for share in self.duration)
        return least, most


@dataclass(frozen=True)
class CubeMask(Mask):
    """`cube`: int(ratio * t * h * w) tokens in cubes of space and time (MaskFeat, Wei et al. 2022, section 4.2).

    The frame is cut into units of `unit` x `unit` tokens; at the paper's size there are 8 x 7 x 7 of them, of 2 x 32 x 32 pixels.
    Cubes are laid one after the other until they cover the count. The area of a cube is uniform between a fifth of the frame and
    the frame, its aspect is uniform on a logarithmic scale, and its number of steps and its place are uniform where it fits. Up to
    100 draws are tried until one is smaller than the frame, adds at least one unit and none too many. Units that no cube could
    add are drawn at random, where MaskFeat leaves them visible. Of the last one only the tokens that complete the count are hidden.

    Attributes:
        unit: side of a unit in tokens, at least 1; those at the right and lower border may be incomplete.
        aspect: the range, (least, greatest), of a cube's height / width.
    """

    name: ClassVar[str] = "cube"
    uses_motion: ClassVar[bool] = False
    equal_steps: ClassVar[bool] = False

    unit: int = 2
    aspect: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        lists_to_tuples(self, "aspect")
        check_option(self.name, "unit", is_count(self.unit), self.unit, "an integer of at least 1")
        check_option(
            self.name, "aspect", is_range(self.aspect), self.aspect, "two numbers above 0, the smaller one first"
        )

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        rows, columns = -(-height // self.unit), -(-width // self.unit)
        units, frame = steps * rows * columns, rows * columns
        # Rounded down, so that the units of the cubes never exceed the count, even where the border cuts units.
        whole = min(count // self.unit**2, units - 1)
        cubes = np.zeros((steps, rows, columns), np.bool_)
        if whole:
            cubes = _grow(
                cubes.shape, whole, rng, least=max(frame // 5, 1), most=frame, aspect=self.aspect, attempts=100
            )
        masked = cubes.repeat(self.unit, 1).repeat(self.unit, 2)[:, :height, :width].copy()
        self._complete(masked, cubes, count, rng)
        return TokenMask(masked, no_fallback(grid))

    def _complete(
        self, masked: NDArray[np.bool_], cubes: NDArray[np.bool_], count: int, rng: np.random.Generator
    ) -> None:
        """Hide tokens of further units, in random order, until `masked` hides `count`."""
        missing = count - int(masked.sum())
        if not missing:
            return
        _, height, width = masked.shape
        rank = rng.permutation(cubes.size).reshape(cubes.shape)
        per_token = rank.repeat(self.unit, 1).repeat(self.unit, 2)[:, :height, :width]
        order = np.where(masked, cubes.size, per_token).reshape(-1).argsort(kind="stable")
        masked.reshape(-1)[order[:missing]] = True


def _grow(
    shape: tuple[int, ...],
    count: int,
    rng: np.random.Generator,
    *,
    least: int,
    most: int | None,
    aspect: tuple[float, float],
    attempts: int,
) -> NDArray[np.bool_]:
    """bool (t, h, w): the union of boxes, and of single cells where no more box fits, of exactly `count` cells.

    least, most: range of a box's area in a step; most None: the number of cells still to cover. attempts: draws of one box.
    """
    covered = np.zeros(shape, np.bool_)
    missing = count
    while missing:
        added = _add_box(covered, missing, rng, (least, most or missing), aspect, attempts)
        if not added:
            break
        missing -= added
    if missing:
        free = np.flatnonzero(~covered)
        covered.reshape(-1)[rng.choice(free, missing, replace=False, shuffle=False)] = True
    return covered


def _add_box(
    covered: NDArray[np.bool_],
    missing: int,
    rng: np.random.Generator,
    area: tuple[int, int],
    aspect: tuple[float, float],
    attempts: int,
) -> int:
    """Cover one box in place; returns the number of cells that it added, 0 if none of the draws was suitable."""
    steps, height, width = covered.shape
    low, high = math.log(aspect[0]), math.log(aspect[1])
    for size, form, length, front, top, left in rng.random((attempts, 6)).tolist():
        target, ratio = area[0] + size * (area[1] - area[0]), math.exp(low + form * (high - low))
        h, w, t = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio)), 1 + int(length * steps)
        # BEiT's rule: a box spans neither the whole height nor the whole width.
        if not (0 < h < height and 0 < w < width):
            continue
        f, y, x = int(front * (steps - t + 1)), int(top * (height - h + 1)), int(left * (width - w + 1))
        box = covered[f : f + t, y : y + h, x : x + w]
        added = t * h * w - int(box.sum())
        if 0 < added <= missing:
            box[:] = True
            return added
    return 0
