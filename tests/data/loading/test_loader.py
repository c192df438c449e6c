import multiprocessing
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mgm.data.annotations import load_set
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import Batch, BatchOrder, BatchReader, BatchTask, batches, in_background
from mgm.errors import DataError
from mgm.masks import build_mask
from mgm.masks.ratio_schedule import RatioSchedule
from tests.errors import raises


@given(videos=st.integers(1, 50), batch=st.integers(1, 60), seed=st.integers(0, 2**40), epochs=st.integers(1, 4))
def test_every_epoch_shows_every_video_once(videos, batch, seed, epochs):
    """For any batch size: epochs follow each other without a gap, and none is shortened or padded."""
    order = BatchOrder(videos, batch, seed)
    assert order.steps_per_epoch == max(videos // batch, 1)
    steps = -(-epochs * videos // batch)
    stream = [key for step in range(steps) for key in order.keys(step)]
    assert len(stream) == steps * batch
    assert len(set(stream)) == len(stream)  # no two clips are alike
    for epoch in range(epochs):
        shown = stream[epoch * videos : (epoch + 1) * videos]
        assert {e for e, _ in shown} == {epoch}
        assert sorted(index for _, index in shown) == list(range(videos))
    for step in range(steps):
        epoch, position = order.place(step)
        assert order.keys(step)[0][0] == epoch
        assert epoch * videos + position == step * batch


@given(videos=st.integers(1, 40), share=st.integers(1, 5), ranks=st.integers(1, 4))
def test_ranks_together_see_each_video_exactly_once(videos, share, ranks):
    orders = [BatchOrder(videos, ranks * share, 3, rank, ranks) for rank in range(ranks)]
    seen = [[orders[rank].keys(step) for step in range(videos)] for rank in range(ranks)]  # at least one epoch
    assert {len(keys) for steps in seen for keys in steps} == {share}  # all ranks equally long
    first = [index for steps in seen for keys in steps for epoch, index in keys if epoch == 0]
    assert sorted(first) == list(range(videos))


@given(videos=st.integers(1, 40), ranks=st.integers(1, 5), share=st.integers(1, 4), step=st.integers(0, 100))
def test_ranks_share_the_global_batch(videos, ranks, share, step):
    whole = BatchOrder(videos, ranks * share, 3).keys(step)
    parts = [BatchOrder(videos, ranks * share, 3, rank, ranks).keys(step) for rank in range(ranks)]
    assert {len(part) for part in parts} == {share}
    assert Counter(key for part in parts for key in part) == Counter(whole)


def test_orders_differ_by_epoch_and_seed():
    first, second = (tuple(BatchOrder(40, 40, 0).keys(step)) for step in (0, 1))
    other = tuple(BatchOrder(40, 40, 1).keys(0))
    assert len({tuple(i for _, i in keys) for keys in (first, second, other)}) == 3


@pytest.fixture(scope="module")
def clips(tiny_set):
    settings = ClipSettings(frames=4, stride=1, size=32, motion="codec")
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    return ClipSet(
        load_set(tiny_set).train, FileSource(), settings, ClipTransform("multiscale", flip=True, rule=rule), seed=1
    )


def same(first, second):
    return (
        torch.equal(first.video, second.video)
        and torch.equal(first.mask, second.mask)
        and torch.equal(first.label, second.label)
        and torch.equal(first.index, second.index)
        and first.fallback == second.fallback
    )


def test_batches_do_not_depend_on_workers_or_on_the_first_step(clips):
    order = BatchOrder(len(clips), 6, 1)
    before = torch.get_rng_state()
    alone = list(batches(clips, order, first=0, last=5))
    # A loader that drew from torch's generator would make a resumed run differ from one that was not stopped.
    assert torch.equal(before, torch.get_rng_state())
    shared = list(batches(clips, order, first=0, last=5, workers=2))
    resumed = list(batches(clips, order, first=3, last=5))
    assert len(alone) == len(shared) == 5
    assert all(map(same, alone, shared))
    assert all(map(same, alone[3:], resumed))
    batch = alone[0]
    assert batch.video.shape == (6, 3, 4, 32, 32)
    assert batch.video.dtype == torch.uint8
    assert batch.mask.shape == (6, 2, 4, 4)
    assert batch.mask.dtype == torch.bool
    assert batch.mask.flatten(2).sum(2).tolist() == [[12, 12]] * 6
    assert [(0, i) for i in batch.index.tolist()] == order.keys(0)
    assert batch.label.tolist() == [clips.items[i].label for i in batch.index]
    assert same(batch, batch.to(torch.device("cpu")))


@pytest.mark.parametrize(("curve", "expected"), [("linear", [8, 9, 10, 11, 12]), ("cosine", [8, 8, 10, 11, 12])])
def test_the_ratio_of_a_step_does_not_depend_on_workers_or_on_the_first_step(clips, curve, expected):
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.5, schedule=RatioSchedule(0.5, 0.78, curve))
    transform = replace(clips.transform, rule=rule)
    rising = ClipSet(clips.items, FileSource(), clips.settings, transform, seed=1, repeats=2)
    order = BatchOrder(len(clips), 6, 1)
    alone = list(batches(rising, order, first=0, last=5, parts=2))
    shared = list(batches(rising, order, first=0, last=5, parts=2, workers=3))
    resumed = list(batches(rising, order, first=3, last=5, parts=2))
    assert all(map(same, alone, shared))
    assert all(map(same, alone[6:], resumed))
    counts = [batch.mask.flatten(2).sum(2).unique().tolist() for batch in alone]
    assert counts == [[count] for count in expected for _ in range(2)]
    # all but the mask is that of a run with a constant ratio
    plain = ClipSet(clips.items, FileSource(), clips.settings, clips.transform, seed=1, repeats=2)
    for one, other in zip(alone, batches(plain, order, first=0, last=5, parts=2), strict=True):
        assert torch.equal(one.video, other.video)


def test_pinned_batches_come_from_a_thread_that_ends_with_its_processes(clips, monkeypatch):
    pinned = []
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: pinned.append(batch) or batch)
    order = BatchOrder(len(clips), 6, 1)
    found = list(batches(clips, order, first=0, last=4, workers=1, pin=True))
    assert all(map(same, found, batches(clips, order, first=0, last=4)))
    assert len(pinned) == 4
    stream = batches(clips, order, first=0, last=100, workers=2, pin=True)
    next(stream)
    assert len(multiprocessing.active_children()) == 2
    stream.close()
    assert multiprocessing.active_children() == []
    assert not [thread for thread in threading.enumerate() if "in_background" in thread.name]


