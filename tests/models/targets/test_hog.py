"""Histograms of oriented gradients, compared with another implementation."""

import numpy as np
import pytest
import torch

from mgm.models import (
    Hog,
    ModelSpec,
)
from tests.models.clips import SMALL, random_video

LARGER = ModelSpec("debug", patch=16, frames=4, resolution=(32, 48))


def hog_in_numpy(frame, *, patch, cell):
    """float64 (h, w, 3 * cells * 9) of one frame uint8 (H, W, 3), pixel by pixel."""
    height, width = frame.shape[:2]
    x = frame.astype(np.float64) / 255
    cells = np.zeros((height // cell, width // cell, 3, 9))
    for i in range(height):
        for j in range(width):
            for c in range(3):
                across = x[i, min(j + 1, width - 1), c] - x[i, max(j - 1, 0), c]
                down = x[min(i + 1, height - 1), j, c] - x[max(i - 1, 0), j, c]
                place = np.degrees(np.arctan2(down, across)) % 180 / 20
                low = int(np.floor(place))
                votes = cells[i // cell, j // cell, c]
                votes[low % 9] += np.hypot(across, down) * (1 - (place - low))
                votes[(low + 1) % 9] += np.hypot(across, down) * (place - low)
    side = patch // cell
    blocks = cells.reshape(height // patch, side, width // patch, side, 3, 9).transpose(0, 2, 4, 1, 3, 5)
    blocks = blocks.reshape(height // patch, width // patch, 3, -1)
    return (blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-12)).reshape(height // patch, width // patch, -1)


@pytest.mark.parametrize(
    ("spec", "cell"), [(LARGER, 8), (SMALL, 8), (ModelSpec("debug", patch=4, frames=2, resolution=8), 4)]
)
def test_hog_equals_another_implementation(spec, cell):
    video = random_video(spec, batch=1)
    video[:, 1] = 90  # a channel without gradients
    hog, tokens = Hog(spec), torch.arange(spec.tokens)[None].flip(1)
    frames = [hog_in_numpy(f, patch=spec.patch, cell=cell) for f in video[0].permute(1, 2, 3, 0).numpy()]
    expected = np.stack(frames).reshape(spec.grid[0], 2, spec.tokens // spec.grid[0], -1).transpose(0, 2, 1, 3)
    expected = torch.from_numpy(expected.reshape(1, spec.tokens, hog.dim)).float().flip(1)
    torch.testing.assert_close(hog(video, tokens), expected, rtol=1e-4, atol=1e-5)


def test_hog_of_an_edge_points_across_it():
    """A vertical edge has its gradient along x: orientation 0, and 108 values of a patch and frame."""
    video = torch.zeros(1, *LARGER.video_shape, dtype=torch.uint8)
    video[..., 20:] = 200
    target = Hog(LARGER)(video, torch.arange(LARGER.tokens)[None]).view(2, 2, 3, 2, 3, 4, 9)
    assert Hog(LARGER).dim == 216
    assert target[:, :, 1, ..., 0].amax(-1).min() > 0.7  # the column of patches with the edge
    assert target[..., 1:].count_nonzero() == 0
    assert target[:, :, [0, 2]].count_nonzero() == 0
