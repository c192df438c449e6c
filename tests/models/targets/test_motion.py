"""The target of motion."""

import math

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import (
    AsinhMotion,
    MaskedAutoencoder,
    MotionTarget,
)
from tests.errors import raises
from tests.models.clips import SMALL, masked_tokens, random_mask, random_video


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


def test_asinh_motion_is_linear_for_slow_and_logarithmic_for_fast_motion():
    motion = torch.zeros(1, 4, 4, 3, 2)
    motion[:, 1, 0, 0] = torch.tensor([0.05, -64.0])  # pixels; a unit is a sixteenth of a patch of 8 pixels
    first = AsinhMotion(SMALL)(motion, torch.zeros(1, 1, dtype=torch.int64)).view(2, 2)
    assert first[0].tolist() == [0, 0]
    assert first[1].tolist() == pytest.approx([0.1, -math.log(2 * 128)], rel=1e-2)


@pytest.mark.parametrize("target", ["motion", "asinh-motion"])
def test_unknown_motion_is_left_out_of_the_loss(target):
    torch.manual_seed(0)
    model, video, mask = MaskedAutoencoder(SMALL, target=target), random_video(), random_mask()
    motion = torch.randn(2, 4, 4, 3, 2)
    unknown = torch.rand(2, 4, 4, 3, 1).expand_as(motion) < 0.3
    result = model(video, mask, motion=motion.masked_fill(unknown, math.nan), predict=True)
    known = ~result.target.isnan()
    assert 0 < known.sum() < known.numel()
    clips = zip(result.prediction, result.target, known, strict=True)
    expected = torch.stack([(guess[seen] - true[seen]).square().mean() for guess, true, seen in clips]).mean()
    torch.testing.assert_close(result.loss, expected)
    result.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    nothing = model(video, mask, motion=torch.full_like(motion, math.nan))
    assert nothing.loss == 0
