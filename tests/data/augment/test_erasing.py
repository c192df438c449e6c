"""Random erasing."""

import numpy as np
import pytest
import torch

from mgm.data.augment.erasing import RandomErasing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ERASING = RandomErasing(MEAN, STD, 1.0)


def test_a_box_of_noise_is_the_same_in_every_frame():
    clip = torch.full((3, 200, 40, 40), 77, dtype=torch.uint8)
    erased = ERASING.draw(40, 40, np.random.default_rng(3))
    x, y, w, h = erased.box
    result = ERASING.apply(clip, erased)
    changed = torch.zeros(40, 40, dtype=torch.bool)
    changed[y : y + h, x : x + w] = True
    assert (result[:, :, ~changed] == 77).all()
    inside = result[..., y : y + h, x : x + w].float()
    for channel in range(3):
        # Normal around the mean of the channel, cut at 0 and 255.
        normal = torch.from_numpy(np.random.default_rng(1).normal(MEAN[channel], STD[channel], 200_000) * 255).clamp(
            0, 255
        )
        assert inside[channel].mean() == pytest.approx(normal.mean().item(), abs=1)
        assert inside[channel].std() == pytest.approx(normal.std().item(), abs=1)
    assert not torch.equal(inside[:, 0], inside[:, 1])  # the box stays, the noise does not
    assert torch.equal(ERASING.apply(clip, erased), result)
    assert (clip == 77).all()


def test_boxes_have_the_areas_and_shapes_of_the_recipe():
    rng = np.random.default_rng(0)
    boxes = np.array([ERASING.draw(224, 224, rng).box for _ in range(2000)])
    area, shape = boxes[:, 2] * boxes[:, 3] / 224**2, np.log(boxes[:, 3] / boxes[:, 2])
    assert 0.018 < area.min() < 0.03
    assert 0.31 < area.max() < 0.34
    assert np.abs(shape).max() <= -np.log(0.3) + 0.05
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= 224
    some = RandomErasing(MEAN, STD, 0.25)
    assert np.mean([some.draw(224, 224, rng) is not None for _ in range(2000)]) == pytest.approx(0.25, abs=0.03)
