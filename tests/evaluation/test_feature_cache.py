import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mgm.data.clips.source import FileSource, MemorySource
from mgm.evaluation.feature_cache import FeatureCache, feature_key
from mgm.evaluation.probing import evaluation_views, training_views, untrained_encoder
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.views import Features
from mgm.training.recipe import override


@pytest.fixture
def items(videos, tmp_path):
    """Two videos of their own."""
    return tuple(
        replace(item, path=str(shutil.copy(item.path, tmp_path / f"{number}.mp4")))
        for number, item in enumerate(videos.train[:2])
    )


def key_of(items, config, *, encoder=None, pooling="mean", source=None, sampling="dense"):
    encoder = encoder or untrained_encoder(config)
    views = evaluation_views(items, config, source or FileSource(), config.sampler(sampling))
    return feature_key(encoder, views, pooling, Ranks(config.probe.precision))


def test_the_key_changes_with_all_that_matters(items, config):
    changes = {
        "again": key_of(items, config),
        "pooling": key_of(items, config, pooling="mean-std-max"),
        "sampling": key_of(items, config, sampling="segments"),
        "order": key_of(items[::-1], config),
        "part": key_of((replace(items[0], end=5), items[1]), config),
        "memory": key_of(items, config, source=MemorySource(32, None)),
        "side in memory": key_of(items, config, source=MemorySource(48, None)),
        "training": feature_key(
            untrained_encoder(config), training_views(items, config, FileSource()), "mean", Ranks()
        ),
    }
    for setting in (
        "seed=1",
        "probe.temporal_views=2",
        "probe.spatial_views=1",
        "data.stride=2",
        "probe.precision=bf16-mixed",
    ):
        changes[setting] = key_of(items, override(config, [setting]))
    encoder = untrained_encoder(config)
    with torch.no_grad():
        next(encoder.parameters()).flatten()[0] += 1e-6
    changes["one weight"] = key_of(items, config, encoder=encoder)
    assert len(set(changes.values())) == len(changes)
    relabelled = tuple(replace(item, label=3) for item in items)
    assert key_of(relabelled, config) == changes["again"]  # features do not depend on labels


def test_the_key_changes_with_the_content_of_a_file(items, config):
    before = key_of(items, config)
    found = Path(items[0].path).stat()
    os.utime(items[0].path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert key_of(items, config) != before


def test_what_cannot_be_identified_has_no_key(items, config):
    remote = replace(items[0], path="https://example.org/a.mp4")
    assert key_of((remote, items[1]), config) is None
    assert key_of((replace(items[0], path="absent.mp4"),), config) is None
    assert key_of(items, config, source=object()) is None


def features(**changes):
    stored = Features(
        torch.randn(3, 4), torch.tensor([0, 0, 1]), torch.tensor([5, 6]), torch.tensor([0, 1, 9]), index=(0, 2)
    )
    return replace(stored, **changes)


def test_features_come_back_with_the_labels_of_the_items(items, tmp_path):
    cache, stored = FeatureCache(tmp_path / "features"), features()
    assert cache.load("key", items) is None
    cache.save("key", stored)
    asked = (*items, replace(items[0], label=7))
    found = cache.load("key", asked)
    assert torch.equal(found.pooled, stored.pooled)
    assert torch.equal(found.owner, stored.owner)
    assert torch.equal(found.row, stored.row)
    assert found.index == (0, 2)
    assert found.label.tolist() == [items[0].label, 7]


def test_a_damaged_file_is_not_read_and_is_replaced(items, tmp_path):
    cache = FeatureCache(tmp_path / "features")
    cache.save("key", features(index=(0, 1)))
    (file,) = (tmp_path / "features").iterdir()
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert cache.load("key", items) is None
    cache.save("key", features(index=(0, 1)))
    assert cache.load("key", items) is not None


def test_features_without_every_video_are_not_kept(items, tmp_path):
    FeatureCache(tmp_path).save("key", features(unreadable={"a.mp4": "timed out"}))
    assert FeatureCache(tmp_path).load("key", items) is None
