"""Normalised pixels in one pass over uint8 clips, compared with their definition."""

import pytest
import torch

from mgm.models import ModelSpec, NormalisedPixels
from mgm.models.accelerate.pixels import OnePassPixels, can_normalise, normalised_pixels
from tests.models.accelerate.operations import decoded_clip


def test_normalised_pixels_are_their_definition_in_double_precision(threads):
    spec = ModelSpec("debug")
    video = decoded_clip()
    video[0, :, : spec.tubelet, : spec.patch, : spec.patch] = torch.tensor([0, 7, 255])[:, None, None, None]  # flat
    tokens = torch.stack([torch.arange(0, spec.tokens, 2), torch.arange(1, spec.tokens, 2)])
    found = normalised_pixels(video, tokens, tubelet=spec.tubelet, patch=spec.patch, epsilon=255e-6)
    (t, h, w), p = spec.grid, spec.patch
    cut = video.double().reshape(2, 3, t, spec.tubelet, h, p, w, p).permute(0, 2, 4, 6, 3, 5, 7, 1)
    patches = cut.reshape(2, spec.tokens, -1, 3)[torch.arange(2)[:, None], tokens]
    expected = (patches - patches.mean(2, keepdim=True)) / (patches.std(2, keepdim=True) + 255e-6)
    torch.testing.assert_close(found.double(), expected.flatten(2), rtol=1e-6, atol=1e-6)
    assert torch.equal(found[0, 0], torch.zeros(spec.token_pixels * 3))


@pytest.mark.parametrize("case", ["float", "channels first", "part of a clip"])
def test_only_decoded_clips_are_normalised_in_one_pass(case):
    video = decoded_clip()
    assert can_normalise(video)
    other = {"float": video.float(), "channels first": video.contiguous(), "part of a clip": video[:, :, ::2]}[case]
    assert not can_normalise(other)


def test_the_target_is_that_of_plain_pytorch_for_every_clip():
    spec = ModelSpec("debug")
    tokens = torch.arange(0, spec.tokens, 3).expand(2, -1)
    for video in (decoded_clip(), decoded_clip().contiguous(), decoded_clip().float()):
        torch.testing.assert_close(
            OnePassPixels(spec)(video, tokens), NormalisedPixels(spec)(video, tokens), rtol=1e-5, atol=1e-5
        )