def test_a_worker_returns_the_metadata_it_probed_and_keeps_none(clips):
    paths = [item.path for item in clips.items]
    alone = ClipSet(clips.items, FileSource(), clips.settings, ClipTransform("centre", flip=False), seed=1)
    batch, probed = BatchReader(alone)(BatchTask([(0, 3), (0, 5)], 0.0, {}), lambda index: None)
    assert set(probed) == {paths[3], paths[5]}
    again, none_new = BatchReader(alone)(BatchTask([(0, 3), (0, 5)], 0.0, probed), lambda index: None)
    assert none_new == {}
    assert torch.equal(batch.video, again.video)
    assert set(alone.source.infos) == {paths[3], paths[5]}
    parent = ClipSet(clips.items, FileSource(), clips.settings, ClipTransform("centre", flip=False), seed=1)
    list(batches(parent, BatchOrder(len(paths), 8, 0), first=0, last=2, workers=2))
    assert set(parent.source.infos) == set(paths)


@pytest.mark.parametrize("parts", [1, 2, 4, 6])
def test_parts_of_a_step(clips, parts):
    order = BatchOrder(len(clips), 6, 1)
    pieces = list(batches(clips, order, first=1, last=3, parts=parts))
    assert len(pieces) == 2 * parts
    assert all(1 <= len(piece.index) <= -(-6 // parts) for piece in pieces)
    assert [i for piece in pieces for i in piece.index.tolist()] == [i for s in (1, 2) for _, i in order.keys(s)]


def test_batches_without_masks_and_labels(tiny_set):
    items = load_set(tiny_set / "train" / "left").train  # a single folder has no labels
    settings = ClipSettings(frames=4, stride=1, size=32, motion=None)
    clips = ClipSet(items, FileSource(), settings, ClipTransform("centre", flip=False), seed=0)
    (batch,) = batches(clips, BatchOrder(2, 3, 0), first=0, last=1)
    assert batch.mask is None
    assert batch.to(torch.device("cpu")).mask is None
    assert batch.label.tolist() == [-1, -1, -1]
    assert (batch.fallback, batch.unreadable) == (0.0, ())


def test_one_item_is_made_ahead_and_errors_come_in_their_place():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number
        raise DataError("set", "the end", reason="not_found")

    stream = in_background(items())
    assert next(stream) == 0
    time.sleep(0.05)
    assert 2 <= len(made) <= 3
    assert [next(stream) for _ in range(4)] == [1, 2, 3, 4]
    with raises(DataError, "not_found"):
        next(stream)


def test_a_stream_that_is_left_is_closed():
    closed = []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    stream = in_background(items())
    next(stream)
    stream.close()
    assert closed == [True]
