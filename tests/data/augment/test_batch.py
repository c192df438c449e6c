"""Erasing, mixing, soft targets, and what a batch goes through as a whole."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mix, Mixing, mix_clips, soft_targets
from mgm.data.augment.randaugment import RandAugment
from mgm.errors import ConfigError
from tests.errors import raises

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ERASING = RandomErasing(MEAN, STD, 1.0)


def batch(size=4, frames=3, side=24):
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (size, frames, side, side, 3), dtype=np.uint8))
    keys = torch.tensor([[2, 7 * i + 1, i % 2] for i in range(size)])
    return pixels.permute(0, 4, 1, 2, 3), torch.arange(size), keys


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


def test_mixup_blends_pixels_and_targets_alike():
    video, label, _ = batch()
    mixed = mix_clips(video, Mix(0.3, None))
    expected = 0.3 * video.float() + 0.7 * video.flip(0).float()
    assert (mixed.float() - expected).abs().max() < 0.501
    target = soft_targets(label, classes=5, smoothing=0.0, mix=Mix(0.3, None))
    torch.testing.assert_close(target[0], torch.tensor([0.3, 0, 0, 0.7, 0]))


def test_cutmix_takes_a_box_and_its_share():
    video, label, _ = batch()
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


WHOLE = Augmentation(4, 0.1, 5, RandAugment(probability=1), ERASING, Mixing())


def test_a_batch_is_changed_by_its_numbers_alone():
    video, label, keys = batch()
    before = video.clone()
    torch.manual_seed(0)
    first, target = WHOLE(video, label, keys)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again, _ = WHOLE(video, label, keys)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(video, before)
    assert not torch.equal(first, video)
    assert first.stride() == video.stride()  # channels stay last in memory
    assert target.shape == (4, 4)
    other, _ = WHOLE(video, label, keys + torch.tensor([1, 0, 0]))
    assert not torch.equal(first, other)
    seeded, _ = Augmentation(4, 0.1, 6, RandAugment(probability=1), ERASING, Mixing())(video, label, keys)
    assert not torch.equal(first, seeded)


def test_a_clip_is_changed_alike_in_any_batch():
    video, label, keys = batch()
    alone = Augmentation(4, 0.1, 5, RandAugment(probability=1), ERASING)
    whole, _ = alone(video, label, keys)
    part, _ = alone(video[2:], label[2:], keys[2:])
    assert torch.equal(whole[2:], part)
    assert not torch.equal(*alone(video[:1].expand(2, -1, -1, -1, -1), label[:2], keys[:2])[0])  # repeats differ


def test_nothing_asked_is_nothing_done():
    video, label, keys = batch()
    same, target = Augmentation(4, 0.0, 5)(video, label, keys)
    assert torch.equal(same, video)
    assert torch.equal(target, torch.eye(4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_on_a_gpu():
    video, label, keys = batch()
    first, target = WHOLE(video.cuda(), label.cuda(), keys)
    again, _ = WHOLE(video.cuda(), label.cuda(), keys)
    assert torch.equal(first, again)
    expected = WHOLE(video, label, keys)[1]
    torch.testing.assert_close(target.cpu(), expected)
