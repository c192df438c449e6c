"""Read the batches of a set, and compare them."""

import tarfile

import torch

from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import BatchOrder, batches
from mgm.masks import build_mask

SETTINGS = ClipSettings(frames=4, stride=1, size=32, motion="codec")


def read(videos, *, source=None, workers=0, first=0, settings=SETTINGS, **options):
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    clips = ClipSet(
        videos.train,
        source or FileSource(),
        settings,
        ClipTransform("multiscale", flip=True, rule=rule),
        seed=3,
        repeats=2,
    )
    order = BatchOrder(len(videos.train), 6, 3)
    return list(batches(clips, order, first=first, last=5, workers=workers, **options))


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.video, other.video)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(one.label, other.label)
        assert torch.equal(one.index, other.index)
        assert one.unreadable == other.unreadable == ()


def names_in(shard):
    with tarfile.open(shard) as tar:
        return tar.getnames()
