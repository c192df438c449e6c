"""Histograms of Sobel gradients, compared with loops over pixels."""

import math

import numpy as np
import pytest
import torch

from mgm.models import M3VideoHog, MaskedAutoencoder, MaskFeatHog, ModelSpec
from tests.models.clips import SMALL, normalised, random_mask, random_video

LARGER = ModelSpec("debug", patch=16, frames=4, resolution=(32, 48))


def in_loops(frame, *, patch, cell, mirrored, vote, finish):
    """float64 (h, w, 3, 9, cells, cells) of one frame (H, W, 3). vote: (dx, dy) -> [(orientation, weight)] of a length of 1."""
    height, width = frame.shape[:2]

    def at(i, length):
        inside = min(max(i, 0), length - 1)
        return inside if inside == i or not mirrored else (1 if i < 0 else length - 2)

    cells = np.zeros((height // cell, width // cell, 3, 9))
    for i in range(height):
        for j in range(width):
            for c in range(3):
                dx = dy = 0.0
                for k, weight in ((-1, 1), (0, 2), (1, 1)):
                    dx += weight * (
                        frame[at(i + k, height), at(j + 1, width), c] - frame[at(i + k, height), at(j - 1, width), c]
                    )
                    dy += weight * (
                        frame[at(i + 1, height), at(j + k, width), c] - frame[at(i - 1, height), at(j + k, width), c]
                    )
                for orientation, weight in vote(dx, dy):
                    cells[i // cell, j // cell, c, orientation % 9] += math.hypot(dx, dy) * weight
    side = patch // cell
    shape = (height // patch, side, width // patch, side, 3, 9)
    return finish(cells).reshape(shape).transpose(0, 2, 4, 5, 1, 3)


def linear(dx, dy):
    place = math.degrees(math.atan2(dy, dx)) % 180 / 20
    low = math.floor(place)
    return [(low, 1 - (place - low)), (low + 1, place - low)]


def hard(dx, dy):
    return [(math.floor(math.atan2(dx, dy) / math.pi * 9), 1)]


@pytest.mark.parametrize(("spec", "cell"), [(LARGER, 8), (ModelSpec("debug", patch=4, frames=2, resolution=8), 4)])
def test_m3video_averages_linear_votes_of_the_second_frame(spec, cell):
    video = random_video(spec, batch=1)
    target, tokens = M3VideoHog(spec), torch.arange(spec.tokens)[None].flip(1)
    frames = normalised(video)[0, :, 1::2].permute(1, 2, 3, 0).double().numpy()
    expected = [
        in_loops(f, patch=spec.patch, cell=cell, mirrored=False, vote=linear, finish=lambda cells: cells / cell**2)
        for f in frames
    ]
    expected = torch.from_numpy(np.stack(expected)).float().reshape(1, spec.tokens, target.dim).flip(1)
    torch.testing.assert_close(target(video, tokens), expected, rtol=1e-3, atol=1e-4)
    assert M3VideoHog(LARGER).dim == 108
    assert torch.allclose(target(normalised(video), tokens), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("spec", "cell"), [(LARGER, 8), (ModelSpec("debug", patch=4, frames=2, resolution=8), 4)])
def test_maskfeat_normalises_cells_of_the_first_frame(spec, cell):
    video = random_video(spec, batch=1)
    target, tokens = MaskFeatHog(spec), torch.arange(spec.tokens)[None]

    def finish(cells):
        return cells / np.maximum(np.linalg.norm(cells, axis=3, keepdims=True), 1e-12)

    frames = video[0, :, ::2].permute(1, 2, 3, 0).double().numpy()
    expected = [in_loops(f, patch=spec.patch, cell=cell, mirrored=True, vote=hard, finish=finish) for f in frames]
    expected = torch.from_numpy(np.stack(expected)).float().reshape(1, spec.tokens, target.dim)
    # A gradient on the border between two orientations may go to either.
    assert (target(video, tokens) - expected).abs().gt(1e-3).float().mean() < 0.01
    assert MaskFeatHog(LARGER).dim == 108


def test_an_edge_has_one_orientation():
    video = torch.zeros(1, *LARGER.video_shape, dtype=torch.uint8)
    video[..., 20:] = 200
    tokens = torch.arange(LARGER.tokens)[None]
    for target, orientation in ((M3VideoHog(LARGER), 0), (MaskFeatHog(LARGER), 4)):
        values = target(video, tokens).view(2, 2, 3, 3, 9, 2, 2)
        assert values[:, :, 1, :, orientation, :, 0].amin() > 0
        values[:, :, 1, :, orientation] = 0
        assert values.count_nonzero() == 0


def test_predictions_of_m3video_lie_between_0_and_1():
    model = MaskedAutoencoder(SMALL, target={"pixels": 1.0, "hog-m3video": 54.0})
    with torch.no_grad():
        model.decoder.head.weight.mul_(100)
    result = model(random_video(), random_mask(), predict=True)
    parts = model.objective.split(result.prediction)
    assert 0 <= parts["hog-m3video"].min() < parts["hog-m3video"].max() <= 1
    assert parts["pixels"].min() < 0
