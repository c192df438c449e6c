"""Motion accumulated since the keyframe (CoViAR, Wu et al. 2018): each cell is traced back along the chain of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.compiled import compiled
from mgm.video.motion.field import CELL_PIXELS, MotionField, VectorField

MOST_TRACED_FRAMES = 12
"""Frames over which motion is accumulated at most: the distance of the keyframes of CoViAR's videos."""


def accumulate_motion(
    field: MotionField, intra: npt.NDArray[np.bool_], *, most: int = MOST_TRACED_FRAMES
) -> MotionField:
    """The displacement of every cell since the last intra-coded frame, from the displacement since the frame before.

    The centre of a cell is traced back frame by frame, and its source in a frame selects the next vector of the chain (the paper's
    equation 1). The accumulated motion of an object therefore moves with the object. An intra-coded frame, which refers to none,
    has the motion that was accumulated up to the frame before; a chain begins after it.

    Args:
        field: motion of consecutive frames, (n, gh, gw), as `mgm.video.read_motion` returns it at stride 1.
        intra: bool (n,), the frames that refer to none.
        most: frames of the longest chain; it matters in streams with few keyframes.

    Returns:
        (n, gh, gw), in pixels; valid where any vector of the chain was measured.
    """
    vectors = np.zeros_like(field.vectors)
    valid = np.zeros_like(field.valid)
    height, width = field.extent
    since = 0
    for number, begins in enumerate(np.asarray(intra).tolist()):
        if begins and number:
            vectors[number], valid[number] = vectors[number - 1], valid[number - 1]
        if begins:
            since = number + 1
            continue
        first = max(since, number + 1 - most)
        _trace(
            field.vectors[first : number + 1],
            field.valid[first : number + 1],
            height,
            width,
            vectors[number],
            valid[number],
        )
    return MotionField.of(VectorField(vectors, valid), field.source, field.extent)


def _trace_kernel(fields: Any, measured: Any, height: Any, width: Any, vectors: Any, valid: Any) -> None:
    count, rows, columns = measured.shape
    for row in range(rows):
        for column in range(columns):
            # The last row and column of cells may extend over the border.
            start_y = min(row * CELL_PIXELS + CELL_PIXELS / 2, height - 1.0)
            start_x = min(column * CELL_PIXELS + CELL_PIXELS / 2, width - 1.0)
            y, x = start_y, start_x
            for back in range(count):
                k = count - 1 - back
                i = min(max(int(y // CELL_PIXELS), 0), rows - 1)
                j = min(max(int(x // CELL_PIXELS), 0), columns - 1)
                x -= fields[k, i, j, 0]
                y -= fields[k, i, j, 1]
                if measured[k, i, j]:
                    valid[row, column] = True
            vectors[row, column, 0] = start_x - x
            vectors[row, column, 1] = start_y - y


_trace: Any = compiled()(_trace_kernel)


def compile_accumulation() -> None:
    """Compile the kernel of this module."""
    field = VectorField(np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 1, 1), np.bool_))
    accumulate_motion(MotionField.of(field, "codec", (8, 8)), np.zeros(1, np.bool_))
