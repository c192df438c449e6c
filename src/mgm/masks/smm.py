"""Simulated motion: masks that move at random velocities, independent of the video (section 3.2, Eq. 5)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask, hide_lowest, no_fallback
from mgm.masks.options import check_choice, check_option, is_real
from mgm.masks.rectangle import MovingRectangle, rectangle_sides

Velocity: TypeAlias = Literal["linear", "walk"]


@dataclass(frozen=True)
class SimulatedRectangle(MovingRectangle):
    """`smm`: a rectangle that starts anywhere and moves at random, N = int(ratio * h * w) tokens in every step (Eq. 5).

    Its centre is reflected at the frame's border; under `boundary="shift"` where the rectangle touches the border, and
    it starts inside, as the paper's rand(0, G - side); under `wrap` it re-enters at the opposite side. The paper
    names random velocities v_xt, v_yt without a distribution. The options of `MovingRectangle`, its jitter of height and width
    by the same s_t (Eq. 5), and:

    Attributes:
        velocity: "linear": one velocity for the clip; "walk": a new one at each step.
        speed: at least 0, the largest speed in tokens per step. Speeds are uniform in [0, speed], directions in
            [0, 2 pi).
    """

    name: ClassVar[str] = "smm"
    uses_motion: ClassVar[bool] = False

    velocity: Velocity = "linear"
    speed: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_velocity(self)
        self._check_literal()

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        shape = (grid[1], grid[2])
        sides = rectangle_sides(grid, ratio * self.share, jitter=self.jitter, rng=rng, aspect=False)
        frame = np.array(shape, dtype=np.float64)
        margin = np.minimum(sides[0], frame) / 2 if self.boundary == "shift" else np.zeros(2)
        room = frame - 2 * margin
        path = rng.random(2) * room + simulated_path(grid[0], velocity=self.velocity, speed=self.speed, rng=rng)
        centres = margin + (np.mod(path, room) if self.boundary == "wrap" else reflect(path, room))
        return TokenMask(self._place(centres, sides, count=count, shape=shape, rng=rng), no_fallback(grid))


@dataclass(frozen=True)
class SimulatedTokens(Mask):
    """`smm-sparse`: N = int(ratio * h * w) random tokens that move together (Table 4e, "SMM (Sparse)").

    The set keeps its shape: it moves by whole tokens and re-enters at the opposite border, which keeps the count.

    Attributes:
        velocity: "linear": one velocity for the clip; "walk": a new one at each step.
        speed: at least 0, the largest speed in tokens per step. Speeds are uniform in [0, speed], directions in [0, 2 pi).
    """

    name: ClassVar[str] = "smm-sparse"
    uses_motion: ClassVar[bool] = False

    velocity: Velocity = "linear"
    speed: float = 2.0

    def __post_init__(self) -> None:
        _check_velocity(self)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion`."""
        count = self.count(grid, ratio)
        steps, height, width = grid
        first = hide_lowest(rng.random((1, height * width)), count=count).reshape(height, width)
        path = simulated_path(steps, velocity=self.velocity, speed=self.speed, rng=rng)
        offset = np.mod(np.rint(path), (height, width)).astype(np.intp)
        rows = (np.arange(height) - offset[:, :1]) % height
        columns = (np.arange(width) - offset[:, 1:]) % width
        return TokenMask(first[rows[:, :, None], columns[:, None, :]], no_fallback(grid))


def simulated_path(steps: int, *, velocity: Velocity, speed: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Displacement since the first step: float64 (steps, 2), (dy, dx) in tokens; see `SimulatedRectangle`."""
    number = steps - 1 if velocity == "walk" else 1
    angle, length = rng.random((2, number, 1)) * [[[2 * math.pi]], [[speed]]]
    path = np.zeros((steps, 2))
    path[1:] = np.concatenate([np.sin(angle), np.cos(angle)], axis=1) * length
    return np.cumsum(path, axis=0)


def reflect(path: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fold positions into [0, room] as a ball that bounces at both ends; without room they stay at 0."""
    period = np.where(room > 0, 2 * room, 1)
    folded: NDArray[np.float64] = np.minimum(np.mod(path, period), np.mod(-path, period))
    return np.where(room > 0, folded, 0)


def _check_velocity(mask: SimulatedRectangle | SimulatedTokens) -> None:
    check_choice(mask, "velocity", Velocity)
    real = is_real(mask.speed) and 0 <= mask.speed <= 1000
    check_option(mask.name, "speed", real, mask.speed, "a number of tokens per step from 0 to 1000")
