"""What every mask of the catalog refuses: ratios, grids, generators, and motion if it uses any."""

import random
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import build_mask, make_mask
from mgm.masks.catalog import MASKS
from tests.errors import raises
from tests.masks.every import EVERY, SHAPES, draw_options
from tests.masks.fields import field, random_peaks, still


@EVERY
@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 75, float("nan"), float("inf"), 0.001, 0.999999999999])
def test_refuses_a_ratio_that_hides_nothing_or_everything(name, ratio):
    with raises(MaskError, "invalid_value", subject=name):
        make_mask(name, grid=(1, 14, 14), ratio=ratio, rng=np.random.default_rng(0))


@EVERY
@pytest.mark.parametrize("grid", [(0, 14, 14), (8, 14), (8, 14, 14, 1), (8, -1, 14), (8.0, 14, 14), 8, None])
def test_refuses_a_grid_that_is_not_three_positive_integers(name, grid):
    with raises(MaskError, "invalid_value", subject=name):
        make_mask(name, grid=grid, ratio=0.75, rng=np.random.default_rng(0))


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("wrap", [field, lambda vectors: vectors])
def test_broken_motion_is_an_error_or_ignored(name, bad, wrap):
    vectors = random_peaks(16, 28, 28, np.random.default_rng(0))
    vectors[5, 3, 4, 1] = bad
    check_refused_or_ignored(name, wrap(vectors), "invalid_value")
    if "camera" in [option.name for option in fields(MASKS[name])]:
        check_refused_or_ignored(name, wrap(vectors), "invalid_value", camera="median")


@EVERY
@given(data=st.data(), shape=SHAPES, steps=st.integers(1, 8), bad=st.sampled_from([np.nan, np.inf, -np.inf]))
@settings(max_examples=15, deadline=None)
def test_one_broken_value_anywhere_is_an_error_or_ignored(name, data, shape, steps, bad):
    mask, grid = build_mask(name, **draw_options(name, data)), (steps, *shape)
    if name == "score" and mask.scores is not None:  # it then ignores the motion
        mask = build_mask(name)
    vectors = random_peaks(2 * steps, *shape, np.random.default_rng(0))
    place = [data.draw(st.integers(0, side - 1)) for side in vectors.shape]
    vectors[tuple(place)] = bad
    if mask.uses_motion:
        with raises(MaskError, "invalid_value", subject=name) as caught:
            mask.draw(grid, 0.5, vectors, np.random.default_rng(0))
        assert str(place[0]) in caught.value.found
    else:
        assert mask.draw(grid, 0.5, vectors, np.random.default_rng(0)).masked.shape == grid


@EVERY
@pytest.mark.parametrize("frames", [1, 4, 15, 17])
def test_refuses_frames_that_do_not_divide_into_steps(name, frames):
    check_refused_or_ignored(name, still(frames, 28, 28), "mismatch")


@EVERY
def test_refuses_motion_of_another_type_or_shape(name):
    check_refused_or_ignored(name, [[[[0.0, 0.0]]]], "invalid_type")
    check_refused_or_ignored(name, np.zeros((8, 14, 14)), "invalid_shape")
    check_refused_or_ignored(name, np.zeros((8, 14, 14, 2), dtype=complex), "invalid_type")


def check_refused_or_ignored(name, motion, reason, **options):
    mask, grid = build_mask(name, **options), (8, 14, 14)
    if mask.uses_motion:
        with raises(MaskError, reason, subject=name):
            mask.draw(grid, 0.75, motion, np.random.default_rng(0))
    else:
        drawn = mask.draw(grid, 0.75, motion, np.random.default_rng(0))
        without = mask.draw(grid, 0.75, None, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn.masked, without.masked)


@EVERY
@pytest.mark.parametrize("rng", [0, None, np.random, random])
def test_only_a_generator_is_accepted_as_rng(name, rng):
    with raises(MaskError, "invalid_type", subject=name):
        make_mask(name, grid=(8, 14, 14), ratio=0.75, rng=rng)
