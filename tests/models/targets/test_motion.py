"""The target of motion."""

import torch

from mgm.errors import ModelError
from mgm.models import (
    MaskedAutoencoder,
    MotionTarget,
)
from mgm.models.patches import split_mask
from tests.errors import raises
from tests.models.clips import SMALL, random_mask, random_video


def masked_tokens():
    return split_mask(random_mask(), SMALL, batch=2)[1]


def test_motion_is_given_per_frame_in_patches():
    motion = torch.randn(2, 4, 4, 3, 2, generator=torch.Generator().manual_seed(0)) * 10
    tokens = masked_tokens()
    values = MotionTarget(SMALL)(motion, tokens).view(2, 18, 2, 2)
    for i, n in [(0, 0), (1, 7), (0, 17)]:
        step, place = divmod(tokens[i, n].item(), 12)
        for frame in range(2):
            expected = motion[i, 2 * step + frame, place // 3, place % 3] / 8
            assert torch.equal(values[i, n, frame], expected)
    with raises(ModelError, "missing_value", subject="motion", message="model-motion-missing"):
        MaskedAutoencoder(SMALL, target="motion")(random_video(), random_mask())
    with raises(ModelError, "invalid_shape", subject="motion"):
        MaskedAutoencoder(SMALL, target="motion")(random_video(), random_mask(), motion=torch.zeros(2, 4, 8, 6, 2))
