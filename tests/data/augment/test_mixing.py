"""Mixup and CutMix of clips and targets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.data.augment.mixing import Mix, Mixing, mix_clips, soft_targets
from mgm.errors import ConfigError
from tests.data.augment.pictures import random_batch
from tests.errors import raises


def test_mixup_blends_pixels_and_targets_alike():
    video, label, _ = random_batch()
    mixed = mix_clips(video, Mix(0.3, None))
    expected = 0.3 * video.float() + 0.7 * video.flip(0).float()
    assert (mixed.float() - expected).abs().max() < 0.501
    target = soft_targets(label, classes=5, smoothing=0.0, mix=Mix(0.3, None))
    torch.testing.assert_close(target[0], torch.tensor([0.3, 0, 0, 0.7, 0]))


def test_cutmix_takes_a_box_and_its_share():
    video, label, _ = random_batch()
    mix = Mix(1 - 6 * 8 / 24**2, (3, 5, 6, 8))
    mixed = mix_clips(video, mix)
    assert torch.equal(mixed[..., 5:13, 3:9], video.flip(0)[..., 5:13, 3:9])
    mixed[..., 5:13, 3:9] = video[..., 5:13, 3:9]
    assert torch.equal(mixed, video)
    target = soft_targets(label, classes=4, smoothing=0.0, mix=mix)
    assert target[1, 1] == pytest.approx(mix.share)
    assert target[1, 2] == pytest.approx(1 - mix.share)


@given(st.integers(0, 2**32), st.integers(8, 60), st.integers(8, 60))
@settings(deadline=None)
def test_the_share_is_what_is_left_of_the_pixels(seed, height, width):
    mix = Mixing(0, 1.0).draw(height, width, np.random.default_rng(seed))
    x, y, w, h = mix.box
    assert 0 <= x <= x + w <= width
    assert 0 <= y <= y + h <= height
    assert mix.share == pytest.approx(1 - w * h / (height * width))


def test_how_often_and_how_much_is_mixed():
    rng = np.random.default_rng(0)

    def draws(mixing):
        return [mixing.draw(64, 64, rng) for _ in range(3000)]

    both = draws(Mixing())
    assert None not in both
    assert np.mean([mix.box is not None for mix in both]) == pytest.approx(0.5, abs=0.03)
    blends = np.array([mix.share for mix in draws(Mixing(0.8, 0))])
    assert blends.mean() == pytest.approx(0.5, abs=0.02)
    assert blends.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), rel=0.05)  # of Beta(.8, .8)
    assert all(mix.box is not None for mix in draws(Mixing(0, 1.0)))
    assert np.mean([mix is None for mix in draws(Mixing(probability=0.4))]) == pytest.approx(0.6, abs=0.03)
    with raises(ConfigError, "conflict", message="augment-nothing-to-mix"):
        Mixing(0, 0)


@given(st.integers(1, 9), st.integers(2, 12), st.floats(0, 0.9), st.floats(0, 1))
@settings(deadline=None)
def test_targets_are_probabilities(size, classes, smoothing, share):
    label = torch.arange(size) % classes
    for mix in (None, Mix(share, None)):
        target = soft_targets(label, classes=classes, smoothing=smoothing, mix=mix)
        torch.testing.assert_close(target.sum(1), torch.ones(size))
        assert target.min() >= 0


def test_without_mixing_the_loss_is_that_of_smoothed_labels():
    logits, label = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 5
    target = soft_targets(label, classes=5, smoothing=0.1, mix=None)
    torch.testing.assert_close(F.cross_entropy(logits, target), F.cross_entropy(logits, label, label_smoothing=0.1))
    mix = Mix(0.3, None)
    mixed = F.cross_entropy(logits, soft_targets(label, classes=5, smoothing=0.1, mix=mix))
    parts = [F.cross_entropy(logits, to, label_smoothing=0.1) for to in (label, label.flip(0))]
    torch.testing.assert_close(mixed, 0.3 * parts[0] + 0.7 * parts[1])
