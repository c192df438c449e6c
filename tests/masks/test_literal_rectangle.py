"""Rectangles whose count is exact over the clip, or not at all: `exact="clip"` and `exact="none"`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.errors import MaskError
from mgm.masks import build_mask
from mgm.masks.rectangle import (
    MotionRectangle,
    literal_rectangle,
    place_rectangle,
)
from tests.errors import raises
from tests.masks.fields import random_peaks, still

GRID = (8, 14, 14)
BOUNDARIES = ["clip", "shift", "grow", "wrap"]


def tokens_inside(centre, sides, shape, boundary):
    """By a plain loop: the tokens whose centres are in one rectangle, (h, w)."""
    (y, x), (high, wide) = centre, sides
    if boundary == "shift":
        y, x = (
            min(max(at, min(side, n) / 2), n - min(side, n) / 2)
            for at, side, n in zip((y, x), (high, wide), shape, strict=True)
        )
    inside = np.zeros(shape, np.bool_)
    for row in range(shape[0]):
        for column in range(shape[1]):
            dy, dx = abs(row + 0.5 - y), abs(column + 0.5 - x)
            if boundary == "wrap":
                dy, dx = min(dy, shape[0] - dy), min(dx, shape[1] - dx)
            inside[row, column] = dy <= high / 2 + 1e-9 and dx <= wide / 2 + 1e-9
    return inside


@pytest.mark.parametrize("boundary", ["clip", "shift", "wrap"])
def test_a_literal_rectangle_is_that_of_a_plain_loop(boundary):
    rng = np.random.default_rng(0)
    shape = (9, 14)
    centres, sides = rng.random((50, 2)) * shape, rng.uniform(1, 12, (50, 2))
    sides[:10], centres[:10] = np.rint(sides[:10]), np.rint(2 * centres[:10]) / 2  # centres of tokens on the edge
    found = literal_rectangle(centres, sides, shape=shape, boundary=boundary)
    for step in range(50):
        np.testing.assert_array_equal(found[step], tokens_inside(centres[step], sides[step], shape, boundary))


def test_no_exact_count_is_the_equation_as_written():
    """A peak in a corner shows 4 x 4 of its 7 x 7 tokens, one in the middle all; nothing is cut or added."""
    vectors = still(16, 14, 14)
    vectors[:8, 0, 0] = vectors[8:, 7, 7] = (3, -4)
    mask = MotionRectangle(exact="none", start="motion", jitter=False)
    drawn = mask.draw(GRID, 49 / 196, vectors, np.random.default_rng(0))
    expected = np.zeros(GRID, np.bool_)
    expected[:4, :4, :4] = expected[4:, 4:11, 4:11] = True
    np.testing.assert_array_equal(drawn.masked, expected)
    assert (mask.equal_steps, mask.fixed_count, mask.count(GRID, 49 / 196)) == (False, False, 8 * 64)


def test_the_count_of_the_clip_is_made_up_over_all_steps():
    vectors = still(16, 14, 14)
    vectors[:8, 0, 0] = vectors[8:, 7, 7] = (3, -4)
    options = {"start": "motion", "jitter": False}
    literal = MotionRectangle(**options, exact="none").draw(GRID, 49 / 196, vectors, np.random.default_rng(0)).masked
    mask = MotionRectangle(**options, exact="clip")
    seen = np.array([mask.draw(GRID, 49 / 196, vectors, np.random.default_rng(seed)).masked for seed in range(200)])
    assert (mask.equal_steps, mask.fixed_count, mask.count(GRID, 49 / 196)) == (False, True, 8 * 49)
    assert (seen.sum((1, 2, 3)) == 8 * 49).all()
    assert seen[:, literal].all()
    # what the corner lacks is drawn from all tokens outside, of every step alike
    outside = 4 * (196 - 16) + 4 * (196 - 49)
    np.testing.assert_allclose(seen.mean(0)[~literal], 4 * 33 / outside, atol=0.12)
    for part, size in ((slice(4), 196 - 16), (slice(4, 8), 196 - 49)):
        share = seen[:, part][:, ~literal[part]].mean()
        assert share == pytest.approx(4 * 33 / outside, rel=0.05), size


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_too_much_in_a_clip_is_cut_from_the_farthest_of_all_steps(boundary):
    """Rectangles of 5 x 5 and 9 x 9 for 2 x 45 tokens: of 106 the 16 farthest, each in the metric of its own rectangle."""
    rng = np.random.default_rng(0)
    centres, sides = np.array([[7.5, 7.5], [7.5, 7.5]]), np.array([[5.0, 5.0], [9.0, 9.0]])
    found = place_rectangle(centres, sides, count=90, shape=(15, 15), boundary=boundary, rng=rng, together=True)
    offset = np.abs(np.arange(15) + 0.5 - 7.5)
    distance = np.maximum(*np.meshgrid(offset, offset)) / (sides[:, :1, None] / 2)
    assert found.sum() == 90
    assert distance[found].max() <= distance[~found].min()
    assert found.sum((1, 2)).tolist() == [25, 65] or distance[found].max() == pytest.approx(distance[~found].min())


@given(
    name=st.sampled_from(["mgm", "smm"]),
    boundary=st.sampled_from(["clip", "shift", "wrap"]),
    jitter=st.booleans(),
    shape=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    steps=st.integers(1, 16),
    ratio=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_a_literal_mask_hides_at_most_its_count(name, boundary, jitter, shape, steps, ratio, seed):
    mask, rng = build_mask(name, exact="none", boundary=boundary, jitter=jitter), np.random.default_rng(seed)
    grid = (steps, *shape)
    try:
        most = mask.count(grid, ratio)
    except MaskError:  # no token of the clip
        return
    drawn = mask.draw(grid, ratio, random_peaks(2 * steps, 9, 11, rng), rng)
    assert 0 < drawn.masked.sum() <= most <= steps * shape[0] * shape[1]
    assert drawn.masked.any((1, 2)).all()


def test_a_literal_rectangle_may_hide_a_whole_step():
    """Its side is 13.3 of 14: in the middle of the frame every token's centre is inside."""
    mask = MotionRectangle(exact="none", start="motion", jitter=False)
    drawn = mask.draw(GRID, 0.9, np.ones((8, 28, 28, 2)), np.random.default_rng(0))
    assert drawn.masked.all()
    assert mask.count(GRID, 0.9) == 8 * 196


def test_literal_masks_refuse_what_adds_or_cuts_tokens():
    for option, value in {"boundary": "grow", "trim": "random", "fill": "near", "share": 0.5, "softness": 1.0}.items():
        for name in ("mgm", "smm"):
            with raises(MaskError, "conflict", subject=name):
                build_mask(name, exact="none", **{option: value})
    with raises(MaskError, "conflict", subject="mgm", message="mask-literal-option"):
        build_mask("mgm", exact="none", sides="motion")
    with raises(MaskError, "unknown_name", subject="block"):
        build_mask("block", exact="clip")
