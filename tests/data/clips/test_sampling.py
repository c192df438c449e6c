"""The frames of clips, against independent implementations of the reference's formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgm.data.clips.sampling import (
    Sampler,
    dense_clip,
    dense_views,
    random_start,
    reference_dense_clip,
    reference_dense_views,
    reference_sparse_clip,
    segment_clips,
    sparse_clip,
    sparse_views,
    view_starts,
)
from mgm.errors import DataError
from tests.errors import raises

totals, lengths, strides = st.integers(1, 80), st.integers(1, 20), st.integers(1, 6)
seeds = st.integers(0, 2**32)


def fitting(total, frames, stride):
    """Every start from which the whole clip fits."""
    return [s for s in range(total) if s + (frames - 1) * stride < total]


@given(total=totals, frames=lengths, stride=strides, seed=seeds)
def test_random_starts_fit(total, frames, stride, seed):
    start = random_start(total, frames=frames, stride=stride, rng=np.random.default_rng(seed))
    assert start in (fitting(total, frames, stride) or [0])


def test_random_starts_are_uniform():
    rng = np.random.default_rng(0)
    starts = [random_start(12, frames=2, stride=4, rng=rng) for _ in range(4000)]
    counts = np.bincount(starts, minlength=8)
    assert len(counts) == 8
    assert counts.min() > 400


@given(total=totals, frames=lengths, stride=strides, seed=seeds)
def test_a_clip_stops_advancing_where_the_video_ends(total, frames, stride, seed):
    clip = dense_clip(total, frames=frames, stride=stride, rng=np.random.default_rng(seed))
    offset = random_start(total, frames=frames, stride=stride, rng=np.random.default_rng(seed))
    expected = []
    for _ in range(frames):
        expected.append(offset)
        if offset + stride < total:
            offset += stride
    assert clip.tolist() == expected
    assert clip.dtype == np.int64


@given(total=totals, frames=lengths, stride=strides, views=st.integers(1, 8))
def test_views_are_spread_evenly(total, frames, stride, views):
    starts = view_starts(total, frames=frames, stride=stride, views=views)
    fit = fitting(total, frames, stride) or [0]
    assert starts == sorted(set(starts))
    assert set(starts) <= set(fit)
    if views == 1:
        assert starts == [(len(fit) - 1) // 2]
    elif len(fit) >= views:
        assert len(starts) == views
        assert (starts[0], starts[-1]) == (0, fit[-1])
        assert np.ptp(np.diff(starts)) <= 1


@pytest.mark.parametrize(
    ("total", "views", "expected"), [(300, 5, [0, 60, 120, 179, 239]), (61, 5, [0]), (10, 5, [0]), (62, 5, [0, 1])]
)
def test_views_of_the_protocol(total, views, expected):
    assert view_starts(total, frames=16, stride=4, views=views) == expected
    clips = dense_views(total, frames=16, stride=4, views=views)
    assert [clip[0] for clip in clips] == expected
    assert all(len(clip) == 16 and clip[-1] < total for clip in clips)


@given(total=totals, frames=lengths, stride=strides, seed=seeds)
def test_the_reference_spreads_a_clip_over_all_of_its_span(total, frames, stride, seed):
    clip = reference_dense_clip(total, frames=frames, stride=stride, rng=np.random.default_rng(seed))
    span = frames * stride
    if total <= span:
        count = total // stride
        expected = np.append(np.linspace(0, total, num=count), np.ones(frames - count) * total)
        expected = np.clip(expected, 0, total - 1).astype(np.int64)
    else:
        end = int(np.random.default_rng(seed).integers(span, total))
        expected = np.clip(np.linspace(end - span, end, num=frames), end - span, end - 1).astype(np.int64)
    np.testing.assert_array_equal(clip, expected)
    assert len(clip) == frames
    assert 0 <= clip.min() <= clip.max() < total


def test_the_spacing_of_the_reference_differs_from_the_stride():
    rng = np.random.default_rng(0)
    reference = reference_dense_clip(300, frames=16, stride=4, rng=rng)
    assert np.diff(reference.astype(float)).mean() == pytest.approx(64 / 15, abs=0.1)
    assert set(np.diff(dense_clip(300, frames=16, stride=4, rng=rng)).tolist()) == {4}


@given(total=st.integers(1, 200), frames=lengths, seed=seeds)
def test_a_sparse_clip_takes_one_frame_of_each_part(total, frames, seed):
    clip = sparse_clip(total, frames=frames, rng=np.random.default_rng(seed))
    edges = np.arange(frames + 1) * total // frames
    for frame, first, end in zip(clip, edges, edges[1:], strict=False):
        assert first <= frame < max(end, first + 1)
    assert (np.diff(clip) >= 0).all()
    assert clip.max() < total


def test_sparse_clips_reach_every_frame_and_the_references_do_not():
    rng = np.random.default_rng(0)
    seen, reference = (
        {i for _ in range(500) for i in draw(31, frames=4, rng=rng).tolist()}
        for draw in (sparse_clip, reference_sparse_clip)
    )
    assert seen == set(range(31))
    assert reference == set(range(28))


@given(total=st.integers(1, 200), frames=lengths, seed=seeds)
def test_the_reference_of_sparse_clips(total, frames, seed):
    clip = reference_sparse_clip(total, frames=frames, rng=np.random.default_rng(seed))
    average = total // frames
    expected = np.zeros(frames)
    if average > 0:
        drawn = np.random.default_rng(seed).integers(average, size=frames)
        expected = np.multiply(list(range(frames)), average) + drawn
    np.testing.assert_array_equal(clip, expected)


@given(total=st.integers(1, 200), frames=lengths)
def test_two_sparse_views_are_every_other_one_of_the_sorted_ticks(total, frames):
    tick = total / frames
    ticks = sorted([int(tick / 2 + tick * k) for k in range(frames)] + [int(tick * k) for k in range(frames)])
    views = sparse_views(total, frames=frames, views=2)
    assert views[0].tolist() == ticks[0::2]
    assert views[-1].tolist() == ticks[1::2]
    assert len(views) == (1 if ticks[0::2] == ticks[1::2] else 2)


@given(total=totals, frames=lengths, stride=strides, views=st.integers(1, 8))
def test_the_references_dense_views(total, frames, stride, views):
    kept = list(range(0, total, stride))
    kept += [kept[-1]] * (frames - len(kept))
    step = max((len(kept) - frames) / (views - 1), 0) if views > 1 else 0
    expected = [kept[int(c * step) : int(c * step) + frames] for c in range(views)]
    found = reference_dense_views(total, frames=frames, stride=stride, views=views)
    assert [clip.tolist() for clip in found] == expected


@given(total=st.integers(1, 200), frames=lengths, stride=strides, clips=st.integers(1, 6), seed=seeds)
def test_segments_cover_the_video(total, frames, stride, clips, seed):
    span = (frames - 1) * stride + 1
    edges = np.arange(clips + 1) * total // clips
    for rng in (None, np.random.default_rng(seed)):
        found = segment_clips(total, frames=frames, stride=stride, clips=clips, rng=rng)
        assert len(found) == clips
        for clip, first, end in zip(found, edges, edges[1:], strict=False):
            assert 0 <= clip.min() <= clip.max() < total
            if total >= span:
                assert set(np.diff(clip).tolist()) <= {stride}
            if end - first >= span:
                assert first <= clip[0]
                assert clip[-1] < end
        assert sorted(c[0] for c in found) == [c[0] for c in found]


def test_segments_without_a_generator_are_in_the_middle():
    assert [c.tolist() for c in segment_clips(20, frames=3, stride=2, clips=2)] == [[2, 4, 6], [12, 14, 16]]
    starts = {segment_clips(20, frames=3, stride=2, clips=2, rng=np.random.default_rng(i))[1][0] for i in range(60)}
    assert starts == set(range(10, 16))


@pytest.mark.parametrize("sampling", ["dense", "sparse", "segments"])
@pytest.mark.parametrize("rule", ["exact", "reference"])
@given(total=totals, count=st.integers(1, 4), seed=seeds)
def test_every_sampler_returns_frames_of_the_video(sampling, rule, total, count, seed):
    if (sampling, rule) == ("segments", "reference"):
        with raises(DataError, "conflict", message="sampling-segments-reference"):
            Sampler(8, 2, sampling, rule)
        return
    sampler = Sampler(8, 2, sampling, rule)
    clips = [sampler.train(total, rng=np.random.default_rng(seed)), *sampler.views(total, count=count)]
    for clip in clips:
        assert clip.shape == (8,)
        assert clip.dtype == np.int64
        assert (np.diff(clip) >= 0).all()
        assert 0 <= clip[0] <= clip[-1] < total
    np.testing.assert_array_equal(clips[0], sampler.train(total, rng=np.random.default_rng(seed)))


def test_a_sampler_follows_its_sampling_and_rule():
    rng = np.random.default_rng
    assert Sampler(4, 3).train(30, rng=rng(1)).tolist() == dense_clip(30, frames=4, stride=3, rng=rng(1)).tolist()
    reference = Sampler(4, 3, "dense", "reference").train(30, rng=rng(1))
    assert reference.tolist() == reference_dense_clip(30, frames=4, stride=3, rng=rng(1)).tolist()
    sparse = Sampler(4, 3, "sparse")
    assert sparse.train(30, rng=rng(1)).tolist() == sparse_clip(30, frames=4, rng=rng(1)).tolist()
    assert [c.tolist() for c in sparse.views(30, count=2)] == [c.tolist() for c in sparse_views(30, frames=4, views=2)]
    assert Sampler(2, 4).train(40, rng=rng(0), step=4)[0] % 4 == 0
