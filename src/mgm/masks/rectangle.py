"""Masks that hide one rectangle per step. `mgm`, the project's default, follows the motion (section 3.3, Eq. 7)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.errors import MaskError
from mgm.masks.cell_motion import Camera, MotionInput, check_motion, motion_extents, motion_peaks, whole_clip
from mgm.masks.grid import Grid
from mgm.masks.kernels import balance, rectangle_rank
from mgm.masks.mask import ROUNDING, Mask, TokenMask, hide_lowest
from mgm.masks.options import check_choice, check_option, is_count, is_real

Boundary: TypeAlias = Literal["clip", "shift", "grow", "wrap"]
Trim: TypeAlias = Literal["farthest", "random"]
Fill: TypeAlias = Literal["random", "near"]
Start: TypeAlias = Literal["random", "motion"]
Scope: TypeAlias = Literal["tubelet", "clip"]
Sides: TypeAlias = Literal["ratio", "motion"]
Exact: TypeAlias = Literal["step", "clip", "none"]


@dataclass(frozen=True)
class RectangleMask(Mask):
    """Base of the masks with one rectangle per step, cut to exactly N = int(ratio * h * w) tokens a step.

    Attributes:
        boundary: rule for a rectangle that leaves the frame, which also keeps the count; see `place_rectangle`. "clip": the
            part beyond the border is dropped, and as many tokens are drawn at random outside the rectangle. "shift": the
            rectangle is moved inside. "grow": the part is replaced by the nearest tokens. "wrap": it continues at the
            opposite border.
        trim: which of too many tokens inside stay visible: the "farthest" from the centre, or "random" ones.
        fill: with "clip", which tokens are added to too few inside: "random" ones, or the nearest to the rectangle, "near".
        share: in (0, 1], the part of the hidden tokens inside the rectangle, rounded, at least one; it shrinks the
            rectangle. The rest is drawn at random from outside, again in every step. 1 in the paper.
        softness: at least 0, in tokens: the standard deviation of Gaussian noise on the distance of each token from the
            rectangle's centre, which frays its edge. 0 in the paper.
    """

    boundary: Boundary = "clip"
    trim: Trim = "farthest"
    fill: Fill = "random"
    share: float = 1.0
    softness: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self, "boundary", Boundary)
        check_choice(self, "trim", Trim)
        check_choice(self, "fill", Fill)
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
        """`place_rectangle` with these options, topped up to `count` if `share` is below 1; `literal_rectangle` without a count."""
        if not self.fixed_count:
            return literal_rectangle(centres, sides, shape=shape, boundary=self.boundary)
        inside, together = max(1, round(self.share * count)), not self.equal_steps
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
            together=together,
        )
        if inside == count:
            return masked
        rank = rng.random(masked.shape)
        rank[masked] = -1
        return hide_lowest(rank.reshape(1 if together else len(rank), -1), count=count).reshape(masked.shape)


@dataclass(frozen=True)
class MovingRectangle(RectangleMask):
    """Base of the rectangles that move and change their sides from step to step. The options of `RectangleMask`, and:

    Attributes:
        jitter: vary height and width from step to step; see `rectangle_sides`.
        exact: where the count is exact. "step": N tokens in every step. "clip": int(ratio * t * h * w) tokens in the clip:
            tokens are cut from or added to all of its rectangles together. A step with a smaller rectangle or an
            overhanging one then hides fewer. "none": Eq. 5 and 7 as written, the tokens whose centres are inside; clips hide
            different numbers, and a rectangle almost as large as the frame hides some steps as a whole. It takes no
            option that adds or cuts tokens, and for `mgm` no `sides` of the motion.
    """

    jitter: bool = True
    exact: Exact = "step"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option(self.name, "jitter", isinstance(self.jitter, bool), self.jitter, "true or false")
        check_choice(self, "exact", Exact)
        object.__setattr__(self, "equal_steps", self.exact == "step")
        object.__setattr__(self, "fixed_count", self.exact != "none")

    def _check_literal(self, **plain: object) -> None:
        """Raise MaskError if `exact` is "none" and an option differs from the given value, in which it does nothing."""
        plain = {"trim": "farthest", "fill": "random", "share": 1, "softness": 0, **plain}
        if self.boundary == "grow":
            plain["boundary"] = "clip, shift or wrap"
        for option, expected in plain.items() if self.exact == "none" else ():
            found = getattr(self, option)
            if found != expected:
                raise MaskError(
                    self.name,
                    f"found option {option} = {found!r} with exact = 'none', which adds and cuts no tokens",
                    f"{option} {expected}",
                    "set exact to step or clip, or leave the option out",
                    reason="conflict",
                )

    def count(self, grid: Grid, ratio: float) -> int:
        """See `Mask.count`; with `exact="none"` the most tokens that its rectangles can have, on a small grid all of them."""
        count = super().count(grid, ratio)
        if self.exact != "none":
            return count
        steps, height, width = grid
        # An interval of length L has at most floor(L) + 1 token centres. Increments of 1 sum to 0 over the clip.
        changes = np.minimum(np.arange(steps), np.arange(steps)[::-1]) if self.jitter else np.zeros(steps)
        reach = np.floor(np.maximum(_square(grid, ratio) + changes[:, None], 1) + ROUNDING) + 1
        return int(np.minimum(reach, (height, width)).prod(axis=1).sum())


@dataclass(frozen=True)
class MotionRectangle(MovingRectangle):
    """`mgm`: a rectangle centred on the motion peak of each step, N = int(ratio * h * w) tokens in every step (Eq. 7).

    A step without motion of its own keeps the centre of the step before it; steps before the first known centre
    use that one. A clip without any motion (or `motion=None`) uses one random centre, uniform over the frame, for
    all steps. `fallback` of the result marks all steps without motion of their own.

    The options of `MovingRectangle`, and:

    Attributes:
        start: the first step's centre: "random", as the text of section 3.3, or "motion", as the other steps. The
            paper draws the top left corner from rand(0, G - side), which keeps the rectangle inside. Here the centre is
            uniform over the whole frame, and the border rules handle the overhang. At ratio .75 the side is 12 of 14
            tokens: kept inside the frame, the rectangle would hardly move and always hide the middle.
        top_k: number of strongest motion cells whose centroid is followed; 1 in the paper.
        scope: "tubelet": each step has a centre of its own, as in the paper. "clip": the strongest motion of the whole
            clip gives one centre to all steps, including the first regardless of `start`, and one `fallback` to all.
        camera: the camera motion to subtract; none in the paper. See `check_motion`.
        sides: "ratio": a square of N tokens, as in the paper. "motion": height and width of the step's motion around its
            peak (`motion_extents`), those of the neighbouring step where the centre is; a clip without motion has the
            square. The count stays exact by the rules of `place_rectangle`: a smaller extent is topped up, at random under
            `clip`, in proportion under the other rules; a larger one is cut. `share` bounds the hidden tokens inside.
    """

    name: ClassVar[str] = "mgm"
    uses_motion: ClassVar[bool] = True

    start: Start = "random"
    top_k: int = 1
    scope: Scope = "tubelet"
    camera: Camera = "none"
    sides: Sides = "ratio"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "start", Start)
        check_option(self.name, "top_k", is_count(self.top_k), self.top_k, "an integer of at least 1")
        check_choice(self, "scope", Scope)
        check_choice(self, "camera", Camera)
        check_choice(self, "sides", Sides)
        self._check_literal(sides="ratio")

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        shape = (grid[1], grid[2])
        base = _square(grid, ratio * self.share)
        changes = side_changes(grid[0], rng=rng) if self.jitter else 0.0
        start = rng.random(2) * shape
        if motion is None:
            centres, moves = np.zeros((grid[0], 2)), np.zeros(grid[0], dtype=np.bool_)
        else:
            cells = check_motion(self.name, motion, steps=grid[0], camera=self.camera)
            cells = whole_clip(cells) if self.scope == "clip" else cells
            centres, moves = motion_peaks(cells, shape=shape, top_k=self.top_k, rng=rng)
            if self.sides == "motion" and moves.any():
                base = _forward_fill(motion_extents(cells, centres, shape=shape), moves)
        known = moves.copy()
        if not moves.any() or (self.start == "random" and self.scope == "tubelet"):
            centres[0], known[0] = start, True
        centres = np.repeat(_forward_fill(centres, known), grid[0] // len(known), axis=0)
        sides = np.empty_like(centres)
        sides[:] = np.maximum(base + changes, 1)
        masked = self._place(centres, sides, count=count, shape=shape, rng=rng)
        return TokenMask(masked, np.repeat(~moves, grid[0] // len(moves)))


def rectangle_sides(
    grid: Grid, ratio: float, *, jitter: bool, rng: np.random.Generator, aspect: bool = True
) -> NDArray[np.float64]:
    """Height and width of each step's rectangle (Eq. 5, Eq. 7): float64 (t, 2), in tokens, continuous, at least 1.

    They start at w_0 = h_0 = sqrt(ratio * h * w); if an elongated grid is too short for such a square, one side
    is cut to the grid and the other grows to keep the area. With `jitter` they then change by integers s_t
    in {-1, 0, 1}, independent in x and y (Eq. 7) or, without `aspect`, the same in both (Eq. 5), that sum to zero over
    the clip. In the paper this sum is meant to keep the number of masked tokens, but it does not: `place_rectangle` does.
    """
    sides = np.tile(_square(grid, ratio), (grid[0], 1))
    if jitter:
        sides += side_changes(grid[0], rng=rng, aspect=aspect)
    sides[sides < 1] = 1
    return sides


def side_changes(steps: int, *, rng: np.random.Generator, aspect: bool = True) -> NDArray[np.float64]:
    """The sums of the increments s_t up to each step: float64 (steps, 2), 0 at the first and the last; see `rectangle_sides`."""
    changes = np.zeros((steps, 2))
    increments = zero_sum_jitter(steps - 1, rng=rng)
    changes[1:] = np.cumsum(increments if aspect else increments[:, :1], axis=0)
    return changes


def zero_sum_jitter(steps: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """The increments s_y, s_x of Eq. 7: int64 (steps, 2) in {-1, 0, 1}, each column with sum zero.

    Drawn uniformly; the excess of the sum is then taken, one each, from random increments that stay in {-1, 0, 1}.
    There are always enough: a sum of S needs at least S increments of 1.
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
    together: bool = False,
) -> NDArray[np.bool_]:
    """Lay one rectangle per step on the token grid; every step gets exactly `count` tokens, or with `together` all of them.

    A token's distance is measured in the rectangle's own metric, d = max(|x - xc| / (w / 2), |y - yc| / (h / 2)),
    from its centre; d <= 1 is inside. Equal distances are ordered at random. With `softness` Gaussian noise of that
    many tokens is added to d (where half of sqrt(w * h) tokens are 1).

        clip     the tokens inside; too many: without the farthest; too few: with random ones from outside
        shift    the centre moves until the rectangle is inside the frame; then the `count` nearest tokens
        grow     the `count` nearest tokens
        wrap     the `count` nearest tokens on a frame whose opposite borders touch

    `shift` and `grow` replace tokens lost outside the frame by neighbours, so that the middle is hardly ever visible:
    at ratio .75 `shift` without jitter never shows 100 of 196 tokens.

    `trim="random"` drops random tokens inside instead of the farthest. Under `clip`, `fill="near"` adds missing tokens
    in order of their distance to the rectangle, an even rim, while `grow` enlarges it in proportion; the other rules
    always have enough.

    Args:
        centres: (t, 2), (y, x) in tokens from the frame's top left corner.
        sides: (t, 2), (height, width) in tokens.
        shape: (h, w) of the grid.

    Returns:
        bool (t, h, w), True = inside the mask.
    """
    size = (len(centres), shape[0] * shape[1])
    noise = np.empty((len(centres), 0))
    if softness:
        noise = rng.standard_normal(size) * (2 * softness / np.sqrt(sides.prod(axis=1, keepdims=True)))
    # One draw orders both the tokens of equal distance (up to rounding) and the top-up.
    chance = rng.random(size)
    rank = _rank(centres, sides, noise, chance, shape=shape, boundary=boundary, trim=trim, fill=fill)
    return hide_lowest(rank.reshape(1, -1) if together else rank, count=count).reshape(size[0], *shape)


