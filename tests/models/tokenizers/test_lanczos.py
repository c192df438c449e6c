"""Lanczos resizing against Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.models.tokenizers.lanczos import resize


@pytest.mark.parametrize("size", [(16, 12), (48, 40), (32, 13), (7, 24)])
def test_it_equals_pillow(size):
    picture = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.LANCZOS))
    found = resize(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, size)
    assert found.shape == (1, 3, *size)
    # Pillow rounds after each of the two directions.
    assert np.abs(found[0].permute(1, 2, 0).numpy() * 255 - expected).max() < 2


def test_the_same_size_is_the_same_picture():
    picture = torch.rand(2, 3, 8, 8)
    assert resize(picture, (8, 8)) is picture
