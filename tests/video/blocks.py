"""Motion vectors by hand."""

import numpy as np
import numpy.typing as npt

from mgm.video.motion.vectors import VECTOR_DTYPE

PAST, FUTURE = -1, 1


def block(
    source: int,
    *,
    at: tuple[int, int] = (8, 8),
    side: tuple[int, int] = (16, 16),
    motion: tuple[int, int] = (0, 0),
    scale: int = 4,
) -> npt.NDArray[np.void]:
    """One vector: centre and sides of the block, and its motion in units of 1/scale pixels."""
    vector = np.zeros(1, VECTOR_DTYPE)
    for name, value in {
        "source": source, "w": side[0], "h": side[1], "dst_x": at[0], "dst_y": at[1],
        "motion_x": motion[0], "motion_y": motion[1], "motion_scale": scale,
    }.items():  # fmt: skip
        vector[name] = value
    return vector
