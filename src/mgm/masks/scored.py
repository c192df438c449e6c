"""Masks that hide the tokens of the highest score: of the strongest motion, or of any other map."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgm.errors import MaskError
from mgm.masks.cell_motion import Camera, MotionInput, cell_geometry, check_motion, pool_to_tokens
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask, hide_lowest, no_fallback
from mgm.masks.options import check_choice, check_option, is_real

Selection: TypeAlias = Literal["top", "sampled"]

TIE = 1e-12
"""Scores of a step are equal if they differ by less than this share of its largest: far above the rounding of pooling, so
the position of a token never decides a tie."""


@dataclass(frozen=True)
class MotionTopK(Mask):
    """`motion-topk`: at every step the N = int(ratio * h * w) tokens with most motion (project's catalog, no paper).

    A token's motion is the mean magnitude over its area and its frames, as `motion_energy` pools it. Ties are drawn at
    random: if fewer than N tokens move, the still ones among the hidden are a random set. A step without motion
    hides random tokens; `fallback` marks it. It also marks a step whose vectors are all filled in, which they rank.

    Attributes:
        camera: "median" subtracts the median displacement of each frame before magnitudes are computed, so that a pan
            does not count as motion; see `check_motion`. "none" uses the vectors unchanged.
    """

    name: ClassVar[str] = "motion-topk"
    uses_motion: ClassVar[bool] = True

    camera: Camera = "none"

    def __post_init__(self) -> None:
        check_choice(self, "camera", Camera)

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        energy, moves = _token_motion(self.name, motion, grid, camera=self.camera)
        return TokenMask(highest(energy, count=count, rng=rng).reshape(grid), ~moves)


@dataclass(frozen=True)
class MotionSampled(Mask):
    """`motion-prob`: at every step N = int(ratio * h * w) tokens, drawn without replacement with a probability that is
    proportional to their motion (project's catalog; drawn by the Gumbel top-k trick, Kool et al. 2019).

    Motion and `fallback` as in `motion-topk`. Tokens without weight are hidden last, in random order, so
    that a high ratio hides everything that moves in a quiet step.

    Attributes:
        camera: "median" subtracts the median displacement of each frame; see `MotionTopK`.
        temperature: from .001 to 1000; a token is drawn in proportion to weight ** (1 / temperature). 1: to its motion;
            a low one approaches `motion-topk`, a high one a random mask.
        floor: at least 0; weight added to every token, as a share of the step's mean motion, so that still tokens are
            hidden at times.
    """

    name: ClassVar[str] = "motion-prob"
    uses_motion: ClassVar[bool] = True

    camera: Camera = "none"
    temperature: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self, "camera", Camera)
        _check_temperature(self.name, self.temperature)
        check_option(
            self.name, "floor", is_real(self.floor) and self.floor >= 0, self.floor, "a finite number of at least 0"
        )

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`."""
        count = self.count(grid, ratio)
        energy, moves = _token_motion(self.name, motion, grid, camera=self.camera)
        mean = energy.mean(axis=1, keepdims=True)
        weight = energy / np.where(mean > 0, mean, 1) + self.floor
        with np.errstate(divide="ignore"):  # no weight: minus infinity, after all others
            log = np.log(weight)
        return TokenMask(sampled(log / self.temperature, count=count, rng=rng).reshape(grid), ~moves)


@dataclass(frozen=True, eq=False)
class ScoreMask(Mask):
    """`score`: at every step the N = int(ratio * h * w) tokens of the highest score, from any map: attention, a
    caption's relevance, codec residuals (project's catalog; attention-guided masks in images: Kakogeorgiou et al.
    2022, AttMask).

    With `scores` the motion is ignored and `fallback` is False. Without them the score is the tokens' motion,
    with the `fallback` of `motion-topk`. Two masks are equal if their options are, scores included.

    Attributes:
        scores: real finite numbers (T, gh, gw), T a multiple of the grid's steps, or (gh, gw) for all steps. Any
            resolution: a token's score is the mean over its area and the frames of its step. Kept as a read-only
            float64 copy.
        method: "top": the N highest, ties at random. "sampled": N drawn without replacement with a probability
            proportional to exp(score / (temperature * deviation)), deviation being the standard deviation of the
            step's scores, so their unit and their offset do not matter.
        temperature: from .001 to 1000; see `method`, only for "sampled".
        lowest: hide the lowest scores instead of the highest.
    """

    name: ClassVar[str] = "score"
    uses_motion: ClassVar[bool] = True

    scores: ArrayLike | None = None
    method: Selection = "top"
    temperature: float = 1.0
    lowest: bool = False

    def __post_init__(self) -> None:
        check_choice(self, "method", Selection)
        _check_temperature(self.name, self.temperature)
        check_option(self.name, "lowest", isinstance(self.lowest, bool), self.lowest, "true or false")
        if self.scores is not None:
            object.__setattr__(self, "scores", _check_scores(self.name, self.scores))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreMask) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def draw(self, grid: Grid, ratio: float, motion: MotionInput | None, rng: np.random.Generator) -> TokenMask:
        """See `Mask.draw`; ignores `motion` if there are `scores`."""
        count = self.count(grid, ratio)
        if self.scores is None:
            score, moves = _token_motion(self.name, motion, grid, camera="none")
            fallback = ~moves
        else:
            score, fallback = _pool_scores(self.name, np.asarray(self.scores), grid), no_fallback(grid)
        if self.lowest:
            score = -score
        if self.method == "top":
            masked = highest(score, count=count, rng=rng)
        else:
            masked = sampled(_standardised(score) / self.temperature, count=count, rng=rng)
        return TokenMask(masked.reshape(grid), fallback)

    def _key(self) -> tuple[object, ...]:
        scores = None if self.scores is None else np.asarray(self.scores)
        content = None if scores is None else (scores.shape, (scores + 0.0).tobytes())  # -0 equals 0
        return content, self.method, self.temperature, self.lowest


def highest(score: NDArray[np.float64], *, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool (steps, tokens): the `count` highest of each row, exactly; ties for the last places are drawn at random."""
    # Sorted, not partitioned: partitioning is many times slower when most tokens tie at 0, as is usual.
    last = np.sort(score, axis=1)[:, -count, None]
    tie = TIE * np.abs(score).max(axis=1, keepdims=True)
    rank = rng.random(score.shape)
    rank[score < last - tie] += 2
    rank[score > last + tie] -= 2
    return hide_lowest(rank, count=count)


def sampled(log_weight: NDArray[np.float64], *, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool (steps, tokens): `count` of each row drawn without replacement, one after the other with a probability
    proportional to exp(log_weight) among those left. Minus infinity is drawn last, at random.

    The `count` largest of log_weight + Gumbel noise have exactly this distribution.
    """
    chance = rng.exponential(size=log_weight.shape)
    with np.errstate(divide="ignore"):  # an exponential of exactly 0 wins
        rank = np.log(chance) - log_weight
    without = np.isinf(log_weight)
    if without.any():
        rank[without] = np.finfo(np.float64).max / 2 * (1 + rng.random(int(without.sum())))
    return hide_lowest(rank, count=count)


def _token_motion(
    name: str, motion: MotionInput | None, grid: Grid, *, camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Motion magnitude per token, float64 (t, h * w), and bool (t,): True for steps with a valid cell and motion."""
    steps, height, width = grid
    if motion is None:
        return np.zeros((steps, height * width)), np.zeros(steps, dtype=np.bool_)
    cells = check_motion(name, motion, steps=steps, camera=camera)
    energy = pool_to_tokens(np.sqrt(cells.power).mean(axis=1), cells.geometry, (height, width)).reshape(steps, -1)
    return energy, cells.measured & (energy > 0).any(axis=1)


def _pool_scores(name: str, scores: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """float64 (t, h * w): scores (T, gh, gw) or (gh, gw) as means over the tokens."""
    steps, height, width = grid
    maps = scores.reshape(-1, *scores.shape[-2:])
    if scores.ndim == 3:
        if len(scores) % steps:
            raise MaskError(
                name,
                f"found scores of {len(scores)} frames",
                f"a multiple of the {steps} steps of the grid",
                "give one map per frame or per step, or a single one (gh, gw) for all steps",
                reason="mismatch",
            )
        maps = (scores * (steps / len(scores))).reshape(steps, -1, *scores.shape[1:]).sum(axis=1)
    rows, columns = maps.shape[1:]
    if (rows, columns) != (height, width):
        maps = pool_to_tokens(maps, cell_geometry((rows, columns), 1, (rows, columns)), (height, width))
    return np.repeat(maps.reshape(len(maps), -1), steps // len(maps), axis=0)


def _standardised(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every row with mean 0 and standard deviation 1; a constant one all 0."""
    size = np.abs(score).max(axis=1, keepdims=True)
    score = score / np.where(size > 0, size, 1)  # before squaring, which would overflow or vanish
    deviation = score.std(axis=1, keepdims=True)
    steady = deviation <= TIE
    centred: NDArray[np.float64] = (score - score.mean(axis=1, keepdims=True)) / np.where(steady, 1, deviation)
    return np.where(steady, 0.0, centred)


def _check_scores(name: str, scores: ArrayLike) -> NDArray[np.float64]:
    """A read-only float64 copy of (T, gh, gw) or (gh, gw) finite scores."""
    try:
        array: NDArray[Any] = np.asarray(scores)
    except (TypeError, ValueError):  # rows of different length, or an object that is not an array
        array = np.empty(0, dtype=np.object_)
    if array.dtype.kind not in "fiub" or array.ndim not in (2, 3) or not array.size:
        raise MaskError(
            name,
            f"found scores {array.dtype} {array.shape}",
            "real numbers (T, gh, gw), or (gh, gw) for all steps",
            "give one score per cell",
            reason="invalid_shape" if array.dtype.kind in "fiub" else "invalid_type",
        )
    copy = array.astype(np.float64)
    if not np.isfinite(copy).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(copy))[0])
        raise MaskError(
            name,
            f"found NaN or infinite scores, first at {where}",
            "finite numbers",
            "give cells without a score the lowest one",
            reason="invalid_value",
        )
    copy.flags.writeable = False
    return copy


def _check_temperature(name: str, temperature: float) -> None:
    # Outside this range, floating point loses either the noise or the weights in their sum.
    valid = is_real(temperature) and 1e-3 <= temperature <= 1e3
    check_option(name, "temperature", valid, temperature, "a number from .001 to 1000")
