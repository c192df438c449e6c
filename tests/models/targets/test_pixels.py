"""Targets of pixels, compared with their formulas."""

import pytest
import torch

from mgm.models import (
    FrameDifference,
    Hog,
    ModelSpec,
    NormalisedPixels,
    OneFrame,
    Pixels,
)
from mgm.models.patches import patchify
from tests.models.clips import SMALL, masked_tokens, normalised, random_video


def test_normalised_pixels_follow_the_formula():
    video, masked = random_video(), masked_tokens()
    target = NormalisedPixels(SMALL)(video, masked)
    assert target.shape == (2, 18, NormalisedPixels(SMALL).dim) == (2, 18, 2 * 8 * 8 * 3)
    pixels = patchify(video, SMALL, masked).double() / 255
    for channel in range(3):
        x = pixels[..., channel]
        expected = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=True).sqrt() + 1e-6)
        torch.testing.assert_close(target[..., channel::3], expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels, OneFrame, FrameDifference, Hog])
def test_a_float_video_has_the_same_target(kind):
    video, masked = random_video(), masked_tokens()
    torch.testing.assert_close(kind(SMALL)(normalised(video), masked), kind(SMALL)(video, masked), rtol=1e-3, atol=1e-4)


def test_a_flat_patch_is_exactly_zero():
    video = torch.full((2, *SMALL.video_shape), 77, dtype=torch.uint8)
    assert NormalisedPixels(SMALL)(video, masked_tokens()).count_nonzero() == 0


def test_raw_pixels_are_pixels():
    video, masked = random_video(), masked_tokens()
    expected = patchify(video, SMALL, masked).flatten(2) / 255
    assert torch.equal(Pixels(SMALL)(video, masked), expected)


@pytest.mark.parametrize("kind", [NormalisedPixels, Pixels])
def test_the_picture_of_the_target_is_the_video(kind):
    video, masked, target = random_video(), masked_tokens(), kind(SMALL)
    picture = (target.pixels(target(video, masked), video, masked) * 255).round()
    assert torch.equal(picture, patchify(video, SMALL, masked).float())


def test_one_frame_of_each_tubelet_follows_the_formula():
    spec = ModelSpec("debug", patch=8, frames=16, resolution=16)
    video = random_video(spec, batch=1)
    tokens = torch.arange(spec.tokens)[None]
    chosen = torch.linspace(0, 15, 8).long()
    assert chosen.tolist() == [0, 2, 4, 6, 8, 10, 12, 15]
    frames = (video[0, :, chosen].double() / 255 - 0.45) / 0.225  # (3, 8, 16, 16), in the unit of MAE-ST
    patches = frames.reshape(3, 8, 2, 8, 2, 8).permute(1, 2, 4, 3, 5, 0).reshape(32, 192)
    expected = (patches - patches.mean(1, keepdim=True)) / (patches.var(1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(OneFrame(spec)(video, tokens)[0], expected.float(), rtol=1e-4, atol=1e-5)


def test_one_frame_in_a_dark_patch_keeps_the_epsilon():
    """The variance of a patch of two neighbouring grey levels is of the size of the epsilon."""
    spec = ModelSpec("debug", patch=8, frames=2, resolution=8)
    video = torch.zeros(1, *spec.video_shape, dtype=torch.uint8)
    video[..., 0, 0] = 1
    x = (video[0, :, 0].double() / 255 - 0.45) / 0.225
    expected = (x - x.mean()) / (x.var() + 1e-6).sqrt()
    target = OneFrame(spec)(video, torch.zeros(1, 1, dtype=torch.int64))
    torch.testing.assert_close(target[0, 0], expected.permute(1, 2, 0).flatten().float(), rtol=1e-4, atol=1e-5)


def test_the_picture_of_one_frame_is_that_frame_twice():
    video, tokens, target = random_video(), masked_tokens(), OneFrame(SMALL)
    picture = (target.pixels(target(video, tokens), video, tokens) * 255).round().view(2, 18, 2, 64, 3)
    frames = patchify(video, SMALL, tokens).float().view(2, 18, 2, 64, 3)
    late = tokens >= 12  # the last step uses the last frame of the clip
    expected = torch.where(late[:, :, None, None], frames[:, :, 1], frames[:, :, 0])
    assert torch.equal(picture, expected[:, :, None].expand_as(picture))


def test_frame_difference_is_the_change_since_the_frame_before():
    video, tokens = random_video(), masked_tokens()
    signed = video.double() / 255
    change = torch.cat([torch.zeros_like(signed[:, :, :1]), signed[:, :, 1:] - signed[:, :, :-1]], dim=2)
    expected = patchify(change, SMALL, tokens).flatten(2)
    torch.testing.assert_close(FrameDifference(SMALL)(video, tokens), expected.float(), rtol=1e-5, atol=1e-6)
