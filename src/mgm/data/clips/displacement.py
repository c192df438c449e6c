"""The motion of a clip on the token grid: the mean displacement of every patch, for models that predict it."""

import numpy as np
import numpy.typing as npt

from mgm.video import MotionField
from mgm.video.motion.field import CELL


def patch_motion(field: MotionField, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The mean displacement (dx, dy) over each patch: float32 (T, h, w, 2), in the unit of the field.

    Cells count by the area that they share with a patch; what hangs over the field's extent does not count. Cells that were
    not measured hold a neighbour in time, see `MotionField.valid`, and count like the others.

    Args:
        grid: (h, w), rows and columns of patches.
    """
    down, across = (_shares(length, patches) for length, patches in zip(field.extent, grid, strict=True))
    rows, columns = down.shape[1], across.shape[1]
    mean: npt.NDArray[np.float32] = np.einsum(
        "ir,trcd,jc->tijd", down, field.vectors[:, :rows, :columns], across, optimize=True
    ).astype(np.float32)
    return mean


def _shares(length: int, patches: int) -> npt.NDArray[np.float64]:
    """float64 (patches, cells): the part of each patch of a side of `length` pixels that each 8-px cell covers; rows sum to 1."""
    begin = np.arange(patches)[:, None] * length / patches
    end = begin + length / patches
    cell = np.arange(-(-length // CELL)) * CELL
    shared = np.minimum(end, np.minimum(cell + CELL, length)) - np.maximum(begin, cell)
    shares: npt.NDArray[np.float64] = np.maximum(shared, 0) * patches / length
    return shares
