"""Masks of single tokens that move with the video."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import Camera, MotionInput, check_motion, token_displacement
from mgm.masks.grid import Grid
from mgm.masks.kernels import nearest_square, trace
from mgm.masks.mask import ROUNDING, Mask, TokenMask, hide_lowest
from mgm.masks.options import check_choice

TOUCH = 1e-9
"""In tokens: a position nearer to the right or lower border counts as outside the frame."""

BaseStep: TypeAlias = Literal["middle", "first", "random"]
Holes: TypeAlias = Literal["base", "random"]


@dataclass(frozen=True)
class AdvectedTokens(Mask):
    """`mgm-sparse`: N = int(ratio * h * w) random tokens of the first step, carried along by the motion under them (Table 4e,
    "MGM (Sparse)"; the paper gives no rule).

    A token is hidden if the content at its centre was hidden in the first step; `trace_back` finds that content, to
    fractions of a token. Vectors point to the source of content, not to its destination: pushed forward along them,
    tokens stay behind at the rear of moving objects. Content that enters over the border is hidden as if the first
    step's set continued beyond it. If too many or too few are hidden, because content spreads or is covered, random
    tokens are dropped or added; their order moves with the content. Without motion it is `tube`. `fallback` marks the
    steps without motion of their own.

    Attributes:
        camera: the camera motion to subtract; see `check_motion`. "none": the tokens follow the picture.
    """

    name: ClassVar[str] = "mgm-sparse"
    uses_motion: ClassVar[bool] = True

    camera: Camera = "none"

    def __post_init__(self) -> None:
        check_choice(self, "camera", Camera)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        displacement, moves = _displacement(self.name, motion, grid=grid, camera=self.camera)
        shape = (grid[1], grid[2])
        tokens = shape[0] * shape[1]
        rank = 1 + rng.random(tokens)
        rank[rng.choice(tokens, size=count, replace=False, shuffle=False)] -= 1
        source, _ = trace_back(displacement, base=0, shape=shape)
        masked = hide_lowest(rank[_tokens_at(np.mod(source, shape), shape)], count=count)
        return TokenMask(masked.reshape(grid), ~moves)


@dataclass(frozen=True)
class WarpedVisible(Mask):
    """`mgmae`: random visible tokens of one step, followed along the motion to all others, so that the encoder sees the
    same content throughout (Huang et al., "MGMAE: Motion Guided Masking for Video Masked Autoencoding", ICCV 2023).

    As there, the visible tokens of the base step are the centres of equal Gaussians, and this map is warped backward step
    by step. Each step shows the h * w - N tokens of the highest value; in the base step that is the drawn set. Here
    the motion is the codec's instead of RAFT's. A token has the value at the source of its centre, followed through all
    steps without resampling in between, instead of a mean over warped pixels. Steps before the base are followed forward
    along the motion of the next step at the same place, the only place where it is known.

    A step without motion shows the same tokens as its neighbour towards the base. `fallback` marks it. At .9 a step shows 20 of 196
    tokens, in the original's code 19, since that rounds the number of visible tokens down.

    Attributes:
        base: the step whose visible tokens are drawn: "middle" (t // 2, the original's default), "first", or "random".
        holes: value of a token whose source is outside the frame: "base", the value of its own place in the base
            step, as in the original; or "random", a visible token with probability 1 - ratio.
        camera: the camera motion to subtract; see `check_motion`. "none": the tokens follow the picture.
    """

    name: ClassVar[str] = "mgmae"
    uses_motion: ClassVar[bool] = True

    base: BaseStep = "middle"
    holes: Holes = "base"
    camera: Camera = "none"

    def __post_init__(self) -> None:
        check_choice(self, "base", BaseStep)
        check_choice(self, "holes", Holes)
        check_choice(self, "camera", Camera)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        base = {"first": 0, "middle": steps // 2}[self.base] if self.base != "random" else int(rng.integers(steps))
        displacement, moves = _displacement(self.name, motion, grid=grid, camera=self.camera)
        source, lost = trace_back(displacement, base=base, shape=(height, width))
        centres = _centres(height, width)
        np.copyto(source, centres, where=lost[:, :, None])
        seen = rng.choice(height * width, size=height * width - count, replace=False, shuffle=False)
        distance = nearest_square(source, centres[seen])
        if self.holes == "random":
            drawn = rng.choice(distance[base], size=distance.shape)
            np.copyto(distance, drawn, where=lost)
        distance += ROUNDING * rng.random(distance.shape)
        return TokenMask(~hide_lowest(distance, count=len(seen)).reshape(grid), ~moves)


def trace_back(
    displacement: NDArray[np.float64], *, base: int, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Position in the base step of the content at each token's centre.

    Args:
        displacement: float64 (t, h * w, 2), (dy, dx) in tokens since the step before.

    Returns:
        float64 (t, h * w, 2), (y, x) in tokens; and bool (t, h * w), True if the path leaves the frame.
    """
    place, lost = trace(displacement, base, *shape, TOUCH)
    return place, lost


def _displacement(
    name: str, motion: MotionInput | None, *, grid: Grid, camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(t, h * w, 2), see `token_displacement`, and bool (t,), True for steps with motion of their own."""
    steps, height, width = grid
    if motion is None:
        return np.zeros((steps, height * width, 2)), np.zeros(steps, dtype=np.bool_)
    cells = check_motion(name, motion, steps=steps, camera=camera)
    moves = cells.measured & (cells.power.reshape(steps, -1).max(axis=1) > 0)
    return token_displacement(cells, shape=(height, width)).reshape(steps, -1, 2), moves


def _centres(height: int, width: int) -> NDArray[np.float64]:
    """float64 (h * w, 2), (y, x)."""
    return np.stack(np.divmod(np.arange(height * width), width), axis=1) + 0.5


def _tokens_at(place: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.intp]:
    """The flat token at each place (..., 2), the nearest one for places outside the frame."""
    # Clipped before they become integers, because motion may be larger than any integer.
    y, x = np.clip(place[..., 0], 0, shape[0] - TOUCH), np.clip(place[..., 1], 0, shape[1] - TOUCH)
    found: NDArray[np.intp] = y.astype(np.intp) * shape[1] + x.astype(np.intp)
    return found
