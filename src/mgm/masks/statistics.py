"""Statistics of masks: share of hidden motion and of hidden objects, overlap between steps and between draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.errors import MaskError
from mgm.masks.cell_motion import MotionInput, motion_energy
from mgm.masks.grid import Grid, check_grid
from mgm.masks.mask import TokenMask

Boxes: TypeAlias = Sequence[Sequence[Sequence[float]] | NDArray[np.floating] | NDArray[np.integer]]
"""Per frame its boxes [x0, y0, x1, y1] in pixels of the region that the tokens cover; several count as their union."""


@dataclass(frozen=True)
class MaskStatistics:
    """Statistics of one mask; all are shares in [0, 1], None if the clip does not permit them.

    Attributes:
        ratio: masked tokens of all tokens.
        motion_share: masked motion energy of all motion energy (`motion_energy`); None without motion.
        object_share: masked object area of all object area inside the frame; None without an object.
        step_iou: intersection over union of the masked tokens of successive steps, mean over the clip: 1 = static;
            None for a single step.
        fallback_share: steps without motion to follow.
    """

    ratio: float
    motion_share: float | None
    object_share: float | None
    step_iou: float | None
    fallback_share: float


@dataclass(frozen=True, eq=False)
class DrawStatistics:
    """Statistics of a mask over many draws; shares in [0, 1], None if no clip permits them.

    Attributes:
        draws: number of draws.
        count: the fewest and the most masked tokens of a step.
        ratio, motion_share, object_share, step_iou, fallback_share: means over the draws, see `MaskStatistics`.
        overlap: intersection over union of the masked tokens of two draws for one clip, mean over successive draws: 1 = the
            clip always gets the same mask; None for a single draw.
        visibility: float64 (t, h, w), the share of the draws in which the encoder sees the token.
    """

    draws: int
    count: tuple[int, int]
    ratio: float
    motion_share: float | None
    object_share: float | None
    step_iou: float | None
    fallback_share: float
    overlap: float | None
    visibility: NDArray[np.float64] = field(repr=False)

    @property
    def never_visible(self) -> int:
        """Number of places, of h * w, that are hidden at every step of every draw."""
        return int((self.visibility.max(axis=0) == 0).sum())

    @property
    def least_visible(self) -> float:
        """Share of the draws in which the least visible token is visible."""
        return float(self.visibility.min())


def mask_statistics(
    mask: TokenMask,
    *,
    motion: MotionInput | None = None,
    boxes: Boxes | None = None,
    extent: tuple[float, float] | None = None,
) -> MaskStatistics:
    """Compare a mask with the motion of its clip and, if known, the boxes of its objects.

    Args:
        motion: the motion that the mask was drawn from, or better an independent estimate; see `MotionInput`.
        boxes: see `Boxes`; as many frames as a multiple of the mask's steps.
        extent: (height, width) in pixels of the region that the boxes refer to; default: that of `motion`.

    Raises:
        MaskError: motion or boxes cannot be used, or boxes come without an extent.
    """
    found = draw_statistics([mask], motion=motion, boxes=boxes, extent=extent)
    return MaskStatistics(
        ratio=found.ratio,
        motion_share=found.motion_share,
        object_share=found.object_share,
        step_iou=found.step_iou,
        fallback_share=found.fallback_share,
    )


def draw_statistics(
    masks: Sequence[TokenMask],
    *,
    motion: MotionInput | None = None,
    boxes: Boxes | None = None,
    extent: tuple[float, float] | None = None,
) -> DrawStatistics:
    """Statistics of many draws for one clip; arguments and errors as for `mask_statistics`.

    Raises:
        MaskError: no mask, masks of different grids, or as `mask_statistics`.
    """
    shapes = {mask.masked.shape for mask in masks}
    if len(shapes) != 1:
        raise MaskError(
            "draw_statistics",
            f"found masks of {len(shapes)} grids {sorted(shapes)}",
            "at least one mask, all of one grid",
            "compute each grid on its own",
            reason="mismatch" if shapes else "missing_value",
        )
    steps, height, width = shapes.pop()
    grid = (steps, height, width)
    energy = None if motion is None else motion_energy(motion, grid)
    area = None
    if boxes is not None:
        if extent is None:
            extent = getattr(motion, "extent", None)
        if extent is None:
            raise MaskError(
                "mask_statistics",
                "found boxes without an extent",
                "(height, width) in pixels",
                "pass extent=",
                reason="missing_value",
            )
        area = object_area(boxes, grid=grid, extent=extent)
    masked = np.stack([mask.masked for mask in masks])
    of_steps = masked.sum(axis=(2, 3))
    return DrawStatistics(
        draws=len(masks),
        count=(int(of_steps.min()), int(of_steps.max())),
        ratio=float(masked.mean()),
        motion_share=_share(energy, masked),
        object_share=_share(area, masked),
        step_iou=_iou(masked[:, 1:], masked[:, :-1], axes=(2, 3)) if steps > 1 else None,
        fallback_share=float(np.mean([mask.fallback for mask in masks])),
        overlap=_iou(masked[1:], masked[:-1], axes=(1, 2, 3)) if len(masks) > 1 else None,
        visibility=1 - masked.mean(axis=0),
    )


def pool_statistics(clips: Sequence[DrawStatistics]) -> DrawStatistics:
    """Statistics over several clips of one grid: each clip has equal weight; a share omits the clips where it is None.

    Raises:
        MaskError: no clip, or clips of different grids.
    """
    shapes = {clip.visibility.shape for clip in clips}
    if len(shapes) != 1:
        raise MaskError(
            "pool_statistics",
            f"found clips of {len(shapes)} grids {sorted(shapes)}",
            "at least one clip, all of one grid",
            "pool each grid on its own",
            reason="mismatch" if shapes else "missing_value",
        )
    return DrawStatistics(
        draws=sum(clip.draws for clip in clips),
        count=(min(clip.count[0] for clip in clips), max(clip.count[1] for clip in clips)),
        ratio=float(np.mean([clip.ratio for clip in clips])),
        motion_share=_mean([clip.motion_share for clip in clips]),
        object_share=_mean([clip.object_share for clip in clips]),
        step_iou=_mean([clip.step_iou for clip in clips]),
        fallback_share=float(np.mean([clip.fallback_share for clip in clips])),
        overlap=_mean([clip.overlap for clip in clips]),
        visibility=np.mean([clip.visibility for clip in clips], axis=0),
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
        MaskError: the number of frames is not a multiple of t, or a box is not finite, not four numbers or has
            its corners swapped.
    """
    steps, rows, columns = check_grid("object_area", grid)
    if not (all(math.isfinite(side) for side in extent) and min(extent) > 0):
        raise MaskError(
            "object_area",
            f"found extent {extent}",
            "a positive height and width",
            "give the size in pixels",
            reason="invalid_value",
        )
    if not len(boxes) or len(boxes) % steps:
        raise MaskError(
            "object_area",
            f"found boxes of {len(boxes)} frames",
            f"a multiple of the {steps} steps of the grid",
            "give one list per frame, an empty one for frames without a box",
            reason="mismatch",
        )
    lines = (np.linspace(0, extent[0], rows + 1), np.linspace(0, extent[1], columns + 1))
    area = np.zeros((steps, rows, columns))
    for frame, found in enumerate(boxes):
        if len(found):
            area[frame * steps // len(boxes)] += _union_area(_check_boxes(found, frame=frame), lines)
    return area


def _union_area(
    boxes: NDArray[np.float64], lines: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Area (h, w) of the boxes' union in every token: exact, because the edges of boxes and tokens cut the frame into
    pieces that are entirely inside or outside each."""
    y = np.unique(np.concatenate([lines[0], np.clip(boxes[:, [1, 3]].reshape(-1), 0, lines[0][-1])]))
    x = np.unique(np.concatenate([lines[1], np.clip(boxes[:, [0, 2]].reshape(-1), 0, lines[1][-1])]))
    in_y = (y[None, :-1] >= boxes[:, 1:2]) & (y[None, 1:] <= boxes[:, 3:4])
    in_x = (x[None, :-1] >= boxes[:, 0:1]) & (x[None, 1:] <= boxes[:, 2:3])
    pieces = (in_y[:, :, None] & in_x[:, None, :]).any(axis=0) * np.outer(np.diff(y), np.diff(x))
    first_y, first_x = np.searchsorted(y, lines[0][:-1]), np.searchsorted(x, lines[1][:-1])
    area: NDArray[np.float64] = np.add.reduceat(np.add.reduceat(pieces, first_y, axis=0), first_x, axis=1)
    return area


def _check_boxes(boxes: Sequence[Sequence[float]] | NDArray[np.generic], *, frame: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 4:
        raise MaskError(
            "object_area",
            f"found boxes {boxes!r} in frame {frame}",
            "a list of [x0, y0, x1, y1] in pixels",
            reason="invalid_shape",
        )
    if not np.isfinite(array).all() or (array[:, :2] > array[:, 2:]).any():
        raise MaskError(
            "object_area",
            f"found boxes {array.tolist()} in frame {frame}",
            "finite x0 <= x1 and y0 <= y1",
            "convert boxes given as [x, y, width, height]",
            reason="invalid_value",
        )
    return array


def _share(amount: NDArray[np.float64] | None, masked: NDArray[np.bool_]) -> float | None:
    """The masked part of an amount per token (t, h, w), mean over the draws."""
    if amount is None:
        return None
    total = float(amount.sum())
    # The masked part can exceed the whole by a rounding error.
    return min(float(masked.mean(axis=0).ravel() @ amount.ravel()) / total, 1.0) if total > 0 else None


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_], *, axes: tuple[int, ...]) -> float:
    shared, united = (a & b).sum(axis=axes), (a | b).sum(axis=axes)
    # Two empty masks are equal.
    return float(np.where(united > 0, shared / np.maximum(united, 1), 1.0).mean())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
