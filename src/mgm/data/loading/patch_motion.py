"""The motion of the patches of a clip, from the motion of its cells of 8 px."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mgm.video import MotionField
from mgm.video.motion.field import CELL_PIXELS


def patch_motion(field: MotionField, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Mean displacement (dx, dy) over each patch: float32 (T, h, w, 2), in the unit of the field.

    Cells are weighted by the area that they share with a patch; the part of a cell beyond the field's extent is ignored. Cells
    without a measurement hold that of a neighbour in time (see `MotionField.valid`) and have the same weight.

    Args:
        grid: (h, w), rows and columns of patches.
    """
    down, across = (_cell_weights(length, patches) for length, patches in zip(field.extent, grid, strict=True))
    rows, columns = down.shape[1], across.shape[1]
    mean: npt.NDArray[np.float32] = np.einsum(
        "ir,trcd,jc->tijd", down, field.vectors[:, :rows, :columns], across, optimize=True
    ).astype(np.float32)
    return mean


def measured_share(field: MotionField, grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The fraction of each patch whose motion was measured: float64 (T, h, w), weighted as in `patch_motion`."""
    down, across = (_cell_weights(length, patches) for length, patches in zip(field.extent, grid, strict=True))
    valid = field.valid[:, : down.shape[1], : across.shape[1]]
    share: npt.NDArray[np.float64] = np.einsum("ir,trc,jc->tij", down, valid, across, optimize=True)
    return share


def _cell_weights(length: int, patches: int) -> npt.NDArray[np.float64]:
    """float64 (patches, cells): fraction of each patch, on a side of `length` pixels, that each 8-px cell covers; rows sum to 1."""
    begin = np.arange(patches)[:, None] * length / patches
    end = begin + length / patches
    cell = np.arange(-(-length // CELL_PIXELS)) * CELL_PIXELS
    shared = np.minimum(end, np.minimum(cell + CELL_PIXELS, length)) - np.maximum(begin, cell)
    weights: npt.NDArray[np.float64] = np.maximum(shared, 0) * patches / length
    return weights
