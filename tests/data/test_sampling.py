import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgm.data.sampling import random_start, view_starts

totals, lengths, strides = st.integers(1, 80), st.integers(1, 20), st.integers(1, 6)


def fitting(total, frames, stride):
    """Every start from which the whole clip fits."""
    return [s for s in range(total) if s + (frames - 1) * stride < total]


@given(total=totals, frames=lengths, stride=strides, seed=st.integers(0, 2**32))
def test_random_starts_fit(total, frames, stride, seed):
    start = random_start(total, frames=frames, stride=stride, rng=np.random.default_rng(seed))
    assert start in (fitting(total, frames, stride) or [0])


def test_random_starts_are_uniform():
    rng = np.random.default_rng(0)
    starts = [random_start(12, frames=2, stride=4, rng=rng) for _ in range(4000)]
    counts = np.bincount(starts, minlength=8)
    assert len(counts) == 8
    assert counts.min() > 400


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
