"""Augmentation of a whole batch: it depends on keys alone."""

import pytest
import torch

from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mixing
from mgm.data.augment.randaugment import RandAugment
from tests.data.augment.pictures import random_batch

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ERASING = RandomErasing(MEAN, STD, 1.0)


WHOLE = Augmentation(4, 0.1, 5, RandAugment(probability=1), ERASING, Mixing())


def test_the_change_of_a_batch_depends_on_its_keys_alone():
    video, label, keys = random_batch()
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


def test_the_change_of_a_clip_does_not_depend_on_its_batch():
    video, label, keys = random_batch()
    alone = Augmentation(4, 0.1, 5, RandAugment(probability=1), ERASING)
    whole, _ = alone(video, label, keys)
    part, _ = alone(video[2:], label[2:], keys[2:])
    assert torch.equal(whole[2:], part)
    assert not torch.equal(*alone(video[:1].expand(2, -1, -1, -1, -1), label[:2], keys[:2])[0])  # repeats differ


def test_without_any_augmentation_clips_stay_unchanged():
    video, label, keys = random_batch()
    same, target = Augmentation(4, 0.0, 5)(video, label, keys)
    assert torch.equal(same, video)
    assert torch.equal(target, torch.eye(4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_on_a_gpu():
    video, label, keys = random_batch()
    first, target = WHOLE(video.cuda(), label.cuda(), keys)
    again, _ = WHOLE(video.cuda(), label.cuda(), keys)
    assert torch.equal(first, again)
    expected = WHOLE(video, label, keys)[1]
    torch.testing.assert_close(target.cpu(), expected)
