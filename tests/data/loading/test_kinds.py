"""Batches of one kind: the order of steps of videos and of still pictures."""

import numpy as np
import pytest
from PIL import Image

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule, Stills
from mgm.data.loading.loader import BatchOrder, read_batch
from mgm.masks import build_mask


def steps(pictures, *, videos=10, batch=3, ranks=1, number=40):
    orders = [BatchOrder(videos, batch, 0, rank, ranks, pictures) for rank in range(ranks)]
    return [[key for order in orders for key in order.keys(step)] for step in range(number)]


@pytest.mark.parametrize("pictures", [1, 4, 5, 9, 10])
def test_every_step_has_one_kind_and_each_kind_its_share(pictures):
    kinds = [{index >= 10 - pictures for _, index in keys} for keys in steps(pictures)]
    assert all(len(kind) == 1 for kind in kinds)
    of_pictures = [kind == {True} for kind in kinds]
    assert sum(of_pictures) == 4 * pictures
    # Evenly spread: any ten successive steps have the share.
    assert all(sum(of_pictures[i : i + 10]) == pictures for i in range(31))


def test_each_kind_passes_over_all_its_items():
    """Every epoch of a kind has each of its items once, in an order of its own."""
    drawn = [key for keys in steps(4) for key in keys]
    for items in (range(6), range(6, 10)):
        mine = [key for key in drawn if key[1] in items]
        whole = len(mine) // len(items)
        for epoch in range(whole):
            part = mine[epoch * len(items) : (epoch + 1) * len(items)]
            assert sorted(index for _, index in part) == list(items)
            assert {number for number, _ in part} == {epoch}


def test_ranks_share_a_step():
    one, two = steps(4, batch=4), steps(4, batch=4, ranks=2)
    assert [sorted(keys) for keys in one] == [sorted(keys) for keys in two]


def test_without_pictures_the_order_is_that_of_one_list():
    assert steps(0) == [BatchOrder(10, 3, 0).keys(step) for step in range(40)]
    assert len({index for keys in steps(0, number=4) for _, index in keys[:10]}) >= 9


def test_an_unreadable_item_is_replaced_by_one_of_its_kind(tiny_set, tmp_path):
    """Clips of another length do not fit into its batch."""
    for number in range(4):
        Image.fromarray(np.full((32, 32, 3), 60 * number, np.uint8)).save(tmp_path / f"{number}.png")
    names = ("damaged.png", "damaged.mp4")
    for name in names:
        (tmp_path / name).write_bytes(b"nothing")
    bad_picture, bad_video = (VideoItem(str(tmp_path / name)) for name in names)
    pictures = [bad_picture, *(VideoItem(str(tmp_path / f"{number}.png")) for number in range(4))]
    items = (bad_video, *load_set(tiny_set).train[:4], *pictures)
    rule = MaskRule(build_mask("tube"), (2, 4, 4), 0.75)
    stills = Stills(2, MaskRule(build_mask("tube"), (1, 4, 4), 0.75))
    transform = ClipTransform("centre", flip=False, rule=rule, stills=stills)
    clips = ClipSet(items, FileSource(), ClipSettings(4, 1, 32, None), transform, seed=0)
    assert clips.pictures == 5
    for kind, bad, length in ((range(5), 0, 4), (range(5, 10), 5, 2)):
        for epoch in range(12):
            batch = read_batch(clips, [(epoch, index) for index in kind])
            assert batch.video.shape == (5, 3, length, 32, 32)
            assert set(batch.index.tolist()) <= set(kind) - {bad}
            assert {found.path for found in batch.unreadable} == {items[bad].path}
