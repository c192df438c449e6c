"""Masks that hide one rectangle per step. `mgm`, the project's default, follows the motion (section 3.3, Eq. 7)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from mgm.masks.grid import Grid
from mgm.masks.kernels import balance, rectangle_rank
from mgm.masks.mask import ROUNDING, Mask, TokenMask
from mgm.masks.motion import Camera, Motion, motion_peaks, read_motion, whole_clip
from mgm.masks.options import check_option, is_real
from mgm.masks.random import hide_lowest

Boundary: TypeAlias = Literal["clip", "shift", "grow", "wrap"]
Trim: TypeAlias = Literal["farthest", "random"]
Fill: TypeAlias = Literal["random", "near"]
Start: TypeAlias = Literal["random", "motion"]
Scope: TypeAlias = Literal["tubelet", "clip"]


@dataclass(frozen=True)
class RectangleMask(Mask):
    """What the masks of one rectangle per step share: how it becomes exactly N = int(ratio * h * w) tokens a step.

    Attributes:
        boundary: what happens where the rectangle leaves the frame, and how the count is kept: see `place_rectangle`.
        trim: which of too many tokens inside stay visible: see `place_rectangle`.
        fill: which tokens outside make up for too few inside: see `place_rectangle`.
        share: in (0, 1], the part of the hidden tokens that the rectangle takes, rounded, at least one; it is the
            smaller for it. The rest is drawn at random from outside, anew in every step. 1 in the paper.
        softness: at least 0, in tokens: the standard deviation of Gaussian noise on the distance of each token from the
            rectangle's centre, by which its edge frays. 0 in the paper.
    """

    boundary: Boundary = "clip"
    trim: Trim = "farthest"
    fill: Fill = "random"
    share: float = 1.0
    softness: float = 0.0

    def __post_init__(self) -> None:
        check_option(
            self.name, "boundary", self.boundary in get_args(Boundary), self.boundary, "clip, shift, grow or wrap"
        )
        check_option(self.name, "trim", self.trim in get_args(Trim), self.trim, "farthest or random")
        check_option(self.name, "fill", self.fill in get_args(Fill), self.fill, "random or near")
        check_option(self.name, "share", is_real(self.share) and 0 < self.share <= 1, self.share, "a share in (0, 1]")
        soft = is_real(self.softness) and 0 <= self.softness < math.inf
        check_option(self.name, "softness", soft, self.softness, "a finite number of tokens, at least 0")

    def _place(
        self,
        centres: NDArray[np.float64],
        sides: NDArray[np.float64],
        *,
        count: int,
        shape: tuple[int, int],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """`place_rectangle` with these options, topped up where the rectangle takes only a share of `count`."""
        inside = max(1, round(self.share * count))
        masked = place_rectangle(
            centres,
            sides,
            count=inside,
            shape=shape,
            boundary=self.boundary,
            trim=self.trim,
            fill=self.fill,
            softness=self.softness,
            rng=rng,
        )
        if inside == count:
            return masked
        rank = rng.random(masked.shape)
        rank[masked] = -1
        return hide_lowest(rank.reshape(len(rank), -1), count=count).reshape(masked.shape)


@dataclass(frozen=True)
class MotionRectangle(RectangleMask):
    """`mgm`: a rectangle centred on the motion peak of each step, N = int(ratio * h * w) tokens in every step (Eq. 7).

    A step without motion of its own keeps the centre of the step before it; steps before the first known centre
    take that one. A clip without any motion (or `motion=None`) takes one random centre, uniform over the frame, for
    all steps. `fallback` of the result marks all steps without motion of their own.

    The options of `RectangleMask`, and:

    Attributes:
        start: the first step's centre: "random", as the text of section 3.3, or "motion" like the other steps. The
            paper draws the top left corner from rand(0, G - side), which keeps the rectangle inside; here the centre is
            uniform over the whole frame, because the border rules deal with what hangs over, and because at
            ratio .75 the side is 12 of 14 tokens: inside the frame it has hardly a place to go and always hides the
            middle.
        jitter: vary height and width, see `rectangle_sides`.
        top_k: the number of strongest motion cells whose centroid is followed; 1 in the paper.
        scope: "tubelet": each step has a centre of its own, as in the paper. "clip": the strongest motion of the whole
            clip gives one centre to all steps, the first one too whatever `start` says, and `fallback` speaks for all.
        camera: what is subtracted from the motion as the camera's; nothing in the paper. See `read_motion`.
    """

    name: ClassVar[str] = "mgm"
    uses_motion: ClassVar[bool] = True

    start: Start = "random"
    jitter: bool = True
    top_k: int = 1
    scope: Scope = "tubelet"
    camera: Camera = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.name, "start", self.start in get_args(Start), self.start, "random or motion")
        check_option(self.name, "jitter", isinstance(self.jitter, bool), self.jitter, "true or false")
        whole = isinstance(self.top_k, int) and not isinstance(self.top_k, bool) and self.top_k >= 1
        check_option(self.name, "top_k", whole, self.top_k, "an integer of at least 1")
        check_option(self.name, "scope", self.scope in get_args(Scope), self.scope, "tubelet or clip")
        check_option(self.name, "camera", self.camera in get_args(Camera), self.camera, "none or median")

    def draw(self, grid: Grid, ratio: float, motion: Motion | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        shape = (grid[1], grid[2])
        sides = rectangle_sides(grid, ratio * self.share, jitter=self.jitter, rng=rng)
        start = rng.random(2) * shape
        if motion is None:
            centres, moves = np.zeros((grid[0], 2)), np.zeros(grid[0], dtype=np.bool_)
        else:
            cells = read_motion(self.name, motion, steps=grid[0], camera=self.camera)
            centres, moves = motion_peaks(
                whole_clip(cells) if self.scope == "clip" else cells, shape=shape, top_k=self.top_k, rng=rng
            )
        known = moves.copy()
        if not moves.any() or (self.start == "random" and self.scope == "tubelet"):
            centres[0], known[0] = start, True
        centres = np.repeat(_hold(centres, known), grid[0] // len(known), axis=0)
        masked = self._place(centres, sides, count=count, shape=shape, rng=rng)
        return TokenMask(masked, np.repeat(~moves, grid[0] // len(moves)))


def rectangle_sides(
    grid: Grid, ratio: float, *, jitter: bool, rng: np.random.Generator, aspect: bool = True
) -> NDArray[np.float64]:
    """Height and width of each step's rectangle (Eq. 5, Eq. 7): float64 (t, 2), in tokens, continuous, at least 1.

    They start at w_0 = h_0 = sqrt(ratio * h * w); where an elongated grid is too short for such a square, one side
    is cut to the grid and the other one grows so that the area holds. With `jitter` they then change by integers s_t
    in {-1, 0, 1}, independent in x and y (Eq. 7) or, without `aspect`, the same in both (Eq. 5), that sum to zero over
    the clip. The paper has that sum keep the number of masked tokens, which it does not: `place_rectangle` does.
    """
    steps, height, width = grid
    area = ratio * height * width
    h = min(math.sqrt(area), height)
    w = min(area / h, width)
    sides = np.full((steps, 2), (area / w, w))
    if jitter:
        increments = zero_sum_jitter(steps - 1, rng=rng)
        sides[1:] += np.cumsum(increments if aspect else increments[:, :1], axis=0)
    sides[sides < 1] = 1
    return sides


def zero_sum_jitter(steps: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """The increments s_y, s_x of Eq. 7: int64 (steps, 2) in {-1, 0, 1}, each column with sum zero.

    Drawn uniformly; what the sum has too much is then taken from that many increments, chosen at random among those
    that stay in {-1, 0, 1}. There are always enough: a sum of S needs at least S increments of 1.
    """
    jitter = rng.integers(-1, 2, size=(steps, 2))
    balance(jitter, rng.random((steps, 2)))
    return jitter


def place_rectangle(
    centres: NDArray[np.float64],
    sides: NDArray[np.float64],
    *,
    count: int,
    shape: tuple[int, int],
    boundary: Boundary,
    rng: np.random.Generator,
    trim: Trim = "farthest",
    fill: Fill = "random",
    softness: float = 0.0,
) -> NDArray[np.bool_]:
    """Lay one rectangle per step on the token grid; every step gets exactly `count` tokens.

    A token's distance is measured in the rectangle's own metric, d = max(|x - xc| / (w / 2), |y - yc| / (h / 2)),
    from its centre; d <= 1 is inside. Equal distances are ordered at random. With `softness` Gaussian noise of that
    many tokens is added to d (where half of sqrt(w * h) tokens are 1).

        clip     the tokens inside; too many: without the farthest; too few: with random ones from outside
        shift    the centre moves until the rectangle lies in the frame; then the `count` nearest tokens
        grow     the `count` nearest tokens
        wrap     the `count` nearest tokens on a frame whose opposite borders touch

    `shift` and `grow` replace what is lost outside the frame by neighbours, so that the middle is hardly ever seen:
    at ratio .75 `shift` without jitter never shows 100 of 196 tokens.

    `trim="random"` drops any tokens inside instead of the farthest. `fill="near"` makes up for what is missing under
    `clip` with the tokens nearest to the rectangle in tokens, an even rim, where `grow` enlarges it in proportion; the
    other rules always have enough.

    Args:
        centres: (t, 2), (y, x) in tokens from the frame's top left corner.
        sides: (t, 2), (height, width) in tokens.
        shape: (h, w) of the grid.

    Returns:
        bool (t, h, w), True = inside the mask.
    """
    if boundary == "shift":
        frame = np.array(shape, dtype=np.float64)
        half = np.minimum(sides, frame) / 2
        centres = np.clip(centres, half, frame - half)
    size = (len(centres), shape[0] * shape[1])
    noise = np.empty((len(centres), 0))
    if softness:
        noise = rng.standard_normal(size) * (2 * softness / np.sqrt(sides.prod(axis=1, keepdims=True)))
    # One draw serves as order of the equally distant, which are equal up to rounding, and of the top-up.
    chance = rng.random(size)
    rank = rectangle_rank(
        centres,
        sides,
        noise,
        chance,
        shape,
        boundary == "clip",
        boundary == "wrap",
        fill == "near",
        trim == "random",
        ROUNDING,
    )
    return hide_lowest(rank, count=count).reshape(size[0], *shape)


def _hold(centres: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill unknown centres with the last known one before them, or with the first known one; one must be known."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), known.argmax()))
    return centres[last]
