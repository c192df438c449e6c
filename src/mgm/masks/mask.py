"""What a mask is - the tokens that it hides - and the base of the classes that draw one."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mgm.errors import MaskError
from mgm.masks.grid import Grid, checked_grid
from mgm.masks.motion import Motion

ROUNDING = 1e-9
"""Far above the rounding error of `ratio * tokens`, far below the distance to a count that somebody meant otherwise."""


@dataclass(frozen=True, eq=False)
class TokenMask:
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
                f"TokenMask: found masked {self.masked.dtype} {self.masked.shape}, expected bool (t, h, w); "
                "compare with a threshold or reshape it first"
            )
        if self.fallback.dtype != np.bool_ or self.fallback.shape != self.masked.shape[:1]:
            raise MaskError(
                f"TokenMask: found fallback {self.fallback.dtype} {self.fallback.shape}, "
                f"expected bool ({self.masked.shape[0]},); give one value per step"
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
        """The share of tokens that is hidden, in (0, 1)."""
        return float(self.masked.mean())


@dataclass(frozen=True)
class Mask(ABC):
    """A rule that draws masks: the generator of Eq. 2. Its fields are its options; an instance holds no other state.

    A new mask is a frozen dataclass on this base and one line in `catalog.py`. It takes its randomness from the
    generator that it is given and from nowhere else, and hides exactly `count(grid, ratio)` tokens.
    """

    name: ClassVar[str]
    """The name in the catalog; every message of the mask starts with it."""
    uses_motion: ClassVar[bool]
    """False: `draw` never looks at the motion, so that a loader need not extract it."""
    equal_steps: ClassVar[bool] = True
    """True: every step hides the same number of tokens, which divided space-time attention needs."""

    @abstractmethod
    def draw(self, grid: Grid, ratio: float, motion: Motion | None, rng: np.random.Generator) -> TokenMask:
        """Draw one mask.

        Args:
            grid: tokens (t, h, w) of the clip.
            ratio: share of tokens to hide, in (0, 1); see `count`.
            motion: a `MotionLike` or an array (T, gh, gw, 2), T a multiple of t; None where the clip has none.
            rng: the only source of randomness; the same state gives the same mask.

        Raises:
            MaskError: grid or ratio leave nothing to hide or to see, or the motion cannot be used.
        """

    def count(self, grid: Grid, ratio: float) -> int:
        """The number of tokens that `draw` hides: per step where `equal_steps`, else in the whole clip.

        It is int(ratio * tokens), 147 of 196 at .75 and 176 at .9, but a product that misses an integer by no more than
        floating point's rounding counts as that integer: .29 * 100 is 28.999999999999996 and hides 29 tokens.

        Raises:
            MaskError: `grid` is not three positive integers, `ratio` is not in (0, 1), or one of the two sides is
                empty.
        """
        steps, height, width = checked_grid(self.name, grid)
        tokens = height * width if self.equal_steps else steps * height * width
        if not 0 < ratio < 1:  # NaN lands here too
            raise MaskError(
                f"{self.name}: found mask ratio {ratio}, expected a share between 0 and 1; "
                "write .75 to hide three quarters of the tokens"
            )
        count = math.floor(ratio * tokens + ROUNDING)
        if not 1 <= count < tokens:
            where = "of each step" if self.equal_steps else "of the clip"
            raise MaskError(
                f"{self.name}: found ratio {ratio} on a grid of {steps}x{height}x{width}, which hides {count} of the "
                f"{tokens} tokens {where}; expected at least one hidden and one visible; "
                "move the ratio towards one half or use more tokens"
            )
        return count


def no_fallback(grid: Grid) -> NDArray[np.bool_]:
    """`fallback` of a mask that ignores motion: bool (t,), all False."""
    return np.zeros(grid[0], dtype=np.bool_)
