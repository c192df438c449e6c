"""The inner loops of the masks by numpy, for the first masks of an installation: bit for bit what the compiled loops give.

Compiling them takes seconds, which pays from about a thousand masks on; see `mgm.compiled`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def lowest(rank: Floats, count: int) -> NDArray[np.bool_]:
    """See `mgm.masks.kernels.lowest`."""
    if not 1 <= count <= rank.shape[1]:
        raise ValueError("the count of tokens to hide is not between 1 and their number")
    if np.isnan(rank).any():
        raise ValueError("the rank of a token is NaN, which has no order")
    chosen = np.zeros(rank.shape, np.bool_)
    np.put_along_axis(chosen, np.argsort(rank, axis=1, kind="stable")[:, :count], True, axis=1)
    return chosen


def squared_magnitude(vectors: NDArray[np.float32], camera: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """See `mgm.masks.kernels.squared_magnitude`."""
    with np.errstate(invalid="ignore"):
        moved = vectors.astype(np.float64) - camera[:, None, None]
        power: Floats = moved[..., 0] * moved[..., 0] + moved[..., 1] * moved[..., 1]
    finite = np.logical_and.reduce(np.isfinite(vectors).reshape(len(vectors), -1), axis=1)
    return power, finite


def tied_peaks(power: Floats, moments: Floats) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
    """See `mgm.masks.kernels.tied_peaks`."""
    strongest = power.max(axis=1).reshape(len(power), -1)
    peaks = strongest.max(axis=1)
    tied = strongest == peaks[:, None]
    # Added one after the other: numpy's own sum has another order and another rounding.
    area, y, x = (np.cumsum(np.where(tied, moment, 0.0), axis=1)[:, -1] for moment in moments.T)
    return np.stack([y / area, x / area], axis=1), peaks, tied.sum(axis=1), strongest


def rectangle_rank(
    centres: Floats,
    sides: Floats,
    noise: Floats,
    chance: Floats,
    shape: tuple[int, int],
    clip: bool,
    wrap: bool,
    near: bool,
    loose: bool,
    tie: float,
) -> Floats:
    """See `mgm.masks.kernels.rectangle_rank`."""
    (height, width), steps = shape, len(centres)
    dy = np.abs(np.arange(height) + 0.5 - centres[:, :1])
    dx = np.abs(np.arange(width) + 0.5 - centres[:, 1:])
    if wrap:
        dy, dx = np.minimum(dy, height - dy), np.minimum(dx, width - dx)
    distance = np.maximum((dy * (2 / sides[:, :1]))[:, :, None], (dx * (2 / sides[:, 1:]))[:, None, :]).reshape(
        steps, -1
    )
    if noise.shape[1]:
        distance = distance + noise
    inside = distance <= 1 + tie
    ordered = chance if loose else distance + tie * chance
    if not clip:
        return np.where(inside, ordered, distance + tie * chance)
    beyond = chance
    if near:
        over_y, over_x = np.maximum(dy - sides[:, :1] / 2, 0.0), np.maximum(dx - sides[:, 1:] / 2, 0.0)
        beyond = np.hypot(over_y[:, :, None], over_x[:, None, :]).reshape(steps, -1) + tie * chance
    return np.where(inside, ordered, 2 + beyond)