def literal_rectangle(
    centres: NDArray[np.float64], sides: NDArray[np.float64], *, shape: tuple[int, int], boundary: Boundary
) -> NDArray[np.bool_]:
    """The tokens whose centres are inside one rectangle per step, however many: bool (t, h, w).

    Arguments as for `place_rectangle`; `clip` drops what extends beyond the border, `shift` and `wrap` move it.
    """
    nothing = np.zeros((len(centres), shape[0] * shape[1]))
    rank = _rank(centres, sides, nothing[:, :0].copy(), nothing, shape=shape, boundary=boundary)
    return np.asarray(rank <= 1 + ROUNDING).reshape(-1, *shape)


def _rank(
    centres: NDArray[np.float64],
    sides: NDArray[np.float64],
    noise: NDArray[np.float64],
    chance: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    boundary: Boundary,
    trim: Trim = "farthest",
    fill: Fill = "random",
) -> NDArray[np.float64]:
    """`rectangle_rank` under the rules of `place_rectangle`."""
    if boundary == "shift":
        frame = np.array(shape, dtype=np.float64)
        half = np.minimum(sides, frame) / 2
        centres = np.clip(centres, half, frame - half)
    rank: NDArray[np.float64] = rectangle_rank(
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
    return rank


def _square(grid: Grid, ratio: float) -> NDArray[np.float64]:
    """w_0 = h_0 of `rectangle_sides`: float64 (2,), (height, width)."""
    _, height, width = grid
    area = ratio * height * width
    h = min(math.sqrt(area), height)
    w = min(area / h, width)
    return np.array([area / w, w])


def _forward_fill(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill unknown centres or sides with the last known one before them, or with the first known one; one must be known."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), known.argmax()))
    return values[last]
