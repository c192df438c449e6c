"""The mask of a clip, and the base of the classes that draw one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mgm.errors import MaskError
from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid, check_grid
from mgm.masks.kernels import lowest
from mgm.notebook import Pictured, draw

if TYPE_CHECKING:
    from mgm.notebook import Image

ROUNDING = 1e-9
"""Far above the rounding error of `ratio * tokens`, far below the distance to any other intended count."""


@dataclass(frozen=True, eq=False)
class TokenMask(Pictured):
    """The tokens of one clip that the encoder does not see (M of Eq. 2).

    Attributes:
        masked: bool (t, h, w). **True = hidden from the encoder**, to be reconstructed. The project states its
            polarity here and nowhere else.
        fallback: bool (t,). True = the step had no motion to follow, so its place was taken over from another step or
            drawn at random. Always False for masks that ignore motion.
    """

    masked: NDArray[np.bool_]
    fallback: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.masked.dtype != np.bool_ or self.masked.ndim != 3:
            raise MaskError(
                "TokenMask",
                f"found masked {self.masked.dtype} {self.masked.shape}",
                "bool (t, h, w)",
                "compare with a threshold or reshape it first",
                reason="invalid_type" if self.masked.dtype != np.bool_ else "invalid_shape",
            )
        if self.fallback.dtype != np.bool_ or self.fallback.shape != self.masked.shape[:1]:
            raise MaskError(
                "TokenMask",
                f"found fallback {self.fallback.dtype} {self.fallback.shape}",
                f"bool ({self.masked.shape[0]},)",
                "give one value per step",
                reason="invalid_type" if self.fallback.dtype != np.bool_ else "invalid_shape",
            )

    def show(self, clip: Any = None, *, columns: int = 8) -> Image:
        """The hidden tokens, veiled and outlined, over the frames of `clip` (a `mgm.video.Clip`), as a `PIL.Image.Image`.

        Raises:
            MaskError: the number of frames is not a multiple of the mask's steps.
        """
        return draw("mask_sheet", self, clip, columns=columns)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """`np.asarray(mask)` is `masked`."""
        return np.array(self.masked, dtype, copy=copy)

    def __repr__(self) -> str:
        steps, height, width = self.masked.shape
        counts = self.masked.sum(axis=(1, 2))
        least, most = int(counts.min()), int(counts.max())
        hidden = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"TokenMask({steps} x {height} x {width} tokens, {hidden} of {height * width} hidden per step, ratio "
            f"{self.ratio:.2f}, {int(self.fallback.sum())} of {steps} steps without motion to follow)"
        )

    @property
    def visible(self) -> NDArray[np.bool_]:
        """bool (t, h, w): the tokens that the encoder sees."""
        return ~self.masked

    @property
    def flat(self) -> NDArray[np.bool_]:
        """bool (t * h * w,): `masked` row-major and without a copy; Hugging Face's `bool_masked_pos`."""
        return self.masked.reshape(-1)

    @property
    def ratio(self) -> float:
        """Share of hidden tokens, above 0, and below 1 for masks of a fixed count."""
        return float(self.masked.mean())


@dataclass(frozen=True)
class Mask(ABC):
    """A rule that draws masks: the generator of Eq. 2. Its fields are its options; an instance holds no other state.

    A new mask is a frozen dataclass on this base and one line in `catalog.py`. Its only source of randomness is the
    generator passed to `draw`, and it hides exactly `count(grid, ratio)` tokens, or with `fixed_count = False` at most so many.
    """

    name: ClassVar[str]
    """The name in the catalog, and the subject of the mask's errors."""
    uses_motion: ClassVar[bool]
    """False: `draw` ignores the motion, so a loader need not extract it."""
    equal_steps: ClassVar[bool] = True
    """True: every step hides the same number of tokens, which divided space-time attention needs. Where it depends on the
    options, `__post_init__` sets it on the instance."""
    fixed_count: ClassVar[bool] = True
    """True: every clip hides `count` tokens, as an encoder of visible tokens needs. False: at most so many. As `equal_steps`."""

    @abstractmethod
    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """Draw one mask.

        Args:
            grid: tokens (t, h, w) of the clip.
            ratio: share of tokens to hide, in (0, 1); see `count`.
            motion: a `MotionLike` or an array (T, gh, gw, 2), T a multiple of t; None for a clip without motion.
            rng: the only source of randomness; equal states give equal masks.

        Raises:
            MaskError: grid or ratio leave nothing to hide or nothing visible, or the motion cannot be used.
        """

    def count(self, grid: Grid, ratio: float) -> int:
        """The number of tokens that `draw` hides: per step where `equal_steps`, else in the whole clip; the most where it varies.

        It is int(ratio * tokens), 147 of 196 at .75 and 176 at .9. A product that misses an integer by no more than the
        rounding of floating point counts as that integer: .29 * 100 is 28.999999999999996 and hides 29 tokens.

        Raises:
            MaskError: `grid` is not three positive integers, `ratio` is not in (0, 1), or no token would be
                hidden or none visible.
        """
        steps, height, width = check_grid(self.name, grid)
        tokens = height * width if self.equal_steps else steps * height * width
        if not 0 < ratio < 1:  # NaN lands here too
            raise MaskError(
                self.name,
                f"found mask ratio {ratio}",
                "a share between 0 and 1",
                "write .75 to hide three quarters of the tokens",
                reason="invalid_value",
            )
        count = math.floor(ratio * tokens + ROUNDING)
        if not 1 <= count < tokens:
            where = "of each step" if self.equal_steps else "of the clip"
            raise MaskError(
                self.name,
                f"found ratio {ratio} on a grid of {steps}x{height}x{width}, which hides {count} of the {tokens} tokens {where}",
                "at least one hidden and one visible token",
                "move the ratio towards one half or use more tokens",
                reason="invalid_value",
            )
        return count


def hide_lowest(rank: NDArray[np.float64], *, count: int) -> NDArray[np.bool_]:
    """bool (steps, tokens) from a rank of that shape: True for exactly `count` tokens of lowest rank in each row.

    Equal ranks resolve by position, so add chance to them. ValueError where a rank is NaN.
    """
    chosen: NDArray[np.bool_] = lowest(np.ascontiguousarray(rank, dtype=np.float64), count)
    return chosen


def no_fallback(grid: Grid) -> NDArray[np.bool_]:
    """`fallback` of a mask that ignores motion: bool (t,), all False."""
    return np.zeros(grid[0], dtype=np.bool_)
