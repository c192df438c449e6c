import pytest
import torch

from mgm.models import NormalisedPixels, Pixels
from mgm.models.patches import patches_of, split_mask

from .clips import SMALL, normalised, random_mask, random_video


def masked_tokens():
    return split_mask(random_mask(), SMALL, batch=2)[1]


def test_normalised_pixels_follow_the_formula():
    video, masked = random_video(), masked_tokens()
    target = NormalisedPixels(SMALL)(video, masked)
    assert target.shape == (2, 18, NormalisedPixels(SMALL).dim) == (2, 18, 2 * 8 * 8 * 3)
    pixels = patches_of(video, SMALL, masked).double() / 255
    for channel in range(3):
        x = pixels[..., channel]
        expected = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=True).sqrt() + 1e-6)
        torch.testing.assert_close(target[..., channel::3], expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels])
def test_a_float_video_has_the_same_target(kind):
    video, masked = random_video(), masked_tokens()
    torch.testing.assert_close(kind(SMALL)(normalised(video), masked), kind(SMALL)(video, masked), rtol=1e-4, atol=1e-4)


def test_a_flat_patch_is_exactly_zero():
    video = torch.full((2, *SMALL.video_shape), 77, dtype=torch.uint8)
    assert NormalisedPixels(SMALL)(video, masked_tokens()).count_nonzero() == 0


def test_raw_pixels_are_pixels():
    video, masked = random_video(), masked_tokens()
    expected = patches_of(video, SMALL, masked).flatten(2) / 255
    assert torch.equal(Pixels(SMALL)(video, masked), expected)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels])
def test_the_picture_of_the_target_is_the_video(kind):
    video, masked, target = random_video(), masked_tokens(), kind(SMALL)
    picture = (target.pixels(target(video, masked), video, masked) * 255).round()
    assert torch.equal(picture, patches_of(video, SMALL, masked).float())
