"""Pictures to transcode, and measures of the results."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.video.motion.vectors import iter_motion_vectors
from mgm.video.transcode.profiles import make_profile

KEEP = make_profile("compat", crf=4)
"""Source's size, hardly any loss: pixels can be compared."""


def times(path: Path) -> list[float]:
    return [found.pts_seconds for found in iter_motion_vectors(path)]


def difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Mean over the worst frame, in grey levels."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(np.int16) - b).mean(axis=(1, 2, 3)).max())


def smooth_frames(count: int, size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    """Coloured slopes that move: chroma can be halved without harm, and every frame, turn and mirroring differs."""
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    planes = ([x, y, 1 - x * y] for _ in range(count))
    return [(30 + 180 * np.stack(p, -1) * (0.4 + 0.6 * i / count)).astype(np.uint8) for i, p in enumerate(planes)]
