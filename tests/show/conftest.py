from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Clip = npt.NDArray[np.uint8]


@pytest.fixture
def make_clip() -> Callable[..., Clip]:
    """A clip of smooth colour with a bright square that moves right by two pixels a frame."""

    def make(frames: int = 8, height: int = 56, width: int = 84) -> Clip:
        y, x = np.mgrid[:height, :width]
        ground = np.stack([x * 255 / width, y * 255 / height, np.full((height, width), 90.0)], axis=-1)
        clip = np.repeat(ground[None].astype(np.uint8), frames, axis=0)
        for t in range(frames):
            clip[t, 20:32, 10 + 2 * t : 22 + 2 * t] = 240
        return clip

    return make
