"""Clips side by side as a video."""

import math

import numpy as np
import pytest

from mgm.show.panels import clip_rate


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([0, 0.04, 0.08, 0.12], 25),
        ([5, 5.1, 3605.2, 3605.3], 10),  # a gap
        ([0, 0.5, 0.5, 0.5], 2),  # the last frame of a short video, repeated
        ([0, 1e7, 2e7], 1),
        ([0, 1e-5, 2e-5], 100),
        ([0, 0], 8),
        ([math.nan] * 3, 8),
        ([0], 8),
    ],
)
def test_a_clip_moves_as_its_video_does_and_can_be_watched(times, rate):
    assert clip_rate(np.array(times, np.float64)) == pytest.approx(rate)
