"""What a mask hides: the numbers by which masks are compared and a run shows whether its mask found the motion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.errors import MaskError
from mgm.masks.grid import Grid, checked_grid
from mgm.masks.mask import TokenMask
from mgm.masks.motion import Motion, motion_energy

Boxes: TypeAlias = Sequence[Sequence[Sequence[float]] | NDArray[np.floating] | NDArray[np.integer]]
"""Per frame its boxes [x0, y0, x1, y1] in pixels of the region that the tokens cover; several count as their union."""


@dataclass(frozen=True)
class MaskStatistics:
    """Statistics of one mask; all are shares in [0, 1], None where the clip gives no ground to compute them.

    Attributes:
        ratio: masked tokens of all tokens.
        motion_share: masked motion energy of all motion energy (`motion_energy`); None where nothing moves.
        object_share: masked object area of all object area inside the frame; None where there is no object.
        step_iou: intersection over union of the masked tokens of successive steps, mean over the clip: 1 = static;
            None for a single step.
        fallback_share: steps that had no motion to follow.
    """

    ratio: float
    motion_share: float | None
    object_share: float | None
    step_iou: float | None
    fallback_share: float


def mask_statistics(
    mask: TokenMask,
    *,
    motion: Motion | None = None,
    boxes: Boxes | None = None,
    extent: tuple[float, float] | None = None,
) -> MaskStatistics:
    """Grade a mask against the motion of its clip and, where known, the boxes of its objects.

    Args:
        motion: what the mask was drawn from, or better: motion from elsewhere; see `Motion`.
        boxes: see `Boxes`; as many frames as a multiple of the mask's steps.
        extent: (height, width) of the region in pixels; that of `motion` where it has one.

    Raises:
        MaskError: motion or boxes cannot be used, or boxes come without an extent.
    """
    masked = mask.masked
    shape = (masked.shape[0], masked.shape[1], masked.shape[2])
    energy = None if motion is None else motion_energy(motion, shape)
    area = None
    if boxes is not None:
        if extent is None:
            extent = getattr(motion, "extent", None)
        if extent is None:
            raise MaskError(
                "mask_statistics: found boxes without an extent, expected (height, width) in pixels; pass extent="
            )
        area = object_area(boxes, grid=shape, extent=extent)
    return MaskStatistics(
        ratio=mask.ratio,
        motion_share=_share(energy, masked),
        object_share=_share(area, masked),
        step_iou=_step_iou(masked),
        fallback_share=float(mask.fallback.mean()),
    )


def object_area(boxes: Boxes, *, grid: Grid, extent: tuple[float, float]) -> NDArray[np.float64]:
    """Area of each token under the union of the boxes, exact, summed over the frames of its step.

    Args:
        boxes: see `Boxes`.
        grid: tokens (t, h, w).
        extent: (height, width) of the region in pixels.

    Returns:
        float64 (t, h, w), square pixels.

    Raises:
        MaskError: the number of frames is not a multiple of t, or a box is not finite, not four numbers or turned
            around.
    """
    steps, rows, columns = checked_grid("object_area", grid)
    if not (all(math.isfinite(side) for side in extent) and min(extent) > 0):
        raise MaskError(
            f"object_area: found extent {extent}, expected a positive height and width; give the size in pixels"
        )
    if not len(boxes) or len(boxes) % steps:
        raise MaskError(
            f"object_area: found boxes of {len(boxes)} frames, expected a multiple of the {steps} steps of the grid; "
            "give one list per frame, empty where it has no box"
        )
    lines = (np.linspace(0, extent[0], rows + 1), np.linspace(0, extent[1], columns + 1))
    area = np.zeros((steps, rows, columns))
    for frame, found in enumerate(boxes):
        if len(found):
            area[frame * steps // len(boxes)] += _union_area(_checked_boxes(found, frame=frame), lines)
    return area


def _union_area(
    boxes: NDArray[np.float64], lines: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Area (h, w) of the boxes' union in every token: exact, because the edges of boxes and tokens cut the frame into
    pieces that lie wholly inside or outside of each."""
    y = np.unique(np.concatenate([lines[0], np.clip(boxes[:, [1, 3]].reshape(-1), 0, lines[0][-1])]))
    x = np.unique(np.concatenate([lines[1], np.clip(boxes[:, [0, 2]].reshape(-1), 0, lines[1][-1])]))
    in_y = (y[None, :-1] >= boxes[:, 1:2]) & (y[None, 1:] <= boxes[:, 3:4])
    in_x = (x[None, :-1] >= boxes[:, 0:1]) & (x[None, 1:] <= boxes[:, 2:3])
    pieces = (in_y[:, :, None] & in_x[:, None, :]).any(axis=0) * np.outer(np.diff(y), np.diff(x))
    first_y, first_x = np.searchsorted(y, lines[0][:-1]), np.searchsorted(x, lines[1][:-1])
    area: NDArray[np.float64] = np.add.reduceat(np.add.reduceat(pieces, first_y, axis=0), first_x, axis=1)
    return area


def _checked_boxes(boxes: Sequence[Sequence[float]] | NDArray[np.generic], *, frame: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 4:
        raise MaskError(
            f"object_area: found boxes {boxes!r} in frame {frame}, expected a list of [x0, y0, x1, y1] in pixels"
        )
    if not np.isfinite(array).all() or (array[:, :2] > array[:, 2:]).any():
        raise MaskError(
            f"object_area: found boxes {array.tolist()} in frame {frame}, expected finite x0 <= x1 and y0 <= y1; "
            "convert boxes given as [x, y, width, height]"
        )
    return array


def _share(amount: NDArray[np.float64] | None, masked: NDArray[np.bool_]) -> float | None:
    if amount is None:
        return None
    total = float(amount.sum())
    # The masked part can exceed the whole by a rounding error.
    return min(float(amount[masked].sum()) / total, 1.0) if total > 0 else None


def _step_iou(masked: NDArray[np.bool_]) -> float | None:
    if len(masked) < 2:
        return None
    shared = (masked[1:] & masked[:-1]).sum(axis=(1, 2))
    united = (masked[1:] | masked[:-1]).sum(axis=(1, 2))
    # Two steps that both hide nothing hide the same.
    return float(np.where(united > 0, shared / np.maximum(united, 1), 1.0).mean())
